"""When are two programs the same program? Equal up to layout, comments, docstrings, local names."""

from __future__ import annotations

import ast
import dis
import hashlib
import marshal
import types
import warnings
from typing import Any

_NOT_A_PROGRAM = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_KEYWORD_CALLS = {dis.opmap["KW_NAMES"], dis.opmap["CALL_FUNCTION_EX"]}
_LOOKS_AT_NAMES = {"locals", "vars", "dir", "eval", "exec", "inspect", "__code__", "sys"}


def normal_form(code: str) -> bytes:
    """A digest equal for programs that differ only in layout, comments, docstrings and the names
    of local variables and parameters.

    The syntax tree is compared in compiled form: the compiler already replaces locals by numbers
    and drops the layout, and is several times faster than comparing trees in Python. Nothing is
    run. A text that does not compile is its own normal form (stripped), so only equal texts match.
    In a program that passes keyword arguments or looks at its own variables, names count.
    """
    try:
        return hashlib.sha256(_compiled(code)).digest()
    except _NOT_A_PROGRAM:
        return hashlib.sha256(code.strip().encode("utf-8", "surrogatepass")).digest()


def _compiled(code: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(code)
        _drop_docstrings_and_lines(tree)
        compiled = compile(tree, "", "exec", dont_inherit=True, optimize=0)
    return marshal.dumps(_essence(compiled, names=_names_matter(compiled)))


def _drop_docstrings_and_lines(tree: ast.Module) -> None:
    """Put everything on line 1: the compiler keeps empty instructions to mark lines."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _DOCUMENTED):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body[0] = ast.Pass(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)
        values = node.__dict__
        if "lineno" in values:
            values["lineno"] = values["end_lineno"] = 1
            values["col_offset"] = values["end_col_offset"] = 0
        for value in values.values():
            if type(value) is list:
                pending.extend([item for item in value if isinstance(item, ast.AST)])
            elif isinstance(value, ast.AST):
                pending.append(value)


def _names_matter(code: types.CodeType) -> bool:
    return (
        not _KEYWORD_CALLS.isdisjoint(code.co_code[::2])
        or not _LOOKS_AT_NAMES.isdisjoint(code.co_names)
        or any(_names_matter(item) for item in code.co_consts if isinstance(item, types.CodeType))
    )


def _essence(code: types.CodeType, *, names: bool) -> Any:
    """What decides a code object's behaviour: no positions, and names of locals only on request."""
    constants = tuple(
        _essence(item, names=names) if isinstance(item, types.CodeType) else _typed(item)
        for item in code.co_consts
    )
    variables = (code.co_varnames, code.co_cellvars, code.co_freevars)
    return (
        code.co_code,
        code.co_names,
        constants,
        code.co_exceptiontable,
        code.co_flags,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        variables if names else tuple(map(len, variables)),
    )


def _typed(value: object) -> tuple[str, str]:
    """repr keeps 1, 1.0 and True, 0.0 and -0.0 apart; sets of constants are sorted."""
    if isinstance(value, frozenset):
        return ("frozenset", repr(sorted(map(_typed, value))))
    return (type(value).__name__, repr(value))
