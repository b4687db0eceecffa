"""Mutation operators on conditions and statements: decided otherwise, left out, or elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import UnionType

from ouroboros.made.edits import Change, Edit, Function, Place, Program, call_name

_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}  # fmt: skip
_STOPS = ast.Return | ast.Raise | ast.Break | ast.Continue
_DELETED = ast.AugAssign | ast.Expr | ast.If | ast.Break | ast.Continue | ast.Delete | ast.Raise
_MOVED = ast.Assign | ast.AugAssign | ast.Expr


def negate_condition(program: Program) -> Iterator[Place]:
    """The condition of an `if`, a `while` or a filter is turned round."""
    for node in program.nodes:
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield [(Change(node, "test", _negated(node.test)),)]
        elif isinstance(node, ast.comprehension):
            for condition in node.ifs:
                yield [program.replace(condition, _negated(condition))]


def _negated(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        opposite = _OPPOSITES[type(test.ops[0])]
        return ast.Compare(left=test.left, ops=[opposite()], comparators=test.comparators)
    return ast.UnaryOp(op=ast.Not(), operand=test)


def logical(program: Program) -> Iterator[Place]:
    """`and` becomes `or` and the other way round."""
    for node in program.nodes:
        if isinstance(node, ast.BoolOp):
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield [(Change(node, "op", other),)]


def drop_condition(program: Program) -> Iterator[Place]:
    """One part of an `and` or `or`, or one filter of a comprehension, is forgotten."""
    for node in program.nodes:
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                rest = [other for other in node.values if other is not value]
                if len(rest) > 1:
                    yield [(Change(node, "values", rest),)]
                else:
                    yield [program.replace(node, rest[0])]
        elif isinstance(node, ast.comprehension):
            for condition in node.ifs:
                yield [(Change(node, "ifs", [c for c in node.ifs if c is not condition]),)]


def delete_statement(program: Program) -> Iterator[Place]:
    """A statement is left out.

    Not one without which a variable would have no value at all, nor one that moves a `while` on:
    a loop without end is a rare mistake and costs its whole time limit to find out.
    """
    for parent, field, body in program.blocks():
        for index, statement in enumerate(body):
            if _moves_loop_on(program, statement):
                continue
            if isinstance(statement, _DELETED) or _assigns_again(program, statement):
                rest = [*body[:index], *body[index + 1 :]]
                yield [(Change(parent, field, rest or [ast.Pass()]),)]


def _assigns_again(program: Program, statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Assign):
        return False
    return _bound(statement) <= set(program.variables(statement))


def _bound(statement: ast.stmt) -> set[str]:
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _moves_loop_on(program: Program, statement: ast.stmt) -> bool:
    """Whether it binds what the condition of a `while` around it reads."""
    if not isinstance(statement, ast.Assign | ast.AugAssign):
        return False
    bound = _bound(statement)
    around = program.parent(statement)
    while around is not None and not isinstance(around, Function):
        if isinstance(around, ast.While) and any(
            isinstance(node, ast.Name) and node.id in bound for node in ast.walk(around.test)
        ):
            return True
        around = program.parent(around)
    return False


def drop_else(program: Program) -> Iterator[Place]:
    """What stands under `else` or `elif` is left out."""
    for node in program.nodes:
        if isinstance(node, ast.If) and node.orelse:
            yield [(Change(node, "orelse", []),)]


def elif_or_if(program: Program) -> Iterator[Place]:
    """`elif` becomes `if`; of two ifs in a row, the second becomes `elif`."""
    for parent, field, body in program.blocks():
        for index, node in enumerate(body):
            # After a body that leaves, both are the same.
            if not isinstance(node, ast.If) or isinstance(node.body[-1], _STOPS):
                continue
            if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
                apart = [*body[: index + 1], node.orelse[0], *body[index + 1 :]]
                yield [(Change(node, "orelse", []), Change(parent, field, apart))]
            after = body[index + 1] if index + 1 < len(body) else None
            if not node.orelse and isinstance(after, ast.If):
                joined = [*body[: index + 1], *body[index + 2 :]]
                yield [(Change(node, "orelse", [after]), Change(parent, field, joined))]


def loop_control(program: Program) -> Iterator[Place]:
    """`break` becomes `continue` and the other way round."""
    for node in program.nodes:
        if isinstance(node, ast.Break | ast.Continue):
            other = ast.Continue() if isinstance(node, ast.Break) else ast.Break()
            yield [program.replace(node, other)]


def accumulation(program: Program) -> Iterator[Place]:
    """`x += y` becomes `x = y`: the last value instead of all of them."""
    for node in program.nodes:
        if isinstance(node, ast.AugAssign) and not _moves_loop_on(program, node):
            yield [program.replace(node, _assignment(node.target, node.value))]


def _assignment(target: ast.expr, value: ast.expr) -> ast.Assign:
    # The writer wants to know of a line (for a type comment that is not there).
    return ast.Assign(targets=[target], value=value, lineno=0)


def missing_return(program: Program) -> Iterator[Place]:
    """`return x` becomes `print(x)`, or just `x` where that calls a function of the program."""
    own = {node.name for node in program.nodes if isinstance(node, Function)}
    for node in program.nodes:
        if isinstance(node, ast.Return) and node.value is not None:
            value = node.value
            if call_name(value) not in own:
                printing = ast.Name(id="print", ctx=ast.Load())
                value = ast.Call(func=printing, args=[value], keywords=[])
            yield [program.replace(node, ast.Expr(value=value))]


def return_other(program: Program) -> Iterator[Place]:
    """`return` of an expression returns a variable instead."""
    for node in program.nodes:
        if isinstance(node, ast.Return) and not isinstance(node.value, ast.Name | None):
            yield [
                (Change(node, "value", ast.Name(id=name, ctx=ast.Load())),)
                for name in program.variables(node)
            ]


def return_indentation(program: Program) -> Iterator[Place]:
    """A `return` after a loop or an `if` moves into it, or one at its end moves out of it."""
    yield from _moves(program, ast.Return)


def statement_indentation(program: Program) -> Iterator[Place]:
    """Another statement after a loop or an `if` moves into it, or one at its end moves out."""
    yield from _moves(program, _MOVED)


def _moves(program: Program, kinds: type[ast.stmt] | UnionType) -> Iterator[Place]:
    for parent, field, body in program.blocks():
        for index, compound in enumerate(body):
            ends = list(_ends(compound))
            after = body[index + 1] if index + 1 < len(body) else None
            if isinstance(after, kinds):
                rest = [*body[: index + 1], *body[index + 2 :]]
                inwards: Place = [
                    (Change(node, name, [*inner, after]), Change(parent, field, rest))
                    for node, name, inner in ends
                    if not isinstance(inner[-1], _STOPS)
                ]
                yield inwards
            if ends:
                node, name, inner = ends[0]
                if len(inner) > 1 and isinstance(inner[-1], kinds):
                    outside = [*body[: index + 1], inner[-1], *body[index + 1 :]]
                    outwards: Edit = (
                        Change(node, name, inner[:-1]),
                        Change(parent, field, outside),
                    )
                    yield [outwards]


def _ends(compound: ast.stmt) -> Iterator[tuple[ast.AST, str, list[ast.stmt]]]:
    """The lists of statements a compound statement ends with, the outermost first."""
    current: ast.stmt = compound
    while isinstance(current, ast.For | ast.While | ast.If | ast.With):
        field = "orelse" if getattr(current, "orelse", None) else "body"
        inner: list[ast.stmt] = getattr(current, field)
        is_elif = field == "orelse" and isinstance(current, ast.If) and _is_elif(inner)
        if not is_elif:
            yield current, field, inner
        current = inner[-1]


def _is_elif(orelse: list[ast.stmt]) -> bool:
    return len(orelse) == 1 and isinstance(orelse[0], ast.If)
