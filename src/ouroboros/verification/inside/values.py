"""Plain Python values as bytes, and back, strictly and within bounds.

This is the only form in which anything crosses between the judge and a candidate. Whatever a
candidate sends is decoded here, so the decoder builds nothing but exact built-in types (and a few
standard-library value types), never runs code it was sent, and stops at fixed bounds.

What `encode` accepts, and what the judge sees of it:

- None, bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range,
  Ellipsis, and the built-in types themselves (`int`, `list`, ...): as they are;
- a subclass of one of those that keeps its `==` (defaultdict, a namedtuple, an IntEnum), and
  Counter and OrderedDict: as the built-in type, to which it compares equal;
- Decimal, Fraction, date, naive datetime, timedelta, deque: as they are;
- dict views: as a view with the same contents; iterators (generators, map, zip, ...): run to their
  end by the sender, seen as an iterator over the same items.

Anything else is not a plain value (`NotPlain`).
"""

from __future__ import annotations

import collections
import importlib
import re
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Limits(NamedTuple):
    """Bounds of one encoded value: total bytes, nesting depth, total elements in containers."""

    max_bytes: int
    max_depth: int
    max_items: int


class NotPlain(Exception):
    """A value of a type that has no encoding. The argument is the type's name."""


class TooLarge(Exception):
    """A value beyond the limits. The argument says which one."""


class Malformed(Exception):
    """Bytes that are not an encoded value within the limits."""


class Reference:
    """Stands for an object on the candidate's side: a global name, or "#" and a kept number."""

    def __init__(self, name: str) -> None:
        self.name = name


class Literal:
    """Stands for the value of a literal expression, which the candidate's side evaluates itself.

    For sets in arguments: their order depends on how they were built, and programs see it.
    """

    def __init__(self, source: str) -> None:
        self.source = source


NAMED_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range,
        object, type, type(None),
    )
}  # fmt: skip
_TYPE_NAMES = {kind: name for name, kind in NAMED_TYPES.items()}


def _known(module: str, name: str) -> Any:
    """A class of the standard library, or None where its module was never imported.

    A value of the class cannot exist before; and a process that candidates are forked from is the
    cheaper to fork the less it has imported.
    """
    return getattr(sys.modules.get(module), name, None)


_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_C128 = struct.Struct("<dd")

_SEQUENCES: tuple[tuple[type, bytes], ...] = (
    (list, b"l"), (tuple, b"t"), (set, b"S"), (frozenset, b"Z"), (collections.deque, b"Q"),
)  # fmt: skip
_SEQUENCE_TAGS = dict(_SEQUENCES)
_NOTHING: dict[Any, Any] = {}
_KEYS, _VALUES, _ITEMS = type(_NOTHING.keys()), type(_NOTHING.values()), type(_NOTHING.items())
_ODD_DICTS = (collections.OrderedDict, collections.Counter)
_DECIMAL = re.compile(r"-?(\d+(\.\d+)?(E[+-]?\d+)?|Infinity|s?NaN\d*)", re.ASCII)


