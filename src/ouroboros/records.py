"""The three records that flow through the pipeline: problem, candidate, verdict.

A record is a frozen dataclass; on disk it is one JSON object a line (see `jsonl`). Parsing is
strict: an unknown key, a missing key or a value of another type is an `InputError` that names
file, line and field.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from ouroboros.errors import InputError

TestResult = Literal["pass", "fail", "error"]
Sampling = Literal["greedy", "sample", "mutant", "wrong_prompt"]
VerdictClass = Literal[
    "pass",
    "wrong_answer",
    "runtime_error",
    "syntax_error",
    "timeout",
    "memory_limit",
    "output_limit",
    "unsupported_value",
    "crashed",
    "protocol_violation",
]
VERDICT_CLASSES: tuple[str, ...] = get_args(VerdictClass)
GREEDY_INDEX = -1
"""`sample_index` of the greedy candidate; sampled ones count from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One programming problem with the tests that decide it.

    Either `tests` holds assert statements, each deciding one test, or `check` holds the source of a
    HumanEval check function. `visible_tests` are assert statements the prompt may show: for an
    MBPP-like problem the first of `tests`. `setup_code` runs before the tests (for HumanEval: the
    prompt's own imports and helpers). `extra_tests` are stricter and reported apart: they never
    decide a verdict. `subsets` names the parts of its set on which results are reported too.
    """

    problem_id: str
    prompt_text: str
    entry_point: str
    setup_code: str = ""
    tests: tuple[str, ...] = ()
    check: str | None = None
    visible_tests: tuple[str, ...] = ()
    extra_tests: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()
    reference: str = ""

    def __post_init__(self) -> None:
        if bool(self.tests) == (self.check is not None):
            raise InputError(
                "needs either tests or check, not both and not neither",
                where=f"problem {self.problem_id}",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One program proposed for a problem.

    `completion` is the model's raw text, `code` the program extracted from it (what is executed).
    `sum_logprob` sums the natural-log probabilities of the `num_tokens` generated tokens; null
    where the source gave none. `review_logprob` is the generator's log p(task | program), null
    where it was not asked. The greedy candidate has `sample_index` -1. `sampling` says how it came
    about: a generator's (greedy, sample), or made to learn from (a mutant of a passing program, a
    program under a wrong prompt), with indices above the generator's.
    """

    problem_id: str
    sample_index: int
    code: str
    completion: str = ""
    finish_reason: str = "unknown"
    num_tokens: int = 0
    sum_logprob: float | None = None
    review_logprob: float | None = None
    sampling: Sampling = "sample"

    @property
    def key(self) -> tuple[str, int]:
        return (self.problem_id, self.sample_index)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the hard verifier says of one candidate.

    `tests` and `extra_tests` hold one result per test, in the problem's order. `visible_tests` does
    so for the problem's visible tests. `outputs` and `visible_outputs` hold, per test and per
    visible test, a digest of the values the candidate's calls returned, or null. `verdict` is about
    `tests` (or `check`) alone.
    """

    problem_id: str
    sample_index: int
    verdict: VerdictClass
    tests: tuple[TestResult, ...] = ()
    visible_tests: tuple[TestResult, ...] = ()
    extra_tests: tuple[TestResult, ...] = ()
    error_type: str | None = None
    message: str = ""
    outputs: tuple[str | None, ...] = ()
    visible_outputs: tuple[str | None, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        return (self.problem_id, self.sample_index)

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A candidate with its verdict."""

    candidate: Candidate
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledProblem:
    """A problem with all its attempts, by sample index (the greedy one first): a row of a split."""

    problem: Problem
    attempts: tuple[Attempt, ...]

    @property
    def problem_id(self) -> str:
        return self.problem.problem_id

    @property
    def samples(self) -> tuple[Attempt, ...]:
        """The sampled attempts, without the greedy one and what was made."""
        return tuple(a for a in self.attempts if a.candidate.sampling == "sample")

    @property
    def greedy(self) -> Attempt | None:
        return next((a for a in self.attempts if a.candidate.sampling == "greedy"), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """A problem of train or dev that nearly repeats another, and how alike they are (0 to 1)."""

    problem_id: str
    similarity: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NearDuplicates:
    """A dev, test or transfer problem that nearly repeats problems the critic learns from.

    For dev the neighbours are train problems; for test and transfer, train or dev problems.
    """

    problem_id: str
    split: Literal["dev", "test", "transfer"]
    neighbours: tuple[Neighbour, ...]


Record = TypeVar("Record", Problem, Candidate, Verdict, LabelledProblem, NearDuplicates)


def to_dict(record: Any) -> dict[str, Any]:
    """The record as plain JSON values (tuples as lists)."""
    return {field.name: _plain(getattr(record, field.name)) for field in dataclasses.fields(record)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return value


def from_dict(kind: type[Record], data: object, where: str) -> Record:
    """Parse one JSON object into `kind`.

    Raises:
        InputError: not an object, an unknown or missing field, or a value of another type; the
            message starts with `where` and names the field and what was expected.
    """
    return typing.cast(Record, parse_dataclass(kind, data, where, noun="field"))


def parse_dataclass(kind: type, data: object, where: str, *, noun: str) -> Any:
    """Build the dataclass `kind` from a mapping, strictly. `noun` is what a key is called."""
    if not isinstance(data, dict):
        raise InputError(f"expected an object, found {_name(data)}", where=where)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(str(key) for key in data if key not in fields)
    if unknown:
        raise InputError(
            f"unknown {noun} {unknown[0]!r}", where=where, hint=f"known: {', '.join(fields)}"
        )
    hints = _hints(kind)
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = parse_value(hints[name], data[name], f"{where}: {noun} {name!r}", noun)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"missing {noun} {name!r}", where=where)
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(str(error), where=where) from None


_hints = functools.cache(typing.get_type_hints)  # half of the time it takes to read a record


def parse_value(expected: Any, value: Any, where: str, noun: str = "field") -> Any:
    """Check `value` against a type (scalar, union, Literal, tuple, dict, dataclass); return it.

    Raises:
        InputError: the value is of another type; the message starts with `where`.
    """
    origin = get_origin(expected)
    if origin in (typing.Union, types.UnionType):
        options = get_args(expected)
        if value is None and type(None) in options:
            return None
        rest = [option for option in options if option is not type(None)]
        if len(rest) == 1:
            return parse_value(rest[0], value, where, noun)
        for option in rest:
            try:
                return parse_value(option, value, where, noun)
            except InputError:
                continue
        raise InputError(f"expected {_describe(expected)}, found {_name(value)}", where=where)
    if origin is Literal:
        # bool is an int: 1 must not pass for True, nor True for 1.
        if not any(
            value == option and type(value) is type(option) for option in get_args(expected)
        ):
            raise InputError(f"expected {_describe(expected)}, found {value!r}", where=where)
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"expected a list, found {_name(value)}", where=where)
        item = get_args(expected)[0]
        return tuple(
            parse_value(item, entry, f"{where}[{n}]", noun) for n, entry in enumerate(value)
        )
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"expected a mapping, found {_name(value)}", where=where)
        key_type, item = get_args(expected)
        return {
            parse_value(key_type, key, f"{where} key", noun): parse_value(
                item, entry, f"{where}.{key}", noun
            )
            for key, entry in value.items()
        }
    if dataclasses.is_dataclass(expected):
        return parse_dataclass(typing.cast(type, expected), value, where, noun=noun)
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        raise InputError(f"expected {_describe(expected)}, found {_name(value)}", where=where)
    return value


def _describe(expected: Any) -> str:
    origin = get_origin(expected)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(expected))
    if origin is Literal:
        return "one of " + ", ".join(repr(option) for option in get_args(expected))
    names = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
    if expected is type(None):
        return "null"
    return names.get(expected, getattr(expected, "__name__", str(expected)))


def _name(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def require_unique(keys: Iterable[tuple[object, str]], what: str) -> None:
    """Raise `InputError` on the first key seen twice; `keys` yields (key, where it stands)."""
    seen: dict[object, str] = {}
    for key, where in keys:
        if key in seen:
            raise InputError(f"duplicate {what} {key!r}", where=where, hint=f"first at {seen[key]}")
        seen[key] = where


def require_known_problems(
    candidates: Sequence[tuple[str, str]], problems: Iterable[Problem], source: str
) -> None:
    """Raise `InputError` where a (problem_id, where) names a problem that `source` lacks."""
    known = {problem.problem_id for problem in problems}
    for problem_id, where in candidates:
        if problem_id not in known:
            raise InputError(
                f"unknown problem {problem_id!r}",
                where=where,
                hint=f"{source} holds {len(known)} problems"
                + (f", {min(known)!r} for one" if known else ""),
            )
