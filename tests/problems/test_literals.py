"""Values as source text: equal values of the same types, and nothing else."""

import ast
import math

import pytest

from ouroboros.problems.literals import NotLiteral, literal, value_of

VALUES = [
    None, True, 0, -7, 10**3000, 2.5, -0.0, 1e300, "it's \"\n\ud800", b"\x00'", range(1, 9, 2), [],
    [1, [2.0, (3,)]], (), (1,), (1, "a"), {}, {"a": [1], (2, 3): None}, set(), {3, 1, 2},
    frozenset(), frozenset({1}), 1 + 2j, {frozenset({"b", "a"})},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_the_text_gives_the_value_back(value):
    found = eval(literal(value))
    assert type(found) is type(value)
    assert found == value
    assert repr(found) == repr(value) or isinstance(value, set | frozenset)


def test_infinities_and_nan():
    assert eval(literal([math.inf, -math.inf])) == [math.inf, -math.inf]
    assert math.isnan(eval(literal(math.nan)))
    assert eval(literal(complex(-0.0, math.inf))).imag == math.inf


def test_integers_the_interpreter_would_refuse_in_decimal():
    huge = 10**6000
    assert eval(literal(huge)) == huge
    assert literal(huge).startswith("0x")


def test_equal_sets_give_equal_text():
    forwards, backwards = set(range(0, 800, 8)), set(range(792, -1, -8))
    assert list(forwards) != list(backwards)
    assert literal(forwards) == literal(backwards)


@pytest.mark.parametrize("value", [object(), iter([]), [len], {1: object()}, {}.keys()])
def test_other_values_are_refused(value):
    with pytest.raises(NotLiteral, match="a value of type"):
        literal(value)


def test_too_deep():
    deep: list = []
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(NotLiteral, match="nested too deeply"):
        literal(deep)


def parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def test_reading_text_with_named_floats_sets_and_complex_numbers():
    assert value_of(parsed("[inf, -inf, (1+2j), {1}, set(), {}]")) == [
        math.inf, -math.inf, 1 + 2j, {1}, set(), {},
    ]  # fmt: skip
    assert math.isnan(value_of(parsed("nan")))


@pytest.mark.parametrize("text", ["f(1)", "x", "[1 + 1]", "__import__('os')", "{[]: 1}"])
def test_expressions_are_refused(text):
    with pytest.raises(NotLiteral):
        value_of(parsed(text))
