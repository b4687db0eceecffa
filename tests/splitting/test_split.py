"""Dividing problems into train, dev and test."""

import dataclasses
import itertools

import pytest

from ouroboros.errors import InputError
from ouroboros.records import Problem
from ouroboros.splitting.params import ExtraFile, SplitParams
from ouroboros.splitting.split import leakage, split_problems


def problem(problem_id: str, prompt: str | None = None) -> Problem:
    words = problem_id.replace("/", " ")
    return Problem(
        problem_id=problem_id,
        prompt_text=prompt or f"task {words} alpha{words} beta{words} gamma{words}",
        entry_point="f",
        tests=("assert f()",),
    )


def mbpp(*numbers: int) -> list[Problem]:
    return [problem(f"mbpp/{number}") for number in numbers]


STARTER = [problem(f"starter/{number}") for number in range(100)]
TRANSFER = [problem(f"humaneval/{number}") for number in range(5)]
RANDOM = SplitParams(scheme="random", test_fraction=0.4)
FILE = ExtraFile(path="extra.jsonl", sha256="0" * 64)


def numbers(ids: frozenset[str]) -> list[int]:
    return sorted(int(problem_id.removeprefix("mbpp/")) for problem_id in ids)


def test_seed_split_is_by_published_ids():
    split = split_problems(mbpp(*range(1, 975)), TRANSFER, SplitParams(scheme="seed"))
    assert numbers(split.train | split.dev) == list(range(1, 501))
    assert numbers(split.test) == list(range(501, 975))
    assert len(split.dev) == 100
    assert len(split.transfer) == 5


def test_official_split_leaves_the_few_shot_prompts_out():
    split = split_problems(mbpp(*range(1, 975)), TRANSFER, SplitParams(scheme="official"))
    assert numbers(split.train) == list(range(601, 975))
    assert numbers(split.dev) == list(range(511, 601))
    assert numbers(split.test) == list(range(11, 511))


def test_seed_split_of_a_choice_of_problems():
    split = split_problems(mbpp(*range(1, 61), *range(501, 541)), [], SplitParams(scheme="seed"))
    assert (len(split.train), len(split.dev), len(split.test)) == (48, 12, 40)


def test_random_split_has_the_asked_sizes_and_every_problem_once():
    split = split_problems(STARTER, TRANSFER, RANDOM)
    assert (len(split.train), len(split.dev), len(split.test)) == (48, 12, 40)
    assert split.train | split.dev | split.test == {p.problem_id for p in STARTER}
    for one, other in itertools.combinations((split.train, split.dev, split.test), 2):
        assert not one & other


def test_order_of_the_file_does_not_matter_and_the_seed_does():
    assert split_problems(STARTER[::-1], TRANSFER, RANDOM) == split_problems(
        STARTER, TRANSFER, RANDOM
    )
    other = split_problems(STARTER, TRANSFER, dataclasses.replace(RANDOM, seed=1))
    assert other.test != split_problems(STARTER, TRANSFER, RANDOM).test


def test_adding_problems_moves_few_of_the_old_ones():
    old = split_problems(STARTER, [], RANDOM).test
    more = [problem(f"starter/{number}") for number in range(110)]
    new = split_problems(more, [], RANDOM).test & {p.problem_id for p in STARTER}
    assert len(old ^ new) <= 10, sorted(old ^ new)


@pytest.mark.parametrize("seed", range(8))
def test_near_duplicates_stay_on_one_side(seed):
    twins = [problem(f"twin/{number}", f"rare{number // 2} words") for number in range(40)]
    split = split_problems(STARTER + twins, [], dataclasses.replace(RANDOM, seed=seed))
    for part in (split.train, split.dev, split.test):
        for number in range(0, 40, 2):
            assert (f"twin/{number}" in part) == (f"twin/{number + 1}" in part)
    assert split.near_duplicates == ()
    assert len(split.test) == 56


