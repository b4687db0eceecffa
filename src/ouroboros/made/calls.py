"""Mutation operators on calls: a twin taken, arguments swapped, a call left out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ouroboros.made.edits import Change, Edit, Place, Program, call_name, same

# By name, with what they take in common: the twin can stand in the same call.
_FUNCTION_TWINS = {
    "min": ("max",), "max": ("min",), "any": ("all",), "all": ("any",), "sum": ("len", "max"),
    "list": ("tuple", "set"), "tuple": ("list",), "set": ("list",), "sorted": ("list", "set"),
    "int": ("round", "float"), "float": ("int",), "round": ("int",),
}  # fmt: skip
_METHOD_TWINS = {
    "append": ("extend",), "extend": ("append",), "lower": ("upper",), "upper": ("lower",),
    "find": ("index", "rfind"), "index": ("find", "count"), "rfind": ("find",),
    "lstrip": ("rstrip",), "rstrip": ("lstrip",), "strip": ("lstrip", "rstrip"),
    "ljust": ("rjust",), "rjust": ("ljust",),
    "startswith": ("endswith",), "endswith": ("startswith",),
    "isalpha": ("isalnum",), "isalnum": ("isalpha",), "isdigit": ("isalnum",),
    "isupper": ("islower",), "islower": ("isupper",), "title": ("capitalize",),
    "capitalize": ("title", "upper"), "keys": ("values",), "values": ("keys",),
    "items": ("keys", "values"), "update": ("add",), "popleft": ("pop",),
    "union": ("intersection",), "intersection": ("union",),
    "difference": ("symmetric_difference",), "symmetric_difference": ("difference",),
    "issubset": ("issuperset",), "issuperset": ("issubset",),
    "floor": ("ceil",), "ceil": ("floor",), "gcd": ("lcm",), "lcm": ("gcd",),
    "sin": ("cos",), "cos": ("sin",), "nlargest": ("nsmallest",), "nsmallest": ("nlargest",),
    "bisect_left": ("bisect_right",), "bisect_right": ("bisect_left",), "bisect": ("bisect_left",),
    "combinations": ("permutations", "combinations_with_replacement"),
    "permutations": ("combinations",),
    "match": ("search", "fullmatch"), "search": ("match", "fullmatch"),
    "fullmatch": ("match", "search"),
}  # fmt: skip
_CONVERSIONS = ("abs", "int", "list", "reversed", "round", "set", "sorted", "str", "tuple")
_CLEANINGS = ("capitalize", "copy", "lower", "lstrip", "rstrip", "strip", "upper")
# Bounds have an operator of their own; to the others the order is nothing, or plainly wrong.
_NOT_SWAPPED = ("range", "min", "max", "isinstance", "print")
_SORTS = ("sorted", "sort")


def function_twin(program: Program) -> Iterator[Place]:
    """`min` becomes `max`, `any` becomes `all`, `tuple` becomes `list`, and so on."""
    for node in program.nodes:
        twins = _FUNCTION_TWINS.get(call_name(node), ())
        if isinstance(node, ast.Call) and twins and node.args:
            one = len(node.args) == 1 and not node.keywords
            if one or call_name(node) in ("min", "max"):
                yield [program.replace(node.func, _name(twin)) for twin in twins]


def method_twin(program: Program) -> Iterator[Place]:
    """`append` becomes `extend`, `lstrip` becomes `rstrip`, `math.floor` becomes `math.ceil`;
    `pop()` takes from the other end."""
    for node in program.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            function = node.func
            if function.attr in _METHOD_TWINS:
                twins = _METHOD_TWINS[function.attr]
                yield [(Change(function, "attr", twin),) for twin in twins]
            elif function.attr == "pop" and len(node.args) < 2:
                taken = [ast.Constant(value=0)] if not node.args else []
                yield [(Change(node, "args", taken),)]


def forgotten_call(program: Program) -> Iterator[Place]:
    """A conversion is left out: `sorted(x)`, `abs(x)` or `x.lower()` becomes `x`."""
    for node in program.nodes:
        if not isinstance(node, ast.Call) or node.keywords:
            continue
        if call_name(node) in _CONVERSIONS and len(node.args) == 1:
            if not isinstance(node.args[0], ast.GeneratorExp | ast.Starred):
                yield [program.replace(node, node.args[0])]
        elif (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in _CLEANINGS
            and not isinstance(program.parent(node), ast.Expr)
        ):
            yield [program.replace(node, node.func.value)]


def swap_arguments(program: Program) -> Iterator[Place]:
    """Two arguments side by side change places: `f(a, b)` becomes `f(b, a)`."""
    for node in program.nodes:
        if not isinstance(node, ast.Call) or call_name(node) in _NOT_SWAPPED:
            continue
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            continue
        for left in range(len(node.args) - 1):
            first, second = node.args[left : left + 2]
            if not same(first, second):
                swapped = [*node.args[:left], second, first, *node.args[left + 2 :]]
                yield [(Change(node, "args", swapped),)]


def sort_order(program: Program) -> Iterator[Place]:
    """`reverse=True` is added or dropped; the `key` of a sort, `min` or `max` is dropped."""
    for node in program.nodes:
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else call_name(node)
        if name not in (*_SORTS, "min", "max"):
            continue
        for keyword in node.keywords:
            if keyword.arg == "key" or (name in _SORTS and keyword.arg == "reverse"):
                rest = [other for other in node.keywords if other is not keyword]
                yield [(Change(node, "keywords", rest),)]
        if name in _SORTS and all(keyword.arg != "reverse" for keyword in node.keywords):
            yield [_reversed(node)]


def _reversed(node: ast.Call) -> Edit:
    keyword = ast.keyword(arg="reverse", value=ast.Constant(value=True))
    return (Change(node, "keywords", [*node.keywords, keyword]),)


def _name(name: str) -> ast.Name:
    return ast.Name(id=name, ctx=ast.Load())
