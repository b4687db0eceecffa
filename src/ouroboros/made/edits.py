"""One edit of a program: what can be edited, and the text after an edit.

An edit sets fields of the syntax tree, is written out and taken back at once, so that a program is
parsed once however many mutants are drawn of it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_SCOPE = Function | ast.ClassDef | ast.Lambda | Comprehension
_BODIES = ("body", "orelse", "finalbody")
# What an edit there would change is no behaviour (annotations), or no longer Python (patterns).
_UNTOUCHED = ("annotation", "returns", "decorator_list", "format_spec", "pattern")
_NO_PART = ast.expr_context | ast.operator | ast.cmpop | ast.boolop | ast.unaryop | ast.alias


@dataclass(frozen=True, slots=True)
class Change:
    """A field of a node set to a value."""

    node: ast.AST
    field: str
    value: object


Edit = tuple[Change, ...]
Place = list[Edit]
"""The edits an operator can make at one place of a program: one of them is made."""


@dataclass(frozen=True, slots=True)
class _Slot:
    parent: ast.AST
    field: str
    index: int | None


class Program:
    """A program that can be edited.

    Args:
        code: as `normalise.readable` writes it: one statement a line (what is bound above what is
            told by lines), no docstrings.

    Attributes:
        nodes: every node an edit may touch, in the order of the source.

    Raises:
        SyntaxError, ValueError: not Python.
        RecursionError: nested too deeply.
    """

    def __init__(self, code: str) -> None:
        self._tree = ast.parse(code)
        self._slots: dict[int, _Slot] = {}
        self._first_lines: dict[int, dict[str, int]] = {}
        self.nodes: list[ast.AST] = []
        self._collect(self._tree)

    def _collect(self, node: ast.AST) -> None:
        self.nodes.append(node)
        for field, value in ast.iter_fields(node):
            if field in _UNTOUCHED:
                continue
            is_list = isinstance(value, list)
            for index, child in enumerate(value if is_list else [value]):
                # Python shares the nodes of operators between places: they have no slot.
                if isinstance(child, ast.AST) and not isinstance(child, _NO_PART):
                    self._slots[id(child)] = _Slot(node, field, index if is_list else None)
                    self._collect(child)

    def uses(self, module: str) -> bool:
        """Whether the program names a module, as in `re.sub`."""
        return any(isinstance(node, ast.Name) and node.id == module for node in self.nodes)

    def parent(self, node: ast.AST) -> ast.AST | None:
        slot = self._slots.get(id(node))
        return slot.parent if slot else None

    def field(self, node: ast.AST) -> str:
        """The name of the parent's field that holds the node."""
        return self._slots[id(node)].field

    def replace(self, node: ast.AST, new: ast.AST) -> Edit:
        """The edit that puts `new` where `node` stands."""
        slot = self._slots[id(node)]
        if slot.index is None:
            return (Change(slot.parent, slot.field, new),)
        items = list(getattr(slot.parent, slot.field))
        items[slot.index] = new
        return (Change(slot.parent, slot.field, items),)

    def blocks(self) -> Iterator[tuple[ast.AST, str, list[ast.stmt]]]:
        """Every list of statements, with the node and the field that hold it."""
        for node in self.nodes:
            for field in _BODIES:
                body = getattr(node, field, None)
                if isinstance(body, list) and body:
                    yield node, field, body

    def code_after(self, edit: Edit) -> str:
        """The program's text with the edit made; the program stays as it was.

        Raises:
            ValueError: the edited tree cannot be written out.
        """
        before = [getattr(change.node, change.field) for change in edit]
        try:
            for change in edit:
                setattr(change.node, change.field, change.value)
            return ast.unparse(self._tree)
        finally:
            for change, value in zip(edit, before, strict=True):
                setattr(change.node, change.field, value)

    def variables(self, node: ast.expr | ast.stmt) -> list[str]:
        """The local variables that have a value at `node`, as far as the text tells, sorted.

        Parameters, what a line above in the same function binds, and what a comprehension or a
        lambda around the node binds. At module level there are none.
        """
        found: set[str] = set()
        child: ast.AST = node
        while (around := self.parent(child)) is not None:
            if isinstance(around, ast.Lambda):
                found.update(_parameters(around.args))
            elif isinstance(around, Comprehension):
                # A generator's own iterable does not see what the generator binds.
                if not (isinstance(child, ast.comprehension) and _within(child.iter, node)):
                    for generator in around.generators:
                        found.update(_stored(generator.target))
            elif isinstance(around, Function):
                if self.field(child) == "body":
                    found.update(_parameters(around.args))
                    lines = self._bound_in(around)
                    found.update(name for name, line in lines.items() if line < node.lineno)
                break
            elif isinstance(around, ast.ClassDef):
                break
            child = around
        return sorted(found)

    def _bound_in(self, function: Function) -> dict[str, int]:
        """The first line on which a function binds each local variable, parameters apart."""
        if id(function) not in self._first_lines:
            lines: dict[str, int] = {}
            pending: list[ast.AST] = list(function.body)
            while pending:
                node = pending.pop()
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
                if not isinstance(node, _SCOPE):
                    pending.extend(ast.iter_child_nodes(node))
            self._first_lines[id(function)] = lines
        return self._first_lines[id(function)]


Operator = Callable[[Program], Iterator[Place]]
"""A mutation operator: the places of a program where it applies."""


def _parameters(arguments: ast.arguments) -> set[str]:
    return {node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)}


def _stored(target: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _within(tree: ast.AST, node: ast.AST) -> bool:
    return any(other is node for other in ast.walk(tree))


def integer(node: ast.AST | None) -> int | None:
    """The value of an integer literal, signed or not; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = integer(node.operand)
        return None if value is None else -value
    # bool is an int to Python, not to a reader.
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None


def number(value: int) -> ast.expr:
    """The literal of an integer."""
    if value < 0:
        return ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=-value))
    return ast.Constant(value=value)


def shifted(node: ast.expr, by: int) -> ast.expr:
    """`node + by` as a programmer would write it: `n + 1` less one is `n`, 3 and one is 4."""
    value = integer(node)
    if value is not None:
        return number(value + by)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        term = integer(node.right)
        if term is not None:
            total = by + (term if isinstance(node.op, ast.Add) else -term)
            return _plus(node.left, total) if total else node.left
    return _plus(node, by)


def _plus(left: ast.expr, term: int) -> ast.expr:
    operator: ast.operator = ast.Add() if term > 0 else ast.Sub()
    return ast.BinOp(left=left, op=operator, right=ast.Constant(value=abs(term)))


def call_name(node: ast.AST | None) -> str:
    """The name by which a call calls: `range` of `range(3)`; "" where it is no plain name."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return ""


def same(first: ast.AST, second: ast.AST) -> bool:
    return ast.dump(first) == ast.dump(second)
