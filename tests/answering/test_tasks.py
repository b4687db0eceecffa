"""From a user's words and asserts to a problem."""

from __future__ import annotations

import pytest

from ouroboros.answering.tasks import (
    UNTESTED,
    as_read,
    is_tested,
    make_problem,
    own_entry_point,
)
from ouroboros.errors import InputError
from ouroboros.generation.extract import program_from_chat
from ouroboros.generation.prompts import TEMPLATES, build_prompt

TASK = "Write a function to return the square of a number."


def test_all_tests_decide_and_all_are_shown() -> None:
    tests = ("assert square(3) == 9", "assert square(-1) == 1")
    problem = make_problem(f"  {TASK}\n", tests)
    assert (problem.prompt_text, problem.entry_point) == (TASK, "square")
    assert problem.tests == problem.visible_tests == tests
    assert is_tested(problem)


def test_the_same_question_is_the_same_problem() -> None:
    test = "assert square(3) == 9"
    problem = make_problem(TASK, [test])
    assert make_problem(f"{TASK} ", [f" {test}\n", test]) == problem
    others = [
        make_problem(TASK),
        make_problem(TASK, ["assert square(3) == 10"]),
        make_problem("Write it.", [test]),
    ]
    assert len({problem.problem_id, *(other.problem_id for other in others)}) == 4


@pytest.mark.parametrize(
    ("tests", "found"),
    [
        (["assert f(2) == 4"], "f"),
        (["assert set(shared((1, 2), (2,))) == {2}"], "shared"),
        (["assert longest([Pair(5, 24), Pair(1, 2)], 2) == 1"], "longest"),
        (["import_ = 1", "assert f(1)"], None),
        (["assert math.isclose(area(2), 12.57)"], "area"),
        (["assert all(g(n) for g in [f(1), f(2)] for n in f(3))"], "f"),
        (["assert check(f(1), 2)", "assert f(2) == 3"], "f"),
        (["assert (lambda g: g(1))(make())"], "make"),
    ],
)
def test_the_entry_point_is_the_outermost_call_that_all_tests_have(
    tests: list[str], found: str | None
) -> None:
    if found is None:
        with pytest.raises(InputError, match="--test 'import_ = 1': expected one assert"):
            make_problem(TASK, tests)
    else:
        assert make_problem(TASK, tests).entry_point == found


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("assert f(2 == 4", r"not Python: '\(' was never closed"),
        ("f(2) == 4", "expected one assert statement\n  such as: assert f"),
        ("x = 2; assert f(x) == 4", "expected one assert statement"),
        ("", "expected one assert statement"),
        ("assert 1 == 1", "calls no function that could be the one to write"),
        ("assert sum([1, 2]) == 3", "needs --entry-point"),
        ("assert f", "calls no function"),
        ("assert f('\udcff')", "is not UTF-8 text"),
        ("assert " + "-" * 100_000 + "f(1)", "not Python"),
    ],
)
def test_a_bad_test_is_named(test: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        make_problem(TASK, ["assert f(1) == 1", test])
    assert str(caught.value).startswith("--test ")
    assert test[:8] in str(caught.value)
    assert len(str(caught.value)) < 300


def test_tests_of_different_functions_are_listed_with_what_they_call() -> None:
    with pytest.raises(InputError, match="no function in common") as caught:
        make_problem(TASK, ["assert f(1) == 1", "assert g(h(1)) == 1"])
    assert "assert f(1) == 1: calls f\n  assert g(h(1)) == 1: calls g, h" in str(caught.value)


def test_a_given_entry_point_may_shadow_a_builtin_and_must_be_used_by_each_test() -> None:
    problem = make_problem(TASK, ["assert sum(4, 6) == 3"], "sum")
    assert problem.entry_point == "sum"
    assert problem.prompt_text == TASK
    with pytest.raises(InputError, match=r"g\(2\)': does not use 'f', the entry point"):
        make_problem(TASK, ["assert f(1)", "assert g(2)"], "f")
    for name in ("two words", "class", ""):
        with pytest.raises(InputError, match=r"--entry-point: .* is not a Python name"):
            make_problem(TASK, [], name)


def test_without_a_test_a_given_entry_point_stands_in_the_prompt_once() -> None:
    assert make_problem(TASK, [], "sq").prompt_text == f"{TASK}\nThe function must be called sq."
    named = "Write a function sq(n) that squares."
    assert make_problem(named, [], "sq").prompt_text == named


def test_an_empty_task_is_refused() -> None:
    with pytest.raises(InputError, match="the task is empty"):
        make_problem(" \n", ["assert f(1)"])
    with pytest.raises(InputError, match="the task: is not UTF-8"):
        make_problem("square \udcff")


def test_without_tests_nothing_is_shown_and_nothing_could_pass() -> None:
    problem = make_problem(TASK)
    assert (problem.entry_point, problem.visible_tests) == ("", ())
    assert not is_tested(problem)
    with pytest.raises(AssertionError):
        exec(UNTESTED[0], {})
    prompt = build_prompt(problem, TEMPLATES["completion"], None)
    assert prompt.text == f'"""\n{TASK}\n"""\n'


def test_with_an_unknown_entry_point_the_block_that_defines_something_is_taken() -> None:
    reply = "Run it:\n```python\nsquare(3)\n```\n```python\ndef square(n):\n    return n * n\n```\n"
    assert program_from_chat(reply, make_problem(TASK)).startswith("def square")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("def a(n):\n    return n", "a"),
        ("def helper(n):\n    return n\n\ndef a(n):\n    return helper(n)", "a"),
        ("def a(n):\n    return helper(n)\n\ndef helper(n):\n    return n", "a"),
        ("def a(n):\n    return a(n - 1) if n else 0", "a"),
        ("def a():\n    return b()\n\ndef b():\n    return a()", "b"),
        ("class Node:\n    pass\n\ndef build():\n    return Node()\n", "build"),
        ("class Stack:\n    def push(self, x):\n        return x", "Stack"),
        ("async def a():\n    return 1", "a"),
        ("print('hello')", ""),
        ("def a(:", ""),
        ("", ""),
    ],
)
def test_a_program_s_own_entry_point(code: str, name: str) -> None:
    assert own_entry_point(code) == name


def test_the_critic_reads_an_unknown_entry_point_as_the_program_s_own() -> None:
    code = "def square(n):\n    return n * n"
    assert as_read(make_problem(TASK), code).entry_point == "square"
    known = make_problem(TASK, ["assert sq(1) == 1"])
    assert as_read(known, code) is known
