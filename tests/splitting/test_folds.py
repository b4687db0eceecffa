"""Scheme folds: every problem is tested in one fold, near-duplicates together, sizes equal."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouroboros.errors import InputError
from ouroboros.records import Problem
from ouroboros.splitting.choosing import divide
from ouroboros.splitting.params import SplitParams
from ouroboros.splitting.split import split_problems


def problem(number: int, family: int) -> Problem:
    """One of a family of near-duplicates: they have the same prompt."""
    return Problem(
        problem_id=f"own/{number}",
        prompt_text=f"rare{family} alpha{family} beta{family}",
        entry_point="f",
        tests=("assert f()",),
    )


def make(sizes: list[int]) -> list[Problem]:
    families = [family for family, size in enumerate(sizes) for _ in range(size)]
    return [problem(number, family) for number, family in enumerate(families)]


def family_of(problems: list[Problem]) -> dict[str, str]:
    return {p.problem_id: p.prompt_text for p in problems}


cases = st.tuples(
    st.lists(st.sampled_from([1, 1, 1, 1, 2, 3, 7]), min_size=8, max_size=40),
    st.integers(2, 6),
    st.integers(0, 1000),
)


@given(cases)
def test_folds_part_the_problems_and_keep_near_duplicates_together(case):
    sizes, folds, seed = case
    problems = make(sizes)
    parts = divide(problems, SplitParams(scheme="folds", folds=folds, seed=seed))
    assert len(parts) == folds
    assert all(parts)
    assert Counter(i for part in parts for i in part) == Counter(p.problem_id for p in problems)
    families = family_of(problems)
    homes = {(families[i], n) for n, part in enumerate(parts) for i in part}
    assert len(homes) == len(sizes)


@given(cases)
def test_folds_are_as_equal_as_the_groups_allow(case):
    sizes, folds, seed = case
    lengths = [
        len(part)
        for part in divide(make(sizes), SplitParams(scheme="folds", folds=folds, seed=seed))
    ]
    assert max(lengths) - min(lengths) <= max(sizes)
    # With so many single problems, these even out whatever the groups leave uneven.
    if sizes.count(1) >= folds * max(sizes):
        assert max(lengths) - min(lengths) <= 1


@given(cases, st.randoms(use_true_random=False))
def test_division_depends_on_neither_fold_nor_order(case, random):
    sizes, folds, seed = case
    problems = make(sizes)
    params = SplitParams(scheme="folds", folds=folds, seed=seed)
    parts = divide(problems, params)
    shuffled = problems.copy()
    random.shuffle(shuffled)
    for fold in range(folds):
        assert divide(shuffled, dataclasses.replace(params, fold=fold)) == parts


def test_every_problem_is_test_once_and_train_the_rest_of_the_time():
    problems = make([1] * 40 + [2] * 5)
    ids = {p.problem_id for p in problems}
    tested: list[str] = []
    for fold in range(5):
        split = split_problems(problems, [], SplitParams(scheme="folds", fold=fold))
        assert (len(split.train), len(split.dev), len(split.test)) == (32, 8, 10)
        assert split.train | split.dev | split.test == ids
        assert split.near_duplicates == ()
        tested += split.test
    assert Counter(tested) == Counter(ids)


def test_the_seed_divides_anew():
    problems = make([1] * 50)
    first, second = (divide(problems, SplitParams(scheme="folds", seed=seed)) for seed in (0, 1))
    assert first != second


def test_a_new_problem_moves_few_of_the_old_ones():
    old = make([1] * 200 + [2] * 10)
    params = SplitParams(scheme="folds")
    before = {i: n for n, part in enumerate(divide(old, params)) for i in part}
    new = divide([*old, problem(9000, 9000)], params)
    moved = [i for n, part in enumerate(new) for i in part if before.get(i, n) != n]
    assert len(moved) <= params.folds
    assert max(map(len, new)) == math.ceil(221 / 5)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([1] * 4, "split.folds is 5, but main has 4 problems in 4 groups of near-duplicates"),
        ([3] * 4, "split.folds is 5, but main has 12 problems in 4 groups of near-duplicates"),
    ],
)
def test_more_folds_than_groups_is_an_error(sizes, message):
    with pytest.raises(InputError) as error:
        split_problems(make(sizes), [], SplitParams(scheme="folds"))
    assert message in str(error.value)
