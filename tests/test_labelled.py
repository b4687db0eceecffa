"""Joining problems, candidates and verdicts."""

import dataclasses

import pytest

from ouroboros.errors import InputError
from ouroboros.labelled import join
from ouroboros.records import Candidate, Problem, Verdict

PROBLEMS = [
    Problem(problem_id=f"mbpp/{number}", prompt_text="p", entry_point="f", tests=("assert f()",))
    for number in (10, 9)
]
CANDIDATES = [
    Candidate(
        problem_id=problem.problem_id,
        sample_index=index,
        code=f"code {index}",
        completion="long text",
        sampling="greedy" if index < 0 else "sample",
    )
    for problem in PROBLEMS
    for index in (2, 10, -1, 0)
]
VERDICTS = [
    Verdict(problem_id=c.problem_id, sample_index=c.sample_index, verdict="pass")
    for c in reversed(CANDIDATES)
]


def test_rows_are_by_problem_and_attempts_by_sample_index():
    rows = join(PROBLEMS, CANDIDATES, VERDICTS)
    assert [row.problem_id for row in rows] == ["mbpp/9", "mbpp/10"]
    for row in rows:
        assert [a.candidate.sample_index for a in row.attempts] == [-1, 0, 2, 10]
        assert all(a.candidate.key == a.verdict.key for a in row.attempts)
        assert row.greedy is row.attempts[0]
        assert row.samples == row.attempts[1:]


def test_completions_are_left_out():
    (first, _) = join(PROBLEMS, CANDIDATES, VERDICTS)
    assert {a.candidate.completion for a in first.attempts} == {""}


@pytest.mark.parametrize(
    ("problems", "candidates", "verdicts", "message"),
    [
        (PROBLEMS, CANDIDATES, VERDICTS[1:], "has no verdict\n  run the execute stage"),
        (PROBLEMS, CANDIDATES[1:], VERDICTS, "verdict ('mbpp/10', 2) has no candidate"),
        (PROBLEMS[:1], CANDIDATES, VERDICTS, "candidates of an unknown problem 'mbpp/9'"),
        (PROBLEMS, CANDIDATES[:4], VERDICTS[4:], "problem 'mbpp/9' has no candidates"),
        (
            [*PROBLEMS, dataclasses.replace(PROBLEMS[0], problem_id="mbpp/11")],
            CANDIDATES,
            VERDICTS,
            "problem 'mbpp/11' has no candidates",
        ),
    ],
)
def test_what_does_not_match_is_named(problems, candidates, verdicts, message):
    with pytest.raises(InputError) as error:
        join(problems, candidates, verdicts)
    assert message in str(error.value)
