"""`ouroboros verify`: the hard verifier on files."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from ouroboros.errors import InputError
from ouroboros.jsonl import is_special, read_records_with_place, write_records
from ouroboros.labelled import join
from ouroboros.problems.formats import load_problems
from ouroboros.records import Candidate
from ouroboros.store import ResultStore
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import check_candidates, verify


def run(
    problems: Path,
    candidates: Path,
    out: Path,
    workers: int | None = None,
    *,
    labelled: bool = False,
    cpu_seconds: int | None = None,
    wall_seconds: float | None = None,
    memory_mb: int | None = None,
    config: Path | None = None,
) -> None:
    """Verify a candidates file and write one verdict per candidate, in input order.

    What is finished is kept beside `out` until all of it is written, so that the same command after
    a stop goes on from there.

    Args:
        problems: a problems file in the published MBPP or HumanEval form or in this project's.
        candidates: JSONL with at least `problem_id`, `sample_index` and `code`.
        out: where the rows go (JSONL); written whole or not at all. To a pipe (/dev/stdout)
            too, but then nothing is kept after a stop.
        workers: how many programs run at once; all processors if None.
        labelled: write labelled problems (`LabelledProblem`, in natural order) instead: the
            problems that have candidates, each with its programs and their verdicts.
        cpu_seconds, wall_seconds, memory_mb: limits other than `ExecuteParams`' defaults.
        config: the jail's configuration; `sandbox/nsjail.cfg` if None.

    Raises:
        UserError: bad input, an unknown problem, a duplicate, or a sandbox that does not start.
    """
    given = {"cpu_seconds": cpu_seconds, "wall_seconds": wall_seconds, "memory_mb": memory_mb}
    params = ExecuteParams()
    changes = {name: value for name, value in given.items() if value is not None}
    if cpu_seconds is not None and wall_seconds is None:
        # So that a longer CPU limit alone is a complete wish.
        changes["wall_seconds"] = max(params.wall_seconds, float(cpu_seconds))
    try:
        params = replace(params, **changes)  # type: ignore[arg-type]
    except InputError as error:
        raise InputError(str(error), where="limits") from None
    known = load_problems(problems)
    rows = read_records_with_place(candidates, Candidate)
    chosen = check_candidates(known, rows, str(problems))
    if out.is_dir():
        raise InputError("is a folder, not a file to write to", where=str(out))
    finished = out.with_name(f"{out.name}.unfinished")
    with nullcontext() if is_special(out) else ResultStore(finished) as store:
        verdicts = verify(
            known, chosen, params, workers=workers, store=store, label="verify", config=config
        )
    if labelled:
        tried = {candidate.problem_id for candidate in chosen}
        asked = [problem for problem in known if problem.problem_id in tried]
        write_records(out, join(asked, chosen, verdicts))
    else:
        write_records(out, verdicts, keep_order=True)
    for path in finished.parent.glob(f"{finished.name}*"):  # SQLite's own companions too
        path.unlink()
