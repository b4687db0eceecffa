"""How often each selector picks each sample, over all subsets of k samples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ouroboros.errors import InputError
from ouroboros.estimators import best_of_k_weights, pass_at_k
from ouroboros.evaluation.samples import Samples
from ouroboros.evaluation.selectors import Selector, Votes
from ouroboros.evaluation.views import BoolArray, FloatArray, IntArray, LeftOut, narrow


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Pick frequencies of every selector on every problem.

    Attributes:
        samples: the problems, P of them.
        selectors: those that could be measured, S of them.
        ks: the numbers of samples picked from, rising; the last is the headline.
        weights: per problem (S, ks, n): how often sample i is picked from k random samples.
        spread: (P, S, ks) standard error of the pass rate where subsets were drawn (`Votes`), else
            0; of a problem's value, under the labels of `samples`.
        left_out: selector -> why it was not measured.
    """

    samples: tuple[Samples, ...]
    selectors: tuple[Selector, ...]
    ks: tuple[int, ...]
    weights: tuple[FloatArray, ...]
    spread: FloatArray
    left_out: dict[str, str]

    def values(self, labels: Sequence[FloatArray | BoolArray]) -> FloatArray:
        """(P, S, ks): the expected label of the picked sample; `labels` holds (n,) per problem."""
        return np.stack(
            [
                weights @ np.asarray(label, dtype=np.float64)
                for weights, label in zip(self.weights, labels, strict=True)
            ]
        )

    def oracle(self, labels: Sequence[FloatArray | BoolArray]) -> FloatArray:
        """(P, ks): unbiased pass@k."""
        n = np.array([len(label) for label in labels])
        c = np.array([int(np.sum(label)) for label in labels])
        return pass_at_k(n[:, None], c[:, None], np.array(self.ks))

    def index(self, name: str) -> int:
        """The place of a selector; ValueError where it was left out."""
        return [selector.name for selector in self.selectors].index(name)


def choose_ks(samples: Sequence[Samples], ks: Sequence[int] | None) -> tuple[int, ...]:
    """The k to measure, rising: those asked for, or powers of two and n (the least of any problem).

    Raises:
        InputError: a k larger than the number of samples of some problem, which is named.
    """
    fewest = min(samples, key=lambda item: item.view.count)
    n = fewest.view.count
    if ks is None:
        return tuple(sorted({2**power for power in range(n.bit_length()) if 2**power <= n} | {n}))
    if max(ks) > n:
        raise InputError(
            f"evaluate.k asks for {max(ks)} samples, but {fewest.problem_id!r} has {n}",
            hint="lower evaluate.k, raise generate.n, or set evaluate.k to null (powers of two "
            "up to what every problem has)",
        )
    return tuple(sorted(ks))


def measure(
    samples: Sequence[Samples],
    selectors: Sequence[Selector],
    ks: Sequence[int],
    *,
    vote_resamples: int,
    seed: int,
) -> Measured:
    """Measure every selector on every problem.

    A rule of scores is exact; a rule of votes draws `vote_resamples` subsets per problem (the same
    for every such selector), and is exact at k = n. A selector whose rule raises `LeftOut` on any
    problem is left out of the whole split.
    """
    kept: list[Selector] = []
    columns: list[list[tuple[FloatArray, FloatArray]]] = []
    left_out: dict[str, str] = {}
    draws = [_draw_order(item, vote_resamples, seed) for item in samples]
    sizes = np.asarray(ks)
    for selector in selectors:
        try:
            column = [
                _pick(selector, item, sizes, order)
                for item, order in zip(samples, draws, strict=True)
            ]
        except LeftOut as reason:
            left_out[selector.name] = str(reason)
        else:
            kept.append(selector)
            columns.append(column)
    places = range(len(samples))
    return Measured(
        samples=tuple(samples),
        selectors=tuple(kept),
        ks=tuple(int(k) for k in ks),
        weights=tuple(np.stack([column[place][0] for column in columns]) for place in places),
        spread=np.stack([np.stack([column[place][1] for column in columns]) for place in places]),
        left_out=left_out,
    )


def _draw_order(item: Samples, resamples: int, seed: int) -> IntArray:
    """(resamples, n): random orders of the samples; the first k of a row are a random k-subset.

    Seeded by the problem's id, so that a problem's numbers do not depend on the others.
    """
    name = hashlib.sha256(item.problem_id.encode("utf-8", "surrogatepass")).digest()
    generator = np.random.default_rng([seed, int.from_bytes(name[:8], "big")])
    return generator.random((resamples, item.view.count)).argsort(axis=1)


def _pick(
    selector: Selector, item: Samples, ks: IntArray, order: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Pick frequencies (ks, n) and the standard error (ks,) of the pass rate they give."""
    result = selector.rule(narrow(item.view, selector.view))
    if not isinstance(result, Votes):
        return best_of_k_weights(result, ks), np.zeros(len(ks))
    n = item.view.count
    weights, errors = np.empty((len(ks), n)), np.zeros(len(ks))
    for place, k in enumerate(ks):
        chosen = order[:, :k] if k < n else np.arange(n)[None, :]
        shares = vote(result, chosen)
        weights[place] = np.bincount(chosen.ravel(), weights=shares.ravel(), minlength=n)
        weights[place] /= len(chosen)
        if k < n:
            values = (shares * item.passed[chosen]).sum(axis=1)
            errors[place] = values.std() / np.sqrt(len(values))
    return weights, errors


def vote(votes: Votes, chosen: IntArray) -> FloatArray:
    """How often each member of each subset is picked.

    Args:
        votes: of all n samples.
        chosen: (subsets, k) indexes of the samples that vote and may be picked.

    Returns:
        (subsets, k), beside `chosen`; rows sum to 1.
    """
    subsets = np.arange(len(chosen))[:, None]
    # Group 0 stands for none: it loses against any.
    group = votes.groups[chosen] + 1
    groups = int(votes.groups.max(initial=0)) + 2
    totals = np.bincount(
        (subsets * groups + group).ravel(),
        weights=votes.weights[chosen].ravel(),
        minlength=len(chosen) * groups,
    ).reshape(len(chosen), groups)
    totals[:, 0] = -1.0
    scores = totals[subsets, group]
    winners = scores == scores.max(axis=1, keepdims=True)
    if votes.within is not None:
        within = np.where(winners, votes.within[chosen], -np.inf)
        winners &= within == within.max(axis=1, keepdims=True)
    return winners / winners.sum(axis=1, keepdims=True)