def test_published_split_reports_its_near_duplicates():
    main = mbpp(*range(1, 20), *range(501, 520))
    main[20] = problem("mbpp/502", main[2].prompt_text)  # repeats mbpp/3
    transfer = [*TRANSFER, problem("humaneval/9", main[2].prompt_text)]
    params = SplitParams(scheme="seed")
    split = split_problems(main, transfer, params)
    rows = {row.problem_id: row for row in split.near_duplicates}
    assert set(rows) == {"mbpp/502", "humaneval/9"}
    assert rows["mbpp/502"].split == "test"
    assert [(n.problem_id, n.similarity) for n in rows["mbpp/502"].neighbours] == [("mbpp/3", 1.0)]
    assert rows["humaneval/9"].split == "transfer"
    assert leakage(split, 0.8) == {
        "threshold": 0.8,
        "excluded": 0,
        "train": {"problems": 15},
        "dev": {"problems": 4, "near_duplicates": 0},
        "test": {"problems": 19, "near_duplicates": 1},
        "transfer": {"problems": 6, "near_duplicates": 1},
    }


def test_excluding_takes_from_train_and_leaves_the_evaluated_sets_whole():
    main = mbpp(*range(1, 20), *range(501, 520))
    main[20] = problem("mbpp/502", main[2].prompt_text)
    kept = split_problems(main, TRANSFER, SplitParams(scheme="seed"))
    split = split_problems(main, TRANSFER, SplitParams(scheme="seed", exclude_near_duplicates=True))
    assert split.excluded == {"mbpp/3"}
    assert "mbpp/3" not in split.train | split.dev
    assert split.test == kept.test
    assert split.near_duplicates == ()


def test_extra_problems_join_train_and_move_nothing_else():
    extra = [problem("other/1"), STARTER[0], problem("other/1"), TRANSFER[0]]
    plain = split_problems(STARTER, TRANSFER, RANDOM)
    split = split_problems(STARTER, TRANSFER, RANDOM, extra=extra)
    assert split.train == plain.train | {"other/1"}
    assert dataclasses.replace(split, train=plain.train) == plain


def test_extra_problems_count_as_near_duplicates_and_can_be_excluded():
    main = mbpp(*range(1, 20), *range(501, 520))
    extra = [problem("other/1", main[20].prompt_text), problem("other/2", TRANSFER[1].prompt_text)]
    params = SplitParams(scheme="seed")
    split = split_problems(main, TRANSFER, params, extra=extra)
    assert {
        (row.problem_id, row.split, *(n.problem_id for n in row.neighbours))
        for row in split.near_duplicates
    } == {("mbpp/502", "test", "other/1"), ("humaneval/1", "transfer", "other/2")}
    strict = dataclasses.replace(params, exclude_near_duplicates=True)
    split = split_problems(main, TRANSFER, strict, extra=extra)
    assert split.excluded == {"other/1", "other/2"}
    assert not split.train & split.excluded
    assert split.near_duplicates == ()


def test_a_problem_that_the_scheme_leaves_out_does_not_come_in_as_an_extra_one():
    main = mbpp(*range(1, 975))
    split = split_problems(main, [], SplitParams(scheme="official"), extra=main)
    assert numbers(split.train) == list(range(601, 975))


@pytest.mark.parametrize(
    ("main", "transfer", "params", "message"),
    [
        (STARTER, STARTER[:1], RANDOM, "problem 'starter/0' is in both main and transfer"),
        (STARTER, [], SplitParams(scheme="seed"), "scheme seed divides MBPP by its published ids"),
        (mbpp(1, 2, 3), [], SplitParams(scheme="seed"), "no problem is left for test of 3 in main"),
        (mbpp(1, 501), [], SplitParams(scheme="seed"), "no problem is left for dev of 2"),
        (mbpp(*range(11, 100)), [], SplitParams(scheme="official"), "left for train of 89"),
    ],
)
def test_what_cannot_be_split(main, transfer, params, message):
    with pytest.raises(InputError) as error:
        split_problems(main, transfer, params)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scheme": "random"}, "scheme random needs test_fraction"),
        ({"scheme": "random", "test_fraction": 1.0}, "test_fraction must be between 0 and 1"),
        ({"scheme": "folds", "folds": 1}, "folds must be 2 or more: 1"),
        ({"scheme": "folds", "folds": 3, "fold": 3}, "fold must be in 0 to 2, as folds is 3: 3"),
        ({"scheme": "folds", "fold": -1}, "fold must be in 0 to 4"),
        ({"scheme": "seed", "extra_train": (FILE, FILE)}, "extra_train holds the same file"),
        ({"scheme": "seed", "dev_fraction": 0.0}, "dev_fraction must be between 0 and 1"),
        ({"scheme": "seed", "near_duplicate_threshold": 0.0}, "near_duplicate_threshold must be"),
    ],
)
def test_params_out_of_range(values, message):
    with pytest.raises(InputError, match=message):
        SplitParams(**values)
