"""Faults of a problem list that can be seen without running anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ouroboros.errors import InputError
from ouroboros.records import Problem

_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What is wrong with one field of one problem."""

    problem_id: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.problem_id}: {self.field}: {self.message}"


def find_faults(problems: Sequence[Problem]) -> list[Fault]:
    """Every static fault, in the order of the problems.

    Each of tests, visible tests and extra tests must be one assert that calls the entry point; a
    check must define the function `check`; set-up and reference must parse, and a reference must
    define the entry point; no two problems share an id. (A test that stands twice is no fault: MBPP
    37, 337, 508, 713 and 862 have such.)
    """
    faults = [fault for problem in problems for fault in _faults(problem)]
    seen: set[str] = set()
    for problem in problems:
        if problem.problem_id in seen:
            faults.append(_fault(problem, "problem_id", "another problem has the same id"))
        seen.add(problem.problem_id)
    return faults


def require_sound(problems: Sequence[Problem]) -> None:
    """Raise `InputError` listing the faults (the first ten) if there are any."""
    faults = find_faults(problems)
    if faults:
        lines = [str(fault) for fault in faults[:_SHOWN]]
        if len(faults) > _SHOWN:
            lines.append(f"and {len(faults) - _SHOWN} more")
        raise InputError("unsound problems: " + "\n  ".join(lines))


def _faults(problem: Problem) -> Iterator[Fault]:
    if not problem.prompt_text.strip():
        yield _fault(problem, "prompt_text", "is empty")
    if not problem.entry_point.isidentifier():
        yield _fault(problem, "entry_point", f"{problem.entry_point!r} is not a Python name")
    for field in ("tests", "visible_tests", "extra_tests"):
        for index, test in enumerate(getattr(problem, field)):
            if field == "visible_tests" and test in problem.tests:
                continue  # said once is enough
            if message := _test_fault(test, problem.entry_point):
                yield _fault(problem, f"{field}[{index}]", message)
    for field, defines in (("check", "check"), ("reference", problem.entry_point)):
        source = getattr(problem, field)
        if not source:
            continue
        module = _parse(source)
        if isinstance(module, str):
            yield _fault(problem, field, module)
        elif defines not in _defined(module):
            yield _fault(problem, field, f"does not define {defines!r}")
    setup = _parse(problem.setup_code)
    if isinstance(setup, str):
        yield _fault(problem, "setup_code", setup)


def _fault(problem: Problem, field: str, message: str) -> Fault:
    return Fault(problem_id=problem.problem_id, field=field, message=message)


def _test_fault(test: str, entry_point: str) -> str | None:
    module = _parse(test)
    if isinstance(module, str):
        return module
    if len(module.body) != 1 or not isinstance(module.body[0], ast.Assert):
        return "expected one assert statement"
    called = {
        node.func.id
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return None if entry_point in called else f"does not call {entry_point!r}"


def _parse(source: str) -> ast.Module | str:
    """The parsed source, or what is wrong with it."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"not Python: {error}"


def _defined(module: ast.Module) -> set[str]:
    names = set()
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return names
