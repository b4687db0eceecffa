"""Reading the published MBPP and HumanEval forms and our own."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.problems.formats import load_problems

MBPP_ROW: dict[str, Any] = {
    "task_id": 7,
    "text": "Write a function to double a number.",
    "code": "def helper(x):\r\n    return x + x\r\ndef double(x):\r\n    return helper(x)",
    "test_list": ["assert double(1) == 2", "assert double(2) == 4", "assert double(0) == 0"],
    "test_setup_code": "",
    "challenge_test_list": ["assert double(-1) == -2"],
}
HUMANEVAL_ROW: dict[str, Any] = {
    "task_id": "HumanEval/3",
    "prompt": "import math\n\ndef half(x):\n    return x / 2\n\n\ndef area(r: float):\n"
    '    """ Area of a circle.\n    >>> area(0)\n    0.0\n    """\n',
    "entry_point": "area",
    "canonical_solution": "    return math.pi * r * r\n",
    "test": "def check(candidate):\n    assert candidate(0) == 0\n",
}
OWN_ROW: dict[str, Any] = {
    "problem_id": "own/1",
    "prompt_text": "Write a function to negate.",
    "entry_point": "negate",
    "tests": ["assert negate(1) == -1", "assert negate(0) == 0"],
    "topic": "numbers",
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def _write(*rows: object, name: str = "problems.jsonl") -> Path:
        path = tmp_path / name
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return _write


def test_mbpp_row(write):
    (problem,) = load_problems(write(MBPP_ROW))
    assert problem.problem_id == "mbpp/7"
    assert problem.entry_point == "double"
    assert problem.visible_tests == ("assert double(1) == 2",)
    assert problem.extra_tests == ("assert double(-1) == -2",)
    assert "\r" not in problem.reference


def test_visible_tests_are_the_first_ones(write):
    (problem,) = load_problems(write(MBPP_ROW), visible_tests=2)
    assert problem.visible_tests == problem.tests[:2]
    (problem,) = load_problems(write(MBPP_ROW), visible_tests=0)
    assert problem.visible_tests == ()


def test_humaneval_row(write):
    (problem,) = load_problems(write(HUMANEVAL_ROW))
    assert problem.problem_id == "humaneval/3"
    assert problem.prompt_text == HUMANEVAL_ROW["prompt"]
    assert problem.setup_code == "import math\n\ndef half(x):\n    return x / 2"
    assert problem.check == HUMANEVAL_ROW["test"]
    assert problem.visible_tests == ("assert area(0) == 0.0",)
    namespace: dict[str, Any] = {}
    exec(problem.reference, namespace)
    assert namespace["area"](0) == 0


def test_own_row_with_and_without_visible_tests(write):
    explicit = {**OWN_ROW, "problem_id": "own/2", "visible_tests": ["assert negate(5) == -5"]}
    first, second = load_problems(write(OWN_ROW, explicit))
    assert first.visible_tests == ("assert negate(1) == -1",)
    assert second.visible_tests == ("assert negate(5) == -5",)


def test_gzipped_file_reads_the_same(write, tmp_path):
    plain = write(MBPP_ROW, HUMANEVAL_ROW)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert load_problems(packed) == load_problems(plain)


def test_sanitized_form_is_one_json_list(tmp_path):
    row = {
        "source_file": "notebook",
        "task_id": 82,
        "prompt": "Write a function to find the volume of a sphere.",
        "code": "import math\ndef volume(r):\n  return 4 / 3 * math.pi * r**3",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(volume(10), 4188.79, rel_tol=0.001)"],
    }
    path = tmp_path / "sanitized.json"
    path.write_text(json.dumps([row]))
    (problem,) = load_problems(path)
    assert problem.entry_point == "volume"
    assert problem.setup_code == "import math"


@pytest.mark.parametrize(
    ("code", "tests", "entry_point"),
    [
        ("def f(x):\n  return x", ["assert set(f([1])) == set([1])"], "f"),
        ("def f(x):\n  return x", ["assert (f(1)) == 1"], "f"),
        ("def sum(a, b):\n  return a + b", ["assert sum(1, 2) == 3"], "sum"),
        ("class Pair: ...\ndef f(x):\n  return 1", ["assert f([Pair(), Pair()]) == 1"], "f"),
        ("class Pair: ...\ndef f(x):\n  return 1", ["assert Pair(f(1)) != 1"], "f"),
        ("f = lambda x: x", ["assert f(1) == 1"], "f"),
        (
            "def g(x):\n  return x\ndef f(x):\n  return x",
            ["assert f(g(1)) == 1", "assert f(2) == 2"],
            "f",
        ),
    ],
)
def test_entry_point_is_what_every_test_calls_and_the_code_defines(write, code, tests, entry_point):
    (problem,) = load_problems(write({**MBPP_ROW, "code": code, "test_list": tests}))
    assert problem.entry_point == entry_point


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", ":2: not a JSON object"),
        ([1], ":2: expected an object, found list"),
        ({"task": 1}, "MBPP has test_list, HumanEval has test, our own form has problem_id"),
        ({**MBPP_ROW, "task_id": "8"}, ":2: field 'task_id': expected an integer, found str '8'"),
        ({**MBPP_ROW, "task_id": 8, "level": 3}, ":2: unknown field 'level'"),
        (without({**MBPP_ROW, "task_id": 8}, "code"), ":2: missing field 'code'"),
        (without({**MBPP_ROW, "task_id": 8}, "text"), ":2: missing field 'text' (or 'prompt')"),
        ({**MBPP_ROW, "task_id": 8, "test_list": []}, "'test_list': expected at least one assert"),
        (
            {**MBPP_ROW, "task_id": 8, "test_list": ["assert f(1) == 1", "assert (("]},
            ":2: field 'test_list[1]': not Python",
        ),
        ({**MBPP_ROW, "task_id": 8, "code": "def ("}, ":2: field 'code': not Python"),
        (
            {**MBPP_ROW, "task_id": 8, "code": "def other(): pass"},
            "called in the first test: double; defined by 'code': other",
        ),
        (MBPP_ROW, ":2: duplicate problem 'mbpp/7'"),
        ({**HUMANEVAL_ROW, "task_id": 3}, ":2: field 'task_id': expected a string, found int 3"),
        ({**HUMANEVAL_ROW, "task_id": "three"}, "expected a name and a number such as HumanEval/0"),
        ({**HUMANEVAL_ROW, "entry_point": "volume"}, "the prompt defines no function 'volume'"),
        ({**OWN_ROW, "check": "def check(c): pass"}, "needs either tests or check"),
        (without(OWN_ROW, "tests"), ":2: problem own/1: needs either tests or check"),
    ],
)
def test_bad_row_is_named_by_file_line_and_field(write, row, message):
    path = write(MBPP_ROW, row)
    with pytest.raises(InputError) as error:
        load_problems(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_more_visible_tests_than_tests(write):
    with pytest.raises(InputError, match=r"visible_tests is 4, but there are 3 tests"):
        load_problems(write(MBPP_ROW), visible_tests=4)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.jsonl: no such file"):
        load_problems(tmp_path / "nowhere.jsonl")


def test_json_file_that_is_no_list(tmp_path):
    path = tmp_path / "one.json"
    path.write_text(json.dumps(MBPP_ROW))
    with pytest.raises(InputError, match=r"expected a list of problems, found dict"):
        load_problems(path)
