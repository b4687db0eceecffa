"""Reading problem files in the forms they are published in.

Three forms, told apart by their keys:

- MBPP (Austin et al. 2021, arXiv 2108.07732): `task_id`, `text` or `prompt`, `code`, `test_list`.
  The full set is JSONL, the sanitized one a single JSON list. Ids become `mbpp/N`.
- HumanEval (Chen et al. 2021, arXiv 2107.03374): `task_id`, `prompt`, `entry_point`,
  `canonical_solution`, `test`. Ids become `humaneval/N`.
- our own: `records.Problem`, one a line, or a CSV file with its fields as columns (`files`). Where
  there is a reference, `entry_point` may be left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError
from ouroboros.problems.examples import visible_asserts
from ouroboros.problems.files import problem_rows
from ouroboros.records import Problem, from_dict, parse_dataclass, require_unique

_OWN_EXTRAS = ("topic",)
"""Keys our own form may have beside the record's, for readers of the file alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mbpp:
    """A row of MBPP, full (`text`, `test_setup_code`) or sanitized (`prompt`, `test_imports`)."""

    task_id: int
    code: str
    test_list: tuple[str, ...]
    text: str | None = None
    prompt: str | None = None
    test_setup_code: str = ""
    test_imports: tuple[str, ...] = ()
    challenge_test_list: tuple[str, ...] = ()
    source_file: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _HumanEval:
    """A row of HumanEval."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


def load_problems(path: Path, visible_tests: int = 1) -> list[Problem]:
    """Read a file of problems: JSONL or one JSON list, gzipped if it ends in .gz, or CSV.

    Args:
        path: the file.
        visible_tests: how many of an MBPP-like problem's tests its prompt may show, from the first.
            A HumanEval problem's visible tests are the examples in its prompt; a problem in our own
            form that lists `visible_tests` keeps them.

    Raises:
        UserError: no such file, or it cannot be read.
        InputError: a row of another form, a field of another type, a duplicate problem, fewer
            tests than `visible_tests`; the message names file, line (or item) and field.
    """
    return parse_problems(problem_rows(path), visible_tests)


def parse_problems(rows: Iterable[tuple[str, Any]], visible_tests: int = 1) -> list[Problem]:
    """As `load_problems`, from (where, object) pairs."""
    placed = [(where, parse_problem(row, where, visible_tests)) for where, row in rows]
    require_unique(((problem.problem_id, where) for where, problem in placed), "problem")
    return [problem for _, problem in placed]


def parse_problem(row: Any, where: str, visible_tests: int = 1) -> Problem:
    """One problem from one row in any of the three forms."""
    if not isinstance(row, dict):
        raise InputError(f"expected an object, found {type(row).__name__}", where=where)
    if "problem_id" in row:
        return _from_own(row, where, visible_tests)
    if "test_list" in row:
        return _from_mbpp(parse_dataclass(_Mbpp, row, where, noun="field"), where, visible_tests)
    if "test" in row or "canonical_solution" in row:
        return _from_humaneval(parse_dataclass(_HumanEval, row, where, noun="field"), where)
    raise InputError(
        "not a problem: none of the fields that tell its form is there",
        where=where,
        hint="MBPP has test_list, HumanEval has test, our own form has problem_id; "
        f"found: {', '.join(map(repr, row)) or 'no fields'}",
    )


def _from_own(row: dict[str, Any], where: str, visible_tests: int) -> Problem:
    fields = {key: value for key, value in row.items() if key not in _OWN_EXTRAS}
    named = {"entry_point": "?", **fields}
    problem = from_dict(Problem, named, where)
    if "entry_point" not in fields:
        fields["entry_point"] = _own_entry_point(problem, where)
        problem = from_dict(Problem, fields, where)
    if problem.check is None and "visible_tests" not in fields:
        visible = _first(problem.tests, visible_tests, f"{where}: field 'tests'")
        return from_dict(Problem, {**fields, "visible_tests": list(visible)}, where)
    return problem


def _own_entry_point(problem: Problem, where: str) -> str:
    if not problem.reference or not problem.tests:
        raise InputError(
            "missing field 'entry_point'",
            where=where,
            hint="it is told from tests and reference where a problem has both",
        )
    return find_entry_point(problem.tests, problem.reference, where)


def _from_mbpp(row: _Mbpp, where: str, visible_tests: int) -> Problem:
    text = row.text if row.text is not None else row.prompt
    if text is None:
        raise InputError("missing field 'text' (or 'prompt')", where=where)
    if not row.test_list:
        raise InputError("field 'test_list': expected at least one assert", where=where)
    tests = tuple(map(_newlines, row.test_list))
    reference = _newlines(row.code)
    return Problem(
        problem_id=f"mbpp/{row.task_id}",
        prompt_text=_newlines(text),
        entry_point=find_entry_point(tests, reference, where, ("test_list", "code")),
        setup_code=_newlines("\n".join([*row.test_imports, row.test_setup_code])).strip("\n"),
        tests=tests,
        visible_tests=_first(tests, visible_tests, f"{where}: field 'test_list'"),
        extra_tests=tuple(map(_newlines, row.challenge_test_list)),
        reference=reference,
    )


def _from_humaneval(row: _HumanEval, where: str) -> Problem:
    if not re.fullmatch(r"[A-Za-z]\w*/\d+", row.task_id):
        raise InputError(
            f"field 'task_id': expected a name and a number such as HumanEval/0, "
            f"found {row.task_id!r}",
            where=where,
        )
    prompt = _newlines(row.prompt)
    reference = prompt + _newlines(row.canonical_solution)
    function = _function(_parse(reference, where, "prompt' and 'canonical_solution"), row, where)
    start = min([function.lineno, *(item.lineno for item in function.decorator_list)])
    return Problem(
        problem_id=row.task_id.lower(),
        prompt_text=prompt,
        entry_point=row.entry_point,
        setup_code="".join(reference.splitlines(keepends=True)[: start - 1]).strip("\n"),
        check=_newlines(row.test),
        visible_tests=visible_asserts(function, reference),
        reference=reference,
    )


def _function(module: ast.Module, row: _HumanEval, where: str) -> ast.FunctionDef:
    for statement in reversed(module.body):
        if isinstance(statement, ast.FunctionDef) and statement.name == row.entry_point:
            return statement
    raise InputError(
        f"field 'entry_point': the prompt defines no function {row.entry_point!r}", where=where
    )


def find_entry_point(
    tests: tuple[str, ...],
    reference: str,
    where: str,
    fields: tuple[str, str] = ("tests", "reference"),
) -> str:
    """The function that every test calls and the reference defines.

    Where several are, a function comes before a class, then the outermost call of the first test.

    Args:
        fields: what the row calls its tests and its reference, for messages.
    """
    in_tests, in_reference = fields
    defined = _defined(_parse(reference, where, in_reference))
    called = [
        _called(_parse(test, where, f"{in_tests}[{index}]")) for index, test in enumerate(tests)
    ]
    common = [name for name in called[0] if name in defined and all(name in c for c in called)]
    common.sort(key=lambda name: defined[name])
    if not common:
        raise InputError(
            "cannot tell the entry point: no function that every test calls is defined by the "
            f"{in_reference}",
            where=where,
            hint=f"called in the first test: {', '.join(called[0]) or 'nothing'}; "
            f"defined by '{in_reference}': {', '.join(defined) or 'nothing'}",
        )
    return common[0]


def _defined(module: ast.Module) -> dict[str, int]:
    """Names defined at the top level, with 0 for a function or variable and 1 for a class."""
    names: dict[str, int] = {}
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            names[statement.name] = 0
        elif isinstance(statement, ast.ClassDef):
            names[statement.name] = 1
        elif isinstance(statement, ast.Assign):
            names.update({t.id: 0 for t in statement.targets if isinstance(t, ast.Name)})
    return names


def _called(module: ast.Module) -> list[str]:
    """Names called anywhere, the outermost call first (ast.walk goes breadth first)."""
    calls = (node.func for node in ast.walk(module) if isinstance(node, ast.Call))
    return list(dict.fromkeys(func.id for func in calls if isinstance(func, ast.Name)))


def _parse(source: str, where: str, field: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"field '{field}': not Python: {error}", where=where) from None


def _first(tests: tuple[str, ...], count: int, where: str) -> tuple[str, ...]:
    if count > len(tests):
        raise InputError(f"visible_tests is {count}, but there are {len(tests)} tests", where=where)
    return tests[:count]


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
