"""Engine `file`: candidates that were drawn elsewhere, from any model."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError, UserError
from ouroboros.generation.extract import program_from_completion
from ouroboros.generation.params import CandidateFile
from ouroboros.jsonl import read_objects
from ouroboros.params import check_digest
from ouroboros.records import GREEDY_INDEX, Candidate, Problem, from_dict, require_unique


def read_candidate_file(source: CandidateFile, problems: Sequence[Problem]) -> list[Candidate]:
    """Read candidates for `problems` from a JSONL file (gzipped if it ends in .gz).

    A row needs `problem_id`, `sample_index` and `code`, or `completion` in place of `code` (then
    the program is the problem's prompt with the completion); it may hold the other fields of a
    candidate, and any further field is left out. Any number of candidates per problem is taken.
    Rows of a problem that is not among `problems` are left out and counted on standard error, since
    a problem set is often a part of a published one; but a file where no problem is known, or a
    problem without any candidate, is an error.

    Raises:
        UserError: no such file.
        InputError: another digest than the params say, a malformed row, a duplicate candidate, or
            no candidate for a problem; the message names file, line and field.
    """
    if source.path is None:
        raise UserError("generate.engine is file, but generate.files.<set>.path is null")
    path = Path(source.path)
    check_digest(path, source.sha256, "the param generate.files.<set>.sha256")
    by_id = {problem.problem_id: problem for problem in problems}
    found: list[tuple[str, Candidate]] = []
    left_out: set[str] = set()
    for where, row in read_objects(path):
        candidate = _candidate(row, where, by_id)
        if candidate is None:
            left_out.add(str(row["problem_id"]))
        else:
            found.append((where, candidate))
    require_unique(((candidate.key, where) for where, candidate in found), "candidate")
    _require_all((candidate for _, candidate in found), problems, path, left_out)
    if left_out:
        print(
            f"{path}: left out the candidates of {len(left_out)} problems that are not in this set,"
            f" {min(left_out)!r} for one",
            file=sys.stderr,
        )
    return [candidate for _, candidate in found]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """A row as it may come from elsewhere: a candidate whose `code` may be missing."""

    problem_id: str
    sample_index: int
    code: str | None = None
    completion: str = ""
    finish_reason: str = "unknown"
    num_tokens: int = 0
    sum_logprob: float | None = None


def _candidate(row: Any, where: str, by_id: dict[str, Problem]) -> Candidate | None:
    if not isinstance(row, dict):
        raise InputError(f"expected an object, found {type(row).__name__}", where=where)
    known = {field.name for field in dataclasses.fields(_Row)}
    given = from_dict(_Row, {key: row[key] for key in row if key in known}, where)  # type: ignore[type-var]
    if given.sample_index < GREEDY_INDEX:
        raise InputError(
            f"field 'sample_index': expected 0 or more, or {GREEDY_INDEX} for the greedy "
            f"candidate, found {given.sample_index}",
            where=where,
        )
    if given.code is None and "completion" not in row:
        raise InputError("missing field 'code' (or 'completion')", where=where)
    problem = by_id.get(given.problem_id)
    if problem is None:
        return None
    fields = dataclasses.asdict(given)
    if given.code is None:
        fields["code"] = program_from_completion(problem.prompt_text, given.completion)
    greedy = given.sample_index == GREEDY_INDEX
    return Candidate(**fields, sampling="greedy" if greedy else "sample")


def _require_all(
    candidates: Iterable[Candidate], problems: Sequence[Problem], path: Path, left_out: set[str]
) -> None:
    have = {candidate.problem_id for candidate in candidates}
    missing = [problem.problem_id for problem in problems if problem.problem_id not in have]
    if missing:
        hint = f"the file holds {len(have)} problems of this set and {len(left_out)} others"
        raise InputError(
            f"no candidate for problem {missing[0]!r} ({len(missing)} of {len(problems)} problems "
            "have none)",
            where=str(path),
            hint=hint + (f", {min(left_out)!r} for one" if left_out else ""),
        )
