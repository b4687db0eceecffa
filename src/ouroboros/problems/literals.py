"""Python values as source text, and back: how arguments and expected values enter a test."""

from __future__ import annotations

import ast
import math
from typing import Any

_LONGEST_DECIMAL_BITS = 8192
"""The interpreter refuses long decimal integers; hexadecimal ones it reads at any length."""


class NotLiteral(ValueError):
    """A value that no literal stands for, or an expression that is none; its argument says so."""


def literal(value: Any) -> str:
    """Source text that evaluates to an equal value of the same types, with built-ins alone.

    Equal values give equal text: a set's elements stand in the order of their own texts.

    Raises:
        NotLiteral: the value is, or holds, something else than None, a number, text, bytes, range,
            list, tuple, set, frozenset or dict of exactly these types; or it is nested too deeply.
    """
    try:
        return _literal(value)
    except RecursionError:
        raise NotLiteral("a value nested too deeply") from None


def _literal(value: Any) -> str:
    kind = type(value)
    if value is None or kind in (bool, str, bytes, range):
        return repr(value)
    if kind is int:
        return repr(value) if value.bit_length() <= _LONGEST_DECIMAL_BITS else hex(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else f"float('{value}')"
    if kind is complex:
        return f"complex({_literal(value.real)}, {_literal(value.imag)})"
    if kind is list:
        return f"[{', '.join(map(_literal, value))}]"
    if kind is tuple:
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    if kind is dict:
        pairs = (f"{_literal(key)}: {_literal(entry)}" for key, entry in value.items())
        return f"{{{', '.join(pairs)}}}"
    if kind in (set, frozenset):
        items = f"{{{', '.join(sorted(map(_literal, value)))}}}" if value else ""
        if kind is frozenset:
            return f"frozenset({items})"
        return items or "set()"
    raise NotLiteral(f"a value of type {kind.__name__}")


def value_of(node: ast.expr) -> Any:
    """The value of a literal in a parsed program, where `inf` and `nan` may stand for the floats.

    Raises:
        NotLiteral: another expression.
    """
    try:
        return ast.literal_eval(_NamedFloats().visit(node))
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise NotLiteral(str(error)) from None


class _NamedFloats(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in ("inf", "nan") else node
