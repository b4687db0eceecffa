"""Joining problems, candidates and verdicts into labelled problems."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from ouroboros.errors import InputError
from ouroboros.jsonl import sort_key
from ouroboros.records import Attempt, Candidate, LabelledProblem, Problem, Verdict


def join(
    problems: Sequence[Problem], candidates: Sequence[Candidate], verdicts: Sequence[Verdict]
) -> list[LabelledProblem]:
    """One labelled problem per problem, in order, with its attempts by sample index.

    The raw completion is left out: nothing after `execute` reads it.

    Raises:
        InputError: a candidate of an unknown problem or without a verdict, a verdict without a
            candidate, or a problem without candidates.
    """
    verdict_of = {verdict.key: verdict for verdict in verdicts}
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for candidate in sorted(candidates, key=sort_key):
        verdict = verdict_of.pop(candidate.key, None)
        if verdict is None:
            raise InputError(
                f"candidate {candidate.key} has no verdict",
                hint="run the execute stage on this candidates file",
            )
        slim = dataclasses.replace(candidate, completion="")
        attempts[candidate.problem_id].append(Attempt(candidate=slim, verdict=verdict))
    if verdict_of:
        raise InputError(f"verdict {min(verdict_of)} has no candidate")
    rows = []
    for problem in sorted(problems, key=sort_key):
        found = attempts.pop(problem.problem_id, None)
        if found is None:
            raise InputError(f"problem {problem.problem_id!r} has no candidates")
        rows.append(LabelledProblem(problem=problem, attempts=tuple(found)))
    if attempts:
        raise InputError(f"candidates of an unknown problem {min(attempts)!r}")
    return rows
