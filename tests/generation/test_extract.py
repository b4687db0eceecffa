"""Extraction: the program in a reply, as the model wrote it."""

from __future__ import annotations

import ast
import gzip
import json
from pathlib import Path

import pytest

from ouroboros.generation.extract import (
    code_blocks,
    defines,
    inside_triple_quotes,
    program_from_chat,
    program_from_completion,
    strip_demonstration,
)
from ouroboros.records import Problem

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TASK = Problem(
    problem_id="mbpp/1",
    prompt_text="Write a function to add two numbers.",
    entry_point="add",
    tests=("assert add(1, 2) == 3",),
)
FUNCTION_TEXT = (
    "from typing import List\n\n\ndef helper(x):\n    return x\n\n\n"
    'def add_all(numbers: List[int]) -> int:\n    """Add them.\n    >>> add_all([1])\n    1\n'
    '    """\n'
)
FUNCTION = Problem(
    problem_id="humaneval/1",
    prompt_text=FUNCTION_TEXT,
    entry_point="add_all",
    setup_code="from typing import List\n\n\ndef helper(x):\n    return x",
    check="def check(candidate):\n    assert candidate([1]) == 1\n",
)
ADD = "def add(a, b):\n    return a + b\n"
FENCE_IN_DOCSTRING = (
    'def add(a, b):\n    """Adds.\n\n    ```\n    add(1, 2)\n    ```\n    """\n    return a + b\n'
)
FENCE_AT_MARGIN = "def add(a, b):\n    '''Adds.\n```\nadd(1, 2)\n```\n'''\n    return a + b\n"
WITH_HELPERS = f"import math\n\nLIMIT = 3\n\ndef twice(x):\n    return 2 * x\n\n@cache\n{ADD}"


REPLIES = {
    "fence with language": (f"```python\n{ADD}```", ADD),
    "fence without language": (f"```\n{ADD}```\n", ADD),
    "language in capitals": (f"```Python\n{ADD}```\n", ADD),
    "language py": (f"```py\n{ADD}```\n", ADD),
    "language in braces": ("```{.python}\n" + ADD + "```\n", ADD),
    "tilde fence": (f"~~~python\n{ADD}~~~\n", ADD),
    "four backticks": (f"````python\n{ADD}````\n", ADD),
    "windows line ends of the fence": (f"```python\r\n{ADD}```\r\n", ADD),
    "prose around": (f"Sure! Here it is:\n\n```python\n{ADD}```\n\nIt adds `a` and `b`.", ADD),
    "prefilled fence that the stop string closed": (f"```python\n{ADD.rstrip()}", ADD),
    "prefilled fence, closed and explained": (f"```python\n{ADD}```\nThis adds.", ADD),
    "closing fence at the end of the last line": ("```python\n" + ADD.rstrip() + "```\nDone.", ADD),
    "a usage block after the function": (
        f"```python\n{ADD}```\nUse it:\n```python\nprint(add(1, 2))\n```",
        ADD,
    ),
    "a block before it that does not define the function": (
        f"Install:\n```python\nimport os\n```\nThen:\n```python\n{ADD}```",
        ADD,
    ),
    "the first of two versions": (
        f"```python\n{ADD}```\nor shorter\n```python\nadd = lambda a, b: a + b\n```",
        ADD,
    ),
    "a lambda": ("```python\nadd = lambda a, b: a + b\n```", "add = lambda a, b: a + b\n"),
    "shell block first": (f"```bash\npip install x\n```\n```python\n{ADD}```", ADD),
    "output block without language after": (f"```python\n{ADD}```\nprints\n```\n3\n```", ADD),
    "output block without language before": (f"It gives\n```\n3\n```\n```python\n{ADD}```", ADD),
    "block in a list, indented": (
        "1. Write it:\n\n   ```python\n   def add(a, b):\n       return a + b\n   ```\n2. Done.",
        ADD,
    ),
    "fence inside a docstring": (
        f"```python\n{FENCE_IN_DOCSTRING}```\nThat is all.",
        FENCE_IN_DOCSTRING,
    ),
    "fence at the margin inside a docstring": (
        f"```python\n{FENCE_AT_MARGIN}```\n",
        FENCE_AT_MARGIN,
    ),
    "quotes that never end do not swallow the reply": (
        '```python\ndef add(a, b):\n    """Adds.\n```\nThis is the answer.\n',
        'def add(a, b):\n    """Adds.\n',
    ),
    "truncated inside the code": (
        "```python\ndef add(a, b):\n    total = a +",
        "def add(a, b):\n    total = a +",
    ),
    "truncated inside the prose after": (f"```python\n{ADD}```\nThis func", ADD),
    "tabs": (
        "```python\ndef add(a, b):\n\treturn a + b\n```",
        "def add(a, b):\n\treturn a + b\n",
    ),
    "tabs and spaces mixed stay mixed": (
        "```python\ndef add(a, b):\n\tc = a\n        return c + b\n```",
        "def add(a, b):\n\tc = a\n        return c + b\n",
    ),
    "no fence at all": (ADD, ADD),
    "no fence, prose before and after": (
        f"Here is the function:\n\n{ADD}\nThis function adds two numbers.",
        ADD,
    ),
    "no fence, imports and helpers": (f"{WITH_HELPERS}\nNote it.", WITH_HELPERS),
    "no fence, prose-like lines inside a docstring": (
        'def add(a, b):\n    """\nThis adds.\n    """\n    return a + b\n\nThe end.',
        'def add(a, b):\n    """\nThis adds.\n    """\n    return a + b\n',
    ),
    "trailing print": (f"```python\n{ADD}\nprint(add(1, 2))\n```", ADD),
    "trailing asserts and comment": (
        f"```python\n{ADD}\n# Test\nassert add(1, 2) == 4\nprint('ok')\n```",
        ADD,
    ),
    "trailing main block": (
        f"```python\n{ADD}\nif __name__ == '__main__':\n    import sys\n    print(add(1, 2))\n```",
        ADD,
    ),
    "a print between definitions stays": (
        f"```python\nprint('hi')\n{ADD}```",
        f"print('hi')\n{ADD}",
    ),
}


