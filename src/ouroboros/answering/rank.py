"""`ouroboros rank`: programs somebody has, best first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ouroboros.answering.output import (
    as_json,
    status,
    stdout_for_results,
    summary,
    table,
    write_stdout,
)
from ouroboros.answering.tasks import make_problem
from ouroboros.answering.verifiers import rank_programs, require_critic
from ouroboros.errors import InputError, UserError
from ouroboros.jsonl import dumps
from ouroboros.problems.formats import load_problems
from ouroboros.records import Candidate, Problem
from ouroboros.verification.params import ExecuteParams

STDIN = "-"


def run(
    files: Sequence[str],
    *,
    task: str | None = None,
    tests: Sequence[str] = (),
    entry_point: str | None = None,
    problem_id: str | None = None,
    problems: Path | None = None,
    critic: Path = Path("models/critic"),
    min_p: float | None = None,
    json: bool = False,
) -> int:
    """Rank programs for a task, or for a problem of a file, and print the table.

    With tests each program is run in the sandbox, under the default limits (`ExecuteParams`), as
    `ouroboros verify` does.

    Args:
        files: one Python program each; "-" is standard input.
        task, tests, entry_point: see `tasks.make_problem`; or else
        problem_id, problems: a problem and its file, with the tests it has.
        critic: a folder the train_critic stage wrote.
        min_p: there is no answer where the best program's p_pass is lower.
        json: print one JSON object in place of the table (`output.as_json`).

    Returns:
        The exit status: 0, or `output.DECLINED` where no program could be the answer.

    Raises:
        UserError: bad input, no critic here, a sandbox that does not start.
    """
    problem = _problem(task, tests, entry_point, problem_id, problems)
    candidates = [
        Candidate(problem_id=problem.problem_id, sample_index=index, code=code)
        for index, code in enumerate(read_programs(files))
    ]
    require_critic(critic)
    with stdout_for_results():
        ranking = rank_programs(
            problem, candidates, critic=critic, execute=ExecuteParams(), min_p=min_p
        )
    names = ["<stdin>" if name == STDIN else name for name in files]
    write_stdout(dumps(as_json(ranking, names)) if json else table(ranking, names))
    print(summary(ranking), file=sys.stderr)
    return status(ranking)


def _problem(
    task: str | None,
    tests: Sequence[str],
    entry_point: str | None,
    problem_id: str | None,
    problems: Path | None,
) -> Problem:
    if task is not None:
        if problem_id is not None or problems is not None:
            raise InputError("give either --task, or --problem with --problems")
        return make_problem(task, tests, entry_point)
    if problem_id is None or problems is None:
        raise InputError("give --task, or --problem with --problems, its file")
    if tests or entry_point is not None:
        raise InputError(
            "--test and --entry-point go with --task: a problem of a file has its own tests"
        )
    known = {problem.problem_id: problem for problem in load_problems(problems)}
    if problem_id not in known:
        raise InputError(
            f"{problems} has no problem {problem_id!r}",
            where="--problem",
            hint=f"it holds {len(known)} problems" + (f", {min(known)!r} for one" if known else ""),
        )
    return known[problem_id]


def read_programs(files: Sequence[str]) -> list[str]:
    """The programs in files, in order.

    Raises:
        UserError: a file that cannot be read, is not UTF-8, holds no program or stands twice.
    """
    seen: dict[Path, str] = {}
    for name in files:
        place = Path(name).resolve()
        if place in seen:
            again = "" if name == seen[place] else f" (as {seen[place]})"
            raise InputError(f"is given twice{again}", where=name)
        seen[place] = name
    return [_read_program(name) for name in files]


def _read_program(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        # As Python reads source: a byte order mark is none of it, and line ends are one.
        code = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text: {error}") from None
    if not code.strip():
        raise InputError("holds no program: it is empty", where=name)
    return code
