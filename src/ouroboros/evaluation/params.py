"""The `evaluate` block of params.yaml."""

from __future__ import annotations

from dataclasses import dataclass

from ouroboros.params import require


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateParams:
    """How selectors are measured.

    Attributes:
        k: numbers of samples a selector picks from; the largest is the headline. null (default):
            1, 2, 4, ... and n, where n is the least number of samples any problem has.
        bootstrap_replicates: resamples of the problems behind each interval (default 10000).
        confidence: of every interval, between 0 and 1 (default 0.95).
        subsets: parts of a split on which the claims are repeated, by name: those the problems
            belong to (problems.<set>.subsets) and `without_near_duplicates` of train and dev
            problems. null (default): all there are.
        vote_resamples: size-k subsets drawn per problem for selectors whose pick depends on the
            other samples (majority, agreement); all others are exact (default 200).
        seed: of the bootstrap and of those subsets (default 0).
    """

    k: tuple[int, ...] | None = None
    bootstrap_replicates: int = 10_000
    confidence: float = 0.95
    subsets: tuple[str, ...] | None = None
    vote_resamples: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k is not None:
            require(bool(self.k), "k needs at least one number, or null")
            require(min(self.k) >= 1, f"k must be at least 1, found {min(self.k)}")
            require(len(set(self.k)) == len(self.k), f"k holds a number twice: {list(self.k)}")
        require(
            self.bootstrap_replicates >= 100,
            f"bootstrap_replicates must be at least 100, found {self.bootstrap_replicates}",
        )
        require(0.5 <= self.confidence < 1, f"confidence must be in [0.5, 1): {self.confidence}")
        require(
            self.vote_resamples >= 1,
            f"vote_resamples must be at least 1, found {self.vote_resamples}",
        )
        require(self.seed >= 0, f"seed must be at least 0, found {self.seed}")
