"""Stand-ins: the judge's side of objects that live in the candidate's process.

Calling one, or asking for an attribute, goes to the candidate; a plain value comes back as itself.
Nothing else about the object is known here, so nothing else is answered: comparing it, testing its
truth, iterating over it is an `unsupported_value`, never the candidate's own idea of equality.
"""

from __future__ import annotations

import builtins
from typing import Any, NoReturn, Protocol

from ..inside import values
from ..inside.runner import SENDING_LIMITS
from .session import Ended, Failure, Session, answer_of


class Digests(Protocol):
    def add(self, value: Any, data: bytes) -> None: ...


def raised(failure: Failure) -> Failure:
    """The failure as an exception a problem's own `except ValueError` can catch.

    Only where the class is a built-in one by name: the candidate's own classes do not exist here.
    """
    kind = getattr(builtins, failure.error_type or "", None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(
        kind, AssertionError | UnicodeError
    ):
        return failure
    try:
        error: Failure = type(kind.__name__, (Failure, kind), {})(
            failure.verdict, failure.error_type, failure.message
        )
    except TypeError:  # a class that cannot be made of these arguments
        return failure
    return error


class Caller:
    """Makes the calls of one candidate.

    `ended` is set once no more can be made, `refused` when an answer was something else than a
    plain value or an exception: a test that swallows such an error has not passed.
    """

    def __init__(self, session: Session, limits: values.Limits) -> None:
        self._session = session
        self._limits = limits
        self.ended: Ended | None = None
        self.refused: Failure | None = None
        self.digests: Digests | None = None

    def name(self, name: str) -> StandIn:
        return StandIn(self, name)

    def call(self, target: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        return self._perform(("call", values.Reference(target), arguments, keywords))

    def attribute(self, target: str, name: str) -> Any:
        return self._perform(("attribute", values.Reference(target), name))

    def _perform(self, call: tuple[Any, ...]) -> Any:
        if self.ended is not None:
            raise self.ended
        encoded = values.encode(call, SENDING_LIMITS, _reference)
        try:
            self._session.send(b"C", values.encode((encoded,), SENDING_LIMITS))
            kind, body = self._session.receive()
        except Ended as ended:
            self.ended = ended
            raise
        if kind == b"H":
            return self._kept(body)
        try:
            value, data = answer_of(kind, body, self._limits)
        except Failure as failure:
            if failure.verdict not in ("runtime_error", "memory_limit"):
                self.refuse(failure)
            raise raised(failure) from None
        if self.digests is not None and call[0] == "call":
            self.digests.add(value, data)
        return value

    def refuse(self, failure: Failure) -> NoReturn:
        self.refused = self.refused or failure
        raise failure

    def _kept(self, body: bytes) -> StandIn:
        try:
            found = values.decode(body, SENDING_LIMITS)
            number, _ = found
        except (values.Malformed, TypeError, ValueError):
            number = None
        if type(number) is not int or number < 0:
            self.refuse(Failure("protocol_violation", None, "a malformed answer"))
        return StandIn(self, f"#{number}")


def _reference(value: Any) -> values.Reference | None:
    kind = type(value)
    if kind is values.Reference:
        return value
    if kind is StandIn:
        return values.Reference(object.__getattribute__(value, "_name"))
    return None


def _refuse(self: StandIn, *arguments: object) -> NoReturn:
    caller: Caller = object.__getattribute__(self, "_caller")
    caller.refuse(Failure("unsupported_value", None, "an object of the candidate's own class"))


class StandIn:
    """An object in the candidate's process, by its global name or its kept number."""

    __slots__ = ("_caller", "_name")

    def __init__(self, caller: Caller, name: str) -> None:
        object.__setattr__(self, "_caller", caller)
        object.__setattr__(self, "_name", name)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        caller: Caller = object.__getattribute__(self, "_caller")
        return caller.call(object.__getattribute__(self, "_name"), arguments, keywords)

    def __getattr__(self, name: str) -> Any:
        caller: Caller = object.__getattribute__(self, "_caller")
        return caller.attribute(object.__getattribute__(self, "_name"), name)

    __hash__ = None  # type: ignore[assignment]


_REFUSED = """
eq ne lt le gt ge bool len iter next contains getitem setitem delitem add radd sub rsub mul rmul
truediv rtruediv floordiv rfloordiv mod rmod pow rpow and rand or ror xor rxor neg pos abs invert
int float index complex round str repr format bytes hash reversed enter exit
"""
for _operation in _REFUSED.split():
    setattr(StandIn, f"__{_operation}__", _refuse)
