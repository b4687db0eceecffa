"""`ouroboros rank` with a real critic and the real sandbox."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from ouroboros.critic.scoring import load_critic
from ouroboros.jsonl import write_records
from ouroboros.records import Problem
from tests.answering.conftest import Command
from tests.critic.tiny_critics import problem

TASK = "Write a function to add 2 to a given number."
TEST = "assert add(1) == 3"
RIGHT = "def add(x):\n    return x + 2\n"
WRONG = "def add(x):\n    return x * 2\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """right.py, wrong.py and broken.py, in the working directory, which is no project."""
    monkeypatch.chdir(tmp_path)
    for name, code in (("wrong", WRONG), ("right", RIGHT), ("broken", "def add(x:\n")):
        (tmp_path / f"{name}.py").write_text(code)
    return ["wrong.py", "right.py", "broken.py"]


def rows(table: str) -> list[list[str]]:
    return [line.split(maxsplit=4) for line in table.splitlines()]


def test_programs_are_run_scored_and_ranked(
    files: list[str], critic: Path, command: Command
) -> None:
    status, out, err = command("rank", *files, "--task", TASK, "--test", TEST, "--critic", critic)
    assert status == 0, err
    head, first, *rest = rows(out)
    assert head == ["rank", "file", "p_pass", "reward", "verdict"]
    assert (first[0], first[1], first[4]) == ("1", "right.py", "pass")
    verdicts = {row[1]: row[4].split()[0] for row in rest}
    assert verdicts == {"wrong.py": "wrong_answer", "broken.py": "syntax_error"}
    assert "3 programs, 3 distinct; 1 passed 1 test" in err


def test_without_tests_nothing_is_run_and_the_critic_decides(
    files: list[str], critic: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUROBOROS_NSJAIL", "/nowhere/nsjail")
    status, out, err = command("rank", *files, "--task", TASK, "--critic", critic, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["answered"]
    assert [one["verdict"] for one in found["candidates"]] == [None] * 3
    sound = [one for one in found["candidates"] if one["acceptable"]]
    assert sound == found["candidates"][:2]
    assert sound[0]["reward"] >= sound[1]["reward"]
    asked = Problem(problem_id="x", prompt_text=TASK, entry_point="add", tests=("assert add",))
    scores = load_critic(critic).score([(asked, code) for code in (WRONG, RIGHT, "def add(x:\n")])
    assert {one["files"][0]: one["reward"] for one in found["candidates"]} == {
        name: score.reward for name, score in zip(files, scores, strict=True)
    }


def test_no_program_that_passes_is_status_3_and_the_table_is_there(
    files: list[str], critic: Path, command: Command
) -> None:
    status, out, err = command(
        "rank", "wrong.py", "broken.py", "--task", TASK, "--test", TEST, "--critic", critic
    )
    assert status == 3
    assert len(out.splitlines()) == 3
    assert "no answer: no program passes the tests" in err


def test_min_p_declines(files: list[str], critic: Path, command: Command) -> None:
    arguments = ("rank", *files, "--task", TASK, "--critic", critic, "--min-p")
    assert command(*arguments, "0")[0] == 0
    status, out, err = command(*arguments, "1")
    assert status == 3
    assert len(out.splitlines()) == 4
    assert "less than 1;" in err


def test_standard_input_and_copies(
    files: list[str], critic: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A byte order mark and other line ends make no other program.
    piped = b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
    status, out, err = command(
        "rank", "-", *files, "--task", TASK, "--test", TEST, "--critic", critic, "--json"
    )
    assert status == 0, err
    found = json.loads(out)
    assert (found["num_programs"], found["num_distinct"], found["num_passed"]) == (4, 3, 2)
    assert found["candidates"][0]["files"] == ["<stdin>", "right.py"]
    assert found["program"] == RIGHT


def test_a_problem_of_a_file_brings_its_tests(
    files: list[str], critic: Path, command: Command, tmp_path: Path
) -> None:
    write_records(tmp_path / "problems.jsonl", [problem(2), problem(3)])
    given = ("rank", *files, "--critic", critic, "--problems", "problems.jsonl", "--problem")
    status, out, err = command(*given, "tiny/2")
    assert status == 0, err
    assert rows(out)[1][1] == "right.py"
    assert "1 passed 2 tests" in err
    status, _, err = command(*given, "tiny/7")
    assert status == 2
    assert "problems.jsonl has no problem 'tiny/7'" in err
    assert "it holds 2 problems, 'tiny/2' for one" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --task, or --problem with --problems"),
        (("--problem", "tiny/2"), "give --task, or --problem with --problems"),
        (("--task", TASK, "--problem", "tiny/2"), "give either --task, or --problem"),
        (("--problem", "a", "--problems", "b", "--test", TEST), "--test and --entry-point go with"),
        (("--task", TASK, "--test", "assert add(1"), "--test 'assert add(1': not Python"),
        (("--task", TASK, "--min-p", "1.5"), "expected a number from 0 to 1, found '1.5'"),
        (("--task", TASK, "--min-p", "nan"), "expected a number from 0 to 1, found 'nan'"),
        (("--task", TASK, "--critic", "nowhere"), "nowhere: no critic here"),
        (("--task", TASK, "--critic", "."), ".: no critic here"),
        (("right.py", "--task", TASK), "right.py: is given twice"),
        (("./right.py", "--task", TASK), "./right.py: is given twice (as right.py)"),
        (("missing.py", "--task", TASK), "missing.py: cannot be read: No such file"),
        (("folder", "--task", TASK), "folder: cannot be read: Is a directory"),
        (("empty.py", "--task", TASK), "empty.py: holds no program: it is empty"),
        (("latin.py", "--task", TASK), "latin.py: not UTF-8 text"),
    ],
)
def test_bad_input_is_named(
    arguments: tuple[str, ...], said: str, files: list[str], command: Command, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.py").write_text(" \n\n")
    (tmp_path / "latin.py").write_bytes("# größer\n".encode("latin-1"))
    status, out, err = command("rank", *files, *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_without_a_sandbox_nothing_is_run(
    files: list[str], critic: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUROBOROS_NSJAIL", "/nowhere/nsjail")
    status, out, err = command("rank", *files, "--task", TASK, "--test", TEST, "--critic", critic)
    assert (status, out) == (2, "")
    assert "/nowhere/nsjail (from OUROBOROS_NSJAIL) is not an executable file" in err
