"""Programs are the same when layout, comments, docstrings and local names alone differ."""

from __future__ import annotations

import pytest

from ouroboros.evaluation.normal_form import normal_form

BASE = "def f(x):\n    y = x + 1\n    return y\n"


@pytest.mark.parametrize(
    "same",
    [
        "def f(x):\n  y = x+1\n\n  return y",
        "# a comment\ndef f(x):\n    y = (x + 1)  # more\n    return y\n",
        'def f(x):\n    """Adds one."""\n    y = x + 1\n    return y\n',
        "def f(value):\n    result = value + 1\n    return result\n",
        "def f(x): y = x + 1; return y",
        '"""A module."""\ndef f(x):\n    pass\n    y = x + 1\n    return y\n',
    ],
)
def test_what_does_not_matter_is_ignored(same):
    assert normal_form(same) == normal_form(BASE)


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    y = x + 2\n    return y\n",
        "def f(x):\n    y = x + 1.0\n    return y\n",
        "def f(x):\n    y = x + True\n    return y\n",
        "def g(x):\n    y = x + 1\n    return y\n",
        "def f(x, z=0):\n    y = x + 1\n    return y\n",
        "def f(x):\n    y = x - 1\n    return y\n",
        "def f(x):\n    y = x + 1\n    return x\n",
    ],
)
def test_what_matters_is_not(other):
    assert normal_form(other) != normal_form(BASE)


def test_layout_of_blocks_does_not_matter():
    long = """def f(x):
    while True:
        try:
            pass
        finally:
            x += 1
        if x:
            break
        else:
            pass
"""
    short = "def f(x):\n while True:\n  try: pass\n  finally: x += 1\n  if x: break\n  else: pass"
    assert normal_form(long) == normal_form(short)


def test_a_programs_own_asserts_count_and_docstrings_beside_them_do_not():
    checked = "def f(x):\n    assert x\n    return x\n"
    assert normal_form(checked) != normal_form("def f(x):\n    return x\n")
    documented = 'def f(x):\n    """Check."""\n    assert x  # assert\n    return x\n'
    assert normal_form(documented) == normal_form(checked)


def test_parameter_names_count_where_arguments_are_passed_by_name():
    one = "def g(a):\n    return a\ndef f(x):\n    return g(a=x)\n"
    two = "def g(b):\n    return b\ndef f(x):\n    return g(a=x)\n"
    assert normal_form(one) != normal_form(two)


def test_function_names_count_inside_functions_only_by_use():
    one = "def f(x):\n    def helper(y):\n        return y\n    return helper(x)\n"
    assert normal_form(one) == normal_form(one.replace("helper", "inner"))


@pytest.mark.parametrize("broken", ["def f(:", "x = '\x00'", "(" * 5000, "x = '\ud800'"])
def test_texts_that_do_not_compile_are_equal_only_to_themselves(broken):
    assert normal_form(broken) == normal_form(f"{broken}\n")
    assert normal_form(broken) != normal_form(BASE)
