"""Programs of other problems under a prompt: renamed whole, called alike, in a stable order."""

from __future__ import annotations

import pytest

from ouroboros.critic.normalise import identity
from ouroboros.made.wrong_prompts import (
    Donor,
    call_arguments,
    draw_wrong_prompts,
    make_donor,
    rename_entry_point,
)
from ouroboros.records import Problem


def problem(number: int, call: str) -> Problem:
    """A problem whose visible test is `f<number>` called as told, e.g. `(1, 'a')`."""
    test = f"assert f{number}{call} == 0"
    return Problem(
        problem_id=f"p/{number}",
        prompt_text="x",
        entry_point=f"f{number}",
        tests=(test,),
        visible_tests=(test,),
    )


def donor(number: int, call: str) -> Donor:
    code = f"def f{number}(*a):\n    return {number}\n"
    found = make_donor(problem(number, call), [code])
    assert found is not None
    return found


def donor_numbers(codes: list[str]) -> list[int]:
    return [int(code.rsplit("return ", 1)[1]) for code in codes]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "def old(n):\n    return n * old(n - 1) if n else 1\nalias = old\n",
            "def new(n):\n    return n * new(n - 1) if n else 1\nalias = new",
        ),
        ("old = lambda x: x\n", "new = lambda x: x"),
        # `new` means something else in it, or `old` does.
        ("def old(new):\n    return new\n", None),
        ("def new():\n    pass\ndef old():\n    new()\n", None),
        ("from math import gcd as new\ndef old():\n    new()\n", None),
        ("from math import old\n", None),
        ("def helper(old=1):\n    pass\ndef old():\n    helper(old=2)\n", None),
    ],
)
def test_entry_point_is_renamed_wherever_it_is_used(code: str, expected: str | None) -> None:
    assert rename_entry_point(code, "old", "new") == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("(1, -2.5, 'a', True)", ("int", "float", "str", "bool")),
        ("([1], [], (1, 'a'), {1: 2}, x)",
         ("list of int", "list of nothing", "tuple of int", "dict", "value")),
        ("([[1]], k=1)", ("list of list of int", "k=int")),
        ("()", ()),
    ],
)  # fmt: skip
def test_kinds_of_the_arguments_of_the_visible_call(call: str, expected: tuple) -> None:
    assert call_arguments(problem(1, call)) == expected


def test_donors_that_are_called_alike_come_first() -> None:
    here = problem(1, "([1], 2)")
    donors = [
        donor(2, "([3], 4)"), donor(3, "('a', 4)"), donor(4, "([3], 5)"), donor(5, "(7)"),
        donor(6, "('a', 'b')"), donor(1, "([1], 2)"),
    ]  # fmt: skip
    numbers = donor_numbers(draw_wrong_prompts(here, donors, [], count=9, seed="s"))
    assert sorted(numbers[:2]) == [2, 4]
    assert sorted(numbers[2:4]) == [3, 6]
    assert numbers[4:] == [5]  # and never the problem's own


def test_a_donor_more_leaves_the_order_of_the_others() -> None:
    here = problem(1, "(1)")
    donors = [donor(number, "(1)") for number in range(2, 12)]
    all_of_them = donor_numbers(draw_wrong_prompts(here, donors, [], count=99, seed="s"))
    fewer = donor_numbers(draw_wrong_prompts(here, donors[:4][::-1], [], count=99, seed="s"))
    assert [number for number in all_of_them if number < 6] == fewer
    other = donor_numbers(draw_wrong_prompts(here, donors, [], count=99, seed="t"))
    assert other != all_of_them


def test_a_program_that_needs_its_problems_setup_is_no_donor() -> None:
    assert make_donor(problem(1, "(1)"), ["def f1(a):\n    return helper(a)\n"]) is None


def test_no_two_alike_and_none_that_is_there() -> None:
    here = problem(1, "(1)")
    same = "def f{0}(a):\n    b = a\n    return b\n"
    donors = [make_donor(problem(n, "(1)"), [same.format(n)]) for n in (2, 3)]
    made = draw_wrong_prompts(here, [d for d in donors if d], [], count=9, seed="s")
    assert made == ["def f1(a):\n    b = a\n    return b"]
    taken = {identity(made[0])}
    assert draw_wrong_prompts(here, [d for d in donors if d], taken, count=9, seed="s") == []
