"""Choosing problems by seeded hash, near-duplicates together: a share of them, or equal folds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ouroboros.errors import InputError
from ouroboros.records import Problem
from ouroboros.splitting.params import SplitParams
from ouroboros.splitting.similarity import groups


def choose(
    problems: Sequence[Problem], fraction: float, params: SplitParams, purpose: str
) -> set[str]:
    """About `fraction` of the problems, by seeded hash; near-duplicates are chosen together.

    A group that would overshoot the share is passed over, so the number is exact unless only
    larger groups are left. Some problems always stay unchosen.
    """
    wanted = min(max(round(fraction * len(problems)), 1), len(problems) - 1)
    chosen: set[str] = set()
    for group in _ranked(problems, params, purpose):
        if len(chosen) + len(group) <= wanted:
            chosen.update(group)
    return chosen


def divide(problems: Sequence[Problem], params: SplitParams) -> list[set[str]]:
    """The ids of `params.folds` parts: every problem in one, near-duplicates in the same one.

    Sizes differ by one at most, unless a group is so large that the problems without a
    near-duplicate cannot make up for it. `params.fold` is not read.

    Raises:
        InputError: fewer problems, or groups of near-duplicates, than folds.
    """
    ranked = _ranked(problems, params, "fold")
    if len(ranked) < params.folds:
        raise InputError(
            f"split.folds is {params.folds}, but main has {len(problems)} problems in "
            f"{len(ranked)} groups of near-duplicates",
            hint="a group stays in one fold, and every fold needs a problem to test on",
        )
    parts: list[set[str]] = [set() for _ in range(params.folds)]
    # Larger groups first, each to the smallest part: what is left can then even the sizes out.
    alone = [group for group in ranked if len(group) == 1]
    for group in sorted((group for group in ranked if len(group) > 1), key=len, reverse=True):
        min(parts, key=len).update(group)
    # The rest in runs of their ranks, so that a new problem moves few of those that were there.
    sizes = [len(part) for part in parts]
    for _ in alone:
        sizes[sizes.index(min(sizes))] += 1
    for part, size in zip(parts, sizes, strict=True):
        missing = size - len(part)
        part.update(group[0] for group in alone[:missing])
        alone = alone[missing:]
    return parts


def _ranked(problems: Sequence[Problem], params: SplitParams, purpose: str) -> list[list[str]]:
    """The groups of near-duplicates, in an order that the seed, the purpose and the ids decide."""

    def rank(group: list[str]) -> str:
        # By one id alone: adding problems to the file does not reshuffle those that were there.
        key = f"{params.seed}/{purpose}/{min(group)}"
        return hashlib.sha256(key.encode()).hexdigest()

    return sorted(groups(problems, params.near_duplicate_threshold), key=rank)
