"""Estimators over problems and their samples: pass@k, best-of-k, paired bootstrap. Pure numpy.

Every estimator here is an exact expectation or a seeded, vectorised resampling of problems; none
of them draws candidates at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

# Replicates drawn at a time: bounds memory at CHUNK x problems counts.
_CHUNK = 500


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> FloatArray:
    """Unbiased pass@k: the share of size-k subsets of n samples that hold one of the c that pass.

    1 - C(n - c, k) / C(n, k), Chen et al. 2021 (arXiv:2107.03374), section 2.1. The arguments
    broadcast against each other, so `pass_at_k(n[:, None], c[:, None], ks)` is problems x ks.

    Raises:
        ValueError: not 0 <= c <= n, or not 1 <= k <= n.
    """
    n_, c_, k_ = np.broadcast_arrays(np.asarray(n), np.asarray(c), np.asarray(k))
    if np.any(c_ < 0) or np.any(c_ > n_):
        raise ValueError("pass_at_k needs 0 <= c <= n")
    if np.any(k_ < 1) or np.any(k_ > n_):
        raise ValueError("pass_at_k needs 1 <= k <= n")
    result = np.empty(n_.shape)
    for size in np.unique(n_):
        at = n_ == size
        none_passes = subset_ratios(int(size), k_[at])
        result[at] = 1.0 - none_passes[np.arange(at.sum()), (size - c_)[at]]
    return result


def subset_ratios(n: int, ks: ArrayLike) -> FloatArray:
    """C(m, k) / C(n, k) for each k and m = 0..n, shape (ks, n + 1).

    It is the probability that a random size-k subset of n items lies inside m given ones. Computed
    as a product of factors below 1, so no n overflows.
    """
    wanted = np.atleast_1d(np.asarray(ks, dtype=np.int64))
    steps = np.arange(int(wanted.max(initial=0)))
    factors = np.clip((np.arange(n + 1) - steps[:, None]) / (n - steps[:, None]), 0.0, None)
    table = np.vstack([np.ones(n + 1), np.cumprod(factors, axis=0)])
    return table[wanted]


def best_of_k_weights(scores: ArrayLike, ks: ArrayLike) -> FloatArray:
    """How often each sample is picked when a random size-k subset's highest score is picked.

    Exact over all C(n, k) subsets; samples with equal scores share their picks evenly.

    Args:
        scores: (..., n), higher is better; infinities allowed. Leading axes are independent cases.
        ks: (ks,) subset sizes, each 1 <= k <= n.

    Returns:
        (..., ks, n); each row sums to 1. Its product with any per-sample value (passed, verdict
        class, tokens) is that value's expectation for the picked sample.

    Raises:
        ValueError: a NaN score, no samples, or a k outside 1..n.
    """
    values = np.asarray(scores, dtype=np.float64)
    sizes = np.atleast_1d(np.asarray(ks, dtype=np.int64))
    n = values.shape[-1] if values.ndim else 0
    if n == 0:
        raise ValueError("best-of-k needs at least one sample")
    if np.isnan(values).any():
        raise ValueError("best-of-k needs scores that are numbers, found NaN")
    if np.any(sizes < 1) or np.any(sizes > n):
        raise ValueError(f"best-of-k needs 1 <= k <= {n}, found {sizes.tolist()}")
    order = np.argsort(-values, axis=-1, kind="stable")
    ranked = np.take_along_axis(values, order, axis=-1)
    position = np.arange(n)
    opens = np.ones(values.shape, dtype=bool)
    opens[..., 1:] = ranked[..., 1:] != ranked[..., :-1]
    # The tie group of each rank is [first, past): all its samples share one weight.
    first = np.maximum.accumulate(np.where(opens, position, 0), axis=-1)
    closes = np.ones(values.shape, dtype=bool)
    closes[..., :-1] = opens[..., 1:]
    past = np.flip(
        np.minimum.accumulate(np.flip(np.where(closes, position + 1, n), axis=-1), axis=-1),
        axis=-1,
    )
    # The best of the subset is in the group: the subset lies in the n - first lowest samples but
    # not in the n - past lowest.
    inside = subset_ratios(n, sizes)
    picked = (inside[:, n - first] - inside[:, n - past]) / (past - first)
    weights = np.empty_like(picked)
    np.put_along_axis(weights, np.broadcast_to(order, picked.shape), picked, axis=-1)
    return np.moveaxis(weights, 0, -2)


def expected_best_of_k(scores: ArrayLike, passed: ArrayLike, k: ArrayLike) -> FloatArray:
    """Exact expected pass rate of the highest-scored of k samples, over all size-k subsets.

    Args:
        scores: (..., n), higher is better; ties are averaged.
        passed: (..., n) or (n,), 0/1 or any per-sample value.
        k: one subset size, or (ks,) of them.

    Returns:
        (...,) for one k, (..., ks) for several. With equal scores throughout it is the pass rate
        (pass@1) at every k.

    Raises:
        ValueError: as `best_of_k_weights`.
    """
    weights = best_of_k_weights(scores, k)
    values = np.asarray(passed, dtype=np.float64)
    result = np.einsum("...kn,...n->...k", weights, values)
    return result if np.ndim(k) else result[..., 0]


def bootstrap_means(values: ArrayLike, *, replicates: int, seed: int) -> FloatArray:
    """Means of `values` over problems resampled with replacement.

    Every column sees the same resampled problems, so the difference of two columns of the result is
    a paired bootstrap of their difference.

    Args:
        values: (problems,) or (problems, columns), one row a problem.
        replicates: how many resamples.
        seed: of numpy's default generator; equal seeds give equal resamples.

    Returns:
        (replicates,) or (replicates, columns).

    Raises:
        ValueError: no problems, or a value that is not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.shape[0] == 0:
        raise ValueError("the bootstrap needs at least one problem")
    if not np.isfinite(table).all():
        raise ValueError("the bootstrap needs finite values")
    flat = table.reshape(table.shape[0], -1)
    problems = len(flat)
    generator = np.random.default_rng(seed)
    means = np.empty((replicates, flat.shape[1]))
    for start in range(0, replicates, _CHUNK):
        size = min(_CHUNK, replicates - start)
        drawn = generator.integers(problems, size=(size, problems))
        drawn += np.arange(size)[:, None] * problems
        counts = np.bincount(drawn.ravel(), minlength=size * problems).reshape(size, problems)
        means[start : start + size] = counts.astype(np.float64) @ flat / problems
    return means.reshape(replicates, *table.shape[1:])


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A mean over problems with its bootstrap interval.

    `standard_error` is the bootstrap's. `differing` counts the problems whose value is not 0: for
    a difference of two selectors, the problems that decide it.
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    problems: int
    differing: int

    def minimum_detectable(self, confidence: float, power: float = 0.8) -> float:
        """The true difference that an experiment of this size would find with this power."""
        normal = NormalDist()
        factor = normal.inv_cdf(0.5 + confidence / 2) + normal.inv_cdf(power)
        return factor * self.standard_error


