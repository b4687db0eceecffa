"""Which programs count as the same, and what the critic reads of them."""

from __future__ import annotations

import pytest

from ouroboros.critic.normalise import identity, readable

BASE = "def f(x):\n    total = 0\n    for item in x:\n        total += item\n    return total\n"


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("    ", "\t"),
        BASE.replace("total", "s").replace("item", "i"),
        "# sums\n" + BASE + "\n\nprint(f([1, 2]))\n",
        BASE.replace("def f(x):\n", 'def f(x):\n    """Sum."""\n    # loop\n'),
        BASE + 'if __name__ == "__main__":\n    main()\n',
        BASE.replace("total = 0", "total = (0)"),
    ],
)
def test_form_alone_does_not_make_another_program(other: str) -> None:
    assert identity(other) == identity(BASE)


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("return total", "    return total"),
        BASE.replace("total += item", "total += total"),
        BASE.replace("def f", "def g"),
        BASE.replace("(x)", "(y)").replace("in x", "in y"),
        BASE + "import sys\nsys.setrecursionlimit(10)\n",
        BASE.replace("total = 0", "global total\n    total = 0"),
    ],
)
def test_what_can_change_a_result_makes_another_program(other: str) -> None:
    assert identity(other) != identity(BASE)


def test_renaming_never_merges_different_uses() -> None:
    swapped = "def f(x):\n    a = x\n    b = 1\n    return {}\n"
    assert identity(swapped.format("a")) != identity(swapped.format("b"))
    # A local must not take the name of something it would then hide.
    assert identity("def f(x):\n    a = 1\n    return v0\n") != identity(
        "def f(x):\n    a = 1\n    return a\n"
    )


def test_nested_functions_keep_their_links() -> None:
    first = "def f(x):\n    n = x\n    def g():\n        return n\n    return g()\n"
    second = "def f(x):\n    m = x\n    def g():\n        return m\n    return g()\n"
    third = "def f(x):\n    m = x\n    def g():\n        return x\n    return g()\n"
    assert identity(first) == identity(second) != identity(third)


@pytest.mark.parametrize(
    "code", ["def f(x:\n  return", "\0", "(" * 4000, "", "\ud800", "x" * 10**5]
)
def test_any_text_has_a_readable_form_and_an_identity(code: str) -> None:
    assert isinstance(readable(code), str)
    assert identity(code) == identity(code)


def test_the_critic_reads_neither_comments_nor_demonstrations() -> None:
    code = '"""Module."""\n# note\ndef f(x):\n    "doc"\n    return x  # x\n\nprint(f(1))\nf(2)\n'
    assert readable(code) == "def f(x):\n    return x"


def test_a_body_that_is_only_a_docstring_stays_a_body() -> None:
    assert readable('def f(x):\n    """Later."""\n') == "def f(x):\n    pass"
