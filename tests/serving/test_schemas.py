"""What is refused of a request's body, and how it is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ouroboros.errors import InputError
from ouroboros.serving.schemas import (
    Limits,
    RankRequest,
    ScoreRequest,
    UnknownProblem,
    VerifyRequest,
    parse_request,
    problem_asked,
)
from tests.critic.tiny_critics import problem

LIMITS = Limits(programs=2, program_characters=20, tests=2, test_characters=50, text_characters=60)
KNOWN = {"tiny/1": problem(1)}
KINDS = {"score": ScoreRequest, "rank": RankRequest, "verify": VerifyRequest}


def parsed(kind: str, body: Any) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_request(KINDS[kind], data, LIMITS)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("score", b"", "request: not a JSON object"),
        ("score", b"\xff", "request: not UTF-8 text"),
        ("score", b"[" * 100_000, "nested too deeply"),
        ("score", b'{"programs": ["a"], "programs": ["b"]}', "'programs' stands twice"),
        ("score", b'{"programs": ["\\ud800"], "task": "x"}', "request: not a JSON object"),
        ("rank", b'{"programs": ["a"], "task": "x", "min_p": NaN}', "NaN is not JSON"),
        ("score", [], "request: expected an object, found list"),
        ("score", {"task": "x"}, "request: missing field 'programs'"),
        ("score", {"programs": []}, "field 'programs': expected 1 to 2 of them, found 0"),
        ("score", {"programs": ["a"] * 3}, "field 'programs': expected 1 to 2 of them, found 3"),
        ("score", {"programs": "ab"}, "field 'programs': expected a list, found str 'ab'"),
        ("score", {"programs": ["a", 1]}, "field 'programs'[1]: expected a string, found int 1"),
        ("score", {"programs": ["a" * 21]}, "'programs[0]': expected at most 20 characters"),
        ("score", {"programs": ["a"], "task": "x" * 61}, "field 'task': expected at most 60"),
        ("score", {"programs": ["a"], "tests": ["x" * 51]}, "field 'tests[0]': expected at most"),
        ("score", {"programs": ["a"], "tests": ["x"] * 3}, "field 'tests': expected 0 to 2"),
        ("score", {"programs": ["a"], "problem_id": "x" * 61}, "field 'problem_id': expected at"),
        ("score", {"programs": ["a"], "min_p": 0.5}, "request: unknown field 'min_p'"),
        ("rank", {"programs": ["a"], "min_p": 1.5}, "field 'min_p': expected a number from 0 to 1"),
        ("rank", {"programs": ["a"], "min_p": True}, "field 'min_p': expected a number, found"),
        ("verify", {"programs": ["a"]}, "request: missing field 'problem_id'"),
        ("verify", {"programs": ["a"], "problem_id": None}, "field 'problem_id': expected a str"),
        ("verify", {"programs": ["a"], "problem_id": "x", "tests": []}, "unknown field 'tests'"),
        ("verify", {"programs": ["a"], "problem_id": "x", "setup_code": ""}, "unknown field"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(kind: str, body: Any, said: str) -> None:
    with pytest.raises(InputError) as error:
        parsed(kind, body)
    assert said in str(error.value)


def test_a_request_at_the_limits_is_taken() -> None:
    body = {"programs": ["a" * 20, ""], "task": "x" * 60, "tests": ["y" * 50] * 2, "min_p": 1}
    assert parsed("rank", body) == RankRequest(
        programs=("a" * 20, ""), task="x" * 60, tests=("y" * 50,) * 2, min_p=1.0
    )


def asked(**fields: Any) -> ScoreRequest:
    return ScoreRequest(programs=("a",), **fields)


def test_a_task_is_the_problem_that_rank_makes_of_it() -> None:
    found = problem_asked(asked(task="Add 2.", tests=("assert add(1) == 3",)), {})
    assert found.entry_point == "add"
    assert found.visible_tests == ("assert add(1) == 3",)
    assert problem_asked(asked(task="Add 2.", entry_point="plus"), {}).entry_point == "plus"


def test_a_known_problem_is_found_by_id() -> None:
    assert problem_asked(asked(problem_id="tiny/1"), KNOWN) is KNOWN["tiny/1"]
    with pytest.raises(UnknownProblem, match=r"no problem 'tiny/2' .* 1 are, 'tiny/1' for one"):
        problem_asked(asked(problem_id="tiny/2"), KNOWN)
    with pytest.raises(UnknownProblem, match="none is"):
        problem_asked(asked(problem_id="tiny/1"), {})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "request: needs task, or problem_id"),
        ({"task": " "}, "request: field 'task': is empty"),
        ({"task": "x", "problem_id": "tiny/1"}, "field 'task': does not go with problem_id"),
        ({"tests": ("assert f()",), "problem_id": "tiny/1"}, "'tests': does not go with"),
        ({"entry_point": "f", "problem_id": "tiny/1"}, "'entry_point': does not go with"),
        ({"task": "x", "tests": ("f()",)}, "field 'tests': 'f()': expected one assert statement"),
        ({"task": "x", "tests": ("assert 1",)}, "like a built-in one needs entry_point"),
        ({"task": "x", "entry_point": "1"}, "request: field 'entry_point': '1' is not a Python"),
    ],
)
def test_what_asks_for_no_problem_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        problem_asked(asked(**fields), KNOWN)
    assert said in str(error.value)
    assert "--" not in str(error.value)
