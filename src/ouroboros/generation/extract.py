"""From a model's reply to the program in it. Pure functions of text.

What is taken is taken as it stands: indentation, tabs, missing colons and names stay the model's
own, and nothing is added but the context that the task itself gave (HumanEval's imports and
helpers). Only what is plainly not the program goes: prose, fences, other code blocks, and
demonstrations after the last definition.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from ouroboros.generation.prompts import is_function
from ouroboros.records import Problem

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
_PYTHON_NAMES = ("python", "py", "python3", "python 3", "py3", "python2", "ipython")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One fenced code block: language (lower case, maybe empty), text, whether it was closed."""

    language: str
    text: str
    closed: bool


def program_from_chat(reply: str, problem: Problem) -> str:
    """The program in a chat reply (with the prefilled beginning, if there was one).

    Of several code blocks it is the first Python one that defines the entry point, else the first
    Python one; without any block the reply from its first line of code to the last. A HumanEval
    reply with the function alone gets the imports and helpers of the given file before it, and one
    with the body alone the whole given file.
    """
    code = strip_demonstration(_choose(reply, problem.entry_point))
    if not is_function(problem):
        return code
    if defines(code, problem.entry_point):
        return _with_context(code, problem)
    first = next((line for line in code.splitlines() if line.strip()), "")
    if first[:1] in (" ", "\t"):
        return _joined(problem.prompt_text, code)
    return code


def program_from_completion(prompt: str, completion: str) -> str:
    """The program of a base model that continues a file: the prompt and what follows it."""
    return prompt + completion


def _with_context(code: str, problem: Problem) -> str:
    # A reply that was prefilled with the given file, or repeats it, has its context already.
    context = problem.setup_code.strip("\n")
    if not context or context in code:
        return code
    return _joined(context, code)


def _joined(before: str, after: str) -> str:
    return before.rstrip("\n") + "\n" + after.lstrip("\n")


def _choose(reply: str, entry_point: str) -> str:
    blocks = code_blocks(reply)
    if not blocks:
        return _unfenced(reply)
    python = [block for block in blocks if block.language in _PYTHON_NAMES]
    # Blocks without a language only where none is called Python: those are often outputs.
    python = python or [block for block in blocks if not block.language] or blocks
    for block in python:
        if defines(block.text, entry_point):
            return block.text
    return python[0].text


def defines(code: str, name: str) -> bool:
    """Whether some line of `code` defines the function or class `name`, or binds it."""
    pattern = rf"^(?:async\s+def|def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*=(?!=)"
    return re.search(pattern, code, re.MULTILINE) is not None


def code_blocks(text: str) -> list[Block]:
    """The fenced code blocks of a Markdown text, in order; the last may be unclosed.

    A fence inside a triple-quoted string does not close its block, and the indentation of an
    opening fence (a block in a list) is taken off its lines, as Markdown does.
    """
    lines = text.split("\n")
    blocks = []
    position = 0
    while position < len(lines):
        opening = _FENCE.match(lines[position])
        position += 1
        if opening is None:
            continue
        body, end, closed = _block_body(lines, position, opening)
        language = opening["info"].strip().lower().split(" {")[0].strip("{}. ")
        blocks.append(Block(language=language, text="\n".join(body), closed=closed))
        position = end
    return blocks


def _block_body(
    lines: list[str], start: int, opening: re.Match[str]
) -> tuple[list[str], int, bool]:
    """(lines, index after the block, closed) of the block whose first line is `start`."""
    indent = opening["indent"]
    body: list[str] = []
    first_close = None
    for index in range(start, len(lines)):
        line = lines[index].rstrip("\r")
        closing = _FENCE.match(line)
        if (
            closing is not None
            and closing["fence"].startswith(opening["fence"])
            and not closing["info"].strip()
        ):
            if not inside_triple_quotes("\n".join(body)):
                return body, index + 1, True
            first_close = first_close or (len(body), index + 1)
        elif line.strip().endswith(opening["fence"]) and not inside_triple_quotes("\n".join(body)):
            # A fence at the end of the last code line, as small models write it.
            body.append(_unindent(line.rstrip()[: -len(opening["fence"])].rstrip(), indent))
            return body, index + 1, True
        body.append(_unindent(lines[index], indent))
    if first_close is not None:
        # The quotes never end: then the first fence was the end after all.
        return body[: first_close[0]], first_close[1], True
    return body, len(lines), False


def _unindent(line: str, indent: str) -> str:
    return line[len(indent) :] if line.startswith(indent) else line.lstrip(" \t")


def inside_triple_quotes(code: str) -> bool:
    """Whether `code` ends inside a triple-quoted string."""
    quote = ""
    position = 0
    while position < len(code):
        if quote:
            if code[position] == "\\":
                position += 2
                continue
            if code.startswith(quote, position):
                position += len(quote)
                quote = ""
                continue
            if len(quote) == 1 and code[position] == "\n":
                quote = ""
        elif code[position] == "#":
            end = code.find("\n", position)
            position = len(code) if end < 0 else end
            continue
        elif code[position] in "\"'":
            triple = code[position] * 3
            quote = triple if code.startswith(triple, position) else code[position]
            position += len(quote)
            continue
        position += 1
    return len(quote) == 3


_CODE_START = re.compile(r"^(?:async\s+def |def |class |import |from \w[\w.]* import |@\w)")
_CODE_LINE = re.compile(
    r"^(?:[ \t#@)\]}]|\"\"\"|'''|(?:async|def|class|import|from|if|elif|else|for|while|try|except|"
    r"finally|with|return|raise|assert|global|nonlocal|pass|break|continue|del|lambda|not)\b"
    r"|[A-Za-z_][\w.]*\s*(?:[(\[=]|[-+*/%&|^]=|:\s*\w+\s*=))"
)


def _unfenced(reply: str) -> str:
    """Code without fences: from its first line of code to the last line before prose."""
    lines = reply.split("\n")
    start = next((n for n, line in enumerate(lines) if _CODE_START.match(line)), None)
    if start is None:
        # Perhaps a bare function body; else whatever it is, it is what the model said.
        return reply
    end = start + 1
    while end < len(lines) and (
        not lines[end].strip()
        or _CODE_LINE.match(lines[end])
        or inside_triple_quotes("\n".join(lines[start:end]))
    ):
        end += 1
    return "\n".join(lines[start:end]).rstrip() + "\n"


def strip_demonstration(code: str) -> str:
    """Drop a trailing demonstration: top-level prints, asserts and `if __name__ == ...` blocks
    after the last other statement. Code that does not parse is left alone."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    keep = len(body)
    while keep and _is_demonstration(body[keep - 1]):
        keep -= 1
    if keep in (0, len(body)):
        return code
    lines = code.split("\n")
    end = body[keep - 1].end_lineno or len(lines)
    if body[keep].lineno <= end:
        # Two statements on one line.
        return code
    return "\n".join(lines[:end]) + "\n"


def _is_demonstration(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert):
        return True
    if isinstance(statement, ast.Expr):
        call = statement.value
        return (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "print"
        )
    if isinstance(statement, ast.If):
        names = [node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)]
        return "__name__" in names
    return False
