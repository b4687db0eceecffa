"""The split stage as DVC runs it: files in, files out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ouroboros.jsonl import read_records, write_records
from ouroboros.records import Candidate, LabelledProblem, NearDuplicates, Problem, Verdict

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = (
    "data/splits/train.jsonl", "data/splits/dev.jsonl", "data/splits/test.jsonl",
    "data/splits/transfer.jsonl", "data/splits/near_duplicates.jsonl", "metrics/leakage.json",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with 30 MBPP problems, of which mbpp/505 repeats mbpp/3, and two others."""
    (tmp_path / "params").mkdir()
    (tmp_path / "params.yaml").write_text("profile: cpu\nsplit: {seed: 0, dev_fraction: 0.2}\n")
    (tmp_path / "params" / "cpu.yaml").write_text("split: {scheme: seed}\n")
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    ids = [f"mbpp/{number}" for number in (*range(1, 16), *range(501, 516))]
    for name, problem_ids in (("main", ids), ("transfer", ["humaneval/1", "humaneval/2"])):
        problems, candidates, verdicts = [], [], []
        for problem_id in problem_ids:
            word = problem_id.replace("mbpp/505", "mbpp/3").replace("/", "")
            problems.append(
                Problem(
                    problem_id=problem_id,
                    prompt_text=f"find {word}a {word}b {word}c",
                    entry_point="f",
                    tests=("assert f()",),
                )
            )
            for index in (-1, 0, 1):
                kind = "greedy" if index < 0 else "sample"
                candidates.append(
                    Candidate(
                        problem_id=problem_id,
                        sample_index=index,
                        code=f"x = {index}",
                        completion="said",
                        sampling=kind,
                    )
                )
                verdicts.append(
                    Verdict(problem_id=problem_id, sample_index=index, verdict="wrong_answer")
                )
        write_records(tmp_path / "data" / "problems" / f"{name}.jsonl", problems)
        write_records(tmp_path / "data" / "candidates" / f"{name}.jsonl", candidates)
        write_records(tmp_path / "data" / "verdicts" / f"{name}.jsonl", verdicts)
    return tmp_path


def run(project: Path, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "stages/split.py"], cwd=project, capture_output=True, text=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip


def contents(project: Path) -> dict[str, bytes]:
    return {name: (project / name).read_bytes() for name in OUTPUTS}


def test_splits_hold_whole_problems_with_their_attempts(project):
    result = run(project)
    assert result.returncode == 0, result.stderr
    parts = {
        name: read_records(project / f"data/splits/{name}.jsonl", LabelledProblem)
        for name in ("train", "dev", "test", "transfer")
    }
    assert {name: len(rows) for name, rows in parts.items()} == {
        "train": 12, "dev": 3, "test": 15, "transfer": 2,
    }  # fmt: skip
    for rows in parts.values():
        assert all(len(row.attempts) == 3 and row.greedy is not None for row in rows)
    assert "15 test" in result.stdout
    assert "1 in test, 0 in transfer" in result.stdout


def test_leakage_report(project):
    run(project)
    report = json.loads((project / "metrics/leakage.json").read_text())
    assert report["test"] == {"problems": 15, "near_duplicates": 1}
    (row,) = read_records(project / "data/splits/near_duplicates.jsonl", NearDuplicates)
    assert (row.problem_id, row.split) == ("mbpp/505", "test")
    assert [neighbour.problem_id for neighbour in row.neighbours] == ["mbpp/3"]


def test_same_input_gives_the_same_bytes(project):
    run(project)
    first = contents(project)
    for name in OUTPUTS:
        (project / name).unlink()
    assert run(project, hash_seed="12345").returncode == 0
    assert contents(project) == first


def test_missing_verdict_stops_before_anything_is_written(project):
    path = project / "data/verdicts/main.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    result = run(project)
    assert result.returncode == 2
    assert result.stderr.startswith("error: candidate ('mbpp/1', -1) has no verdict")
    assert not (project / "data/splits").exists()
