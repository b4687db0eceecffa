"""The problems stage as DVC runs it."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ouroboros.jsonl import read_records
from ouroboros.records import Problem

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text("")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "params", tmp_path / "params")
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    return tmp_path


def run(project: Path, name: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "stages/problems.py", name], cwd=project, capture_output=True, text=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip


def test_default_profile_needs_nothing_but_the_packages(project):
    for name, prefix in (("main", "starter/"), ("transfer", "humaneval/")):
        result = run(project, name)
        assert result.returncode == 0, result.stderr
        path = project / "data" / "problems" / f"{name}.jsonl"
        problems = read_records(path, Problem)
        assert problems
        assert all(problem.problem_id.startswith(prefix) for problem in problems)
        first = path.read_bytes()
        path.unlink()
        run(project, name, hash_seed="12345")
        assert path.read_bytes() == first


def test_unknown_set(project):
    result = run(project, "other")
    assert result.returncode == 2
    assert "missing params block 'problems.other'" in result.stderr
    assert "Traceback" not in result.stderr


def test_unsound_problems_stop_the_stage(project):
    (project / "bad.jsonl").write_text(
        '{"problem_id": "own/1", "prompt_text": "p", "entry_point": "f", "tests": ["f()"]}\n'
    )
    digest = hashlib.sha256((project / "bad.jsonl").read_bytes()).hexdigest()
    (project / "params.yaml").write_text("profile: cpu\n")
    (project / "params" / "cpu.yaml").write_text(
        f"problems: {{main: {{source: path, path: bad.jsonl, sha256: {digest}}}}}\n"
    )
    result = run(project, "main")
    assert result.returncode == 2
    assert "own/1: tests[0]: expected one assert statement" in result.stderr
    assert not (project / "data").exists()
