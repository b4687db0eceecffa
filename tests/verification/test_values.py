"""The codec: exact round trips, and a decoder that takes nothing but what it should."""

from __future__ import annotations

import collections
import datetime
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouroboros.verification.inside import values

LIMITS = values.Limits(max_bytes=100_000, max_depth=10, max_items=2000)


def unfolded(moment: datetime.datetime) -> datetime.datetime:
    """Without the fold bit, which comparison ignores and the codec drops."""
    return moment.replace(fold=0)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.binary()
    | st.text(st.characters(codec=None)) | st.integers(2**63, 2**80) | st.fractions()
    | st.decimals() | st.dates() | st.datetimes().map(unfolded) | st.timedeltas()
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([-2, 1, 3]))
)  # fmt: skip
hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
plain = st.recursive(
    scalars | hashable,
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner) | st.sets(hashable, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4) | st.builds(bytearray, st.binary())
        | st.builds(collections.deque, st.lists(inner, max_size=4))
    ),
    max_leaves=20,
)  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Equal in type and value all the way down, with nan equal to nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, list | tuple | collections.deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return repr(one) == repr(other) or (isinstance(one, set | frozenset) and one == other)


@given(plain)
@settings(max_examples=300, deadline=None)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert same(values.decode(values.encode(value, LIMITS), LIMITS), value)


@given(plain)
@settings(max_examples=100, deadline=None)
def test_a_cut_or_lengthened_value_is_refused(value: Any) -> None:
    data = values.encode(value, LIMITS)
    for bad in (data[:-1], data + b"N"):
        with pytest.raises(values.Malformed):
            values.decode(bad, LIMITS)


@given(st.binary(max_size=200))
@settings(max_examples=1000, deadline=None)
def test_arbitrary_bytes_give_a_value_or_malformed(data: bytes) -> None:
    try:
        value = values.decode(data, LIMITS)
    except values.Malformed:
        return
    values.canonical(value, data)


@given(plain, st.data())
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_gives_a_value_or_malformed(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(values.encode(value, LIMITS))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] = data.draw(st.integers(0, 255))
    try:
        values.decode(bytes(encoded), LIMITS)
    except values.Malformed:
        return


def test_a_reference_is_refused_where_values_are_expected() -> None:
    call = values.encode(
        [values.Reference("f")], LIMITS, lambda v: v if type(v) is values.Reference else None
    )
    with pytest.raises(values.Malformed, match="reference"):
        values.decode(call, LIMITS)
    assert values.decode(call, LIMITS, str.upper) == ["F"]


def test_the_decoder_believes_no_length() -> None:
    for tag in b"ltSZQGkvsbBID":
        with pytest.raises(values.Malformed):
            values.decode(bytes([tag]) + struct.pack("<I", 0xFFFFFFFF), LIMITS)
        with pytest.raises(values.Malformed):
            values.decode(bytes([tag]) + struct.pack("<I", 1999), LIMITS)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([0] * 2001, "items"),
        ({n: n for n in range(1001)}, "items"),
        ("x" * 100_001, "bytes"),
        ([1 << 900_000], "bytes"),
        (iter(lambda: 0, 1), "items"),
    ],
    ids=range(5),
)
def test_a_value_beyond_a_limit_is_too_large(value: Any, why: str) -> None:
    with pytest.raises(values.TooLarge, match=why):
        values.encode(value, LIMITS)


def test_depth_is_bounded_even_for_a_list_inside_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(values.TooLarge, match="depth"):
        values.encode(loop, LIMITS)


def test_a_subclass_is_its_base_only_if_it_keeps_the_comparison() -> None:
    class Plain(list[int]):
        pass

    class Liar(list[int]):
        def __eq__(self, other: object) -> bool:
            return True

    class Sly(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    assert same(values.decode(values.encode(Plain([1]), LIMITS), LIMITS), [1])
    for liar in (Liar([1]), Sly(1), [Sly(1)], {"a": Liar()}):
        with pytest.raises(values.NotPlain):
            values.encode(liar, LIMITS)


def test_the_canonical_form_ignores_the_order_of_sets_and_dicts_only() -> None:
    def canonical(value: Any) -> bytes:
        return values.canonical(value, values.encode(value, LIMITS))

    assert canonical({"a": 1, "b": {2, 1}}) == canonical({"b": {1, 2}, "a": 1})
    assert canonical({8, 0}) == canonical({0, 8})
    assert canonical([1, 2]) != canonical([2, 1])
    assert canonical([{1: 2}]) != canonical(({1: 2},))
    assert canonical({1 << 20_000}) != canonical({1 << 20_001})
    assert math.isnan(values.decode(values.encode(math.nan, LIMITS), LIMITS))
