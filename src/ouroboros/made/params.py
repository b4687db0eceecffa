"""Params of the made negatives: how many programs are made for each train problem."""

from __future__ import annotations

from dataclasses import dataclass

from ouroboros.params import require


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeNegativesParams:
    """The block `made_negatives`.

    Attributes:
        seed: of which mutants and which donors are drawn.
        mutants_per_problem: one-edit mutants of a problem's passing programs, at most; a problem
            without a passing program, its reference included, gets none. Default 0, none at all.
        wrong_prompts_per_problem: passing programs of other problems put under this one's prompt,
            at most. Default 0, none at all.
    """

    seed: int = 0
    mutants_per_problem: int = 0
    wrong_prompts_per_problem: int = 0

    def __post_init__(self) -> None:
        for name in ("mutants_per_problem", "wrong_prompts_per_problem"):
            value = getattr(self, name)
            require(value >= 0, f"{name} must not be negative: {value}")
