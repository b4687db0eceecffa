"""From reward to probability: Platt scaling, with the figures that say how good it is.

p_pass = 1 / (1 + exp(-(slope * reward + intercept))), fitted by maximum likelihood on dev problems
(Platt 1999, with its smoothed targets). Every problem weighs the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOLDS = 5
BINS = 10
MIN_SLOPE = 1e-3
"""p_pass rises with the reward even where dev problems, by chance, say otherwise. Per standard
deviation of the rewards."""
RIDGE = 1e-3
"""Pull of slope and intercept towards 0, so that separable data still has one finite answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """The two numbers of Platt scaling."""

    slope: float
    intercept: float

    def p_pass(self, rewards: ArrayLike) -> NDArray[np.float64]:
        """Probabilities for rewards."""
        z = self.slope * np.asarray(rewards, dtype=np.float64) + self.intercept
        return np.exp(-np.logaddexp(0.0, -z))


def fit(rewards: Sequence[float], passed: Sequence[bool], weights: Sequence[float]) -> Calibration:
    """Fit slope and intercept by Newton's method, damped so that it always converges.

    Args:
        rewards, passed, weights: one entry per program; weights sum to the number of problems.
    """
    x = np.asarray(rewards, dtype=np.float64)
    y = np.asarray(passed, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    positive, negative = float(w @ y), float(w @ (1 - y))
    target = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    center, scale = float(w @ x / w.sum()), float(np.sqrt(w @ (x - w @ x / w.sum()) ** 2 / w.sum()))
    scale = scale or 1.0
    design = np.stack([(x - center) / scale, np.ones_like(x)], axis=1)
    theta = np.zeros(2)

    def loss(at: NDArray[np.float64]) -> float:
        z = design @ at
        return float(w @ (np.logaddexp(0, z) - target * z) + RIDGE / 2 * at @ at)

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ theta, -500, 500)))
        gradient = design.T @ (w * (p - target)) + RIDGE * theta
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while loss(theta - size * step) > loss(theta) and size > 1e-8:
            size /= 2
        theta = theta - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    if theta[0] < MIN_SLOPE:
        rate = float(np.clip(w @ target / w.sum(), 1e-6, 1 - 1e-6))
        theta = np.array([MIN_SLOPE, np.log(rate / (1 - rate))])
    slope = float(theta[0]) / scale
    return Calibration(slope=slope, intercept=float(theta[1]) - slope * center)


def cross_fitted(
    rewards: Sequence[float],
    passed: Sequence[bool],
    weights: Sequence[float],
    problems: Sequence[int],
) -> NDArray[np.float64]:
    """p_pass of each program from a fit on the other folds of problems: an honest sample to judge.

    Folds are problems by turns, at most `FOLDS`. With one problem there is nothing to leave out.
    """
    fold_of = {problem: turn % FOLDS for turn, problem in enumerate(dict.fromkeys(problems))}
    folds = np.array([fold_of[problem] for problem in problems])
    x, y, w = np.asarray(rewards), np.asarray(passed), np.asarray(weights)
    result = np.empty(len(x))
    for fold in range(int(folds.max(initial=0)) + 1):
        inside, rest = folds == fold, folds != fold
        if not rest.any():
            rest = inside
        result[inside] = fit(x[rest], y[rest], w[rest]).p_pass(x[inside])
    return result


def brier(p_pass: ArrayLike, passed: ArrayLike, weights: ArrayLike) -> float:
    """Weighted mean squared difference of probability and outcome; 0 is best."""
    p, y, w = (np.asarray(v, dtype=np.float64) for v in (p_pass, passed, weights))
    return float(w @ (p - y) ** 2 / w.sum())


def expected_calibration_error(p_pass: ArrayLike, passed: ArrayLike, weights: ArrayLike) -> float:
    """Weighted mean gap between probability and pass rate over `BINS` bins of equal width."""
    p, y, w = (np.asarray(v, dtype=np.float64) for v in (p_pass, passed, weights))
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=w * (p - y), minlength=BINS)
    return float(np.abs(gaps).sum() / w.sum())
