"""Params of the split: how problems are divided, and what counts as a near-duplicate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ouroboros.params import require


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitParams:
    """The block `split`.

    Attributes:
        scheme: `seed`: MBPP ids 1-500 are train, 501-974 test. `official`: the MBPP paper's own,
            601-974 train, 511-600 dev, 11-510 test; 1-10 (its few-shot prompts) are left out.
            `random`: for problems without a published split.
        seed: of the choice of dev problems and of the random scheme.
        test_fraction: share of the problems that go to test; read by scheme random alone.
        dev_fraction: share of the train problems set apart for choosing checkpoints and for
            calibration; scheme official takes its published validation problems instead.
        near_duplicate_threshold: similarity, in (0, 1], from which two problems are
            near-duplicates (see `similarity`).
        exclude_near_duplicates: drop from train and dev what is a near-duplicate of a test or
            transfer problem. The evaluated sets stay whole, comparable with published figures.
    """

    scheme: Literal["seed", "official", "random"]
    seed: int = 0
    test_fraction: float | None = None
    dev_fraction: float = 0.2
    near_duplicate_threshold: float = 0.8
    exclude_near_duplicates: bool = False

    def __post_init__(self) -> None:
        if self.scheme == "random":
            require(self.test_fraction is not None, "scheme random needs test_fraction")
        if self.test_fraction is not None:
            require(
                0 < self.test_fraction < 1,
                f"test_fraction must be between 0 and 1: {self.test_fraction}",
            )
        require(
            0 < self.dev_fraction < 1, f"dev_fraction must be between 0 and 1: {self.dev_fraction}"
        )
        require(
            0 < self.near_duplicate_threshold <= 1,
            f"near_duplicate_threshold must be in (0, 1]: {self.near_duplicate_threshold}",
        )
