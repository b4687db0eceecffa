"""A task in a user's words, as a problem. Pure functions of text.

The tests a user gives decide a program and stand in the prompt: all of them are visible tests. The
entry point is what they call. Without any test it may be unknown; then it is the empty string, the
generator names the function as it likes, and each program is read as an answer under the name that
it chose itself (`as_read`).
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Sequence
from dataclasses import replace

from ouroboros.errors import InputError
from ouroboros.records import Problem
from ouroboros.static_analysis import parse
from ouroboros.store import digest

UNTESTED = ("assert False, 'no test was given'",)
"""`tests` of a task without tests: a problem must have some. Were they ever run, nothing would
pass."""


def make_problem(task: str, tests: Sequence[str] = (), entry_point: str | None = None) -> Problem:
    """The problem a user states. Its id is a digest of what is asked, so that the same task with
    the same tests is the same problem again.

    Args:
        task: what to write, in words.
        tests: one assert statement each; of equal ones the first counts.
        entry_point: the name that must be defined. Else it is what all tests call, or unknown. A
            prompt that names it nowhere else gets a sentence with it.

    Raises:
        InputError: an empty task, a name that is none, a test that is no assert statement, or tests
            from which the entry point cannot be told; the message names the test.
    """
    asked = list(dict.fromkeys(test.strip() for test in tests))
    for name, text in [("the task", task), *((_place(test), test) for test in asked)]:
        _require_text(name, text)
    if not task.strip():
        raise InputError(
            "the task is empty", hint='say what to write, as "Write a function to ..."'
        )
    if entry_point is not None and (
        not entry_point.isidentifier() or keyword.iskeyword(entry_point)
    ):
        raise InputError(f"{entry_point!r} is not a Python name", where="--entry-point")
    called = [_called_in(test) for test in asked]
    if entry_point is None:
        entry_point = _common(asked, called) if asked else ""
    else:
        _require_mentioned(asked, entry_point)
    prompt = task.strip()
    if entry_point and not asked and not re.search(rf"\b{re.escape(entry_point)}\b", prompt):
        prompt += f"\nThe function must be called {entry_point}."
    return Problem(
        problem_id=f"task/{digest([prompt, asked])[:12]}",
        prompt_text=prompt,
        entry_point=entry_point,
        tests=tuple(asked) or UNTESTED,
        visible_tests=tuple(asked),
    )


def is_tested(problem: Problem) -> bool:
    """Whether there are tests that can decide a program of this problem."""
    return problem.tests != UNTESTED


def as_read(problem: Problem, code: str) -> Problem:
    """The problem as the critic reads it beside `code`: an unknown entry point is the program's
    own."""
    if problem.entry_point:
        return problem
    return replace(problem, entry_point=own_entry_point(code))


def own_entry_point(code: str) -> str:
    """The function a program seems to be about: the last one at the top level that no other one
    calls; else its last function or class, or the empty string where it defines none."""
    tree = parse(code)
    defined = [
        statement
        for statement in (tree.body if tree is not None else ())
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    functions = [s for s in defined if not isinstance(s, ast.ClassDef)] or defined
    if not functions:
        return ""
    helpers = {
        node.id
        for function in functions
        for node in ast.walk(function)
        # A function that calls itself is no helper of its own.
        if isinstance(node, ast.Name) and node.id != function.name
    }
    uncalled = [function.name for function in functions if function.name not in helpers]
    return (uncalled or [functions[-1].name])[-1]


def _place(test: str) -> str:
    return f"--test {test if len(test) <= 80 else test[:77] + '...'!r}"


def _require_text(name: str, text: str) -> None:
    # Bytes of the command line that are not UTF-8 arrive as lone surrogates.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError("is not UTF-8 text", where=name) from None


def _parsed(test: str) -> ast.Assert:
    try:
        body = ast.parse(test).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(f"not Python: {said}", where=_place(test)) from None
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        raise InputError(
            "expected one assert statement", where=_place(test), hint="such as: assert f(2) == 4"
        )
    return body[0]


def _called_in(test: str) -> list[str]:
    """Names a test calls that it does not bind itself and Python does not know, outermost first."""
    nodes = list(ast.walk(_parsed(test)))  # breadth first
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    names = [n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return [
        name for name in dict.fromkeys(names) if name not in bound and not hasattr(builtins, name)
    ]


def _common(tests: Sequence[str], called: Sequence[Sequence[str]]) -> str:
    """The outermost name of the first test that all tests call."""
    for test, names in zip(tests, called, strict=True):
        if not names:
            raise InputError(
                "calls no function that could be the one to write",
                where=_place(test),
                hint="call it by its name, as in: assert f(2) == 4; a function that is to be "
                "called like a built-in one needs --entry-point",
            )
    common = [name for name in called[0] if all(name in names for names in called)]
    if not common:
        listed = "\n  ".join(
            f"{test}: calls {', '.join(names)}" for test, names in zip(tests, called, strict=True)
        )
        raise InputError(
            "the tests call no function in common, and one is written at a time", hint=listed
        )
    return common[0]


def _require_mentioned(tests: Sequence[str], entry_point: str) -> None:
    for test in tests:
        names = {node.id for node in ast.walk(_parsed(test)) if isinstance(node, ast.Name)}
        if entry_point not in names:
            raise InputError(f"does not use {entry_point!r}, the entry point", where=_place(test))
