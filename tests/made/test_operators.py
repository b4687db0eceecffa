"""What each mutation operator makes of a program, written out."""

from __future__ import annotations

import ast
import textwrap

import pytest

from ouroboros.critic.normalise import readable
from ouroboros.made.edits import Program
from ouroboros.made.mutants import OPERATORS


def edited(kind: str, code: str) -> set[str]:
    """Every program an operator makes of `code`."""
    program = Program(readable(textwrap.dedent(code)))
    return {program.code_after(edit) for place in OPERATORS[kind](program) for edit in place}


def on_line(kind: str, line: str) -> set[str]:
    """As `edited`, of a program of one line."""
    return {ast.unparse(ast.parse(code)) for code in edited(kind, line)}


LINES = {
    "comparison": [
        ("r = a < b", {"r = a <= b", "r = a > b"}),
        ("r = a == b != c", {"r = a != b != c", "r = a == b == c"}),
        ("r = a not in b", {"r = a in b"}),
    ],
    "arithmetic": [
        ("r = a + b", {"r = a - b", "r = a * b"}),
        ("r = -a % b", {"r = -a // b", "r = a % b"}),
        ("r -= 1", {"r += 1"}),
        ("r = 'a' + b + str(c) + [0] * n", set()),
    ],
    "division": [("r = a / b", {"r = a // b"}), ("r //= b", {"r /= b"})],
    "swap_operands": [("r = a - b", {"r = b - a"}), ("r = a + b", set()), ("r = '%d' % b", set())],
    "drop_operand": [("r = a + b", {"r = a", "r = b"}), ("r = a % b", {"r = a"})],
    "off_by_one": [
        ("r = a > 0", {"r = a > 1", "r = a > -1"}),
        ("r = a == -1", {"r = a == 0", "r = a == -2"}),
        ("r = a[0] + a[1:] + range(3) + True", set()),
    ],
    "range_bounds": [
        ("r = range(n)", {"r = range(n + 1)", "r = range(n - 1)", "r = range(1, n)"}),
        (
            "r = range(2, n + 1)",
            {"r = range(3, n + 1)", "r = range(1, n + 1)", "r = range(2, n + 2)",
             "r = range(2, n)"},
        ),
        (
            "r = range(a, b, 2)",
            {
                "r = range(a + 1, b, 2)",
                "r = range(a - 1, b, 2)",
                "r = range(a, b + 1, 2)",
                "r = range(a, b - 1, 2)",
                "r = range(a, b)",
            },
        ),
    ],
    "slice_bounds": [
        ("r = a[1:]", {"r = a[2:]", "r = a[0:]", "r = a[:]", "r = a[1:-1]"}),
        ("r = a[:n]", {"r = a[1:n]", "r = a[:n + 1]", "r = a[:n - 1]", "r = a[:]"}),
        ("r = a[::-1]", {"r = a[:]"}),
    ],
    "index_shift": [
        ("r = a[i - 1]", {"r = a[i]", "r = a[i - 2]"}),
        ("r = a[-1]", {"r = a[0]", "r = a[-2]"}),
        ("r = a['k'] + a[i, j]", set()),
        ("a[i] = 0", set()),
    ],
    "initial_value": [
        ("a, b = 0, 1", {"a, b = (1, 1)", "a, b = (0, 0)"}),
        ("a = float('-inf')", {"a = 0"}),
        ("a = 2", set()),
    ],
    "boolean": [("r = True", {"r = False"}), ("r = sorted(a, reverse=True)", set())],
    "text": [
        ("r = 'Yes'", {"r = 'yes'"}),
        ("r = ', '.join(a)", {"r = ','.join(a)"}),
        ("r = ''", {"r = ' '"}),
        ("r = f'a {b}'", set()),
        ("r = re.match('^a+$', b)", set()),
    ],
    "regex": [
        ("r = re.match('^ab+$', c)",
         {"r = re.match('ab+$', c)", "r = re.match('^ab+', c)", "r = re.match('^ab*$', c)"}),
        ("r = a.split('a+')", set()),
    ],
    "function_twin": [
        ("r = max(a, key=f)", {"r = min(a, key=f)"}),
        ("r = tuple(a)", {"r = list(a)"}),
        ("r = list()", set()),
    ],
    "method_twin": [
        ("r.append(a)", {"r.extend(a)"}),
        ("r = a.lstrip()", {"r = a.rstrip()"}),
        ("r = math.floor(a)", {"r = math.ceil(a)"}),
        ("r = a.pop()", {"r = a.pop(0)"}),
        ("r = a.pop(0)", {"r = a.pop()"}),
    ],
    "forgotten_call": [
        ("r = sorted(a)", {"r = a"}),
        ("r = a.lower()", {"r = a"}),
        ("a.copy()", set()),
        ("r = sorted(a, key=f)", set()),
    ],
    "swap_arguments": [
        ("r = f(a, b, c)", {"r = f(b, a, c)", "r = f(a, c, b)"}),
        ("r = f(a, a) + max(a, b) + f(*a, b)", set()),
    ],
    "sort_order": [
        ("a.sort()", {"a.sort(reverse=True)"}),
        ("r = sorted(a, key=f, reverse=True)",
         {"r = sorted(a, reverse=True)", "r = sorted(a, key=f)"}),
        ("r = max(a, key=f)", {"r = max(a)"}),
    ],
    "negate_condition": [
        ("r = 1 if a else 2", {"r = 1 if not a else 2"}),
        ("r = 1 if not a else 2", {"r = 1 if a else 2"}),
        ("r = [x for x in a if x < 3]", {"r = [x for x in a if x >= 3]"}),
    ],
    "logical": [("r = a and b or c", {"r = (a and b) and c", "r = (a or b) or c"})],
    "drop_condition": [
        ("r = a and b", {"r = a", "r = b"}),
        ("r = [x for x in a if x]", {"r = [x for x in a]"}),
    ],
    "accumulation": [("r += a", {"r = a"})],
}  # fmt: skip

