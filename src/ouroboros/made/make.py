"""The made negatives of a train split: drawn here, labelled by whoever runs programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ouroboros.critic.normalise import identity
from ouroboros.made.mutants import OPERATORS, draw_mutants
from ouroboros.made.params import MadeNegativesParams
from ouroboros.made.wrong_prompts import Donor, draw_wrong_prompts, make_donor
from ouroboros.records import Attempt, Candidate, LabelledProblem, Verdict

Execute = Callable[[Sequence[Candidate], str], list[Verdict]]
"""Runs candidates of the train problems: one verdict each, in order. The text names them."""
MadeSampling = Literal["mutant", "wrong_prompt"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What was made.

    Attributes:
        rows: the problems that got any programs, with these alone.
        report: counts for a metrics file.
    """

    rows: tuple[LabelledProblem, ...]
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Program:
    candidate: Candidate
    kind: str  # of a mutant's edit; "" of a program under a wrong prompt


def make_negatives(
    train: Sequence[LabelledProblem], params: MadeNegativesParams, execute: Execute
) -> Made:
    """Make programs for the train problems, run them, and label each by its verdict.

    Nothing is run where the params ask for nothing. A reference counts as a passing program only
    once it has passed; it is run first.
    """
    programs: list[_Program] = []
    if params.mutants_per_problem or params.wrong_prompts_per_problem:
        passing = _passing_programs(train, execute)
        donors = [
            donor
            for row in train
            if (donor := make_donor(row.problem, passing[row.problem_id])) is not None
        ]
        for row in train:
            programs += _made_for(row, passing[row.problem_id], donors, params)
    candidates = [program.candidate for program in programs]
    verdicts = execute(candidates, "made programs") if candidates else []
    attempts: dict[str, list[Attempt]] = {}
    for candidate, verdict in zip(candidates, verdicts, strict=True):
        attempt = Attempt(candidate=candidate, verdict=verdict)
        attempts.setdefault(candidate.problem_id, []).append(attempt)
    rows = tuple(
        LabelledProblem(problem=row.problem, attempts=tuple(attempts[row.problem_id]))
        for row in train
        if row.problem_id in attempts
    )
    return Made(rows=rows, report=_report(train, rows, programs, verdicts))


def _passing_programs(
    train: Sequence[LabelledProblem], execute: Execute
) -> dict[str, tuple[str, ...]]:
    """By problem: the real attempts that passed, and the reference if it passes."""
    references = [
        Candidate(
            problem_id=row.problem_id, sample_index=_next_index(row), code=row.problem.reference
        )
        for row in train
        if row.problem.reference.strip()
    ]
    verdicts = execute(references, "references") if references else []
    passed = {verdict.problem_id for verdict in verdicts if verdict.passed}
    return {
        row.problem_id: (
            *(attempt.candidate.code for attempt in row.attempts if attempt.verdict.passed),
            *((row.problem.reference,) if row.problem_id in passed else ()),
        )
        for row in train
    }


def _made_for(
    row: LabelledProblem,
    passing: Sequence[str],
    donors: Sequence[Donor],
    params: MadeNegativesParams,
) -> list[_Program]:
    taken = {identity(code) for code in passing}
    taken |= {identity(attempt.candidate.code) for attempt in row.attempts}
    mutants = draw_mutants(
        passing,
        taken,
        count=params.mutants_per_problem,
        seed=f"{params.seed}/mutants/{row.problem_id}",
    )
    taken |= {identity(mutant.code) for mutant in mutants}
    transplanted = draw_wrong_prompts(
        row.problem,
        donors,
        taken,
        count=params.wrong_prompts_per_problem,
        seed=f"{params.seed}/wrong_prompts/{row.problem_id}",
    )
    made: list[tuple[MadeSampling, str, str]] = [
        *(("mutant", mutant.kind, mutant.code) for mutant in mutants),
        *(("wrong_prompt", "", code) for code in transplanted),
    ]
    return [
        _Program(
            Candidate(problem_id=row.problem_id, sample_index=index, code=code, sampling=sampling),
            kind,
        )
        for index, (sampling, kind, code) in enumerate(made, start=_next_index(row))
    ]


def _next_index(row: LabelledProblem) -> int:
    """The first sample index above all real ones."""
    return max((attempt.candidate.sample_index for attempt in row.attempts), default=-1) + 1


def _report(
    train: Sequence[LabelledProblem],
    rows: Sequence[LabelledProblem],
    programs: Sequence[_Program],
    verdicts: Sequence[Verdict],
) -> dict[str, Any]:
    report: dict[str, Any] = {"train_problems": len(train), "problems_with_made": len(rows)}
    for sampling in ("mutant", "wrong_prompt"):
        chosen = [
            (program, verdict)
            for program, verdict in zip(programs, verdicts, strict=True)
            if program.candidate.sampling == sampling
        ]
        report[sampling] = {
            "made": len(chosen),
            "passed": sum(verdict.passed for _, verdict in chosen),
            "verdicts": dict(Counter(verdict.verdict for _, verdict in chosen)),
        }
        if sampling == "mutant":
            made = Counter(program.kind for program, _ in chosen)
            passed = Counter(program.kind for program, verdict in chosen if verdict.passed)
            report[sampling]["kinds"] = {
                kind: {"made": made[kind], "passed": passed[kind]}
                for kind in OPERATORS
                if made[kind]
            }
    return report
