"""From candidates with verdicts and scores to a ranking, and from a ranking to an answer or none.

Pure functions on records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ouroboros.answering.tasks import as_read, is_tested
from ouroboros.records import Candidate, Problem, Verdict
from ouroboros.static_analysis import facts

if TYPE_CHECKING:  # it loads torch, which must not happen before the engine has its say
    from ouroboros.critic.scoring import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedProgram:
    """One distinct program, with what is known of it.

    Attributes:
        candidate: the likeliest of the candidates that are this program.
        sample_indices: of all of them, ascending.
        reward, p_pass: the critic's.
        verdict: the hard verifier's; null where there are no tests.
        acceptable: it may be given as the answer: it passed the tests, or where there are none,
            it is valid Python that defines the entry point.
    """

    candidate: Candidate
    sample_indices: tuple[int, ...]
    reward: float
    p_pass: float
    verdict: Verdict | None
    acceptable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """All distinct programs of a problem, best first, and what is answered.

    Attributes:
        answer: the first program, unless it is not acceptable or not likely enough.
        reason: why there is no answer; empty where there is one.
        min_p: the least p_pass of an answer, if one was asked for.
    """

    problem: Problem
    programs: tuple[RankedProgram, ...]
    answer: RankedProgram | None
    reason: str
    min_p: float | None

    @property
    def count(self) -> int:
        """How many candidates there are, copies included."""
        return sum(len(program.sample_indices) for program in self.programs)

    @property
    def passed(self) -> int | None:
        """How many candidates passed the tests, copies included; null without tests."""
        if not is_tested(self.problem):
            return None
        return sum(len(p.sample_indices) for p in self.programs if p.acceptable)


def rank(
    problem: Problem,
    candidates: Sequence[Candidate],
    verdicts: Sequence[Verdict | None],
    scores: Sequence[Score],
    min_p: float | None = None,
) -> Ranking:
    """Rank a problem's candidates: acceptable ones first, then by reward, by likelihood, by index.

    Args:
        candidates: any number, at least one; those with the same code, but for empty lines
            at its ends, share a place.
        verdicts, scores: one per candidate, in their order; verdicts are null without tests.
        min_p: an answer's p_pass must not be lower.
    """
    copies: dict[str, list[int]] = {}
    for place, candidate in enumerate(candidates):
        # The end of a reply is cut now before, now after a line's end: that makes no other program.
        copies.setdefault(candidate.code.strip("\n"), []).append(place)
    programs = []
    for code, places in copies.items():
        verdict, score = verdicts[places[0]], scores[places[0]]
        programs.append(
            RankedProgram(
                candidate=min((candidates[place] for place in places), key=_by_likelihood),
                sample_indices=tuple(sorted(candidates[place].sample_index for place in places)),
                reward=score.reward,
                p_pass=score.p_pass,
                verdict=verdict,
                acceptable=_well_formed(problem, code) if verdict is None else verdict.passed,
            )
        )
    programs.sort(key=lambda p: (not p.acceptable, -p.reward, _by_likelihood(p.candidate)))
    reason = _reason_to_decline(problem, programs[0], min_p)
    return Ranking(
        problem=problem,
        programs=tuple(programs),
        answer=None if reason else programs[0],
        reason=reason,
        min_p=min_p,
    )


def _by_likelihood(candidate: Candidate) -> tuple[float, int]:
    logprob = candidate.sum_logprob
    return (math.inf if logprob is None else -logprob, candidate.sample_index)


def _well_formed(problem: Problem, code: str) -> bool:
    found = facts(code, as_read(problem, code).entry_point)
    return found.parses and found.defines_entry_point


def _reason_to_decline(problem: Problem, best: RankedProgram, min_p: float | None) -> str:
    if not best.acceptable:
        if is_tested(problem):
            return "no program passes the tests"
        return f"no program is valid Python that defines {problem.entry_point or 'a function'}"
    if min_p is not None and best.p_pass < min_p:
        return f"the best program's p_pass is {best.p_pass:.4f}, less than {min_p:g}"
    return ""
