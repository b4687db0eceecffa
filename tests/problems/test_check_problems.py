"""`ouroboros problems check`, the sandbox included."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ouroboros.check_problems import examine, run
from ouroboros.errors import InputError, UserError
from ouroboros.problems.formats import load_problems
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify

SOUND = {
    "problem_id": "own/1",
    "prompt_text": "Write a function to negate a number.",
    "tests": ["assert negate(1) == -1", "assert negate(0) == 0"],
    "reference": "def negate(x):\n    return -x\n",
}


def findings(path: Path) -> list[str]:
    found, _ = examine(path, 1, lambda p, c: verify(p, c, ExecuteParams(), label="check"))
    return [str(finding).removeprefix(f"{path}:") for finding in found]


def write(path: Path, *changes: dict[str, Any]) -> Path:
    rows = [{**SOUND, "problem_id": f"own/{n}", **change} for n, change in enumerate(changes, 1)]
    rows = [{key: value for key, value in row.items() if value is not None} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_fault_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl",
        {},
        {"tests": None},
        {"reference": "def negate(x):\n    return x\n"},
        {"tests": ["assert abs(-1) == 1"], "entry_point": "negate"},
        {
            "reference": "import random\ndef negate(x):\n    return random.randrange(2)\n",
            "tests": ["assert negate(1) < 2"],
        },
        {"problem_id": "own/1"},
        {"entry_point": "negate", "reference": None},
        {"tests": ["assert not negate(0)"]},
        {
            "reference": "import time\ndef negate(x):\n    return [-x, time.time_ns()]\n",
            "tests": ["assert negate(1)[0] == -1"],
        },
        {"reference": "def negate(x)\n    return -x\n"},
        {"prompt": "unknown"},
        {"reference": "def negate(x):\n    return missing\n"},
        {
            "reference": "import random\ndef negate(x):\n    return random.randrange(10)\n",
            "tests": ["assert negate(1) < 5"],
        },
    )
    found = findings(path)
    expected = [
        "2: problem own/2: needs either tests or check",
        "3: own/3: reference: wrong_answer in tests[0] (assert negate(1) == -1)",
        "4: own/4: tests[0]: does not call 'negate'",
        "5: own/5: reference: returns other values in each of 3 runs",
        "6: own/1: the same id as",
        "7: warning: own/7: no reference",
        "8: warning: own/8: tests: a function that only returns None passes them all",
        "9: own/9: reference: returns other values in each of 3 runs",
        "10: field 'reference': not Python",
        "11: unknown field 'prompt'",
        "12: own/12: reference: runtime_error in tests[0] (assert negate(1) == -1) and 1 more",
        "13: own/13: reference: passes only sometimes (pass, wrong_answer in 3 runs)",
    ]
    assert len(found) == len(expected), found
    for line, begin in zip(found, expected, strict=True):
        assert line.startswith(begin)


def test_the_exit_status_and_the_last_line_sum_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(tmp_path / "good.jsonl", {}, {}), 1) == 0
    assert capsys.readouterr().out.endswith("good.jsonl: 2 problems, nothing wrong\n")
    assert run(write(tmp_path / "weak.jsonl", {"tests": ["assert not negate(0)"]}), 1) == 0
    assert "1 problems, 0 of them with faults, 1 warnings" in capsys.readouterr().out
    assert run(write(tmp_path / "bad.jsonl", {}, {"tests": None}), 1) == 1
    assert "2 problems, 1 of them with faults, 0 warnings" in capsys.readouterr().out
    with pytest.raises(UserError, match="no such file"):
        run(tmp_path / "none.jsonl", 1)


def write_csv(path: Path, *rows: dict[str, str], encoding: str = "utf-8") -> Path:
    with open(path, "w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


CSV = {
    "prompt_text": "Write a function to negate a number,\nany number.",
    "tests": "assert negate(1) == -1\n\nassert negate(0) == 0\n",
    "reference": "def negate(x):\n    return -x\n",
    "setup_code": "",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_file_reads_as_our_own_form(tmp_path: Path, encoding: str) -> None:
    path = write_csv(tmp_path / "mine.csv", CSV, CSV, encoding=encoding)
    one, two = load_problems(path)
    assert (one.problem_id, two.problem_id) == ("mine/1", "mine/2")
    assert one.entry_point == "negate"
    assert one.tests == ("assert negate(1) == -1", "assert negate(0) == 0")
    assert one.visible_tests == one.tests[:1]
    assert one.prompt_text == CSV["prompt_text"]
    assert findings(path) == []


def test_a_fault_in_a_csv_file_is_at_the_first_line_of_its_row(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "mine.csv", CSV, {**CSV, "reference": "def negate(x): return x"})
    # Header, then a row of 2 + 3 + 2 lines, which share their ends.
    (line,) = findings(path)
    first = path.read_text().split("\n").index(CSV["prompt_text"].join(['"', '"']).split("\n")[0])
    assert first == 1
    assert int(line.split(":")[0]) > 2
    text = path.read_text().splitlines()[int(line.split(":")[0]) - 1]
    assert text.startswith('"Write a function')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt_text,reference\nA,B\n", "no column 'tests'"),
        ("", "no column 'prompt_text'"),
        ("prompt_text,tests,tests\n", "column 'tests' twice"),
        ("prompt_text,tests\nA,B,C\n", "another number of cells"),
        ("prompt_text,tests\nA\n", "another number of cells"),
        ('prompt_text,tests\nA,"B\n', "not CSV"),
        ("prompt_text,tests\nA,assert f() == 1\n", "missing field 'entry_point'"),
        ("prompt_text,tests,colour\nA,assert f() == 1,red\n", "unknown field 'colour'"),
    ],
)
def test_a_csv_file_of_another_form_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_problems(path)
    assert str(caught.value).startswith(f"{path}:")


def test_a_csv_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes("prompt_text,tests\nÄ,B\n".encode("latin-1"))
    with pytest.raises(UserError, match="cannot be read as UTF-8 CSV"):
        load_problems(path)
