"""What a job does: functions from a checked request to the values of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ouroboros.answering.ranking import RankedProgram, rank
from ouroboros.answering.tasks import UNTESTED, as_read
from ouroboros.critic.scoring import Critic, Score
from ouroboros.records import Candidate, Problem, to_dict
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify


def score_programs(critic: Critic, problem: Problem, programs: Sequence[str]) -> dict[str, Any]:
    """The answer of /score: `scores`, one per program, in order.

    One request is scored at a time: what shares a batch moves a float32 sum, and now and then a
    rounded reward with it, so scoring requests together would change their scores.
    """
    return {"scores": [to_dict(score) for score in _scores(critic, problem, programs)]}


def rank_programs(
    critic: Critic, problem: Problem, programs: Sequence[str], min_p: float | None
) -> dict[str, Any]:
    """The answer of /rank: `ranking`, best first, and the place of the `answer` in the request, or
    null and the `reason`. Runs none of them.

    Args:
        min_p: there is no answer where the best program's p_pass is lower.
    """
    scores = _scores(critic, problem, programs)
    # The critic has read the tests, but none is run: to the ranking there are none.
    untested = replace(problem, tests=UNTESTED, check=None)
    candidates = _candidates(problem, programs)
    ranking = rank(untested, candidates, [None] * len(programs), scores, min_p)
    return {
        "answer": ranking.answer.candidate.sample_index if ranking.answer else None,
        "reason": ranking.reason or None,
        "ranking": [_row(number, program) for number, program in enumerate(ranking.programs, 1)],
    }


def verify_programs(
    problem: Problem, programs: Sequence[str], params: ExecuteParams
) -> dict[str, Any]:
    """The answer of /verify: `verdicts`, one per program, in order.

    Raises:
        InputError: the problem cannot be judged.
        UserError: the sandbox cannot be started, or keeps failing.
    """
    candidates = _candidates(problem, programs)
    verdicts = verify([problem], candidates, params, label=f"verify {problem.problem_id}")
    rows = [to_dict(verdict) for verdict in verdicts]
    for row in rows:
        del row["problem_id"], row["sample_index"]
    return {"verdicts": rows}


def _scores(critic: Critic, problem: Problem, programs: Sequence[str]) -> list[Score]:
    return critic.score([(as_read(problem, code), code) for code in programs])


def _candidates(problem: Problem, programs: Sequence[str]) -> list[Candidate]:
    return [
        Candidate(problem_id=problem.problem_id, sample_index=index, code=code)
        for index, code in enumerate(programs)
    ]


def _row(number: int, program: RankedProgram) -> dict[str, Any]:
    return {
        "rank": number,
        "programs": list(program.sample_indices),
        "reward": program.reward,
        "p_pass": program.p_pass,
        "acceptable": program.acceptable,
    }
