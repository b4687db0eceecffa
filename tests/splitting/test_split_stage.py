"""The split stage as DVC runs it: files in, files out."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ouroboros.jsonl import read_records, write_records
from ouroboros.labelled import join
from ouroboros.records import Candidate, LabelledProblem, NearDuplicates, Problem, Verdict
from ouroboros.splitting.params import SplitParams

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


@pytest.mark.parametrize("profile", ["cpu", "a100"])
def test_every_key_stands_in_the_profile_or_in_params(profile):
    """`dvc exp run -S` changes only keys that are there."""
    files = (ROOT / "params.yaml", ROOT / "params" / f"{profile}.yaml")
    keys = [key for file in files for key in yaml.safe_load(file.read_text())["split"]]
    assert sorted(keys) == sorted(field.name for field in dataclasses.fields(SplitParams))


def set_split(project: Path, **params: object) -> None:
    (project / "params" / "cpu.yaml").write_text(json.dumps({"split": params}))


def ids(project: Path, part: str) -> list[str]:
    path = project / f"data/splits/{part}.jsonl"
    return [row.problem_id for row in read_records(path, LabelledProblem)]


def test_folds_test_every_problem_once(project):
    tested = []
    for fold in range(3):
        set_split(project, scheme="folds", folds=3, fold=fold)
        result = run(project)
        assert result.returncode == 0, result.stderr
        tested += ids(project, "test")
        assert len(ids(project, "test")) == 10
        assert ("mbpp/3" in ids(project, "test")) == ("mbpp/505" in ids(project, "test"))
    assert len(tested) == 30
    assert len(set(tested)) == 30


def test_more_folds_than_problems_stop_before_anything_is_written(project):
    set_split(project, scheme="folds", folds=40)
    result = run(project)
    assert result.returncode == 2
    assert "split.folds is 40, but main has 30 problems in 29 groups" in result.stderr
    assert not (project / "data/splits").exists()


def extra_file(project: Path) -> dict[str, str]:
    """A problem of train, one of dev or test each, a new one and one that repeats mbpp/501."""
    assert run(project).returncode == 0
    rows = {
        row.problem_id: row
        for part in ("train", "dev", "test")
        for row in read_records(project / f"data/splits/{part}.jsonl", LabelledProblem)
    }
    chosen = [rows[ids(project, part)[0]] for part in ("train", "dev", "test")]
    for problem_id, text in (("other/1", "new task alpha"), ("other/2", "find mbpp501a mbpp501b")):
        text += " mbpp501c" if "501" in text else ""
        problem = dataclasses.replace(chosen[0].problem, problem_id=problem_id, prompt_text=text)
        candidate = Candidate(problem_id=problem_id, sample_index=0, code="x")
        verdict = Verdict(problem_id=problem_id, sample_index=0, verdict="pass")
        chosen += join([problem], [candidate], [verdict])
    path = project / "extra.jsonl"
    write_records(path, chosen)
    return {"path": "extra.jsonl", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_extra_problems_join_train_alone(project):
    extra = extra_file(project)
    before = contents(project)
    train = read_records(project / "data/splits/train.jsonl", LabelledProblem)
    set_split(project, scheme="seed", extra_train=[extra])
    result = run(project)
    assert result.returncode == 0, result.stderr
    after = contents(project)
    for part in ("dev", "test", "transfer"):
        assert after[f"data/splits/{part}.jsonl"] == before[f"data/splits/{part}.jsonl"]
    rows = read_records(project / "data/splits/train.jsonl", LabelledProblem)
    assert [row.problem_id for row in rows] == [
        *(r.problem_id for r in train),
        "other/1",
        "other/2",
    ]
    assert [a.candidate.sample_index for a in rows[0].attempts] == [-1, 0, 1, 2, 3, 4]
    assert rows[1 : len(train)] == train[1:]
    old = json.loads(before["metrics/leakage.json"])
    report = json.loads(after["metrics/leakage.json"])
    assert "extra_train" not in old
    assert report.pop("extra_train") == {
        "problems": 2, "attempts": 5, "grown_problems": 1,
        "left_out_problems": 2, "left_out_attempts": 6,
    }  # fmt: skip
    assert report["train"] == {"problems": old["train"]["problems"] + 2}
    assert report["test"]["near_duplicates"] == old["test"]["near_duplicates"] + 1
    assert "adds 2 problems to train and further attempts to 1, 5 attempts in all" in result.stdout
    assert "2 problems with 6 attempts" in result.stdout


def test_extra_problems_that_repeat_a_test_problem_can_be_excluded(project):
    extra = extra_file(project)
    set_split(project, scheme="seed", extra_train=[extra], exclude_near_duplicates=True)
    assert run(project).returncode == 0
    assert "other/1" in ids(project, "train")
    assert "other/2" not in ids(project, "train")
    report = json.loads((project / "metrics/leakage.json").read_text())
    assert report["extra_train"]["left_out_problems"] == 3
    assert report["test"]["near_duplicates"] == 0


def test_a_changed_extra_file_stops_before_anything_is_written(project):
    extra = extra_file(project)
    shutil.rmtree(project / "data/splits")
    with open(project / "extra.jsonl", "a") as stream:
        stream.write("\n")
    set_split(project, scheme="seed", extra_train=[extra])
    result = run(project)
    assert result.returncode == 2
    assert result.stderr.startswith("error: extra.jsonl: the file's SHA-256 is ")
    assert not (project / "data/splits").exists()


def test_an_extra_file_needs_its_digest(project):
    set_split(project, scheme="seed", extra_train=[{"path": "extra.jsonl"}])
    result = run(project)
    assert result.returncode == 2
    assert "split.extra_train[0]: missing param 'sha256'" in result.stderr
