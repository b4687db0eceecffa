"""Strict parsing of records."""

import json
from typing import Any

import pytest

from ouroboros.errors import InputError
from ouroboros.records import (
    Attempt,
    Candidate,
    LabelledProblem,
    Problem,
    Verdict,
    from_dict,
    require_known_problems,
    require_unique,
    to_dict,
)

PROBLEM = Problem(
    problem_id="mbpp/1", prompt_text="p", entry_point="f", tests=("assert f()", "assert f(1)")
)
CANDIDATE = Candidate(problem_id="mbpp/1", sample_index=0, code="x", sum_logprob=-1.5)
GREEDY = Candidate(problem_id="mbpp/1", sample_index=-1, code="x", sampling="greedy")
VERDICT = Verdict(
    problem_id="mbpp/1", sample_index=0, verdict="wrong_answer", tests=("pass", "fail"),
    outputs=("ab", None),
    visible_outputs=("ab",),
)  # fmt: skip
ROW = LabelledProblem(
    problem=PROBLEM,
    attempts=(
        Attempt(candidate=GREEDY, verdict=VERDICT),
        Attempt(candidate=CANDIDATE, verdict=VERDICT),
    ),
)


@pytest.mark.parametrize(
    "record", [PROBLEM, CANDIDATE, VERDICT, ROW], ids=lambda r: type(r).__name__
)
def test_a_record_survives_json(record):
    assert from_dict(type(record), json.loads(json.dumps(to_dict(record))), "here") == record


def test_an_integer_is_a_number():
    candidate = from_dict(Candidate, {**to_dict(CANDIDATE), "sum_logprob": -2}, "here")
    assert type(candidate.sum_logprob) is float


def test_labelled_problem_tells_samples_from_the_greedy_attempt():
    assert ROW.greedy is ROW.attempts[0]
    assert ROW.samples == (ROW.attempts[1],)
    assert ROW.problem_id == "mbpp/1"


@pytest.mark.parametrize(
    ("record", "change", "message"),
    [
        (CANDIDATE, {"code": 1}, "f:3: field 'code': expected a string, found int 1"),
        (CANDIDATE, {"sample_index": "0"}, "field 'sample_index': expected an integer, found str"),
        (CANDIDATE, {"sample_index": True}, "expected an integer, found bool True"),
        (CANDIDATE, {"sample_index": 0.0}, "expected an integer, found float 0.0"),
        (CANDIDATE, {"sum_logprob": "x"}, "field 'sum_logprob': expected a number, found str 'x'"),
        (CANDIDATE, {"sampling": "beam"}, "'sample', 'mutant', 'wrong_prompt', found 'beam'"),
        (CANDIDATE, {"colour": 1}, "f:3: unknown field 'colour'\n  known: problem_id"),
        (PROBLEM, {"tests": "assert f()"}, "field 'tests': expected a list, found str"),
        (PROBLEM, {"tests": [1]}, "field 'tests'[0]: expected a string, found int 1"),
        (PROBLEM, {"check": "def check(c): pass"}, "needs either tests or check, not both"),
        (PROBLEM, {"tests": []}, "f:3: problem mbpp/1: needs either tests or check"),
        (VERDICT, {"verdict": "passed"}, "field 'verdict': expected one of 'pass', 'wrong_answer'"),
        (VERDICT, {"tests": ["skip"]}, "expected one of 'pass', 'fail', 'error', found 'skip'"),
    ],
)
def test_wrong_field_is_named(record, change, message):
    with pytest.raises(InputError) as error:
        from_dict(type(record), {**to_dict(record), **change}, "f:3")
    assert message in str(error.value)


def test_nested_field_is_named():
    data = to_dict(ROW)
    data["attempts"][1]["candidate"]["code"] = None
    with pytest.raises(InputError, match=r"field 'attempts'\[1\]: field 'candidate': field 'code'"):
        from_dict(LabelledProblem, data, "f:3")


@pytest.mark.parametrize("key", ["problem_id", "sample_index", "code"])
def test_missing_field_is_named(key):
    data = to_dict(CANDIDATE)
    del data[key]
    with pytest.raises(InputError, match=f"f:3: missing field '{key}'"):
        from_dict(Candidate, data, "f:3")


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_what_is_no_object(data):
    with pytest.raises(InputError, match="f:3: expected an object"):
        from_dict(Candidate, data, "f:3")


def test_long_values_are_cut_in_messages():
    with pytest.raises(InputError) as error:
        from_dict(Candidate, {**to_dict(CANDIDATE), "num_tokens": "x" * 10_000}, "f:3")
    assert len(str(error.value)) < 200


def test_duplicates_name_both_places():
    rows: list[tuple[Any, str]] = [(("a", 0), "f:1"), (("a", 1), "f:2"), (("a", 0), "f:9")]
    with pytest.raises(InputError) as error:
        require_unique(rows, "candidate")
    assert str(error.value) == "f:9: duplicate candidate ('a', 0)\n  first at f:1"


def test_unknown_problem_is_named():
    require_known_problems([("mbpp/1", "f:1")], [PROBLEM], "problems.jsonl")
    with pytest.raises(InputError) as error:
        require_known_problems([("mbpp/2", "f:4")], [PROBLEM], "problems.jsonl")
    assert "f:4: unknown problem 'mbpp/2'" in str(error.value)
    assert "problems.jsonl holds 1 problems, 'mbpp/1' for one" in str(error.value)