def same(found: str, expected: str) -> bool:
    """Equal but for blank lines at the end."""
    return found.rstrip() == expected.rstrip()


@pytest.mark.parametrize("name", REPLIES)
def test_the_program_of_a_reply_is_found_as_written(name: str) -> None:
    reply, expected = REPLIES[name]
    found = program_from_chat(reply, TASK)
    assert same(found, expected), found


@pytest.mark.parametrize(
    "wrong",
    [
        "def add(a, b)\n    return a + b\n",
        "def ad(a, b):\n    return a + b\n",
        "def add(a, b):\nreturn a + b\n",
        "def add(a, b):\n    return a + c\n",
        "def Add(a, b):\n    return a + b\n",
        "def add(a, b):\n    print(a + b)\n",
        "class Solution:\n    def add(self, a, b):\n        return a + b\n",
        "def add(a, b):\n    return a + b\n   assert add(1, 2) == 3\n",
        "    def add(a, b):\n        return a + b\n",
        "def add(a, b):\n    return (a + b\n",
        "def add(a, b):\n    return a + b\nthis is not python\n",
        "def add(a, b):\n    return a + b\nraise ValueError\n",
        "def add(a, b):\n    return a + b\nadd(1)\n",
    ],
)
def test_a_wrong_program_is_not_repaired(wrong: str) -> None:
    assert same(program_from_chat(f"Here:\n```python\n{wrong}```\n", TASK), wrong)


def test_a_reply_without_code_stays_what_it_is() -> None:
    reply = "I am sorry, I cannot do that."
    assert program_from_chat(reply, TASK) == reply
    assert program_from_chat("", TASK) == ""


def test_a_function_reply_gets_the_context_the_task_gave() -> None:
    function = "def add_all(numbers: List[int]) -> int:\n    return sum(map(helper, numbers))\n"
    program = program_from_chat(f"```python\n{function}```", FUNCTION)
    assert program == FUNCTION.setup_code + "\n" + function.rstrip()
    ast.parse(program)


def test_a_function_reply_that_repeats_the_whole_file_is_left_alone() -> None:
    whole = FUNCTION_TEXT + "    return sum(numbers)\n"
    assert same(program_from_chat(f"```python\n{whole}```", FUNCTION), whole)


def test_a_reply_prefilled_with_the_function_is_prompt_and_completion() -> None:
    reply = "```python\n" + FUNCTION_TEXT.strip("\n") + "\n    return sum(numbers)"
    expected = FUNCTION_TEXT.strip("\n") + "\n    return sum(numbers)"
    assert program_from_chat(reply, FUNCTION) == expected


