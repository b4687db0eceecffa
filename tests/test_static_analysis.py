"""What the static analyser says of programs, sound and broken."""

from __future__ import annotations

import pytest

from ouroboros.static_analysis import facts

TEST = ("assert add(1, 2) == 3",)


def test_a_sound_program_has_no_problem() -> None:
    found = facts("import math\ndef add(a, b):\n    return math.floor(a) + b\n", "add", TEST)
    assert found.describe() == "no problem"
    assert found.score() == 0.0
    assert found.accepts_arguments is True


@pytest.mark.parametrize(
    "code",
    [
        "def add(a, b:\n    return a",
        "def add(a, b):\nreturn a",
        "return 3",
        "a\0b",
        "(" * 5000,
        "x = " + "-" * 100_000 + "1",
        "def add(a, b):\n    return " + "9" * 10_000,
        "\ud800",
    ],
)
def test_code_that_does_not_compile_does_not_parse(code: str) -> None:
    found = facts(code, "add", TEST)
    assert not found.parses
    assert found.describe() == "syntax error"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def add(a, b):\n    return a + c\n", ("c",)),
        ("def add(a, b):\n    return math.sqrt(a)\n", ("math",)),
        ("def add(a: List, b):\n    return a\n", ("List",)),
        ("class A:\n    x = y\ndef add(a, b): return A.x\n", ("y",)),
        ("def add(a, b):\n    return [i for i in a if j]\n", ("j",)),
        ("from os import *\ndef add(a, b): return c\n", ()),
        ("def add(a, b):\n    global n\n    n = a\n    return m()\ndef m(): return n\n", ()),
        ("try: add\nexcept NameError as e: print(e)\ndef add(a, b): return __name__\n", ()),
        ("def add(a, b):\n    def inner():\n        return a + total\n    total = b\n"
         "    return inner()\n", ()),
        ("def add(a, b):\n    if (n := a) > 1: return n\n    return len(b)\n", ()),
    ],
)  # fmt: skip
def test_undefined_names_are_those_nothing_binds(code: str, names: tuple[str, ...]) -> None:
    assert facts(code, "add", TEST).undefined_names == names


@pytest.mark.parametrize(
    ("signature", "call", "accepted"),
    [
        ("a, b", "add(1, 2)", True),
        ("a", "add(1, 2)", False),
        ("a, b, c", "add(1, 2)", False),
        ("a, b, c=0", "add(1, 2)", True),
        ("*a", "add(1, 2)", True),
        ("a, *, b", "add(1, b=2)", True),
        ("a, *, b", "add(1, 2)", False),
        ("a, b", "add(1, a=2)", False),
        ("a, **k", "add(1, b=2)", True),
        ("a, b, /", "add(1, b=2)", False),
        ("a", "add(*x)", True),
        ("a, b", "other(1)", None),
    ],
)
def test_arguments_are_checked_against_the_visible_call(
    signature: str, call: str, accepted: bool | None
) -> None:
    code = f"def add({signature}):\n    return a\n"
    assert facts(code, "add", [f"assert {call} == 3"]).accepts_arguments is accepted


@pytest.mark.parametrize(
    ("body", "may_end"),
    [
        ("if a: return 1", True),
        ("if a: return 1\nelse: return 2", False),
        ("if a: return 1\nelif b: return 2", True),
        ("for x in a: return x", True),
        ("for x in a:\n  if x: return x\nelse: return 0", False),
        ("for x in a:\n  if x: break\nelse: return 0", True),
        ("while True:\n  if a: return 1", False),
        ("while True:\n  if a: return 1\n  if b: break", True),
        ("while True:\n  for x in a: break\n  return 1", False),
        ("while a: return 1", True),
        ("try: return 1\nexcept ValueError: pass", True),
        ("try: return 1\nexcept ValueError: return 2", False),
        ("try: pass\nfinally: return 1", False),
        ("with a: return 1", False),
        ("match a:\n  case 1: return 1\n  case _: return 2", False),
        ("match a:\n  case 1: return 1", True),
        ("if a: return 1\nraise ValueError", False),
        ("if a: yield 1", False),
    ],
)
def test_a_path_without_return_is_found(body: str, may_end: bool) -> None:
    code = "def add(a, b):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    assert facts(code, "add", TEST).may_end_without_return is may_end


def test_what_is_missing_is_told_apart() -> None:
    assert not facts("def sub(a, b): return a", "add", TEST).defines_entry_point
    assert facts("add = lambda a, b: a + b", "add", TEST).describe() == "no problem"
    assert facts("from operator import add", "add", TEST).describe() == "no problem"
    stub = facts('def add(a, b):\n    """Add."""\n    pass\n', "add", TEST)
    assert stub.is_stub
    assert not stub.returns_value
    printing = facts("def add(a, b):\n    print(a + b)\n", "add", TEST)
    assert printing.describe() == "returns nothing"
    assert facts("def add(a, b): return a", "add", TEST).unused_parameters == ("b",)
    assert facts("def add(a, b): return input() + a + b", "add", TEST).reads_input
    inner = facts("def add(a, b):\n    def f(): return a + b\n    f()\n", "add", TEST)
    assert not inner.returns_value


def test_the_last_definition_counts() -> None:
    code = "def add(a): return a\ndef add(a, b): return a + b\n"
    assert facts(code, "add", TEST).accepts_arguments is True


def test_the_surer_the_failure_the_lower_the_score() -> None:
    codes = [
        "def add(a, b): return a + b",
        "def add(a, b): return a",
        "def add(a, b):\n    if a: return a + b",
        "def add(a, b): return a + b + c",
        "def add(a): return a",
        "def sub(a, b): return a",
        "def add(a, b: return a",
    ]
    scores = [facts(code, "add", TEST).score() for code in codes]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)
