"""Labelled problems made to order, with a critic whose quality is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ouroboros.evaluation.samples import Samples, ScoreFunction, describe_programs, read_samples
from ouroboros.records import Attempt, Candidate, LabelledProblem, Problem, Verdict
from ouroboros.static_analysis import StaticFacts


@dataclass(frozen=True)
class Score:
    reward: float
    p_pass: float


def make_attempt(
    problem: Problem,
    index: int,
    *,
    passed: bool,
    code: str | None = None,
    logprob: float | None = -10.0,
    tokens: int = 20,
    visible: Sequence[str] | None = None,
    outputs: Sequence[str | None] | None = None,
    extra: Sequence[str] | None = None,
    verdict: str | None = None,
) -> Attempt:
    """An attempt that passes all tests, or passes none."""
    result = "pass" if passed else "fail"
    return Attempt(
        candidate=Candidate(
            problem_id=problem.problem_id,
            sample_index=index,
            code=f"def f(x):\n    return x + {index}\n" if code is None else code,
            num_tokens=tokens,
            sum_logprob=logprob,
            review_logprob=-7.0,
            sampling="greedy" if index < 0 else "sample",
        ),
        verdict=Verdict(
            problem_id=problem.problem_id,
            sample_index=index,
            verdict=verdict or ("pass" if passed else "wrong_answer"),
            tests=(result,) * len(problem.tests),
            visible_tests=tuple(visible or (result,) * len(problem.visible_tests)),
            extra_tests=tuple(extra or (result,) * len(problem.extra_tests)),
            visible_outputs=tuple(
                outputs
                if outputs is not None
                else ("right" if passed else f"wrong {index % 3}",) * len(problem.visible_tests)
            ),
        ),
    )


def make_problem(number: int, *, visible: int = 1, extra: int = 0) -> Problem:
    tests = tuple(f"assert f({value}) == {value + number}" for value in range(3))
    return Problem(
        problem_id=f"synthetic/{number}",
        prompt_text="Add.",
        entry_point="f",
        tests=tests,
        visible_tests=tests[:visible],
        extra_tests=tuple(
            f"assert f({value}) == {value + number}" for value in range(10, 10 + extra)
        ),
    )


def make_rows(
    problems: int,
    samples: int,
    *,
    seed: int = 0,
    extra: int = 0,
    solvable: float = 0.7,
    greedy: bool = True,
) -> list[LabelledProblem]:
    """Problems of mixed difficulty: some never solved, the rest with a Beta(1, 2) pass rate."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(problems):
        problem = make_problem(number, extra=extra)
        rate = generator.beta(1, 2) if generator.random() < solvable else 0.0
        start = -1 if greedy else 0
        attempts = tuple(
            make_attempt(
                problem,
                index,
                passed=bool(generator.random() < rate),
                logprob=float(-generator.gamma(2.0, 5.0)),
            )
            for index in range(start, samples)
        )
        rows.append(LabelledProblem(problem=problem, attempts=attempts))
    return rows


def critic_of_quality(
    rows: Sequence[LabelledProblem], separation: float, seed: int = 0
) -> Callable[[Sequence[tuple[Problem, str]]], list[Score]]:
    """A critic whose reward is normal noise, plus `separation` for programs that pass."""
    passed = {
        (row.problem_id, attempt.candidate.code): attempt.verdict.passed
        for row in rows
        for attempt in row.attempts
    }

    def score(pairs: Sequence[tuple[Problem, str]]) -> list[Score]:
        generator = np.random.default_rng([seed, 1])  # not the stream of make_rows
        rewards = [
            separation * passed[problem.problem_id, code] + float(generator.normal())
            for problem, code in pairs
        ]
        return [Score(reward, float(0.5 + 0.5 * np.tanh(reward / 2))) for reward in rewards]

    return score


def no_static_rules(code: str, entry_point: str, visible_tests: Sequence[str]) -> StaticFacts:
    return StaticFacts(parses=True, defines_entry_point=True, returns_value=True)


def read(rows: Sequence[LabelledProblem], score: ScoreFunction) -> list[Samples]:
    return read_samples(rows, score, describe_programs(rows, no_static_rules))
