"""Stricter tests for the problems of a set, from MBPP+ or HumanEval+.

EvalPlus publishes inputs and a solution of its own; what the solution returns is what is expected.
It is run in the verifier's sandbox, call by call; what it returned becomes the right-hand side of
an assert, and the asserts become the problem's `extra_tests`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError
from ouroboros.params import check_digest
from ouroboros.problems.comparisons import NotComparable, make_assert
from ouroboros.problems.evalplus import Arguments, Entry, load_entries, parse_entries
from ouroboros.problems.literals import NotLiteral, literal
from ouroboros.problems.params import StricterParams
from ouroboros.records import Candidate, Problem, Verdict
from ouroboros.verification.outputs import Calls, NotReturned, Outcome, run_calls
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify

LIMITS = ExecuteParams()
"""A problem's extra tests must fit the verifier's default limits: the solution passes them so."""
BUDGET = replace(LIMITS, cpu_seconds=2)
"""All extra tests of a problem share a candidate's CPU time; the solution gets half of it."""
LONGEST_TEST = 20_000
"""Characters of one assert; longer ones (Mbpp/301: 100,000) would fill the problem file."""
ROUNDS = 3
"""How often calls are made again without those at which the CPU time ran out."""

LARGEST_NUMBER = {
    "mbpp/84": 200_000,
    "mbpp/123": 5_500,
    "mbpp/162": 500_000,
    "mbpp/255": 50,
    "mbpp/271": 250_500,
    "mbpp/300": 500_000,
    "mbpp/389": 29,
    "mbpp/392": 150_000,
    "mbpp/583": 13,
    "mbpp/589": 500_000,
    "mbpp/592": 987,
    "mbpp/599": 2_000_000,
    "mbpp/603": 9_000,
    "humaneval/15": 500_000,
    "humaneval/36": 500_000,
    "humaneval/59": 300_000,
    "humaneval/83": 500_000,
    "humaneval/94": 1_000_000_000,
    "humaneval/130": 500_000,
    "humaneval/139": 300,
}
"""Inputs with a larger number are left out where EvalPlus' solution would need seconds for all: its
time grows with the numbers. A fixed bound gives the same tests on every machine, a clock would not.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was added, and what was left out and why.

    Attributes:
        problems: problems that got extra tests.
        tests: how many tests they got together.
        inputs: distinct inputs of the set's problems in the source, before anything was left out.
        without: problems that got none, by reason, each with its ids.
        left_out: inputs that became no test, by reason.
    """

    problems: int
    tests: int
    inputs: int
    without: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        found = [f"{self.problems} problems got {self.tests} extra tests of {self.inputs} inputs"]
        for reason, ids in sorted(self.without.items()):
            shown = ", ".join(ids[:20]) + (", ..." if len(ids) > 20 else "")
            found.append(f"no extra tests for {len(ids)} problems: {reason} ({shown})")
        for reason, count in sorted(self.left_out.items()):
            found.append(f"left out {count} inputs: {reason}")
        return found


def load_stricter(params: StricterParams, root: Path) -> list[Entry]:
    """The entries that the params name.

    Raises:
        UserError: the source cannot be read.
        InputError: a digest or a row is not what it must be.
    """
    if params.source == "hub":
        # Imported here: `datasets` takes seconds to import, and a file does not need it.
        from ouroboros.problems.hub import hub_rows

        assert params.name is not None
        assert params.revision is not None
        return parse_entries(hub_rows(params.name, params.revision, "default"))
    assert params.path is not None
    path = root / params.path
    check_digest(path, params.sha256, "the param stricter.sha256")
    return load_entries(path)


def add_stricter(
    problems: Sequence[Problem],
    entries: Sequence[Entry],
    *,
    max_inputs: int | None = None,
    workers: int | None = None,
) -> tuple[list[Problem], Report]:
    """Give each problem that has an entry the entry's tests, behind the extra tests it has.

    An entry whose solution fails the problem's own tests describes another task (MBPP's hand-
    verified part changed some) and gives none.

    Args:
        max_inputs: how many of a problem's distinct inputs are used, from the first; all if None.
        workers: how many programs run at once.

    Returns:
        The problems in their order, and what was left out.

    Raises:
        InputError: no problem has an entry.
        SandboxError, InfrastructureError: as `verification.run.verify`.
    """
    by_id = {entry.problem_id: entry for entry in entries}
    chosen = [problem for problem in problems if problem.problem_id in by_id]
    if not chosen:
        raise InputError(
            "stricter: none of the set's problems is in it",
            hint=f"it holds {len(by_id)} problems, {min(by_id, default=None)!r} for one",
        )
    without: dict[str, list[str]] = {}
    if missing := [p.problem_id for p in problems if p.problem_id not in by_id]:
        without["not in the source"] = missing
    solutions = {p.problem_id: _solution(by_id[p.problem_id], p.entry_point) for p in chosen}
    plain = [replace(problem, extra_tests=(), visible_tests=()) for problem in chosen]
    verdicts = _verify(plain, solutions, "stricter: solutions", workers)
    drafts = []
    for problem, verdict in zip(chosen, verdicts, strict=True):
        # A match object is no plain value: where that is all, the task may still be the same.
        unsupported = verdict.verdict == "unsupported_value" and "fail" not in verdict.tests
        if verdict.passed or unsupported:
            drafts.append(_Draft(problem, by_id[problem.problem_id], max_inputs))
        else:
            reason = "the source's solution fails the problem's own tests"
            without.setdefault(reason, []).append(problem.problem_id)
    _make_calls(drafts, solutions, workers)
    _drop_failing(drafts, solutions, workers)
    left_out = sum((draft.left_out for draft in drafts), Counter[str]())
    tests = {draft.problem.problem_id: tuple(draft.tests) for draft in drafts}
    for problem_id, made in tests.items():
        if not made:
            without.setdefault("every input was left out", []).append(problem_id)
    report = Report(
        problems=sum(bool(made) for made in tests.values()),
        tests=sum(map(len, tests.values())),
        inputs=sum(draft.inputs for draft in drafts),
        without=without,
        left_out=dict(left_out),
    )
    found = [
        replace(problem, extra_tests=problem.extra_tests + tests.get(problem.problem_id, ()))
        for problem in problems
    ]
    return found, report


