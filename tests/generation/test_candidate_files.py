"""Candidates from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.generation.candidate_files import read_candidate_file
from ouroboros.generation.params import CandidateFile, GenerateParams
from ouroboros.generation.run import generate
from ouroboros.records import Candidate, Problem


def problem(number: int, **fields: Any) -> Problem:
    return Problem(
        problem_id=f"mbpp/{number}", prompt_text=f"def f{number}():\n", entry_point="f",
        tests=("assert f() == 1",), **fields,
    )  # fmt: skip


PROBLEMS = [problem(1), problem(2)]


def row(number: int, index: int, **fields: Any) -> dict[str, Any]:
    return {"problem_id": f"mbpp/{number}", "sample_index": index, "code": "f = 1", **fields}


def source(tmp_path: Path, rows: list[Any], name: str = "c.jsonl") -> CandidateFile:
    path = tmp_path / name
    text = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if name.endswith(".gz") else text)
    return CandidateFile(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_any_number_of_candidates_a_problem_and_further_fields(tmp_path: Path, name: str) -> None:
    rows = [
        row(1, 0, generator="x", reported_pass=True, num_tokens=3, sum_logprob=-1.5),
        row(1, 7, finish_reason="stop"),
        row(2, -1, sampling="greedy"),
    ]
    found = read_candidate_file(source(tmp_path, rows, name), PROBLEMS)
    assert found == [
        Candidate(
            problem_id="mbpp/1", sample_index=0, code="f = 1", num_tokens=3, sum_logprob=-1.5
        ),
        Candidate(problem_id="mbpp/1", sample_index=7, code="f = 1", finish_reason="stop"),
        Candidate(problem_id="mbpp/2", sample_index=-1, code="f = 1", sampling="greedy"),
    ]


def test_a_completion_without_code_is_appended_to_the_prompt(tmp_path: Path) -> None:
    rows = [{"problem_id": "mbpp/1", "sample_index": 0, "completion": "    return 1\n"}, row(2, 0)]
    found = read_candidate_file(source(tmp_path, rows), PROBLEMS)
    assert found[0].code == "def f1():\n    return 1\n"
    assert found[0].completion == "    return 1\n"


def test_rows_of_other_problems_are_left_out_and_counted(tmp_path: Path, capsys) -> None:
    rows = [row(1, 0), row(2, 0), row(3, 0), row(3, 1), row(4, 0)]
    assert len(read_candidate_file(source(tmp_path, rows), PROBLEMS)) == 2
    assert "left out the candidates of 2 problems that are not in this set" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(1, 0), row(2, 0), row(1, 0)], "c.jsonl:3: duplicate candidate ('mbpp/1', 0)"),
        ([row(1, 0), "{oops"], "c.jsonl:2: not a JSON object"),
        ([row(1, 0), [1]], "c.jsonl:2: expected an object, found list"),
        ([{"sample_index": 0, "code": ""}], "c.jsonl:1: missing field 'problem_id'"),
        ([{"problem_id": "mbpp/1", "sample_index": 0}], "missing field 'code' (or 'completion')"),
        ([row(1, "0")], "c.jsonl:1: field 'sample_index': expected an integer, found str '0'"),
        ([row(1, -2)], "field 'sample_index': expected 0 or more, or -1"),
        ([row(1, 0, code=3)], "c.jsonl:1: field 'code': expected a string"),
        ([row(1, 0)], "no candidate for problem 'mbpp/2' (1 of 2 problems have none)"),
        ([row(8, 0)], "the file holds 0 problems of this set and 1 others, 'mbpp/8' for one"),
        ([], "no candidate for problem 'mbpp/1'"),
    ],
)
def test_bad_rows_are_named(rows: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_candidate_file(source(tmp_path, rows), PROBLEMS)
    assert message in str(caught.value)


def test_another_or_missing_digest_prints_the_actual_one(tmp_path: Path) -> None:
    good = source(tmp_path, [row(1, 0), row(2, 0)])
    for wrong in (None, "0" * 64):
        with pytest.raises(InputError) as caught:
            read_candidate_file(CandidateFile(path=good.path, sha256=wrong), PROBLEMS)
        assert str(good.sha256) in str(caught.value)
        assert "sha256" in str(caught.value)


def test_a_missing_file_and_a_set_without_one_are_named(tmp_path: Path) -> None:
    missing = CandidateFile(path=str(tmp_path / "none.jsonl"), sha256="0")
    with pytest.raises(UserError, match=r"none\.jsonl: no such file"):
        read_candidate_file(missing, PROBLEMS)
    params = GenerateParams(engine="file")
    with pytest.raises(UserError, match="names no file for set 'main'"):
        generate(PROBLEMS, params, cache=tmp_path, label="main")