def interval(values: ArrayLike, means: ArrayLike, *, confidence: float) -> Interval:
    """The percentile interval of a mean, expanded for few problems.

    The plain percentile interval is too narrow by sqrt((n - 1) / n) and by using normal instead of
    Student quantiles; the levels are widened to make up for both (Hesterberg 2015,
    arXiv:1411.5279, section 5.2, "expanded percentile"). With hundreds of problems it is the plain
    one.

    Args:
        values: (problems,), whose mean it is.
        means: (replicates,), from `bootstrap_means`.
        confidence: e.g. 0.95.
    """
    table = np.asarray(values, dtype=np.float64)
    replicates = np.asarray(means, dtype=np.float64)
    low, high = np.quantile(replicates, _expanded_levels(len(table), confidence))
    return Interval(
        estimate=float(table.mean()),
        low=float(low),
        high=float(high),
        standard_error=float(replicates.std()),
        problems=len(table),
        differing=int((np.abs(table) > 1e-12).sum()),
    )


def _expanded_levels(problems: int, confidence: float) -> tuple[float, float]:
    if problems < 2:
        return (0.0, 1.0)
    normal = NormalDist()
    freedom = problems - 1
    wide = math.sqrt(problems / freedom) * student_quantile(0.5 + confidence / 2, freedom)
    level = normal.cdf(-wide)
    return (level, 1.0 - level)


def student_quantile(level: float, freedom: int) -> float:
    """Student's t quantile for level > 0.5; within 1% from 3 degrees of freedom on.

    Hill's expansion around the normal quantile (Abramowitz and Stegun 26.7.5); the first two
    degrees of freedom have closed forms.
    """
    if freedom == 1:
        return math.tan(math.pi * (level - 0.5))
    if freedom == 2:
        a = 2 * level - 1
        return a * math.sqrt(2 / (1 - a * a))
    z = NormalDist().inv_cdf(level)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    replicates: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of a - b over problems with its paired bootstrap interval.

    Args:
        a, b: (problems,), the same problems in the same order.

    Raises:
        ValueError: different lengths, no problems, or a value that is not finite.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape or left.ndim != 1:
        raise ValueError(f"paired values differ in shape: {left.shape} and {right.shape}")
    difference = left - right
    means = bootstrap_means(difference, replicates=replicates, seed=seed)
    return interval(difference, means, confidence=confidence)
