"""`ouroboros solve`: a program for a task, or none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from ouroboros.answering.output import as_json, status, stdout_for_results, summary, write_stdout
from ouroboros.answering.ranking import Ranking
from ouroboros.answering.tasks import is_tested, make_problem
from ouroboros.answering.verifiers import rank_programs, require_critic, require_judge
from ouroboros.errors import InputError, UserError
from ouroboros.generation.params import GenerateParams
from ouroboros.generation.run import generate
from ouroboros.jsonl import dumps
from ouroboros.params import load_params
from ouroboros.records import Problem
from ouroboros.store import ResultStore, cache_dir
from ouroboros.verification.params import ExecuteParams


def run(
    task: str,
    tests: Sequence[str] = (),
    *,
    entry_point: str | None = None,
    n: int = 16,
    seed: int | None = None,
    critic: Path = Path("models/critic"),
    min_p: float | None = None,
    json: bool = False,
) -> int:
    """Draw programs for a task, filter them by its tests, and print the critic's first choice.

    The generator and the limits are the project's (params `generate` and `execute` of the working
    directory). Samples and verdicts are kept in the project's stores, so the same question again
    gives the same answer at once, and one with a larger `n` draws only what is new. Standard output
    gets the program (or the JSON object) and nothing else; the rest goes to standard error.

    Args:
        task, tests, entry_point: see `tasks.make_problem`.
        n: programs to sample; the greedy one comes on top.
        seed: of the samples; `generate.seed` if None.
        critic: a folder the train_critic stage wrote.
        min_p: decline where the best program's p_pass is lower.
        json: print one JSON object with all programs (`output.as_json`).

    Returns:
        The exit status: 0, or `output.DECLINED` where there is no answer.

    Raises:
        UserError: bad input, no params or critic here, a model or sandbox that does not start.
    """
    problem = make_problem(task, tests, entry_point)
    drawing = drawing_params(load_params("generate", GenerateParams), n, seed)
    execute = load_params("execute", ExecuteParams)
    require_critic(critic)
    with stdout_for_results():
        ranking = _solve(problem, drawing, execute, critic, min_p)
    if json:
        write_stdout(dumps(as_json(ranking)))
    elif ranking.answer is not None:
        write_stdout(ranking.answer.candidate.code)
    print(summary(ranking), file=sys.stderr)
    return status(ranking)


def drawing_params(params: GenerateParams, n: int, seed: int | None) -> GenerateParams:
    """The project's params for one task: n samples, another seed if given, no reviewer scores.

    Raises:
        UserError: the params name no model to draw from.
        InputError: this n does not go with them.
    """
    if params.engine == "file":
        raise UserError(
            "generate.engine is file: there is no model to draw programs from\n"
            "  set it to vllm or openai, or rank programs you have with `ouroboros rank`"
        )
    try:
        return replace(params, n=n, seed=params.seed if seed is None else seed, reviewer=False)
    except InputError as error:
        raise InputError(str(error), where="-n") from None


def _solve(
    problem: Problem,
    drawing: GenerateParams,
    execute: ExecuteParams,
    critic: Path,
    min_p: float | None,
) -> Ranking:
    cache = cache_dir()
    tested = is_tested(problem)
    with ResultStore(cache / "verdicts.sqlite") if tested else nullcontext() as store:
        if tested:
            require_judge(problem, execute)
        candidates = generate([problem], drawing, cache=cache, label="solve")
        return rank_programs(
            problem, candidates, critic=critic, execute=execute, store=store, min_p=min_p
        )
