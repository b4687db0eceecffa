"""Params of the split: how problems are divided, and what counts as a near-duplicate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ouroboros.params import require


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraFile:
    """A file of labelled problems, JSONL or gzipped JSONL, pinned by its SHA-256 (hex)."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitParams:
    """The block `split`.

    Attributes:
        scheme: `seed`: MBPP ids 1-500 are train, 501-974 test. `official`: the MBPP paper's own,
            601-974 train, 511-600 dev, 11-510 test; 1-10 (its few-shot prompts) are left out.
            `random`: for problems without a published split. `folds`: cross-validation: the
            problems are divided into equal parts, one of which is test.
        seed: of the choice of dev problems and of schemes random and folds.
        test_fraction: share of the problems that go to test; read by scheme random alone.
        folds: how many parts there are, and `fold`: the part that is test, from 0. Read by scheme
            folds alone, which divides the same way whatever `fold` is.
        dev_fraction: share of the train problems set apart for choosing checkpoints and for
            calibration; scheme official takes its published validation problems instead.
        near_duplicate_threshold: similarity, in (0, 1], from which two problems are
            near-duplicates (see `similarity`).
        exclude_near_duplicates: drop from train and dev what is a near-duplicate of a test or
            transfer problem. The evaluated sets stay whole, comparable with published figures.
        extra_train: files of labelled problems from elsewhere that join train (see `extra`), such
            as another run's train split or what `ouroboros verify --labelled` writes.
    """

    scheme: Literal["seed", "official", "random", "folds"]
    seed: int = 0
    test_fraction: float | None = None
    folds: int = 5
    fold: int = 0
    dev_fraction: float = 0.2
    near_duplicate_threshold: float = 0.8
    exclude_near_duplicates: bool = False
    extra_train: tuple[ExtraFile, ...] = ()

    def __post_init__(self) -> None:
        if self.scheme == "random":
            require(self.test_fraction is not None, "scheme random needs test_fraction")
        if self.test_fraction is not None:
            require(
                0 < self.test_fraction < 1,
                f"test_fraction must be between 0 and 1: {self.test_fraction}",
            )
        require(self.folds >= 2, f"folds must be 2 or more: {self.folds}")
        require(
            0 <= self.fold < self.folds,
            f"fold must be in 0 to {self.folds - 1}, as folds is {self.folds}: {self.fold}",
        )
        require(
            0 < self.dev_fraction < 1, f"dev_fraction must be between 0 and 1: {self.dev_fraction}"
        )
        require(
            0 < self.near_duplicate_threshold <= 1,
            f"near_duplicate_threshold must be in (0, 1]: {self.near_duplicate_threshold}",
        )
        digests = [file.sha256.lower() for file in self.extra_train]
        require(len(set(digests)) == len(digests), "extra_train holds the same file (sha256) twice")
