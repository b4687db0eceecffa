"""`ouroboros problems check`: what is wrong with a file of problems, line by line.

Static faults come first (`check`); then the references run in the sandbox. A reference must pass
its own tests, and give the same values every time. Where a program that only returns None passes
too, the tests decide nothing, which is said as a warning: the pipeline would take the problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ouroboros.errors import InputError
from ouroboros.problems.check import find_faults
from ouroboros.problems.files import problem_rows
from ouroboros.problems.formats import parse_problem
from ouroboros.records import Candidate, Problem, Verdict

RUNS = 3
"""How often each reference runs, to see that it gives the same values."""
SEED = "\n\nimport random as _random\n_random.seed({})\n"
"""The sandbox begins every program with the same random state, so each run gets one of its own."""

Verify = Callable[[Sequence[Problem], Sequence[Candidate]], list[Verdict]]
"""Runs candidates in the sandbox, each call anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something about one row; a fault unless `warning`. `where` is its file and line."""

    where: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {'warning: ' if self.warning else ''}{self.message}"


def examine(path: Path, visible_tests: int, verify: Verify) -> tuple[list[Finding], int]:
    """Everything that is wrong with a problem file, in its order, and how many problems it holds.

    Raises:
        UserError: no such file, or it cannot be read at all.
        SandboxError: references cannot be run here.
    """
    findings: list[Finding] = []
    sound: list[tuple[str, Problem]] = []
    first: dict[str, str] = {}
    order: dict[str, int] = {}
    for number, (where, row) in enumerate(problem_rows(path)):
        order[where] = number
        try:
            problem = parse_problem(row, where, visible_tests)
        except InputError as error:
            findings.append(Finding(where=where, message=str(error).removeprefix(f"{where}: ")))
            continue
        faults = [str(fault) for fault in find_faults([problem])]
        if problem.problem_id in first:
            faults.append(f"{problem.problem_id}: the same id as {first[problem.problem_id]}")
        first.setdefault(problem.problem_id, where)
        findings += [Finding(where=where, message=fault) for fault in faults]
        if not faults:
            sound.append((where, problem))
    findings += run_references(sound, verify)
    return sorted(findings, key=lambda finding: order[finding.where]), len(order)


def run_references(placed: Sequence[tuple[str, Problem]], verify: Verify) -> list[Finding]:
    """What running the references shows; `placed` are sound problems with their places."""
    findings = [
        Finding(
            where=where,
            message=f"{problem.problem_id}: no reference, so its tests cannot be tried",
            warning=True,
        )
        for where, problem in placed
        if not problem.reference.strip()
    ]
    placed = [(where, problem) for where, problem in placed if problem.reference.strip()]
    if not placed:
        return findings
    problems = [problem for _, problem in placed]
    runs = [
        verify(problems, [_program(p, p.reference + SEED.format(seed)) for p in problems])
        for seed in range(RUNS)
    ]
    stubs = [_program(p, f"def {p.entry_point}(*_, **__):\n    return None\n") for p in problems]
    for (where, problem), verdicts, stub in zip(
        placed, zip(*runs, strict=True), verify(problems, stubs), strict=True
    ):
        message = _reference_fault(problem, verdicts)
        if message:
            findings.append(Finding(where=where, message=f"{problem.problem_id}: {message}"))
        elif stub.passed:
            findings.append(
                Finding(
                    where=where,
                    message=f"{problem.problem_id}: tests: a function that only returns None "
                    "passes them all",
                    warning=True,
                )
            )
    return findings


def _program(problem: Problem, code: str) -> Candidate:
    return Candidate(problem_id=problem.problem_id, sample_index=0, code=code)


def _reference_fault(problem: Problem, verdicts: Sequence[Verdict]) -> str | None:
    if len({verdict.passed for verdict in verdicts}) == 2:
        return f"reference: passes only sometimes ({_kinds(verdicts)} in {len(verdicts)} runs)"
    first = verdicts[0]
    if not first.passed:
        return f"reference: {first.verdict}{_which(problem, first)}{_why(first)}"
    if len({(verdict.outputs, verdict.visible_outputs) for verdict in verdicts}) > 1:
        return f"reference: returns other values in each of {len(verdicts)} runs"
    return None


def _kinds(verdicts: Sequence[Verdict]) -> str:
    return ", ".join(sorted({verdict.verdict for verdict in verdicts}))


def _which(problem: Problem, verdict: Verdict) -> str:
    failed = [number for number, result in enumerate(verdict.tests) if result != "pass"]
    if not failed or not problem.tests:
        return ""
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f" in tests[{failed[0]}] ({problem.tests[failed[0]]}){more}"


def _why(verdict: Verdict) -> str:
    if verdict.verdict == "wrong_answer" and verdict.error_type is None:
        return ""  # the message repeats the test
    message = verdict.message.strip().splitlines()
    parts = [verdict.error_type or "", message[0] if message else ""]
    return "".join(f": {part}" for part in parts if part)


def run(path: Path, visible_tests: int) -> int:
    """Print what is wrong with a file of problems; 1 if anything is, else 0 (warnings are not)."""
    from ouroboros.verification.params import ExecuteParams
    from ouroboros.verification.run import verify

    findings, count = examine(
        path,
        visible_tests,
        lambda problems, candidates: verify(
            problems, candidates, ExecuteParams(), label=f"check {path.name}"
        ),
    )
    print(*findings, sep="\n", end="\n" if findings else "")
    faults = [finding for finding in findings if not finding.warning]
    warnings = len(findings) - len(faults)
    rows = len({finding.where for finding in faults})
    print(
        f"{path}: {count} problems, {rows} of them with faults, {warnings} warnings"
        if findings
        else f"{path}: {count} problems, nothing wrong"
    )
    return 1 if faults else 0
