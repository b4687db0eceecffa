"""What counts as the same program, and what of a program the critic reads.

Collapsed: layout, comments, docstrings, annotations' layout, quoting, redundant brackets and, for
the identity of a program, the names of a function's own variables. Kept: everything that can
change what a call returns, and every name a caller can see (functions, parameters, globals).
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from ouroboros.static_analysis import parse

TEST_RUNNERS = ("doctest.testmod", "unittest.main")
Function = ast.FunctionDef | ast.AsyncFunctionDef
MEMORY = 1 << 17
"""Programs remembered: collapsing, encoding and further trainings ask for the same ones."""


@functools.lru_cache(MEMORY)
def readable(code: str) -> str:
    """The program as the critic reads it: one layout, no comments, docstrings or demonstrations.

    A demonstration is a top-level `print(...)` or other call by a plain name, and an
    `if __name__ == "__main__"` block: text that tells nothing about what the functions return. (All
    of it is executed.) Code that does not parse is returned as it is, without trailing blanks.
    """
    tree = parse(code)
    if tree is None:
        return _trimmed(code)
    try:
        _drop_docstrings(tree)
        kept = [node for node in tree.body if not _is_demonstration(node)]
        if kept:
            tree.body = kept
        return ast.unparse(tree)
    except (RecursionError, ValueError):
        return _trimmed(code)


@functools.lru_cache(MEMORY)
def identity(code: str) -> str:
    """A text equal for programs that differ only in what this module collapses.

    Names of local variables are replaced by their order of first appearance. Code that does not
    parse is its own identity.
    """
    tree = parse(readable(code))
    if tree is None:
        return _trimmed(code)
    try:
        for function in _outermost_functions(tree):
            _rename_locals(function)
        return ast.unparse(tree)
    except (RecursionError, ValueError):
        return _trimmed(code)


def _trimmed(code: str) -> str:
    lines = [line.rstrip() for line in code.splitlines()]
    return "\n".join(lines).strip("\n")


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | Function | ast.ClassDef):
            # A constant alone on a line does nothing, first (a docstring) or later.
            body = [statement for statement in node.body if not _is_constant(statement)]
            if body or isinstance(node, ast.Module):
                node.body = body
            else:
                node.body = [ast.Pass()]


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_demonstration(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        # `sys.setrecursionlimit(...)` is no demonstration; `print(f(2))`, `main()` are.
        return isinstance(called, ast.Name) or ast.unparse(called) in TEST_RUNNERS
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    )


def _outermost_functions(tree: ast.Module) -> Iterator[Function]:
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, Function):
            yield node
        else:
            pending.extend(ast.iter_child_nodes(node))


def _rename_locals(function: Function) -> None:
    """Rename what a function (with the functions inside it) binds, unless a caller can see it.

    One map for the whole function: merging the scopes of inner functions and comprehensions is
    safe, since a name gets one new name everywhere within.
    """
    nodes = list(ast.walk(function))
    fixed = set()
    for node in nodes:
        if isinstance(node, ast.Global | ast.Nonlocal):
            fixed.update(node.names)
        elif isinstance(node, ast.arg):
            fixed.add(node.arg)
        elif isinstance(node, Function | ast.ClassDef):
            fixed.add(node.name)
        elif isinstance(node, ast.alias):
            fixed.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            fixed.add(node.name)
        elif isinstance(node, ast.MatchAs | ast.MatchStar | ast.MatchMapping):
            return  # names bound by patterns are plain strings; leave such functions alone
        elif isinstance(node, ast.Name) and node.id in ("locals", "vars", "eval", "exec", "dir"):
            return
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    renamed = bound - fixed
    used = {n.id for n in nodes if isinstance(n, ast.Name)} | fixed
    fresh = (f"v{number}" for number in range(len(used) + len(renamed) + 1))
    names: dict[str, str] = {}
    free = (name for name in fresh if name not in used - renamed)
    for node in _in_source_order(function):
        if isinstance(node, ast.Name) and node.id in renamed:
            if node.id not in names:
                names[node.id] = next(free)
            node.id = names[node.id]


def _in_source_order(node: ast.AST) -> Iterator[ast.AST]:
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(list(ast.iter_child_nodes(current))))
