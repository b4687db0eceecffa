"""From labelled problems to what is measured: views for the selectors, labels for the judge."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ouroboros.errors import InputError
from ouroboros.evaluation.normal_form import normal_form
from ouroboros.evaluation.views import BoolArray, FloatArray, IntArray, VisibleTestsView
from ouroboros.records import Attempt, LabelledProblem, Problem
from ouroboros.static_analysis import StaticFacts


class Scored(Protocol):
    """What the critic says of one program: raw `reward` and calibrated `p_pass`."""

    @property
    def reward(self) -> float: ...
    @property
    def p_pass(self) -> float: ...


ScoreFunction = Callable[[Sequence[tuple[Problem, str]]], Sequence[Scored]]
StaticFunction = Callable[[str, str, Sequence[str]], StaticFacts]
"""(code, entry point, visible tests) -> what is known of the program without running it."""

MANY = 2000
"""From this many programs on, they are looked at by one process a core."""
DECIMALS = 6
"""Scores are rounded to this, so that a last-bit difference of a machine orders nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """One problem with its samples as columns, by sample index.

    Attributes:
        row: the labelled problem it came from.
        attempts: its sampled attempts (never the greedy one), by sample index.
        view: what selectors may see.
        passed: (n,) the verdicts: what is to be predicted.
        greedy_passed: the greedy candidate's verdict, or None where there is none.
    """

    row: LabelledProblem
    attempts: tuple[Attempt, ...]
    view: VisibleTestsView
    passed: BoolArray
    greedy_passed: bool | None

    @property
    def problem_id(self) -> str:
        return self.row.problem_id


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramFacts:
    """What is told from a program's text: how many static rules hold, and its normal form."""

    static_score: float
    parses: bool
    form: bytes


Programs = Mapping[tuple[str, str], ProgramFacts]
"""(problem id, code) -> its facts."""


def describe_programs(
    rows: Sequence[LabelledProblem], static_facts: StaticFunction
) -> dict[tuple[str, str], ProgramFacts]:
    """Look at every distinct sampled program once; nothing is run.

    Many programs are shared out among forked processes, so call it before torch starts threads.
    """
    tasks = {
        (row.problem_id, attempt.candidate.code): (
            attempt.candidate.code,
            row.problem.entry_point,
            row.problem.visible_tests,
            static_facts,
        )
        for row in rows
        for attempt in row.samples
    }
    workers = len(os.sched_getaffinity(0))
    if len(tasks) < MANY or workers == 1:
        facts = map(_describe, tasks.values())
        return dict(zip(tasks, facts, strict=True))
    # Frozen: else each worker's collector walks, and so copies, all the rows it inherited.
    with multiprocessing.get_context("fork").Pool(workers, initializer=gc.freeze) as pool:
        return dict(zip(tasks, pool.map(_describe, tasks.values(), chunksize=200), strict=True))


def _describe(task: tuple[str, str, Sequence[str], StaticFunction]) -> ProgramFacts:
    code, entry_point, visible_tests, static_facts = task
    facts = static_facts(code, entry_point, visible_tests)
    return ProgramFacts(static_score=facts.score(), parses=facts.parses, form=normal_form(code))


def read_samples(
    rows: Sequence[LabelledProblem], score: ScoreFunction, programs: Programs
) -> list[Samples]:
    """Score every distinct program once and lay the rows out for measuring, in the rows' order.

    `programs` is what `describe_programs` says of these rows (and perhaps others).

    Raises:
        InputError: no rows, a problem without samples, verdicts that do not fit the problem, or a
            score that is not a number.
    """
    if not rows:
        raise InputError("the split holds no problems")
    numbers: dict[tuple[str, str], int] = {}
    pairs: list[tuple[Problem, str]] = []
    for row in rows:
        if not row.samples:
            raise InputError(f"problem {row.problem_id!r} has no samples")
        for attempt in row.samples:
            key = (row.problem_id, attempt.candidate.code)
            if key not in numbers:
                numbers[key] = len(pairs)
                pairs.append((row.problem, attempt.candidate.code))
    scores = score(pairs)
    if len(scores) != len(pairs):
        raise InputError(f"the critic gave {len(scores)} scores for {len(pairs)} programs")
    reward = np.round(np.array([item.reward for item in scores], dtype=np.float64), DECIMALS)
    p_pass = np.round(np.array([item.p_pass for item in scores], dtype=np.float64), DECIMALS)
    bad = ~np.isfinite(reward) | ~((p_pass >= 0) & (p_pass <= 1))
    if bad.any():
        problem, _ = pairs[int(bad.argmax())]
        raise InputError(
            f"the critic gave reward {reward[bad][0]} and p_pass {p_pass[bad][0]} "
            f"to a program of {problem.problem_id!r}",
            hint="expected a finite reward and a p_pass between 0 and 1",
        )
    places = [
        np.array([numbers[row.problem_id, attempt.candidate.code] for attempt in row.samples])
        for row in rows
    ]
    return [
        _samples(row, reward[at], p_pass[at], programs)
        for row, at in zip(rows, places, strict=True)
    ]


