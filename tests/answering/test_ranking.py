"""The order of programs, what shares a place, and when there is no answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ouroboros.answering.ranking import Ranking, rank
from ouroboros.answering.tasks import make_problem
from ouroboros.critic.scoring import Score
from ouroboros.records import Candidate, Verdict, VerdictClass

TASK = "Write a function to return the square of a number."
TESTED = make_problem(TASK, ["assert sq(3) == 9"])
UNTESTED = make_problem(TASK)


def program(number: int) -> str:
    return f"def sq(n):\n    return n * n + {number}\n"


def candidate(index: int, code: str, logprob: float | None = -1.0) -> Candidate:
    return Candidate(problem_id="task/1", sample_index=index, code=code, sum_logprob=logprob)


def verdict(index: int, kind: VerdictClass) -> Verdict:
    return Verdict(problem_id="task/1", sample_index=index, verdict=kind)


def ranked(
    candidates: Sequence[Candidate],
    rewards: Sequence[float],
    kinds: Sequence[VerdictClass] | None = None,
    min_p: float | None = None,
) -> Ranking:
    """p_pass is a tenth of the reward."""
    verdicts = [
        verdict(one.sample_index, kinds[place]) if kinds else None
        for place, one in enumerate(candidates)
    ]
    scores = [Score(reward=reward, p_pass=reward / 10) for reward in rewards]
    return rank(TESTED if kinds else UNTESTED, candidates, verdicts, scores, min_p)


def order(ranking: Ranking) -> list[int]:
    return [found.candidate.sample_index for found in ranking.programs]


def test_programs_that_pass_come_first_whatever_the_reward() -> None:
    programs = [candidate(index, program(index)) for index in range(4)]
    found = ranked(programs, [9, 1, 8, 2], ["wrong_answer", "pass", "timeout", "pass"])
    assert order(found) == [3, 1, 0, 2]
    assert found.answer is found.programs[0]
    assert (found.reason, found.passed, found.count) == ("", 2, 4)


def test_equal_rewards_are_ordered_by_likelihood_then_index() -> None:
    logprobs = [-3.0, None, -1.0, -3.0, None]
    programs = [
        candidate(index, program(index), logprob)
        for index, logprob in zip((5, 0, 4, -1, 1), logprobs, strict=True)
    ]
    assert order(ranked(programs, [2.0] * 5)) == [4, -1, 5, 0, 1]


def test_the_order_of_the_candidates_does_not_matter() -> None:
    programs = [candidate(index, program(index % 3), -float(index)) for index in range(6)]
    rewards = [float(index % 3) for index in range(6)]
    assert ranked(programs[::-1], rewards[::-1]) == ranked(programs, rewards)


def test_identical_programs_share_a_place_as_the_likeliest_of_them() -> None:
    programs = [
        candidate(-1, program(0), -4.0),
        candidate(0, program(0).rstrip("\n"), -2.0),
        candidate(1, program(1), -1.0),
        candidate(2, f"\n{program(0)}\n", -3.0),
    ]
    found = ranked(programs, [5, 5, 1, 5], ["pass", "pass", "wrong_answer", "pass"])
    assert [found.programs[0].sample_indices, found.programs[1].sample_indices] == [
        (-1, 0, 2),
        (1,),
    ]
    assert found.programs[0].candidate.sample_index == 0
    assert (found.count, found.passed, len(found.programs)) == (4, 3, 2)


def test_no_answer_where_none_passes() -> None:
    programs = [candidate(index, program(index)) for index in range(2)]
    found = ranked(programs, [9, 8], ["wrong_answer", "crashed"])
    assert found.answer is None
    assert found.reason == "no program passes the tests"
    assert (order(found), found.passed) == ([0, 1], 0)


@pytest.mark.parametrize(("min_p", "answered"), [(None, True), (0.3, True), (0.30001, False)])
def test_no_answer_below_the_least_p_pass_asked_for(min_p: float | None, answered: bool) -> None:
    programs = [candidate(index, program(index)) for index in range(2)]
    found = ranked(programs, [9, 3], ["wrong_answer", "pass"], min_p)
    assert (found.answer is not None) is answered
    assert found.reason == (
        "" if answered else "the best program's p_pass is 0.3000, less than 0.30001"
    )


def test_without_tests_what_cannot_work_is_never_the_answer() -> None:
    programs = [
        candidate(0, "def sq(n:"),
        candidate(1, "print('sq')"),
        candidate(2, ""),
        candidate(3, program(0)),
    ]
    found = ranked(programs, [9, 8, 7, 1])
    assert order(found) == [3, 0, 1, 2]
    assert found.passed is None
    assert ranked(programs[:3], [9, 8, 7]).reason == (
        "no program is valid Python that defines a function"
    )


def test_without_tests_a_given_entry_point_must_be_defined() -> None:
    problem = make_problem(TASK, [], "square")
    score = Score(reward=1.0, p_pass=0.9)
    found = rank(problem, [candidate(0, program(0))], [None], [score])
    assert found.reason == "no program is valid Python that defines square"
    fine = rank(problem, [candidate(0, program(0).replace("sq", "square"))], [None], [score])
    assert fine.answer is not None
