"""Visible tests of a HumanEval problem: the examples its prompt shows, as assert statements.

HumanEval gives no list of visible tests; its docstrings hold examples, some as doctests, many in
the authors' own notation. Each one that can be read in one way only becomes an assert; the others
are left out. Nothing is evaluated and the reference is not consulted.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

_DOCTEST = ">>> "
# What may stand before a call that is an example: a bullet, "assert", "for".
_LEAD = re.compile(r"^(?:[*-]\s+|assert\s+|for\s+)?")
# What may stand between the call and its value. "#" puts the value in a comment.
_ARROW = re.compile(
    r"^\s*(?:#\s*)?(?P<sign>==>|==|=>|->|➞|=(?!=)|should return\b|returns\b)\s*(?P<value>.*)$"
)
_FOR = re.compile(
    r"^for\s+(?P<args>.*?),?\s+the (?:output|result) should be\s+(?P<value>.*)$", re.I
)
_INPUT = re.compile(r"^input:\s*(?P<args>\S.*)$", re.I)
_OUTPUT = re.compile(r"^output:\s*(?P<value>\S.*)$", re.I)
_LONGEST_CALL = 12
"""A call that an example spreads over more lines than this is not looked for."""


def visible_asserts(function: ast.FunctionDef, source: str) -> tuple[str, ...]:
    """The examples in the strings that document `function`, as assert statements, in order.

    Args:
        function: the entry point, parsed from `source`.
        source: the prompt. Examples are read as they stand there, escapes not yet replaced: that
            is what a reader of the prompt sees.

    Two forms are read: doctests (`>>> f(1)` with the value below, or `>>> f(1) == 2`) and calls
    with literal arguments followed by a sign (`==`, `=`, `=>`, `==>`, `->`, "returns", "should
    return") and a literal; also "For x = 1 the output should be 2" and Input/Output pairs that name
    every parameter. An example given twice with different values is dropped.
    """
    name = function.name
    parameters = [argument.arg for argument in function.args.args]
    values: dict[str, str | None] = {}
    for statement in function.body:
        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            continue
        if not isinstance(statement.value.value, str):
            continue
        text = ast.get_source_segment(source, statement.value) or ""
        lines = [line.strip() for line in text.strip("rRuU").strip("\"'").splitlines()]
        for call, value in _examples(lines, name, parameters):
            values[call] = value if values.get(call, value) == value else None
    return tuple(
        f"assert {call}" if value == "" else f"assert {call} == {value}"
        for call, value in values.items()
        if value is not None
    )


def _examples(lines: list[str], name: str, parameters: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (call, value) as normalised source; the value is "" where the call is the claim."""
    defines_with_equals = _uses_equals_to_define(lines, name)
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.startswith(_DOCTEST):
            found, index = _doctest(lines, index, name)
            if found is not None:
                yield found
            continue
        if match := _FOR.match(line):
            yield from _bound(match["args"], match["value"], name, parameters)
        elif (match := _INPUT.match(line)) and index + 1 < len(lines):
            if output := _OUTPUT.match(lines[index + 1]):
                yield from _bound(match["args"], output["value"], name, parameters)
        else:
            call, rest, index = _call(lines, index, name)
            if call is not None and (match := _ARROW.match(rest)):
                value = _literal(match["value"])
                usable = not (match["sign"] == "=" and defines_with_equals)
                if value is not None and usable and _is_literal_call(call):
                    yield ast.unparse(call), value
        index += 1


def _doctest(lines: list[str], start: int, name: str) -> tuple[tuple[str, str] | None, int]:
    """Read one doctest; return it, if it can be read, and the index of the next line."""
    source = lines[start][len(_DOCTEST) :]
    end = start + 1
    while end < len(lines) and lines[end].startswith("... "):
        source += "\n" + lines[end][4:]
        end += 1
    want = []
    while end < len(lines) and lines[end] and not lines[end].startswith(_DOCTEST):
        want.append(lines[end])
        end += 1
    expression = _expression(source)
    if expression is not None and _names(expression) <= {name} | set(dir(builtins)):
        if isinstance(expression, ast.Call) and want and (value := _literal("\n".join(want))):
            return (ast.unparse(expression), value), end
        if isinstance(expression, ast.Compare) and want in ([], ["True"]):
            # Written as a claim; doctest itself would want "True" below it.
            return (ast.unparse(expression), ""), end
    # The text below may be prose that itself holds examples: look at it again.
    return None, start + 1


def _call(lines: list[str], start: int, name: str) -> tuple[ast.Call | None, str, int]:
    """The call of `name` that starts a line, what follows it, and the index of its last line."""
    lead = _LEAD.match(lines[start])
    text = lines[start][lead.end() if lead else 0 :]
    if not text.startswith(f"{name}("):
        return None, "", start
    for end in range(start, min(start + _LONGEST_CALL, len(lines))):
        if end > start:
            text += "\n" + lines[end]
        for match in re.finditer(r"\)", text):
            call = _expression(text[: match.end()])
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                return call, text[match.end() :], end
    return None, "", start


def _bound(args: str, value: str, name: str, parameters: list[str]) -> Iterator[tuple[str, str]]:
    """An example that names its arguments ("lst = [1, 2], k = 3") or has the only one bare."""
    call = _expression(f"{name}({args})")
    wanted = _literal(value)
    if not isinstance(call, ast.Call) or wanted is None or not _is_literal_call(call):
        return
    if call.keywords and [keyword.arg for keyword in call.keywords] == parameters and not call.args:
        arguments = [keyword.value for keyword in call.keywords]
    elif len(call.args) == len(parameters) == 1 and not call.keywords:
        arguments = call.args
    else:
        return
    yield ast.unparse(ast.Call(func=call.func, args=arguments, keywords=[])), wanted


def _uses_equals_to_define(lines: list[str], name: str) -> bool:
    """Whether a line such as `f(n) = f(n - 1) + 1` shows that "=" states a rule, not an example."""
    for index in range(len(lines)):
        call, rest, _ = _call(lines, index, name)
        match = _ARROW.match(rest) if call is not None else None
        if call is None or match is None or match["sign"] != "=":
            continue
        if not _is_literal_call(call) or _literal(match["value"]) is None:
            return True
    return False


def _expression(source: str) -> ast.expr | None:
    try:
        return ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _literal(source: str) -> str | None:
    """Normalised source of a literal, or None where `source` is anything else."""
    for text in (source.rstrip().removesuffix("."), source):  # "2." ends a sentence
        expression = _expression(text)
        if expression is None or not _is_literal(expression):
            continue
        if text.lstrip().startswith("(") and not isinstance(expression, ast.Tuple):
            return None  # ("a"): a string to Python, a tuple to whoever wrote it
        return ast.unparse(expression)
    return None


def _is_literal(expression: ast.expr) -> bool:
    try:
        ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _is_literal_call(call: ast.Call) -> bool:
    return all(map(_is_literal, call.args)) and all(
        keyword.arg is not None and _is_literal(keyword.value) for keyword in call.keywords
    )


def _names(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