def _samples(
    row: LabelledProblem, reward: FloatArray, p_pass: FloatArray, programs: Programs
) -> Samples:
    problem, attempts = row.problem, row.samples
    for attempt in attempts:
        _require_fitting(problem, attempt)
    facts = [programs[row.problem_id, attempt.candidate.code] for attempt in attempts]
    results = [attempt.verdict.visible_tests for attempt in attempts]
    logprobs = _numbers([attempt.candidate.sum_logprob for attempt in attempts])
    view = VisibleTestsView(
        count=len(attempts),
        codes=tuple(attempt.candidate.code for attempt in attempts),
        num_tokens=np.array([attempt.candidate.num_tokens for attempt in attempts]),
        sum_logprob=logprobs,
        review_logprob=_numbers([attempt.candidate.review_logprob for attempt in attempts]),
        reward=reward,
        p_pass=p_pass,
        static_score=np.array([one.static_score for one in facts]),
        parses=np.array([one.parses for one in facts]),
        same_program=_group([one.form for one in facts]),
        runs=np.array([_completed(problem, r) and "error" not in r for r in results]),
        output=_outputs(problem, attempts),
        passes_visible=np.array(
            [_completed(problem, r) and all(one == "pass" for one in r) for r in results]
        ),
    )
    greedy = row.greedy
    return Samples(
        row=row,
        attempts=attempts,
        view=view,
        passed=np.array([attempt.verdict.passed for attempt in attempts]),
        greedy_passed=None if greedy is None else greedy.verdict.passed,
    )


def _numbers(values: Sequence[float | None]) -> FloatArray:
    return np.round(np.array([np.nan if v is None else v for v in values]), DECIMALS)


def _require_fitting(problem: Problem, attempt: Attempt) -> None:
    for name in ("tests", "visible_tests", "extra_tests"):
        found, wanted = len(getattr(attempt.verdict, name)), len(getattr(problem, name))
        # A check function's asserts are not listed one by one in the problem; a program that never
        # started has no results.
        if found not in (0, wanted) and not (name == "tests" and problem.check is not None):
            raise InputError(
                f"the verdict has {found} {name} where the problem has {wanted}",
                where=f"problem {problem.problem_id} sample {attempt.candidate.sample_index}",
                hint="run the execute stage again on this problem",
            )


def _completed(problem: Problem, results: Sequence[str]) -> bool:
    return len(results) == len(problem.visible_tests)


def _outputs(problem: Problem, attempts: Sequence[Attempt]) -> IntArray | None:
    """Groups of equal outputs on the visible tests; None where they cannot be told."""
    visible = len(problem.visible_tests)
    found = [attempt.verdict.visible_outputs for attempt in attempts]
    if visible and not any(found) and any(attempt.verdict.passed for attempt in attempts):
        return None  # the source of these verdicts records no outputs
    complete = [len(values) == visible and None not in values for values in found]
    keys = [values if done else None for values, done in zip(found, complete, strict=True)]
    return _group(keys)


def _group(keys: Sequence[object]) -> IntArray:
    """Numbers for equal keys, in order of first appearance; -1 for None."""
    numbers: dict[object, int] = {}
    return np.array([-1 if key is None else numbers.setdefault(key, len(numbers)) for key in keys])
