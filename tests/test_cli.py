"""The console script: what it says, and how it exits."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ouroboros.cli import main
from ouroboros.jsonl import read_records
from ouroboros.records import LabelledProblem

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "verify", "score", "solve", "rank", "serve", "summary", "report", "export", "problems", "seeds",
    "doctor",
)  # fmt: skip


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_help_lists_each_command_with_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["--help"], capsys)
    assert status == 0
    for command in COMMANDS:
        assert f"    {command} " in out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_own_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run([command, "--help"], capsys)
    assert status == 0
    assert len(out) > 100


def test_verify_names_a_missing_file_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out_file = tmp_path / "verdicts.jsonl"
    arguments = ["verify", "--problems", str(tmp_path / "no.jsonl"), "--candidates"]
    status, _, err = run([*arguments, str(tmp_path / "c.jsonl"), "--out", str(out_file)], capsys)
    assert status == 2
    assert "no.jsonl: no such file" in err
    assert not out_file.exists()


def test_verify_writes_labelled_problems_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "def sq(n): return n * n"
    problem = {"task_id": 7, "text": "Square.", "code": code, "test_list": ["assert sq(2) == 4"]}
    (tmp_path / "p.jsonl").write_text(
        json.dumps({**problem, "test_setup_code": "", "challenge_test_list": []})
    )
    row = {"problem_id": "mbpp/7", "sample_index": 0, "code": code}
    (tmp_path / "c.jsonl").write_text(json.dumps(row))
    files = ["--problems", str(tmp_path / "p.jsonl"), "--candidates", str(tmp_path / "c.jsonl")]
    out = tmp_path / "out.jsonl"
    status, _, err = run(["verify", *files, "--labelled", "--out", str(out)], capsys)
    assert status == 0, err
    (found,) = read_records(out, LabelledProblem)
    assert found.problem_id == "mbpp/7"
    assert [attempt.verdict.verdict for attempt in found.attempts] == ["pass"]


def test_workers_must_be_a_positive_number(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--problems", "p", "--candidates", "c", "--out", "o"]
    status, _, err = run(["verify", *files, "--workers", "0"], capsys)
    assert status == 2
    assert "at least 1" in err


def test_install_names_the_python_it_needs_where_it_finds_another(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / ".venv").mkdir()
    done = subprocess.run(
        [tmp_path / "requirements" / "install.sh", "cpu"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "CPython 3.11 is needed" in done.stderr
    assert (tmp_path / ".venv").is_dir(), "an existing environment was deleted"


def test_install_refuses_an_unknown_profile(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    done = subprocess.run(
        [tmp_path / "requirements" / "install.sh", "tpu"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no lock file for profile 'tpu'" in done.stderr
