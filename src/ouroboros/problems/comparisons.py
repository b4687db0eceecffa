"""How EvalPlus compares what a program returned with what its own solution returned, as asserts.

By default `==`, and within a tolerance where the expected value is a float or a flat list or tuple
of floats. For some tasks many answers are right, and EvalPlus 0.3.1 accepts others too; they are
listed here by problem. The text of an assert is all a judge needs: nothing but built-ins is used.
"""

from __future__ import annotations

import math
from typing import Any

from ouroboros.problems.evalplus import Arguments, Entry
from ouroboros.problems.literals import literal
from ouroboros.verification.outputs import NotReturned, Outcome, Returned

FLOAT_TOLERANCE = 1e-6
"""Absolute, where the entry names none and floats are expected."""
RELATIVE_TOLERANCE = 1e-07

_SAME_SET = frozenset(
    f"mbpp/{number}" for number in (2, 7, 111, 140, 232, 249, 579, 769)
)  # fmt: skip
_NOT_NONE = frozenset(f"mbpp/{number}" for number in (737, 787, 794))
"""Whether there is a match, not which one: some programs return a match object, others a bool."""
_ANYTHING = "mbpp/164"
_OR_ZERO = "mbpp/295"
_SURFACE = "mbpp/581"
_DIGITS = "mbpp/558"
_ROOT = "humaneval/32"


class NotComparable(ValueError):
    """No assert can be made of this call. The argument says why."""


def make_assert(entry: Entry, name: str, arguments: Arguments, outcome: Outcome) -> str:
    """An assert that a call of `name` returns what the entry's own solution returned.

    Raises:
        NotComparable: the solution returned nothing that a test can hold.
        NotLiteral: an argument or the value has no literal.
    """
    call = f"{name}({', '.join(map(literal, arguments))})"
    if entry.problem_id in _NOT_NONE:
        return _none_or_not(call, outcome)
    if isinstance(outcome, NotReturned):
        raise NotComparable(_why(outcome))
    if entry.problem_id == _ROOT:
        # Any root will do: sum(c * x**i) must vanish, so the value itself is not looked at.
        return (
            "assert (lambda xs, out: abs(sum(c * math.pow(out, i) for i, c in enumerate(xs))) "
            f"<= {entry.atol!r})({literal(arguments[0])}, {call})"
        )
    want = outcome.value
    text = literal(want)
    if _holds_nan(want):
        raise NotComparable("the solution returned nan, which equals nothing")
    tolerance = entry.atol or (FLOAT_TOLERANCE if _is_floats(want) else 0.0)
    exact = _exact(entry, arguments)
    near = _near(want, tolerance) if tolerance else None
    if near is not None:
        return f"assert (lambda out, want: {exact} or {near})({call}, {text})"
    if exact == "out == want":
        return f"assert {call} == {text}"
    if exact == "set(out) == set(want)":
        return f"assert set({call}) == set({text})"
    return f"assert (lambda out, want: {exact})({call}, {text})"


def _none_or_not(call: str, outcome: Outcome) -> str:
    if isinstance(outcome, Returned):
        expected = outcome.value is not None
    elif outcome.verdict == "unsupported_value":
        expected = True  # a match object
    else:
        raise NotComparable(_why(outcome))
    # The call stands in a comprehension so that the judge leaves the object where it is: it has no
    # value of its own there, but it is not None.
    return f"assert all((out is None or out is False) is {not expected} for out in [{call}])"


def _why(outcome: NotReturned) -> str:
    if not outcome.begun or outcome.verdict == "timeout":
        return "the solution ran out of CPU time"
    if outcome.verdict == "output_limit":
        return "the solution returned a value beyond the verifier's limits"
    return f"the solution returned no value: {outcome.verdict}"


def _exact(entry: Entry, arguments: Arguments) -> str:
    """When `out` is right without any tolerance, given `want`."""
    if entry.problem_id in _SAME_SET:
        return "set(out) == set(want)"
    if entry.problem_id == _ANYTHING:
        return "True"
    if entry.problem_id == _OR_ZERO:
        return "out == want or out == 0"
    try:
        if entry.problem_id == _SURFACE:
            other = _surface_by_perpendicular_height(*arguments)
            return f"out == want or abs(out - {literal(other)}) <= {entry.atol!r}"
        if entry.problem_id == _DIGITS:
            return f"out == want or out == {literal(_digit_distance_padded(*arguments))}"
    except (ValueError, OverflowError):
        pass  # another reading of the task has no answer here: a sign is no digit
    return "out == want"


def _holds_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_nan, [*value.keys(), *value.values()]))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_holds_nan, value))
    return isinstance(value, float | complex) and value != value


def _is_floats(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def _near(want: Any, tolerance: float) -> str | None:
    """When `out` is close enough to `want`; None where the type of `want` knows no closeness.

    The type must be the same, and the bound is `numpy.allclose`'s.
    """
    bound = f"<= {tolerance!r} + {RELATIVE_TOLERANCE!r} * abs"
    # A bound from an infinite value is infinite itself and would let everything pass.
    if type(want) in (int, float, complex):
        if abs(want) == math.inf:
            return None
        return f"type(out) is type(want) and abs(out - want) {bound}(want)"
    if type(want) in (list, tuple) and all(type(e) in (int, float, complex) for e in want):
        item = f"abs(o - e) {bound}(e)"
        if any(abs(e) == math.inf for e in want):
            item = f"(o == e or {item} < float('inf'))"
        return (
            "type(out) is type(want) and len(out) == len(want) and "
            f"all({item} for o, e in zip(out, want))"
        )
    return None


def _surface_by_perpendicular_height(base_edge: float, height: float) -> int:
    """MBPP 581 asks for a pyramid's surface; this reads "height" as that of the apex."""
    slant = math.sqrt((base_edge / 2) ** 2 + height**2)
    return round(base_edge**2 + 2 * base_edge * slant)


def _digit_distance_padded(one: int, other: int) -> int:
    """MBPP 558 with the shorter number filled up with zeros."""
    width = max(len(str(one)), len(str(other)))
    pairs = zip(str(one).zfill(width), str(other).zfill(width), strict=True)
    return sum(abs(int(a) - int(b)) for a, b in pairs)
