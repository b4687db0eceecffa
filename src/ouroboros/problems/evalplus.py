"""Reading MBPP+ and HumanEval+ (Liu et al. 2023, arXiv 2305.01210): inputs and solutions.

Two forms, told apart by their keys:

- the release files (MbppPlus.jsonl.gz, HumanEvalPlus.jsonl.gz): `task_id`, `prompt`, `entry_point`,
  `canonical_solution`, `base_input`, `plus_input`, `atol`. JSON has no tuples, sets and complex
  numbers; for MBPP+ they are restored by problem, as EvalPlus 0.3.1 does.
- the hub's datasets: the inputs stand as Python text in a test program (`test`).

Expected values are in neither, or not used: see `stricter`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError
from ouroboros.jsonl import read_objects
from ouroboros.problems.formats import find_entry_point
from ouroboros.problems.literals import NotLiteral, value_of
from ouroboros.records import parse_dataclass, require_unique

Arguments = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What EvalPlus has of one problem.

    Attributes:
        problem_id: as in our records, e.g. "mbpp/2".
        entry_point: what EvalPlus calls the function; MBPP's full set may call it otherwise.
        solution: EvalPlus' own program, whole.
        inputs: the arguments of each call, the published tests' own first.
        atol: the absolute tolerance, 0 for exact comparison.
    """

    problem_id: str
    entry_point: str
    solution: str
    inputs: tuple[Arguments, ...]
    atol: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Release:
    """A row of a release file. Inputs are checked apart: they hold anything."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    atol: float
    contract: str = ""
    test: str = ""
    assertion: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _HubMbpp:
    """A row of the hub's MBPP+."""

    task_id: int
    prompt: str
    code: str
    test: str
    test_list: tuple[str, ...]
    test_imports: tuple[str, ...] = ()
    source_file: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _HubHumanEval:
    """A row of the hub's HumanEval+."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


def load_entries(path: Path) -> list[Entry]:
    """Read a file of entries, JSONL, gzipped if it ends in .gz.

    Raises:
        UserError: no such file, or it cannot be read.
        InputError: a row of another form; the message names file, line and field.
    """
    return parse_entries(read_objects(path, infinities=True))


def parse_entries(rows: Iterable[tuple[str, Any]]) -> list[Entry]:
    """As `load_entries`, from (where, object) pairs."""
    placed = [(where, _parse(row, where)) for where, row in rows]
    require_unique(((entry.problem_id, where) for where, entry in placed), "problem")
    return [entry for _, entry in placed]


def _parse(row: Any, where: str) -> Entry:
    if not isinstance(row, dict):
        raise InputError(f"expected an object, found {type(row).__name__}", where=where)
    if "plus_input" in row or "base_input" in row:
        return _from_release(row, where)
    if "test" in row and "code" in row:
        return _from_hub_mbpp(parse_dataclass(_HubMbpp, row, where, noun="field"), where)
    if "test" in row and "canonical_solution" in row:
        hub = parse_dataclass(_HubHumanEval, row, where, noun="field")
        return _from_hub_humaneval(hub, where)
    raise InputError(
        "not a problem of MBPP+ or HumanEval+",
        where=where,
        hint="the release files have plus_input, the hub's datasets have test; "
        f"found: {', '.join(map(repr, row)) or 'no fields'}",
    )


def _from_release(row: dict[str, Any], where: str) -> Entry:
    inputs: list[list[Any]] = []
    for name in ("base_input", "plus_input"):
        if name not in row:
            raise InputError(f"missing field {name!r}", where=where)
        found = row[name]
        # An empty mapping stands for an empty list, in Mbpp/793.
        if not isinstance(found, list) and found != {}:
            raise InputError(f"field {name!r}: expected a list of inputs", where=where)
        for number, entry in enumerate(found):
            if not isinstance(entry, list):
                raise InputError(
                    f"field {name!r}[{number}]: expected the list of a call's arguments, "
                    f"found {type(entry).__name__}",
                    where=where,
                )
            inputs.append(entry)
    rest = {key: value for key, value in row.items() if key not in ("base_input", "plus_input")}
    parsed: _Release = parse_dataclass(_Release, rest, where, noun="field")
    problem_id = _problem_id(parsed.task_id, where)
    restore = _RESTORED.get(problem_id, tuple)
    try:
        restored = tuple(tuple(restore(arguments)) for arguments in inputs)
    except (TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
        raise InputError(
            f"the arguments' types cannot be restored as {problem_id} needs: {error}", where=where
        ) from None
    return Entry(
        problem_id=problem_id,
        entry_point=parsed.entry_point,
        solution=parsed.prompt + parsed.canonical_solution,
        inputs=restored,
        atol=parsed.atol,
    )


def _problem_id(task_id: str, where: str) -> str:
    if not re.fullmatch(r"(Mbpp|HumanEval)/\d+", task_id):
        raise InputError(
            f"field 'task_id': expected Mbpp/N or HumanEval/N, found {task_id!r}", where=where
        )
    return task_id.lower()


def _from_hub_mbpp(row: _HubMbpp, where: str) -> Entry:
    inputs, atol = _test_program(row.test, where)
    return Entry(
        problem_id=f"mbpp/{row.task_id}",
        entry_point=find_entry_point(row.test_list, row.code, where, ("test_list", "code")),
        solution=row.code,
        inputs=inputs,
        atol=atol,
    )


def _from_hub_humaneval(row: _HubHumanEval, where: str) -> Entry:
    inputs, atol = _test_program(row.test, where)
    return Entry(
        problem_id=_problem_id(row.task_id, where),
        entry_point=row.entry_point,
        solution=row.prompt + row.canonical_solution,
        inputs=inputs,
        atol=atol,
    )


def _test_program(source: str, where: str) -> tuple[tuple[Arguments, ...], float]:
    """The inputs and the tolerance in a test program: `inputs = [...]` and the last number that its
    assertion is given or compares with. Nothing of it is run."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"field 'test': not Python: {error}", where=where) from None
    found = [
        node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        and any(isinstance(name, ast.Name) and name.id == "inputs" for name in node.targets)
    ]
    if len(found) != 1:
        raise InputError("field 'test': expected one assignment to inputs", where=where)
    try:
        inputs = value_of(found[0])
    except NotLiteral as error:
        raise InputError(f"field 'test': inputs are not literals: {error}", where=where) from None
    if not isinstance(inputs, list) or not all(isinstance(entry, list | tuple) for entry in inputs):
        raise InputError("field 'test': inputs is not a list of argument lists", where=where)
    return tuple(map(tuple, inputs)), _tolerance(nodes, where)


