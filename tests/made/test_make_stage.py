"""The stage as DVC runs it: files in, files out, every label from the sandbox."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ouroboros.jsonl import read_records, write_records
from ouroboros.made.make import make_negatives
from ouroboros.made.params import MadeNegativesParams
from ouroboros.problems.formats import load_problems
from ouroboros.records import Attempt, Candidate, LabelledProblem, Verdict
from ouroboros.store import ResultStore
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify

ROOT = Path(__file__).resolve().parents[2]
MBPP = ROOT.parent / "shared" / "data" / "mbpp.jsonl"
MADE = "data/splits/made.jsonl"
REPORT = "metrics/made.json"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Five starter problems, the real attempt of each a failure, so that references are parents."""
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    shutil.copytree(ROOT / "sandbox", tmp_path / "sandbox")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "cpu.yaml").write_text("{}\n")
    rows = []
    for problem in load_problems(ROOT / "src/ouroboros/problems/starter/problems.jsonl")[3:8]:
        key = {"problem_id": problem.problem_id, "sample_index": 0}
        candidate = Candidate(**key, code=f"def {problem.entry_point}(*a): pass")
        verdict = Verdict(**key, verdict="wrong_answer")
        rows.append(
            LabelledProblem(
                problem=problem, attempts=(Attempt(candidate=candidate, verdict=verdict),)
            )
        )
    for name in ("train", "dev", "test"):
        write_records(tmp_path / "data" / "splits" / f"{name}.jsonl", rows)
    return tmp_path


def run(
    project: Path, mutants: int, wrong: int, hash_seed: str = "0"
) -> subprocess.CompletedProcess[str]:
    (project / "params.yaml").write_text(
        "profile: cpu\nexecute: {cpu_seconds: 1}\nmade_negatives: {seed: 0, "
        f"mutants_per_problem: {mutants}, wrong_prompts_per_problem: {wrong}}}\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    environment.pop("OUROBOROS_CACHE", None)
    return subprocess.run(
        [sys.executable, "stages/make_negatives.py"], cwd=project, capture_output=True, text=True,
        env=environment,
    )  # fmt: skip


def stored(project: Path) -> int:
    with sqlite3.connect(project / ".ouroboros" / "verdicts.sqlite") as connection:
        return connection.execute("SELECT count(*) FROM results").fetchone()[0]


def test_zero_writes_an_empty_file_and_starts_no_sandbox(project: Path) -> None:
    shutil.rmtree(project / "sandbox")  # it could not start one
    result = run(project, 0, 0)
    assert result.returncode == 0, result.stderr
    assert (project / MADE).read_bytes() == b""
    assert json.loads((project / REPORT).read_text())["problems_with_made"] == 0
    assert not (project / ".ouroboros").exists()


def test_made_programs_are_labelled_by_the_sandbox(project: Path) -> None:
    before = {
        name: (project / f"data/splits/{name}.jsonl").read_bytes() for name in ("dev", "test")
    }
    result = run(project, 6, 2)
    assert result.returncode == 0, result.stderr
    rows = read_records(project / MADE, LabelledProblem)
    train = read_records(project / "data/splits/train.jsonl", LabelledProblem)
    assert [row.problem for row in rows] == [row.problem for row in train]
    made = [attempt for row in rows for attempt in row.attempts]
    assert all(len(attempt.verdict.tests) >= 1 for attempt in made)
    failed = [a for a in made if not a.verdict.passed]
    assert len(failed) > len(made) / 2
    report = json.loads((project / REPORT).read_text())
    assert report["mutant"]["made"] + report["wrong_prompt"]["made"] == len(made)
    assert f"make_negatives: {report['mutant']['made']} mutants: " in result.stdout
    # Every verdict is what the verifier says of that very program.
    again = verify(
        [row.problem for row in rows], [a.candidate for a in made], ExecuteParams(cpu_seconds=1)
    )
    assert again == [attempt.verdict for attempt in made]
    for name, content in before.items():
        assert (project / f"data/splits/{name}.jsonl").read_bytes() == content


def test_a_second_run_executes_nothing_again_and_writes_the_same(project: Path) -> None:
    assert run(project, 3, 1).returncode == 0
    fewer, count = read_records(project / MADE, LabelledProblem), stored(project)
    first = {name: (project / name).read_bytes() for name in (MADE, REPORT)}
    for name in first:
        (project / name).unlink()  # as DVC does before a rerun
    again = run(project, 3, 1, hash_seed="12345")
    assert again.returncode == 0, again.stderr
    assert {name: (project / name).read_bytes() for name in first} == first
    assert stored(project) == count
    # More of them: those that were there are there, and were not executed again.
    assert run(project, 5, 1).returncode == 0
    rows = read_records(project / MADE, LabelledProblem)
    for old, new in zip(fewer, rows, strict=True):
        mutants = [a for a in old.attempts if a.candidate.sampling == "mutant"]
        assert list(new.attempts[: len(mutants)]) == mutants
    grown = sum(len(row.attempts) for row in rows) - sum(len(row.attempts) for row in fewer)
    assert stored(project) == count + grown


@pytest.mark.skipif(not MBPP.is_file(), reason="needs mbpp.jsonl in ../shared/data")
def test_most_mutants_of_published_references_fail(tmp_path: Path) -> None:
    problems = load_problems(MBPP)[:50]
    train = [LabelledProblem(problem=problem, attempts=()) for problem in problems]
    params = MadeNegativesParams(mutants_per_problem=4, wrong_prompts_per_problem=1)
    with ResultStore(tmp_path / "verdicts.sqlite") as store:
        made = make_negatives(
            train,
            params,
            lambda candidates, what: verify(
                problems, candidates, ExecuteParams(cpu_seconds=1), store=store, label=what
            ),
        )
    mutants = made.report["mutant"]
    assert mutants["made"] > 150, mutants
    assert 0.6 < 1 - mutants["passed"] / mutants["made"] < 1, mutants
    # What cannot even run teaches little: most should fail by a wrong answer.
    assert mutants["verdicts"]["wrong_answer"] > mutants["made"] / 2, mutants
    assert "syntax_error" not in mutants["verdicts"], mutants
    assert made.report["wrong_prompt"]["made"] == 50
