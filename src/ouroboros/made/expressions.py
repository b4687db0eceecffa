"""Mutation operators on values: comparisons, arithmetic, bounds, literals, variables.

Each yields the places where it applies; what it changes is said in its docstring. An integer
belongs to one operator only (range, slice, index, initial value, or else off by one).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ouroboros.made.edits import (
    Change,
    Edit,
    Place,
    Program,
    call_name,
    integer,
    number,
    same,
    shifted,
)

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr, ast.BitXor),
    ast.BitOr: (ast.BitAnd, ast.BitXor),
    ast.BitXor: (ast.BitAnd, ast.BitOr),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_DIVISIONS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Div: (ast.FloorDiv,),
    ast.FloorDiv: (ast.Div,),
}
_ORDERED = ast.Sub | ast.Div | ast.FloorDiv | ast.Mod | ast.Pow
_TEXTS = {"": " ", " ": ""}


def comparison(program: Program) -> Iterator[Place]:
    """`<` becomes `<=` or `>`, `==` becomes `!=`, `in` becomes `not in`, and so on."""
    for node in program.nodes:
        if isinstance(node, ast.Compare):
            for index, operator in enumerate(node.ops):
                yield [
                    (Change(node, "ops", [*node.ops[:index], other(), *node.ops[index + 1 :]]),)
                    for other in _COMPARISONS[type(operator)]
                ]


def arithmetic(program: Program) -> Iterator[Place]:
    """`+` becomes `-` or `*`, `%` becomes `//`, `&` becomes `|`; a minus before a value goes.

    Not on text and lists, where it could only raise.
    """
    yield from _swapped(program, _ARITHMETIC)
    for node in program.nodes:
        if not (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)):
            continue
        if integer(node) is None:
            yield [program.replace(node, node.operand)]


def division(program: Program) -> Iterator[Place]:
    """`/` becomes `//` and the other way round."""
    yield from _swapped(program, _DIVISIONS)


def _swapped(
    program: Program, table: dict[type[ast.operator], tuple[type[ast.operator], ...]]
) -> Iterator[Place]:
    for node in program.nodes:
        if isinstance(node, ast.BinOp):
            operands = [node.left, node.right]
        elif isinstance(node, ast.AugAssign):
            operands = [node.value]
        else:
            continue
        if type(node.op) in table and not any(_is_sequence(operand) for operand in operands):
            yield [(Change(node, "op", other()),) for other in table[type(node.op)]]


def _is_sequence(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | bytes)
    if call_name(node) in ("str", "list", "tuple", "chr"):
        return True
    if isinstance(node, ast.BinOp):
        return _is_sequence(node.left) or _is_sequence(node.right)
    return isinstance(node, ast.List | ast.Tuple | ast.ListComp | ast.JoinedStr)


def swap_operands(program: Program) -> Iterator[Place]:
    """`a - b` becomes `b - a`; also `/`, `//`, `%` and `**`."""
    for node in program.nodes:
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, _ORDERED)):
            continue
        if not same(node.left, node.right) and not _is_sequence(node.left):
            yield [(Change(node, "left", node.right), Change(node, "right", node.left))]


def drop_operand(program: Program) -> Iterator[Place]:
    """A forgotten term: `a + b` becomes `a` or `b`, `a % b` becomes `a`."""
    for node in program.nodes:
        if isinstance(node, ast.BinOp):
            kept = [node.left] if isinstance(node.op, _ORDERED) else [node.left, node.right]
            yield [program.replace(node, operand) for operand in kept]


def off_by_one(program: Program) -> Iterator[Place]:
    """An integer becomes one more or one less."""
    initial = {id(value) for value, _ in _initial_values(program)}
    for node in program.nodes:
        value = integer(node)
        parent = program.parent(node)
        if value is None or id(node) in initial or integer(parent) is not None:
            continue
        if call_name(parent) == "range" or isinstance(parent, ast.Slice):
            continue
        if not (isinstance(parent, ast.Subscript) and program.field(node) == "slice"):
            yield [program.replace(node, number(value + by)) for by in (1, -1)]


def range_bounds(program: Program) -> Iterator[Place]:
    """A bound of `range` moves by one; a start is added, a step is dropped."""
    for node in program.nodes:
        if not isinstance(node, ast.Call) or call_name(node) != "range":
            continue
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            continue
        for argument in node.args[:2]:
            yield [program.replace(argument, shifted(argument, by)) for by in (1, -1)]
        if len(node.args) == 1:
            yield [(Change(node, "args", [number(1), node.args[0]]),)]
        if len(node.args) == 3:
            yield [(Change(node, "args", node.args[:2]),)]


def slice_bounds(program: Program) -> Iterator[Place]:
    """A bound of a slice moves by one, is dropped or is added; a step is dropped."""
    for node in program.nodes:
        if not isinstance(node, ast.Slice):
            continue
        if node.step is not None:
            yield [(Change(node, "step", None),)]
        for field, added in (("lower", 1), ("upper", -1)):
            bound = getattr(node, field)
            if bound is not None:
                values = [shifted(bound, 1), shifted(bound, -1), None]
                yield [(Change(node, field, value),) for value in values]
            elif node.step is None:
                yield [(Change(node, field, number(added)),)]


def index_shift(program: Program) -> Iterator[Place]:
    """`a[i]` becomes `a[i + 1]` or `a[i - 1]`. Not where the index is text or a tuple."""
    for node in program.nodes:
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            index = node.slice
            if isinstance(index, ast.Name | ast.BinOp) or integer(index) is not None:
                yield [(Change(node, "slice", shifted(index, by)),) for by in (1, -1)]


def initial_value(program: Program) -> Iterator[Place]:
    """A variable starts at 1 instead of 0, at 0 instead of 1, at 0 instead of infinity."""
    for value, new in _initial_values(program):
        yield [program.replace(value, new)]


def _initial_values(program: Program) -> Iterator[tuple[ast.expr, ast.expr]]:
    """(the value, what it becomes) of what is assigned to plain names."""
    for node in program.nodes:
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[-1], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        for name, start in pairs:
            if isinstance(name, ast.Name):
                if integer(start) in (0, 1):
                    yield start, number(1 - (integer(start) or 0))
                elif ast.unparse(start) in _INFINITIES:
                    yield start, number(0)


_INFINITIES = (
    "float('inf')", "float('-inf')", "-float('inf')", "math.inf", "-math.inf",
    "sys.maxsize", "-sys.maxsize",
)  # fmt: skip


def boolean(program: Program) -> Iterator[Place]:
    """`True` becomes `False` and the other way round."""
    for node in program.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            parent = program.parent(node)
            if not (isinstance(parent, ast.keyword) and parent.arg == "reverse"):
                yield [program.replace(node, ast.Constant(value=not node.value))]


def text(program: Program) -> Iterator[Place]:
    """A text with its first letter in the other case, or without a space at its ends; "" and " "
    become each other. ("Yes" for "yes" fails as surely as a wrong answer.)"""
    for node in _texts(program):
        if not _is_pattern(program, node):
            value = str(node.value)
            found = {_TEXTS.get(value, value), value.strip() or value}
            found.add(value[:1].swapcase() + value[1:])
            yield _literals(program, node, found - {value})


def regex(program: Program) -> Iterator[Place]:
    """A regular expression loses an anchor, or `+` and `*` are taken for each other."""
    for node in _texts(program):
        if _is_pattern(program, node):
            value = str(node.value)
            found = {value.removeprefix("^"), value.removesuffix("$")}
            for sign, other in (("+", "*"), ("*", "+")):
                at = value.find(sign, 1)
                if at > 0 and value[at - 1] != "\\":
                    found.add(value[:at] + other + value[at + 1 :])
            yield _literals(program, node, found - {value})


def _texts(program: Program) -> Iterator[ast.Constant]:
    for node in program.nodes:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        # The texts between an f-string's values cannot stand alone.
        if not isinstance(program.parent(node), ast.JoinedStr | ast.Expr):
            yield node


def _is_pattern(program: Program, node: ast.Constant) -> bool:
    """A text with signs of a regular expression, in a program that uses them."""
    value = str(node.value)
    return len(value) > 1 and any(sign in value for sign in "^$+*?[\\") and program.uses("re")


def _literals(program: Program, node: ast.Constant, values: set[str]) -> Place:
    return [program.replace(node, ast.Constant(value=value)) for value in sorted(values)]


def wrong_variable(program: Program) -> Iterator[Place]:
    """A variable that is read becomes another one that has a value there."""
    for node in program.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            parent = program.parent(node)
            if isinstance(parent, ast.Call) and parent.func is node:
                continue
            names = program.variables(node)
            if node.id in names:
                yield [_named(program, node, name) for name in names if name != node.id]


def _named(program: Program, node: ast.Name, name: str) -> Edit:
    return program.replace(node, ast.Name(id=name, ctx=ast.Load()))