def _tolerance(nodes: list[ast.AST], where: str) -> float:
    numbers: list[ast.expr] = []
    for node in nodes:
        if not isinstance(node, ast.Call | ast.Assert):
            continue
        if isinstance(node, ast.Assert):
            # find_zero: assert _poly(...) <= 0.0001
            if isinstance(node.test, ast.Compare) and isinstance(node.test.ops[0], ast.LtE):
                numbers += node.test.comparators
        elif isinstance(node.func, ast.Name) and node.func.id == "assertion":
            numbers += node.args[2:]
    found = {node.value for node in numbers if isinstance(node, ast.Constant)}
    if len(found) != 1 or not isinstance(value := found.pop(), int | float):
        raise InputError("field 'test': its tolerance cannot be told", where=where)
    return float(value)


# How the arguments of a call were before they became JSON, by MBPP number. Each function takes the
# list of arguments. The groups are EvalPlus' own (evalplus/data/mbpp.py).


def _each(change: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """Change every item (so that these nest: `_each(_each(tuple))` changes the items' items)."""
    return lambda items: [change(item) for item in items]


def _first(change: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    return lambda arguments: [change(arguments[0]), *arguments[1:]]


def _second(change: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    return lambda arguments: [arguments[0], change(arguments[1]), *arguments[2:]]


def _deep_tuple(value: Any) -> Any:
    return tuple(map(_deep_tuple, value)) if isinstance(value, list) else value


def _set_or_empty(value: Any) -> Any:
    # An empty or other item becomes an empty dict, which is what EvalPlus' `{}` is.
    return set(value) if isinstance(value, list) and value else {}


def _tuple_of_tuples(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(item) for item in value)


def _tuple_with_tuples(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(item) if isinstance(item, list) else item for item in value)


def _dict_of_tuples(value: dict[Any, Any]) -> dict[Any, Any]:
    return {key: tuple(entry) for key, entry in value.items()}


_GROUPS: list[tuple[Callable[[Any], Any], str]] = [
    (
        _each(tuple),
        "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809",
    ),
    (_each(_each(tuple)), "63 64 70 94 120 237 272 299 400 409 417 438 473 614 780"),
    (_first(_each(tuple)), "75 413 444 753"),
    (_second(tuple), "106 750"),
    (_each(_each(_set_or_empty)), "115"),
    (lambda arguments: [float(arguments[0]), complex(arguments[1])], "124"),
    (_first(tuple), "250 307 405 446 617 720 763 808"),
    (_first(complex), "252"),
    (_each(_tuple_of_tuples), "259 401 445"),
    (_each(_tuple_with_tuples), "278"),
    (_each(_deep_tuple), "580 615 791"),
    (_first(_dict_of_tuples), "722"),
]
_RESTORED = {
    f"mbpp/{number}": restore for restore, numbers in _GROUPS for number in numbers.split()
}
