"""Near-duplicate problems: the measure, and that the fast search misses none."""

import itertools
import random
from pathlib import Path

import pytest

from ouroboros.problems.formats import load_problems
from ouroboros.records import Problem
from ouroboros.splitting import similarity
from ouroboros.splitting.similarity import groups, near_duplicates

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def problem(number: int, prompt: str, reference: str = "", **values: object) -> Problem:
    return Problem(
        problem_id=f"own/{number}",
        prompt_text=prompt,
        entry_point="f",
        reference=reference,
        **{"tests": ("assert f()",), **values},
    )


LOOP = """
def {name}({items}):
    {total} = 0
    for {item} in {items}:
        if {item} % 2 == 0:
            {total} += {item}
    return {brackets}
"""
FIRST = LOOP.format(name="even_sum", items="xs", item="x", total="s", brackets="s")
RENAMED = LOOP.format(name="g", items="values", item="v", total="acc", brackets="(acc)")


def alike(first: Problem, second: Problem, threshold: float = 0.8) -> float | None:
    pairs = near_duplicates([first], [second], threshold)
    return pairs[0].similarity if pairs else None


def test_same_prompt_in_slightly_other_words():
    first = problem(1, "Write a function to find the first repeated character in a given string.")
    second = problem(2, "Write a python function to find first repeated character in the string.")
    assert alike(first, second) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("convert radians to degrees", "convert degrees to radians"),
        ("find the largest odd number in a list", "find the smallest even number in a list"),
        ("sort a list of tuples", "count the vowels of a word"),
    ],
)
def test_other_tasks_in_similar_words(first, second):
    assert alike(problem(1, first), problem(2, second)) is None


def test_same_program_under_other_names_imports_and_annotations():
    annotated = (
        "from typing import List\n" + FIRST.replace("(xs)", "(xs: List[int]) -> int")
    ).replace("    s = 0", '    """Sum of the even ones."""\n    s = 0')
    assert alike(problem(1, "one", FIRST), problem(2, "two", RENAMED)) == 1
    assert alike(problem(1, "one", FIRST), problem(2, "two", annotated)) == 1


def test_attributes_and_operators_count():
    other = FIRST.replace("% 2 == 0", "// 3 != 1").replace("+=", "*=")
    assert alike(problem(1, "one", FIRST), problem(2, "two", other)) is None


def test_one_liners_are_not_compared_by_their_code():
    first = problem(1, "length of a string", "def f(s):\n    return len(s)")
    second = problem(2, "number of items in a basket", "def g(b):\n    return len(b)")
    assert alike(first, second) is None


def test_humaneval_prompts_are_compared_by_their_prose():
    prompt = (
        "from typing import List\n\n\ndef f(xs: List[int]):\n"
        '    """ {text}\n    >>> f([{number}])\n    {number}\n    """\n'
    )
    text = "Return the largest number of a nested list that is prime."
    check = {"tests": (), "check": "def check(c): pass"}
    first = problem(1, prompt.format(text=text, number=1), **check)
    second = problem(2, prompt.format(text=text, number=222), **check)
    third = problem(3, "Write a function to return the largest number of nested list that is prime")
    assert alike(first, second) == 1
    assert alike(first, third) == 1


def test_reference_that_does_not_parse_is_not_compared():
    assert alike(problem(1, "one", FIRST), problem(2, "two", FIRST + "\n  )")) is None


def test_pairs_within_a_list_are_found_both_ways_and_never_with_itself():
    same = [problem(number, "rotate a matrix by ninety degrees") for number in (1, 2)]
    pairs = near_duplicates(same, same, 0.8)
    assert [(pair.first, pair.second) for pair in pairs] == [("own/1", "own/2"), ("own/2", "own/1")]


def test_groups_are_closed_under_near_duplication():
    """1 ~ 2 by prompt and 2 ~ 3 by program: all three belong together."""
    problems = [
        problem(1, "rotate a matrix by ninety degrees"),
        problem(2, "rotate a matrix by ninety degrees", FIRST),
        problem(3, "sum of even numbers", RENAMED),
        problem(4, "count vowels"),
    ]
    assert groups(problems, 0.8) == [["own/1", "own/2", "own/3"], ["own/4"]]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 1.0])
def test_the_search_finds_what_comparing_all_finds(threshold):
    generator = random.Random(0)
    words = [f"w{number}" for number in range(12)]

    def features() -> dict[str, frozenset[tuple[str, ...]]]:
        return {
            f"p{number}": frozenset(
                (word,) for word in generator.sample(words, generator.randint(0, 9))
            )
            for number in range(150)
        }

    left, right = features(), features()
    slow = {
        (a, b): len(left[a] & right[b]) / len(left[a] | right[b])
        for a, b in itertools.product(left, right)
        if a != b and left[a] | right[b]
    }
    expected = {pair: value for pair, value in slow.items() if value >= threshold}
    assert similarity._similar(left, right, threshold) == expected


@pytest.mark.skipif(
    not DATA.is_dir(), reason="the reference data (../shared/data) is not on this machine"
)
def test_mbpp_seed_split():
    """35 of the 474 test problems nearly repeat a train problem; these are beyond doubt."""
    problems = load_problems(DATA / "mbpp.jsonl")
    pairs = near_duplicates(problems[500:], problems[:500], 0.8)
    assert len({pair.first for pair in pairs}) == 35
    found = {(pair.first, pair.second) for pair in pairs}
    for test, train in ((569, 104), (658, 362), (704, 248), (872, 216), (842, 29)):
        assert (f"mbpp/{test}", f"mbpp/{train}") in found
    # Radians to degrees and degrees to radians.
    assert ("mbpp/606", "mbpp/214") not in found