PROGRAMS = {
    "wrong_variable": (
        "def f(a, b):\n    c = [a for d in b]\n    return math.gcd(c)\n",
        {
            "def f(a, b):\n    c = [b for d in b]\n    return math.gcd(c)",
            "def f(a, b):\n    c = [d for d in b]\n    return math.gcd(c)",
            "def f(a, b):\n    c = [a for d in a]\n    return math.gcd(c)",
            "def f(a, b):\n    c = [a for d in b]\n    return math.gcd(a)",
            "def f(a, b):\n    c = [a for d in b]\n    return math.gcd(b)",
        },
    ),
    "delete_statement": (
        "def f(a):\n    b = 0\n    b = 1\n    while a:\n        a -= 1\n        b += a\n"
        "    return b",
        {
            "def f(a):\n    b = 0\n    while a:\n        a -= 1\n        b += a\n    return b",
            "def f(a):\n    b = 0\n    b = 1\n    while a:\n        a -= 1\n    return b",
        },
    ),
    "drop_else": (
        "if a:\n    b = 1\nelse:\n    b = 2\n",
        {"if a:\n    b = 1"},
    ),
    "elif_or_if": (
        "if a:\n    b = 1\nelif c:\n    b = 2\nif d:\n    b = 3\n",
        {"if a:\n    b = 1\nif c:\n    b = 2\nif d:\n    b = 3"},
    ),
    "loop_control": (
        "for a in b:\n    if a:\n        break\n    continue\n",
        {
            "for a in b:\n    if a:\n        continue\n    continue",
            "for a in b:\n    if a:\n        break\n    break",
        },
    ),
    "missing_return": (
        "def f(a):\n    if a:\n        return f(a)\n    return a\n",
        {
            "def f(a):\n    if a:\n        f(a)\n    return a",
            "def f(a):\n    if a:\n        return f(a)\n    print(a)",
        },
    ),
    "return_other": (
        "def f(a):\n    b = g(a)\n    if b:\n        return b\n    return a + b\n",
        {
            "def f(a):\n    b = g(a)\n    if b:\n        return b\n    return a",
            "def f(a):\n    b = g(a)\n    if b:\n        return b\n    return b",
        },
    ),
    "return_indentation": (
        "def f(a):\n    for b in a:\n        if b:\n            a = b\n    return a\n",
        {
            "def f(a):\n    for b in a:\n        if b:\n            a = b\n        return a",
            "def f(a):\n    for b in a:\n        if b:\n            a = b\n            return a",
        },
    ),
    "statement_indentation": (
        "for a in b:\n    for c in a:\n        f(c)\n        d = 1\n    g(c)\n",
        {
            "for a in b:\n    for c in a:\n        f(c)\n        d = 1\n        g(c)",
            "for a in b:\n    for c in a:\n        f(c)\n    d = 1\n    g(c)",
            "for a in b:\n    for c in a:\n        f(c)\n        d = 1\ng(c)",
        },
    ),
}


@pytest.mark.parametrize(
    ("kind", "line", "expected"),
    [(kind, line, expected) for kind, cases in LINES.items() for line, expected in cases],
)
def test_operator_on_a_line(kind: str, line: str, expected: set[str]) -> None:
    # The normal form drops a lone name, not an `import re` that nothing runs.
    code = f"import re\n{line}" if "re." in line else line
    found = {text.removeprefix("import re\n") for text in on_line(kind, code)}
    assert found == {ast.unparse(ast.parse(text)) for text in expected}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_operator_on_a_program(kind: str) -> None:
    code, expected = PROGRAMS[kind]
    assert edited(kind, code) == expected


def test_every_operator_is_shown_here_and_documented() -> None:
    assert set(LINES) | set(PROGRAMS) == set(OPERATORS)
    assert all(operator.__doc__ for operator in OPERATORS.values())


def test_return_at_the_end_of_a_loop_moves_out() -> None:
    code = "def f(a):\n    for b in a:\n        c = b\n        return c\n"
    assert edited("return_indentation", code) == {
        "def f(a):\n    for b in a:\n        c = b\n    return c"
    }


def test_two_ifs_in_a_row_become_one_chain() -> None:
    assert edited("elif_or_if", "if a:\n    b = 1\nif c:\n    b = 2\n") == {
        "if a:\n    b = 1\nelif c:\n    b = 2"
    }
    assert not edited(
        "elif_or_if", "def f():\n    if a:\n        return 1\n    if c:\n        x()\n"
    )


def test_what_changes_no_behaviour_is_left_alone() -> None:
    code = "@cache(maxsize=1)\ndef f(a: 'List[3]') -> 'Some text':\n    return a\n"
    kinds = set(OPERATORS) - {"missing_return"}
    assert not set().union(*(edited(kind, code) for kind in kinds))