def test_a_body_alone_completes_the_given_file() -> None:
    body = "    total = 0\n    for number in numbers:\n        total += number\n    return total\n"
    program = program_from_chat(f"```python\n{body}```", FUNCTION)
    assert same(program, FUNCTION_TEXT + body)
    ast.parse(program)


def test_a_body_alone_for_a_task_in_words_stays_wrong() -> None:
    body = "    return a + b\n"
    assert same(program_from_chat(f"```python\n{body}```", TASK), body)


def test_blocks_know_whether_they_were_closed() -> None:
    blocks = code_blocks("```python\na = 1\n```\ntext\n```\nb = 2")
    assert [(block.language, block.text, block.closed) for block in blocks] == [
        ("python", "a = 1", True),
        ("", "b = 2", False),
    ]


@pytest.mark.parametrize(
    ("code", "inside"),
    [
        ('"""open', True),
        ("'''open \"\"\" still", True),
        ('"""closed"""', False),
        ('# """ in a comment', False),
        ('x = \'"""\'', False),
        ("x = 'it\\'s'\n\"\"\"open", True),
        ('don\'t = 1\n"""open', True),
        ('"""esc \\""" still open', True),
        ("", False),
    ],
)
def test_triple_quotes_are_followed_through_strings_and_comments(code: str, inside: bool) -> None:
    assert inside_triple_quotes(code) is inside


@pytest.mark.parametrize(
    ("code", "defined"),
    [
        ("def f(x):\n    return x", True),
        ("async def f(x):\n    return x", True),
        ("class f:\n    pass", True),
        ("f = lambda x: x", True),
        ("def fg(x):\n    return x", False),
        ("    def f(x):\n        return x", False),
        ("f(1)", False),
        ("f == 1", False),
    ],
)
def test_an_entry_point_is_a_definition_at_the_margin(code: str, defined: bool) -> None:
    assert defines(code, "f") is defined


def test_only_trailing_demonstrations_go() -> None:
    code = "def f():\n    return 1\n\nprint(f())\n\ndef g():\n    return 2\n\nprint(g())\n"
    assert strip_demonstration(code) == code[: code.index("\n\nprint(g())")] + "\n"
    only = "print('x')\nassert True\n"
    assert strip_demonstration(only) == only
    one_line = "x = 1; print(x)\n"
    assert strip_demonstration(one_line) == one_line
    broken = "def f(:\n    pass\nprint(f())\n"
    assert strip_demonstration(broken) == broken


def test_completions_of_a_base_model_are_appended_to_the_prompt() -> None:
    path = DATA / "samples" / "humaneval_codegen16b_n100.jsonl.gz"
    problems_path = DATA / "HumanEval.jsonl.gz"
    if not path.is_file():
        pytest.skip("needs ../shared/data: the published CodeGen completions")
    with gzip.open(problems_path, "rt", encoding="utf-8") as stream:
        prompts = {row["task_id"].lower(): row["prompt"] for row in map(json.loads, stream)}
    count = 0
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for row in map(json.loads, stream):
            prompt, completion = prompts[row["problem_id"]], row["completion"]
            assert program_from_completion(prompt, completion) == prompt + completion
            count += 1
    assert count == 16_400


def test_real_programs_in_a_fence_come_out_unchanged() -> None:
    """3,500 programs of seven models, each put into a chat reply, come back as they were."""
    path = DATA / "samples" / "mbpp_7_generators.jsonl"
    if not path.is_file():
        pytest.skip("needs ../shared/data: the published programs of seven models")
    changed = []
    with open(path, encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    for row in rows:
        code = row["code"]
        if "```" in code:
            # A few hold a fence and prose of their own.
            continue
        name = next((line for line in code.splitlines() if line.startswith("def ")), "def f(")
        problem = Problem(
            problem_id=row["problem_id"], prompt_text="", tests=("assert True",),
            entry_point=name[4:].split("(")[0].strip(),
        )  # fmt: skip
        found = program_from_chat(f"Sure:\n\n```python\n{code}\n```\n\nIt works.", problem)
        if found.rstrip() != strip_demonstration(code).rstrip():
            changed.append((row["problem_id"], row["sample_index"]))
    assert len(rows) == 3500
    assert not changed, f"{len(changed)} of {len(rows)} changed, {changed[:5]}"
