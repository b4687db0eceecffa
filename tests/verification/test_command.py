"""`ouroboros verify` and `ouroboros doctor`: files in, files out, clear messages."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.jsonl import read_records
from ouroboros.records import Verdict
from ouroboros.splitting.extra import read_extra
from ouroboros.splitting.params import ExtraFile
from ouroboros.verification import command
from ouroboros.verification.doctor import checks

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")

PROBLEM = {
    "task_id": 7, "text": "Square a number.", "code": "def sq(n): return n * n",
    "test_list": ["assert sq(2) == 4", "assert sq(3) == 9"], "test_setup_code": "",
    "challenge_test_list": ["assert sq(-1) == 1"],
}  # fmt: skip


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(index: int, code: str, problem_id: str = "mbpp/7") -> dict[str, object]:
    return {"problem_id": problem_id, "sample_index": index, "code": code}


def test_verdicts_come_in_input_order(tmp_path: Path) -> None:
    problems = write(tmp_path / "problems.jsonl", PROBLEM)
    rows = [row(5, "def sq(n): return n * n"), row(0, "def sq(n): return 4"), row(2, "def sq(")]
    out = tmp_path / "out" / "verdicts.jsonl"
    command.run(problems, write(tmp_path / "candidates.jsonl", *rows), out, workers=2)
    verdicts = read_records(out, Verdict)
    assert [(v.sample_index, v.verdict, v.tests) for v in verdicts] == [
        (5, "pass", ("pass", "pass")),
        (0, "wrong_answer", ("pass", "fail")),
        (2, "syntax_error", ("error", "error")),
    ]
    assert verdicts[0].extra_tests == ("pass",)
    first = out.read_bytes()
    command.run(problems, tmp_path / "candidates.jsonl", out, workers=1)
    assert out.read_bytes() == first


def test_labelled_problems_in_place_of_verdicts(tmp_path: Path) -> None:
    problems = write(tmp_path / "problems.jsonl", PROBLEM, {**PROBLEM, "task_id": 8})
    rows = [row(5, "def sq(n): return n * n"), row(0, "def sq(n): return 4")]
    candidates = write(tmp_path / "candidates.jsonl", *rows)
    out = tmp_path / "labelled.jsonl"
    command.run(problems, candidates, out, workers=1, labelled=True)
    ((_, found),) = read_extra([pinned(out)])  # mbpp/8 has no candidates
    assert found.problem_id == "mbpp/7"
    assert found.problem.tests == tuple(PROBLEM["test_list"])
    assert [(a.candidate.code, a.candidate.key, a.verdict.tests) for a in found.attempts] == [
        (rows[1]["code"], ("mbpp/7", 0), ("pass", "fail")),
        (rows[0]["code"], ("mbpp/7", 5), ("pass", "pass")),
    ]
    first = out.read_bytes()
    write(candidates, *reversed(rows))
    command.run(problems, candidates, out, workers=2, labelled=True)
    assert out.read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "candidates.jsonl", "labelled.jsonl", "problems.jsonl",
    ]  # fmt: skip


def pinned(path: Path) -> ExtraFile:
    return ExtraFile(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0, "x"), row(0, "y")], r"candidates.jsonl:2: duplicate candidate \('mbpp/7', 0\)"),
        ([row(0, "x", "mbpp/8")], r"candidates.jsonl:1: unknown problem 'mbpp/8'"),
        ([{"problem_id": "mbpp/7", "code": "x"}], r"jsonl:1: missing field 'sample_index'"),
        ([{**row(0, "x"), "sample_index": "0"}], r"candidates.jsonl:1: field 'sample_index'"),
        ([], "no candidates"),
    ],
)  # fmt: skip
def test_bad_candidates_stop_with_file_and_line(
    rows: list[object], message: str, tmp_path: Path
) -> None:
    problems = write(tmp_path / "problems.jsonl", PROBLEM)
    candidates = write(tmp_path / "candidates.jsonl", *rows)
    with pytest.raises(InputError, match=message):
        command.run(problems, candidates, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    problems = write(tmp_path / "problems.jsonl", PROBLEM)
    with pytest.raises(UserError, match=r"nowhere\.jsonl: no such file"):
        command.run(problems, tmp_path / "nowhere.jsonl", tmp_path / "out.jsonl")


def test_the_doctor_finds_a_working_sandbox() -> None:
    found = checks()
    assert [check.name for check in found if not check.ok] == []
    assert found[-1].detail.endswith("pass, wrong_answer, runtime_error")


def references(path: Path, *, broken: bool) -> list[dict[str, object]]:
    opener = gzip.open if path.suffix == ".gz" else open
    rows = []
    with opener(path, "rt") as stream:
        for line in stream:
            entry = json.loads(line)
            if "prompt" in entry:
                problem_id = f"humaneval/{entry['task_id'].split('/')[1]}"
                code = entry["prompt"] + (
                    "    return None\n" if broken else entry["canonical_solution"]
                )
            else:
                problem_id = f"mbpp/{entry['task_id']}"
                code = (
                    entry["code"].replace("return", "return [None] and")
                    if broken
                    else entry["code"]
                )
            rows.append(row(0, code, problem_id))
    return rows


@needs_data
@pytest.mark.parametrize("name", ["mbpp.jsonl", "HumanEval.jsonl.gz"])
def test_every_published_reference_passes(name: str, tmp_path: Path) -> None:
    rows = references(DATA / name, broken=False)
    candidates = write(tmp_path / "candidates.jsonl", *rows)
    command.run(DATA / name, candidates, tmp_path / "out.jsonl")
    failed = [v for v in read_records(tmp_path / "out.jsonl", Verdict) if not v.passed]
    assert not failed
    assert len(rows) == {"mbpp.jsonl": 974, "HumanEval.jsonl.gz": 164}[name]


@needs_data
def test_an_answer_of_none_never_solves_humaneval(tmp_path: Path) -> None:
    rows = references(DATA / "HumanEval.jsonl.gz", broken=True)
    candidates = write(tmp_path / "candidates.jsonl", *rows)
    command.run(DATA / "HumanEval.jsonl.gz", candidates, tmp_path / "out.jsonl")
    passed = [v.problem_id for v in read_records(tmp_path / "out.jsonl", Verdict) if v.passed]
    assert passed == []