class _Encoder:
    def __init__(
        self, limits: Limits, reference: Callable[[Any], Reference | Literal | None] | None
    ) -> None:
        self.parts: list[bytes] = []
        self.limits = limits
        self.items = 0
        self.size = 0
        self.reference = reference

    def add(self, value: Any, depth: int) -> None:
        append = self.parts.append
        kind = type(value)
        if kind is int:
            if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
                append(b"i" + _I64.pack(value))
            else:
                self.add_big(value)
        elif kind is str:
            self.add_bytes(b"s", value.encode("utf-8", "surrogatepass"))
        elif value is None:
            append(b"N")
        elif value is True:
            append(b"T")
        elif value is False:
            append(b"F")
        elif kind is float:
            append(b"f" + _F64.pack(value))
        elif kind in _SEQUENCE_TAGS:
            self.add_sequence(_SEQUENCE_TAGS[kind], value, len(value), depth)
        elif kind is dict:
            self.add_pairs(b"d", value.items(), len(value), depth)
        else:
            self.add_other(value, kind, depth)

    def add_big(self, value: int) -> None:
        length = int.bit_length(value) // 8 + 1
        if length > self.limits.max_bytes:
            raise TooLarge("bytes")
        self.add_bytes(b"I", int.to_bytes(value, length, "little", signed=True))

    def add_bytes(self, tag: bytes, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.limits.max_bytes:
            raise TooLarge("bytes")
        self.parts.append(tag + _U32.pack(len(data)))
        self.parts.append(data)

    def count(self, number: int, depth: int) -> None:
        self.items += number
        if self.items > self.limits.max_items:
            raise TooLarge("items")
        if depth >= self.limits.max_depth:
            raise TooLarge("depth")

    def add_sequence(self, tag: bytes, values: Iterable[Any], length: int, depth: int) -> None:
        self.count(length, depth)
        self.parts.append(tag + _U32.pack(length))
        for value in values:
            self.add(value, depth + 1)

    def add_pairs(self, tag: bytes, pairs: Iterable[Any], length: int, depth: int) -> None:
        self.count(2 * length, depth)
        self.parts.append(tag + _U32.pack(length))
        for key, value in pairs:
            self.add(key, depth + 1)
            self.add(value, depth + 1)

    def add_other(self, value: Any, kind: type, depth: int) -> None:
        if self.reference is not None:
            known = self.reference(value)
            if known is not None:
                tag, text = (
                    (b"x", known.name) if isinstance(known, Reference) else (b"e", known.source)
                )
                self.add_bytes(tag, text.encode("utf-8", "surrogatepass"))
                return
        if self.add_scalar(value, kind) or self.add_view(value, kind, depth):
            return
        equality = kind.__eq__
        for base, tag in _SEQUENCES:
            if isinstance(value, base) and equality is base.__eq__:
                iterate: Any = base.__iter__  # type: ignore[attr-defined]
                length = base.__len__(value)  # type: ignore[attr-defined]
                self.add_sequence(tag, iterate(value), length, depth)
                return
        if isinstance(value, dict) and (equality is dict.__eq__ or kind in _ODD_DICTS):
            self.add_pairs(b"d", dict.items(value), dict.__len__(value), depth)
        elif hasattr(kind, "__next__") and equality is object.__eq__:
            # One item past the limit is enough to know: an endless generator must not fill memory.
            items: list[Any] = []
            for item in value:
                items.append(item)
                if len(items) > self.limits.max_items:
                    raise TooLarge("items")
            self.add_sequence(b"G", items, len(items), depth)
        else:
            raise NotPlain(kind.__name__)

    def add_scalar(self, value: Any, kind: type) -> bool:
        append = self.parts.append
        equality = kind.__eq__
        if isinstance(value, int) and equality is int.__eq__:
            self.add(int.__pos__(value), 0)
        elif isinstance(value, str) and equality is str.__eq__:
            self.add_bytes(b"s", str.encode(value, "utf-8", "surrogatepass"))
        elif isinstance(value, float) and equality is float.__eq__:
            append(b"f" + _F64.pack(float.__pos__(value)))
        elif kind is complex:
            append(b"c" + _C128.pack(value.real, value.imag))
        elif isinstance(value, bytes) and equality is bytes.__eq__:
            self.add_bytes(b"b", bytes.__getitem__(value, slice(None)))
        elif kind is bytearray:
            self.add_bytes(b"B", bytes(value))
        elif kind is range:
            append(b"r")
            for part in (value.start, value.stop, value.step):
                self.add(part, 0)
        elif value is Ellipsis:
            append(b"E")
        elif kind is type and value in _TYPE_NAMES:
            self.add_bytes(b"y", _TYPE_NAMES[value].encode())
        else:
            return self.add_number_or_moment(value, kind)
        return True

    def add_number_or_moment(self, value: Any, kind: type) -> bool:
        if kind is _known("decimal", "Decimal"):
            self.add_bytes(b"D", str(value).encode())
        elif kind is _known("fractions", "Fraction"):
            self.parts.append(b"R")
            self.add(value.numerator, 0)
            self.add(value.denominator, 0)
        elif kind is _known("datetime", "datetime") and value.tzinfo is None:
            stamp = (value.year, value.month, value.day, value.hour, value.minute, value.second)
            self.add_sequence(b"m", (*stamp, value.microsecond), 7, 0)
        elif kind is _known("datetime", "date"):
            self.add_sequence(b"m", (value.year, value.month, value.day), 3, 0)
        elif kind is _known("datetime", "timedelta"):
            self.add_sequence(b"m", (value.days, value.seconds), 2, 0)
            self.add(value.microseconds, 0)
        else:
            return False
        return True

    def add_view(self, value: Any, kind: type, depth: int) -> bool:
        if kind is _KEYS:
            self.add_sequence(b"k", value, len(value), depth)
        elif kind is _VALUES:
            self.add_sequence(b"v", value, len(value), depth)
        elif kind is _ITEMS:
            self.add_pairs(b"p", value, len(value), depth)
        else:
            return False
        return True


def encode(
    value: Any, limits: Limits, reference: Callable[[Any], Reference | Literal | None] | None = None
) -> bytes:
    """Encode a plain value.

    Args:
        reference: called with each value of another type; returns the reference or the literal to
            send in its place, or None if it has none.

    Raises:
        NotPlain: a value of a type without an encoding.
        TooLarge: beyond the limits ("bytes", "items" or "depth").
    """
    encoder = _Encoder(limits, reference)
    encoder.add(value, 0)
    data = b"".join(encoder.parts)
    if len(data) > limits.max_bytes:
        raise TooLarge("bytes")
    return data


class _Decoder:
    def __init__(self, data: bytes, limits: Limits, resolve: Callable[[str], Any] | None) -> None:
        self.data = data
        self.position = 0
        self.items = 0
        self.limits = limits
        self.resolve = resolve

    def take(self, count: int) -> bytes:
        start = self.position
        end = start + count
        if end > len(self.data):
            raise Malformed("cut short")
        self.position = end
        return self.data[start:end]

    def text(self) -> bytes:
        return self.take(_U32.unpack(self.take(4))[0])

    def length(self, depth: int, per: int = 1) -> int:
        count: int = _U32.unpack(self.take(4))[0]
        self.items += per * count
        if self.items > self.limits.max_items:
            raise Malformed("too many items")
        if depth >= self.limits.max_depth:
            raise Malformed("too deep")
        return count

    def integer(self) -> int:
        value = self.value(0)
        if type(value) is not int:
            raise Malformed("expected an integer")
        return value

    def value(self, depth: int) -> Any:
        tag = self.take(1)
        if tag == b"i":
            return _I64.unpack(self.take(8))[0]
        if tag == b"s":
            return self.text().decode("utf-8", "surrogatepass")
        if tag == b"l":
            return [self.value(depth + 1) for _ in range(self.length(depth))]
        if tag == b"t":
            return tuple([self.value(depth + 1) for _ in range(self.length(depth))])
        if tag == b"N":
            return None
        if tag == b"T":
            return True
        if tag == b"F":
            return False
        if tag == b"f":
            return _F64.unpack(self.take(8))[0]
        if tag == b"d":
            return self.pairs(depth)
        read = _READERS.get(tag)
        if read is None:
            raise Malformed("unknown tag")
        return read(self, depth)

    def sequence(self, depth: int) -> list[Any]:
        return [self.value(depth + 1) for _ in range(self.length(depth))]

    def pairs(self, depth: int) -> dict[Any, Any]:
        count = self.length(depth, per=2)
        found = {}
        for _ in range(count):
            key = self.value(depth + 1)
            found[key] = self.value(depth + 1)
        if len(found) != count:
            raise Malformed("a key stands twice")
        return found

    def distinct(self, depth: int) -> set[Any]:
        items = self.sequence(depth)
        found = set(items)
        if len(found) != len(items):
            raise Malformed("an element stands twice")
        return found

    def big(self, depth: int) -> int:
        return int.from_bytes(self.text(), "little", signed=True)

    def span(self, depth: int) -> range:
        return range(self.integer(), self.integer(), self.integer())

    def named_type(self, depth: int) -> type:
        return NAMED_TYPES[self.text().decode("ascii")]

    def decimal(self, depth: int) -> Any:
        text = self.text().decode("ascii")
        if not _DECIMAL.fullmatch(text):
            raise Malformed("not a decimal")
        return importlib.import_module("decimal").Decimal(text)

    def fraction(self, depth: int) -> Any:
        return importlib.import_module("fractions").Fraction(self.integer(), self.integer())

    def moment(self, depth: int) -> Any:
        parts = [self.integer() for _ in range(self.length(0))]
        datetime = importlib.import_module("datetime")
        if len(parts) == 7:
            return datetime.datetime(*parts)
        if len(parts) == 3:
            return datetime.date(*parts)
        if len(parts) == 2:
            return datetime.timedelta(parts[0], parts[1], self.integer())
        raise Malformed("not a date")

    def refer(self, depth: int) -> Any:
        if self.resolve is None:
            raise Malformed("a reference where a value must stand")
        return self.resolve(self.text().decode("utf-8", "surrogatepass"))

    def literal(self, depth: int) -> Any:
        if self.resolve is None:
            raise Malformed("an expression where a value must stand")
        # Only the judge's calls are decoded with `resolve`: this is its text, not a candidate's.
        return eval(self.text().decode("utf-8", "surrogatepass"), {"__builtins__": {}})


_READERS: dict[bytes, Callable[[_Decoder, int], Any]] = {
    b"I": _Decoder.big,
    b"c": lambda decoder, depth: complex(*_C128.unpack(decoder.take(16))),
    b"b": lambda decoder, depth: decoder.text(),
    b"B": lambda decoder, depth: bytearray(decoder.text()),
    b"S": _Decoder.distinct,
    b"Z": lambda decoder, depth: frozenset(decoder.distinct(depth)),
    b"Q": lambda decoder, depth: collections.deque(decoder.sequence(depth)),
    b"G": lambda decoder, depth: iter(decoder.sequence(depth)),
    b"k": lambda decoder, depth: dict.fromkeys(decoder.sequence(depth)).keys(),
    b"v": lambda decoder, depth: dict(enumerate(decoder.sequence(depth))).values(),
    b"p": lambda decoder, depth: decoder.pairs(depth).items(),
    b"r": _Decoder.span,
    b"E": lambda decoder, depth: Ellipsis,
    b"y": _Decoder.named_type,
    b"D": _Decoder.decimal,
    b"R": _Decoder.fraction,
    b"m": _Decoder.moment,
    b"x": _Decoder.refer,
    b"e": _Decoder.literal,
}


def decode(data: bytes, limits: Limits, resolve: Callable[[str], Any] | None = None) -> Any:
    """Decode one value that `encode` wrote; every byte must belong to it.

    Args:
        resolve: gives the object behind a reference (what it raises is passed on); without it
            references are refused.

    Raises:
        Malformed: anything else than a well-formed value within the limits.
    """
    if len(data) > limits.max_bytes:
        raise Malformed("too many bytes")
    decoder = _Decoder(data, limits, resolve)
    try:
        value = decoder.value(0)
    except Malformed:
        raise
    except Exception as error:  # whatever a constructor says of bad parts
        if resolve is not None or isinstance(error, MemoryError):
            raise
        raise Malformed(type(error).__name__) from None
    if decoder.position != len(data):
        raise Malformed("bytes left over")
    return value


def canonical(value: Any, data: bytes) -> bytes:
    """Bytes that are equal for values that hold the same, in whatever order sets and dicts do.

    `data` is the value's own encoding, which already serves where no set or dict is in it. A float
    keeps its type: 1.0 and 1 differ here though they compare equal.
    """
    if not any(tag in data for tag in (b"d", b"S", b"Z", b"k", b"p")):
        return data
    return _canonical(value)


def _canonical(value: Any) -> bytes:
    kind = type(value)
    if kind in (set, frozenset, _KEYS, _ITEMS):
        parts = sorted(_canonical(item) for item in value)
    elif kind is dict:
        parts = sorted(_canonical(key) + _canonical(entry) for key, entry in value.items())
    elif kind in (list, tuple, collections.deque, _VALUES):
        parts = [_canonical(item) for item in value]
    else:
        # Hexadecimal: the decimal form of a long integer is refused by the interpreter.
        text = hex(value) if kind is int else "" if hasattr(kind, "__next__") else repr(value)
        parts = [text.encode("utf-8", "surrogatepass")]
    body = b"".join(_U32.pack(len(part)) + part for part in parts)
    return kind.__name__.encode() + b"(" + body + b")"
