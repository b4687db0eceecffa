"""The two verifiers, asked about the programs of one problem."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ouroboros.answering.ranking import Ranking, rank
from ouroboros.answering.tasks import as_read, is_tested
from ouroboros.errors import InputError, UserError
from ouroboros.records import Candidate, Problem, Verdict
from ouroboros.store import ResultStore
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify


def require_critic(path: Path) -> None:
    """Raise `UserError` where there is plainly no critic, before costly work is done for it.

    The critic itself is loaded last (`rank_programs`): it brings torch, with settings of its own.
    """
    if not (path / "config.json").is_file():
        raise UserError(
            f"{path}: no critic here (no config.json)\n"
            "  `make repro` trains one; --critic names another folder"
        )


def require_judge(problem: Problem, params: ExecuteParams) -> None:
    """Try the sandbox and the tests on an empty program, before costly work is done for them.

    Raises:
        InputError: the tests cannot be judged, or nothing fails them.
        UserError: the sandbox does not start here.
    """
    empty = Candidate(problem_id=problem.problem_id, sample_index=0, code="")
    (verdict,) = verify([problem], [empty], params, workers=1, label="try the sandbox")
    if verdict.passed:
        raise InputError(
            "an empty program passes the tests: they decide nothing",
            hint=f"the first is: {problem.tests[0]}",
        )


def rank_programs(
    problem: Problem,
    candidates: Sequence[Candidate],
    *,
    critic: Path,
    execute: ExecuteParams,
    store: ResultStore | None = None,
    min_p: float | None = None,
) -> Ranking:
    """Run the candidates against the problem's tests, if it has any, score them, and rank them.

    Args:
        execute: limits of one program.
        store: where verdicts are kept, and taken from.

    Raises:
        UserError: the sandbox does not start, or the folder is no critic.
        InputError: the tests cannot be judged.
    """
    verdicts: Sequence[Verdict | None] = [None] * len(candidates)
    if is_tested(problem):
        verdicts = verify([problem], candidates, execute, store=store, label="run the tests")
    from ouroboros.critic.scoring import load_critic

    items = [(as_read(problem, candidate.code), candidate.code) for candidate in candidates]
    return rank(problem, candidates, verdicts, load_critic(critic).score(items), min_p)
