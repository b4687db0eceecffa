"""From measured selectors to statements with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ouroboros.estimators import Interval, bootstrap_means, interval
from ouroboros.evaluation.measure import Measured
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.views import BoolArray, FloatArray
from ouroboros.evaluation.wording import CLAIMS, GREEDY, ORACLE, RANDOM, least_differing
from ouroboros.records import Problem, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelling:
    """A way to decide what counts as passing, on the problems that allow it.

    Attributes:
        name: in metrics.
        description: one short phrase.
        applies: whether a problem can be judged this way.
        label: whether a verdict passes.
    """

    name: str
    description: str
    applies: Callable[[Problem], bool]
    label: Callable[[Problem, Verdict], bool]


def _passes_hidden(problem: Problem, verdict: Verdict) -> bool:
    hidden = verdict.tests[len(problem.visible_tests) :]
    return verdict.passed or (bool(hidden) and all(result == "pass" for result in hidden))


def _has_hidden_tests(problem: Problem) -> bool:
    visible = len(problem.visible_tests)
    return 0 < visible < len(problem.tests) and problem.tests[:visible] == problem.visible_tests


def _passes_extra(problem: Problem, verdict: Verdict) -> bool:
    return verdict.passed and all(result == "pass" for result in verdict.extra_tests)


ALL_TESTS = Labelling(
    name="all_tests",
    description="all tests",
    applies=lambda problem: True,
    label=lambda problem, verdict: verdict.passed,
)
STRICTER = (
    Labelling(
        name="hidden_tests",
        description="the tests the prompt does not show",
        applies=_has_hidden_tests,
        label=_passes_hidden,
    ),
    Labelling(
        name="extra_tests",
        description="all tests and the stricter extra tests",
        applies=lambda problem: bool(problem.extra_tests),
        label=_passes_extra,
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One comparison in words: is the first better than the second?

    `answer` is yes or no where the interval lies on one side of 0 and enough problems differ for
    any test to tell (`least_differing`); else undecided.
    """

    words: str
    answer: str
    interval: Interval
    confidence: float

    @property
    def minimum_detectable(self) -> float:
        return self.interval.minimum_detectable(self.confidence)

    def as_metrics(self) -> dict[str, Any]:
        return {
            "answer": self.answer,
            **difference_metrics(self.interval),
            "problems": self.interval.problems,
            "problems_that_differ": self.interval.differing,
            "minimum_detectable": rounded(self.minimum_detectable),
        }


def decide(found: Interval, words: str, confidence: float) -> Claim:
    """The claim that the mean behind `found` is above 0."""
    enough = found.differing >= least_differing(confidence)
    answer = "undecided"
    if enough and found.low > 0:
        answer = "yes"
    elif enough and found.high < 0:
        answer = "no"
    return Claim(words=words, answer=answer, interval=found, confidence=confidence)


class Comparison:
    """Every selector against every other on the same problems, under one labelling.

    One bootstrap serves all differences: each column sees the same resampled problems.

    Attributes:
        names: the compared: the measured selectors, greedy where every problem has a greedy
            candidate, and the oracle.
        ks: the numbers of samples; greedy is the same at each.
        problems: how many problems the labelling applies to.
        values: (problems, names, ks) expected pass of the pick.
    """

    def __init__(
        self,
        measured: Measured,
        labelling: Labelling,
        params: EvaluateParams,
        subset: Callable[[Problem], bool] | None = None,
    ) -> None:
        self._confidence = params.confidence
        self.ks = measured.ks
        at = [
            place
            for place, item in enumerate(measured.samples)
            if labelling.applies(item.row.problem) and (subset is None or subset(item.row.problem))
        ]
        self.problems = len(at)
        if not at:
            return
        labels = _labels(measured, labelling)
        names = [selector.name for selector in measured.selectors]
        parts = [measured.values(labels)[at]]
        greedy = _greedy(measured, labelling, at)
        if greedy is not None:
            names.append(GREEDY)
            parts.append(np.repeat(greedy[:, None, None], len(self.ks), axis=2))
        names.append(ORACLE)
        parts.append(measured.oracle(labels)[at][:, None, :])
        self.names = tuple(names)
        self.values = np.concatenate(parts, axis=1)
        self._means = bootstrap_means(
            self.values, replicates=params.bootstrap_replicates, seed=params.seed
        )

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def column(self, name: str, k: int = -1) -> FloatArray:
        """(problems,) values of one selector at the k-th of `ks` (default: the headline)."""
        return self.values[:, self.names.index(name), k]

    def rate(self, name: str, k: int = -1) -> Interval:
        """Pass rate of a selector's picks."""
        means = self._means[:, self.names.index(name), k]
        return interval(self.column(name, k), means, confidence=self._confidence)

    def difference(self, a: str, b: str, k: int = -1) -> Interval:
        """Pass rate of a's picks minus b's, paired by problem."""
        left, right = self.names.index(a), self.names.index(b)
        values = self.values[:, left, k] - self.values[:, right, k]
        means = self._means[:, left, k] - self._means[:, right, k]
        return interval(values, means, confidence=self._confidence)

    def gain(self, name: str, k: int, to: int) -> Interval:
        """Pass rate of a selector's pick at one place of `ks` minus that at another, paired."""
        at = self.names.index(name)
        values = self.values[:, at, to] - self.values[:, at, k]
        means = self._means[:, at, to] - self._means[:, at, k]
        return interval(values, means, confidence=self._confidence)

    def gap_closed(self, name: str, k: int = -1) -> float | None:
        """(selector - random) / (oracle - random); None where the oracle gains nothing."""
        gap = self.difference(ORACLE, RANDOM, k).estimate
        return self.difference(name, RANDOM, k).estimate / gap if gap > 1e-12 else None

    def claims(self) -> dict[str, Claim]:
        """Those of CLAIMS whose selectors were both measured, at the headline k."""
        return {
            key: decide(self.difference(better, worse), words, self._confidence)
            for key, (better, worse, words) in CLAIMS.items()
            if better in self and worse in self
        }


def _labels(measured: Measured, labelling: Labelling) -> list[BoolArray]:
    return [
        np.array([labelling.label(item.row.problem, a.verdict) for a in item.attempts])
        for item in measured.samples
    ]


def _greedy(measured: Measured, labelling: Labelling, at: Sequence[int]) -> FloatArray | None:
    values = []
    for place in at:
        row = measured.samples[place].row
        if row.greedy is None:
            return None
        values.append(float(labelling.label(row.problem, row.greedy.verdict)))
    return np.array(values)


def rounded(value: float | None, digits: int = 4) -> float | None:
    """For metrics: four decimals are a hundredth of a percentage point. -0.0 becomes 0.0."""
    return None if value is None else round(value, digits) + 0.0


def difference_metrics(found: Interval) -> dict[str, Any]:
    return {
        "difference": rounded(found.estimate),
        "low": rounded(found.low),
        "high": rounded(found.high),
    }
