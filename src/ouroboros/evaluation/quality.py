"""How good the critic's scores are in themselves: order, calibration, knowing when to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ouroboros.evaluation.views import BoolArray, FloatArray, IntArray

BINS = 10


def auc(scores: ArrayLike, passed: ArrayLike) -> float | None:
    """The probability that a random passing sample outscores a random failing one; ties count half.

    None where only one class is present. (Mann and Whitney 1947.)
    """
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(passed, dtype=bool)
    good, bad = np.sort(values[labels]), np.sort(values[~labels])
    if not len(good) or not len(bad):
        return None
    below = np.searchsorted(bad, good, side="left")
    ties = np.searchsorted(bad, good, side="right") - below
    return float((below + ties / 2).mean() / len(bad))


def auc_within(groups: Sequence[tuple[FloatArray, BoolArray]]) -> tuple[float | None, int]:
    """Mean over problems of the AUC inside the problem, and over how many problems.

    Problems whose samples all pass or all fail have none and do not count.
    """
    found = [value for scores, passed in groups if (value := auc(scores, passed)) is not None]
    return (float(np.mean(found)) if found else None), len(found)


def brier(p_pass: ArrayLike, passed: ArrayLike) -> float:
    """Mean squared error of the probabilities (Brier 1950)."""
    return float(np.mean((np.asarray(p_pass) - np.asarray(passed, dtype=np.float64)) ** 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reliability:
    """Equal-width bins of p_pass; empty bins are left out.

    Attributes:
        low: lower edge of each bin.
        predicted: mean p_pass in the bin.
        observed: pass rate in the bin.
        count: samples in the bin.
    """

    low: FloatArray
    predicted: FloatArray
    observed: FloatArray
    count: IntArray

    @property
    def ece(self) -> float:
        """Expected calibration error: mean |predicted - observed|, weighted by count."""
        gaps = np.abs(self.predicted - self.observed)
        return float((gaps * self.count).sum() / self.count.sum())


def reliability(p_pass: ArrayLike, passed: ArrayLike, bins: int = BINS) -> Reliability:
    """Predicted against observed pass rate, by bins of p_pass. (Guo et al. 2017.)"""
    p, y = np.asarray(p_pass, dtype=np.float64), np.asarray(passed, dtype=np.float64)
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    kept = count > 0
    size = count[kept]
    return Reliability(
        low=np.arange(bins)[kept] / bins,
        predicted=np.bincount(place, weights=p, minlength=bins)[kept] / size,
        observed=np.bincount(place, weights=y, minlength=bins)[kept] / size,
        count=size,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskCoverage:
    """Answering only problems whose top pick has p_pass of at least a threshold.

    One entry per distinct threshold, the most confident first.

    Attributes:
        threshold: p_pass from which a problem is answered.
        coverage: share of problems answered.
        accuracy: pass rate of the answers.
    """

    threshold: FloatArray
    coverage: FloatArray
    accuracy: FloatArray

    @property
    def area(self) -> float:
        """Mean risk (1 - accuracy) over the problems answered one by one; lower is better."""
        steps = np.diff(self.coverage, prepend=0.0)
        return float(((1.0 - self.accuracy) * steps).sum())


def risk_coverage(p_pass: ArrayLike, passed: ArrayLike) -> RiskCoverage:
    """From the top picks' p_pass and (expected) pass, one per problem."""
    p, y = np.asarray(p_pass, dtype=np.float64), np.asarray(passed, dtype=np.float64)
    order = np.argsort(-p, kind="stable")
    p, y = p[order], y[order]
    last = np.append(p[1:] != p[:-1], True)
    answered = np.arange(1, len(p) + 1)
    return RiskCoverage(
        threshold=p[last],
        coverage=answered[last] / len(p),
        accuracy=(np.cumsum(y) / answered)[last],
    )
