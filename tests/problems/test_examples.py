"""Visible tests read out of HumanEval docstrings: only what can be read in one way."""

import ast

import pytest

from ouroboros.problems.examples import visible_asserts


def examples(docstring: str, signature: str = "f(x)") -> list[str]:
    source = f'def {signature}:\n    """\n{docstring}\n    """\n'
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    return list(visible_asserts(function, source))


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (">>> f(1)\n2", ["assert f(1) == 2"]),
        (">>> f([1])\n[1,\n 2]", ["assert f([1]) == [1, 2]"]),
        (">>> round(f(1), 2) # a comment\n0.5", ["assert round(f(1), 2) == 0.5"]),
        (">>> f(1) == 2", ["assert f(1) == 2"]),
        (">>> f(1) == 2\nTrue", ["assert f(1) == 2"]),
        ("f(1) == 2", ["assert f(1) == 2"]),
        ("f(1) = 2", ["assert f(1) == 2"]),
        ("f(1) => 2", ["assert f(1) == 2"]),
        ("f(1) ==> 2", ["assert f(1) == 2"]),
        ("f(1) -> 2", ["assert f(1) == 2"]),
        ("f(1) ➞ 2", ["assert f(1) == 2"]),
        ("f(1) # => 2", ["assert f(1) == 2"]),
        ('f(1)  # returns "a"', ["assert f(1) == 'a'"]),
        ("f(1) should return 2.", ["assert f(1) == 2"]),
        ("f(1) returns [2] # why", ["assert f(1) == [2]"]),
        ("* f([]) => None", ["assert f([]) == None"]),
        ("for f('a)') == 'b'", ["assert f('a)') == 'b'"]),
        ("f([\n [1],\n [2]\n]) == 3", ["assert f([[1], [2]]) == 3"]),
        ("For x = [1, 2] the output should be 3.", ["assert f([1, 2]) == 3"]),
        ("Input: [4, 2]\nOutput: 2", ["assert f([4, 2]) == 2"]),
        ("Input: x = [4, 2]\nOutput: 2 # why", ["assert f([4, 2]) == 2"]),
    ],
)
def test_one_reading(docstring, expected):
    assert examples(docstring) == expected


@pytest.mark.parametrize(
    "docstring",
    [
        "f(1) => true",  # no Python value
        "f(a) == 2",  # a variable
        "f(aa) => False",
        "g(1) == 2",  # another function
        "f(1) == 1 + 9 = 10",
        'f(1) ==> ("Venus")',  # a string, or a tuple of one?
        "f(1) # => 'No' (as it starts with a digit)",
        ">>> f(1) [0, 1]",
        ">>> f(1)\nTraceback (most recent call last):\nValueError",
        ">>> f(1)\n<object>",
        ">>> f(y)\n2",
        "f(n) = f(n - 1) + 1\nf(1) = 2",  # "=" states a rule here
        "f(1) == 2\nf(1) == 3",  # contradicts itself
        "For y = 1 the output should be 3",  # not the parameter's name
        "Input: 3",
        "The call f(1) == 2 in prose",
    ],
)
def test_no_guessing(docstring):
    assert examples(docstring) == []


def test_several_parameters_must_all_be_named_in_order():
    assert examples("Input: a = [1], k = 2\nOutput: 3", "f(a, k)") == ["assert f([1], 2) == 3"]
    assert examples("Input: k = 2, a = [1]\nOutput: 3", "f(a, k)") == []
    assert examples("For a = 1 the result should be 2", "f(a, k)") == []


def test_an_example_given_twice_stands_once():
    assert examples(">>> f(1)\n2\nf(1) == 2") == ["assert f(1) == 2"]


def test_escapes_are_read_as_the_prompt_shows_them():
    assert examples('>>> f("a\\nb")\n"a"') == ["assert f('a\\nb') == 'a'"]
