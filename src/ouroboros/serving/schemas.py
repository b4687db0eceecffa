"""What a request's body must be. Pure functions of text.

Parsing is as strict as for records: an unknown field, a missing one or a value of another type is
an `InputError` that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ouroboros.answering.tasks import make_problem
from ouroboros.errors import InputError
from ouroboros.jsonl import parse_json
from ouroboros.records import Problem, parse_dataclass

WHERE = "request"


class UnknownProblem(InputError):
    """A request names a problem that is not served."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of one request.

    Attributes:
        body_bytes: of its body.
        programs: how many it may bring.
        program_characters: of each. (Python 3.11 takes quadratic time over an f-string.)
        tests: how many it may bring.
        test_characters: of each; less than of a program, since the event loop itself parses them.
        text_characters: of the task and of the names.
    """

    body_bytes: int = 1 << 20
    programs: int = 64
    program_characters: int = 16384
    tests: int = 32
    test_characters: int = 2048
    text_characters: int = 16384


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRequest:
    """Programs for a task in words, or for a known problem.

    Attributes:
        programs: Python source, each a whole program; taken as it is.
        task, tests, entry_point: see `answering.tasks.make_problem`. The tests are read by the
            critic and never run. Or else
        problem_id: of a known problem.
    """

    programs: tuple[str, ...]
    task: str | None = None
    tests: tuple[str, ...] = ()
    entry_point: str | None = None
    problem_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RankRequest(ScoreRequest):
    """As `ScoreRequest`; there is no answer where the best program's p_pass is below `min_p`."""

    min_p: float | None = None

    def __post_init__(self) -> None:
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise InputError("expected a number from 0 to 1", where="field 'min_p'")


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyRequest:
    """Programs to run against the tests of a known problem. It has no field for tests: they are
    code, and nobody who can ask may bring code that judges."""

    programs: tuple[str, ...]
    problem_id: str


Request = TypeVar("Request", ScoreRequest, RankRequest, VerifyRequest)


def parse_request(kind: type[Request], body: bytes, limits: Limits) -> Request:
    """Read a body.

    Raises:
        InputError: it is not JSON, not of the form of `kind`, or beyond the limits.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text: {error}", where=WHERE) from None
    request: Request = parse_dataclass(kind, parse_json(text, WHERE), WHERE, noun="field")
    _require_number("programs", request.programs, 1, limits.programs)
    for number, program in enumerate(request.programs):
        _require_length(f"programs[{number}]", program, limits.program_characters)
    if request.problem_id is not None:
        _require_length("problem_id", request.problem_id, limits.text_characters)
    if isinstance(request, ScoreRequest):
        _require_number("tests", request.tests, 0, limits.tests)
        for number, test in enumerate(request.tests):
            _require_length(f"tests[{number}]", test, limits.test_characters)
        for name, words in (("task", request.task), ("entry_point", request.entry_point)):
            _require_length(name, words or "", limits.text_characters)
    return request


def _require_number(name: str, values: tuple[str, ...], least: int, most: int) -> None:
    if not least <= len(values) <= most:
        raise InputError(
            f"expected {least} to {most} of them, found {len(values)}", where=_field(name)
        )


def _require_length(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InputError(
            f"expected at most {most} characters, found {len(text)}", where=_field(name)
        )


def _field(name: str) -> str:
    return f"{WHERE}: field {name!r}"


def problem_asked(request: ScoreRequest, known: Mapping[str, Problem]) -> Problem:
    """The problem that programs are to be scored for.

    Raises:
        UnknownProblem: no such problem among the known ones.
        InputError: neither or both of task and problem, or a task that is none.
    """
    if request.problem_id is not None:
        for name in ("task", "entry_point", "tests"):
            if getattr(request, name):
                raise InputError(
                    "does not go with problem_id: a known problem has its own", where=_field(name)
                )
        return known_problem(request.problem_id, known)
    if request.task is None:
        raise InputError("needs task, or problem_id of a known problem", where=WHERE)
    try:
        return make_problem(request.task, request.tests, request.entry_point)
    except InputError as error:
        raise InputError(_with_fields(str(error)), where=WHERE) from None


def _with_fields(message: str) -> str:
    """A message of `make_problem`, which names options of the command line, with our fields."""
    for option, field in (("--test ", "tests"), ("--entry-point", "entry_point")):
        if message.startswith(option):
            message = f"field {field!r}: {message.removeprefix(option).removeprefix(': ')}"
    message = re.sub(r"^the task (?=is)", "field 'task': ", message)
    return message.replace("needs --entry-point", "needs entry_point")


def known_problem(problem_id: str, known: Mapping[str, Problem]) -> Problem:
    """The problem of this id.

    Raises:
        UnknownProblem: there is none.
    """
    if problem_id not in known:
        raise UnknownProblem(
            f"no problem {problem_id!r} is served here: {_examples(known)}",
            where=_field("problem_id"),
        )
    return known[problem_id]


def _examples(known: Iterable[str]) -> str:
    ids = sorted(known)
    return f"{len(ids)} are, {ids[0]!r} for one" if ids else "none is (no --problems)"