def _solution(entry: Entry, name: str) -> str:
    """The entry's program under the name that the problem's tests call."""
    if name == entry.entry_point:
        return entry.solution
    return f"{entry.solution}\n\n{name} = {entry.entry_point}\n"


class _Draft:
    """The extra tests of one problem, in the making."""

    def __init__(self, problem: Problem, entry: Entry, max_inputs: int | None) -> None:
        self.problem = problem
        self.entry = entry
        self.left_out: Counter[str] = Counter()
        self.tests: list[str] = []
        self.inputs = 0
        self.calls: dict[str, Arguments] = {}
        """Source text of the arguments -> the arguments, of the inputs still in play."""
        self.outcomes: dict[str, Outcome] = {}
        seen: set[str] = set()
        bound = LARGEST_NUMBER.get(entry.problem_id)
        for arguments in entry.inputs:
            try:
                text = ", ".join(map(literal, arguments))
            except NotLiteral as error:
                self.inputs += 1
                self.left_out[f"an argument is {error}"] += 1
                continue
            if text in seen:
                continue
            seen.add(text)
            self.inputs += 1
            if max_inputs is not None and len(seen) > max_inputs:
                self.left_out[f"beyond the first {max_inputs} (max_inputs)"] += 1
            elif bound is not None and _largest(arguments) > bound:
                self.left_out["a number above the problem's bound (LARGEST_NUMBER)"] += 1
            elif reason := _unfit(f"f({text})"):
                self.left_out[reason] += 1
            else:
                self.calls[text] = arguments

    def make_tests(self) -> None:
        for text, arguments in self.calls.items():
            try:
                test = make_assert(
                    self.entry, self.problem.entry_point, arguments, self.outcomes[text]
                )
                reason = _unfit(test)
            except (NotComparable, NotLiteral) as error:
                reason = str(error)
            if reason:
                self.left_out[reason] += 1
            else:
                self.tests.append(test)


def _largest(value: Any) -> float:
    """The largest absolute number anywhere in a value."""
    if isinstance(value, dict):
        return max(map(_largest, [*value.keys(), *value.values()]), default=0.0)
    if isinstance(value, list | tuple | set | frozenset):
        return max(map(_largest, value), default=0.0)
    return abs(value) if isinstance(value, int | float | complex) else 0.0


def _unfit(source: str) -> str:
    """Why this text cannot stand in a test; empty if it can."""
    if len(source) > LONGEST_TEST:
        return f"its test would be longer than {LONGEST_TEST} characters"
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "its test would be nested too deeply to parse"
    return ""


def _make_calls(drafts: list[_Draft], solutions: dict[str, str], workers: int | None) -> None:
    """Run the solutions and turn what they return into tests.

    Where CPU time runs out, the call at which it did is left out and the others are made again: it
    may be the one at fault. What has no value after that is left out too.
    """
    waiting = drafts
    for number in range(ROUNDS):
        programs = [
            Calls(
                label=draft.problem.problem_id,
                code=solutions[draft.problem.problem_id],
                entry_point=draft.problem.entry_point,
                arguments=tuple(text for text in draft.calls if not _ended(draft, text)),
            )
            for draft in waiting
        ]
        label = "stricter: expected values" + (f", round {number + 1}" if number else "")
        found = run_calls(programs, BUDGET, workers=workers, label=label)
        for draft, program, outcomes in zip(waiting, programs, found, strict=True):
            draft.outcomes.update(zip(program.arguments, outcomes, strict=True))
        waiting = [
            draft
            for draft, outcomes in zip(waiting, found, strict=True)
            if any(isinstance(outcome, NotReturned) and outcome.ended for outcome in outcomes)
        ]
        if not waiting:
            break
    for draft in drafts:
        draft.make_tests()


def _ended(draft: _Draft, text: str) -> bool:
    """Whether the process ended at this call in an earlier round."""
    outcome = draft.outcomes.get(text)
    return isinstance(outcome, NotReturned) and outcome.ended


def _drop_failing(drafts: list[_Draft], solutions: dict[str, str], workers: int | None) -> None:
    """Leave out tests that the solution does not pass as a candidate under the default limits."""
    tried = [draft for draft in drafts if draft.tests]
    problems = [
        replace(draft.problem, extra_tests=tuple(draft.tests), visible_tests=()) for draft in tried
    ]
    verdicts = _verify(problems, solutions, "stricter: solutions against all tests", workers)
    for draft, verdict in zip(tried, verdicts, strict=True):
        kept = [
            test
            for test, result in zip(draft.tests, verdict.extra_tests, strict=True)
            if result == "pass"
        ]
        if len(kept) < len(draft.tests):
            reason = "the solution does not pass the test made of it"
            draft.left_out[reason] += len(draft.tests) - len(kept)
            draft.tests = kept


def _verify(
    problems: Sequence[Problem], solutions: dict[str, str], label: str, workers: int | None
) -> list[Verdict]:
    candidates = [
        Candidate(problem_id=p.problem_id, sample_index=0, code=solutions[p.problem_id])
        for p in problems
    ]
    return verify(problems, candidates, LIMITS, workers=workers, label=label)
