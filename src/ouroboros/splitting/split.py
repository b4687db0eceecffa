"""Dividing problems into train, dev and test: always by problem, never by sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ouroboros.errors import InputError
from ouroboros.records import NearDuplicates, Neighbour, Problem
from ouroboros.splitting.choosing import choose, divide
from ouroboros.splitting.params import SplitParams
from ouroboros.splitting.similarity import near_duplicates

# MBPP ids, both ends included. "official" is Austin et al. 2021, arXiv 2108.07732, section 2.1.
_SEED_TRAIN, _SEED_TEST = range(1, 501), range(501, 975)
_OFFICIAL_TRAIN, _OFFICIAL_DEV, _OFFICIAL_TEST = range(601, 975), range(511, 601), range(11, 511)


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Problem ids of each part, and what of one part nearly repeats another.

    `excluded` holds the ids taken out of train and dev for being near-duplicates of an evaluated
    problem; `near_duplicates` describes the parts as they are after that.
    """

    train: frozenset[str]
    dev: frozenset[str]
    test: frozenset[str]
    transfer: frozenset[str]
    excluded: frozenset[str]
    near_duplicates: tuple[NearDuplicates, ...]


def split_problems(
    main: Sequence[Problem],
    transfer: Sequence[Problem],
    params: SplitParams,
    extra: Iterable[Problem] = (),
) -> Split:
    """Divide `main`; `transfer` is evaluated whole.

    Where the choice is free (dev, and everything in schemes random and folds), near-duplicates go
    to the same side, so that the held-out side does not repeat the other.

    Args:
        main: what is divided.
        transfer: evaluated alone.
        params: how to divide.
        extra: problems from elsewhere. Those of neither set join train and are looked at for
            near-duplicates like main's; they move no problem of main to another part.

    Raises:
        InputError: a problem is in both sets, the scheme does not know a problem, or a part would
            be empty.
    """
    shared = {problem.problem_id for problem in main} & {p.problem_id for p in transfer}
    if shared:
        raise InputError(
            f"problem {min(shared)!r} is in both main and transfer",
            hint="what is trained on cannot show transfer: give the sets different problems",
        )
    train, dev, test = _divide(main, params)
    own = {problem.problem_id for problem in (*main, *transfer)}
    # By id: two extra files may hold the same problem.
    added = list({p.problem_id: p for p in extra if p.problem_id not in own}.values())
    train |= {problem.problem_id for problem in added}
    learned = [p for p in main if p.problem_id in train | dev] + added
    evaluated = [p for p in main if p.problem_id in test] + list(transfer)
    excluded: frozenset[str] = frozenset()
    if params.exclude_near_duplicates:
        pairs = near_duplicates(learned, evaluated, params.near_duplicate_threshold)
        excluded = frozenset(pair.first for pair in pairs)
    train, dev = train - excluded, dev - excluded
    for name, part in (("train", train), ("dev", dev), ("test", test)):
        if not part:
            raise InputError(
                f"split: no problem is left for {name} of {len(main)} in main",
                hint=f"scheme {params.scheme}; {len(excluded)} excluded as near-duplicates",
            )
    split = Split(
        train=frozenset(train),
        dev=frozenset(dev),
        test=frozenset(test),
        transfer=frozenset(p.problem_id for p in transfer),
        excluded=excluded,
        near_duplicates=(),
    )
    found = _find_near_duplicates(
        split, [*main, *transfer, *added], params.near_duplicate_threshold
    )
    return dataclasses.replace(split, near_duplicates=found)


def leakage(split: Split, threshold: float) -> dict[str, object]:
    """Counts for a metrics file: problems of each part, and how many nearly repeat another part."""
    report: dict[str, object] = {
        "threshold": threshold,
        "excluded": len(split.excluded),
        "train": {"problems": len(split.train)},
    }
    for name in ("dev", "test", "transfer"):
        report[name] = {
            "problems": len(getattr(split, name)),
            "near_duplicates": sum(row.split == name for row in split.near_duplicates),
        }
    return report


def _divide(main: Sequence[Problem], params: SplitParams) -> tuple[set[str], set[str], set[str]]:
    """Ids of train, dev and test."""
    ids = [problem.problem_id for problem in main]
    if params.scheme == "random":
        assert params.test_fraction is not None
        test = choose(main, params.test_fraction, params, "test")
        train = set(ids) - test
    elif params.scheme == "folds":
        test = divide(main, params)[params.fold]
        train = set(ids) - test
    elif params.scheme == "seed":
        train = _numbered(ids, _SEED_TRAIN, params)
        test = _numbered(ids, _SEED_TEST, params)
    else:
        train = _numbered(ids, _OFFICIAL_TRAIN, params)
        dev = _numbered(ids, _OFFICIAL_DEV, params)
        return train, dev, _numbered(ids, _OFFICIAL_TEST, params)
    learned = [problem for problem in main if problem.problem_id in train]
    dev = choose(learned, params.dev_fraction, params, "dev")
    return train - dev, dev, test


def _numbered(ids: Sequence[str], numbers: Collection[int], params: SplitParams) -> set[str]:
    """The ids of MBPP problems with one of these numbers."""
    found = set()
    for problem_id in ids:
        dataset, _, number = problem_id.partition("/")
        if dataset != "mbpp" or not number.isdecimal():
            raise InputError(
                f"scheme {params.scheme} divides MBPP by its published ids, but main holds "
                f"{problem_id!r}",
                hint="set the param split.scheme to random, with split.test_fraction, or to folds",
            )
        if int(number) in numbers:
            found.add(problem_id)
    return found


def _find_near_duplicates(
    split: Split, problems: Sequence[Problem], threshold: float
) -> tuple[NearDuplicates, ...]:
    rows = []
    parts: tuple[tuple[Literal["dev", "test", "transfer"], frozenset[str], frozenset[str]], ...] = (
        ("dev", split.dev, split.train),
        ("test", split.test, split.train | split.dev),
        ("transfer", split.transfer, split.train | split.dev),
    )
    for name, part, others in parts:
        neighbours: dict[str, list[Neighbour]] = {}
        for pair in near_duplicates(
            [p for p in problems if p.problem_id in part],
            [p for p in problems if p.problem_id in others],
            threshold,
        ):
            # Three digits: enough to read, and the same on every machine.
            neighbour = Neighbour(problem_id=pair.second, similarity=round(pair.similarity, 3))
            neighbours.setdefault(pair.first, []).append(neighbour)
        rows += [
            NearDuplicates(problem_id=problem_id, split=name, neighbours=tuple(found))
            for problem_id, found in neighbours.items()
        ]
    return tuple(rows)
