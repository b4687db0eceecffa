"""Labelled problems from elsewhere, which join the train problems and no other part."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ouroboros.errors import InputError
from ouroboros.jsonl import read_records_with_place
from ouroboros.params import check_digest
from ouroboros.records import GREEDY_INDEX, Attempt, LabelledProblem, Problem, require_unique
from ouroboros.splitting.params import ExtraFile

# What a label depends on. Main's own values stand for the fields that are not here.
_COMPARED = ("prompt_text", "entry_point", "setup_code", "tests", "check")

PlacedRow = tuple[str, LabelledProblem]
"""A labelled problem and where it stands, as "file:line"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraCounts:
    """What the extra files brought.

    Attributes:
        problems: problems that train did not have.
        attempts: all attempts that were added, to these problems and to others of train.
        grown_problems: problems of main's train part that got further attempts.
        left_out_problems, left_out_attempts: what belongs to dev, test or transfer, to no part of
            main, or was excluded as a near-duplicate.
    """

    problems: int
    attempts: int
    grown_problems: int
    left_out_problems: int
    left_out_attempts: int


def read_extra(files: Sequence[ExtraFile]) -> list[PlacedRow]:
    """The labelled problems of all files, in the files' order, each with its place.

    Raises:
        UserError: a file is missing or cannot be read.
        InputError: another digest than the params say, a row of another form, a problem twice in
            one file, or none; the message names file, line and field.
    """
    rows: list[PlacedRow] = []
    for file in files:
        path = Path(file.path)
        check_digest(path, file.sha256, "the param split.extra_train.sha256")
        found = read_records_with_place(path, LabelledProblem)
        if not found:
            raise InputError("no labelled problem (split.extra_train)", where=str(path))
        for where, row in found:
            _check_attempts(row, where)
        rows += found
    return rows


def join_train(
    main: Sequence[LabelledProblem], extra: Sequence[PlacedRow], train: Collection[str]
) -> tuple[list[LabelledProblem], ExtraCounts]:
    """The train problems of main with what the extra rows add to them.

    A problem that is there already gets the attempts behind its own, numbered on from them; where
    files repeat a program it is kept as often as it comes, like samples that agree.

    Args:
        main: all labelled problems of main.
        extra: from `read_extra`.
        train: ids of the problems of train, those that the extra rows add among them.

    Raises:
        InputError: a row that would join another problem of the same id; the message names the
            field in which the two differ.
    """
    own = {row.problem_id: row for row in main if row.problem_id in train}
    joined = dict(own)
    attempts = left_out_attempts = 0
    grown: set[str] = set()
    left_out: set[str] = set()
    for where, row in extra:
        problem_id = row.problem_id
        if problem_id not in train:
            left_out.add(problem_id)
            left_out_attempts += len(row.attempts)
            continue
        attempts += len(row.attempts)
        known = joined.get(problem_id)
        if known is None:
            joined[problem_id] = dataclasses.replace(row, attempts=_slim(row.attempts))
            continue
        _check_same(row.problem, known.problem, where)
        joined[problem_id] = _grow(known, row.attempts)
        if problem_id in own:
            grown.add(problem_id)
    counts = ExtraCounts(
        problems=len(joined) - len(own),
        attempts=attempts,
        grown_problems=len(grown),
        left_out_problems=len(left_out),
        left_out_attempts=left_out_attempts,
    )
    return list(joined.values()), counts


def _grow(row: LabelledProblem, more: Iterable[Attempt]) -> LabelledProblem:
    first = max(attempt.candidate.sample_index for attempt in row.attempts) + 1
    added = (
        Attempt(
            candidate=dataclasses.replace(
                attempt.candidate,
                sample_index=index,
                # The greedy candidate is the run's own; another generator's is one more sample.
                sampling="sample"
                if attempt.candidate.sampling == "greedy"
                else attempt.candidate.sampling,
            ),
            verdict=dataclasses.replace(attempt.verdict, sample_index=index),
        )
        for index, attempt in enumerate(_slim(more), start=max(first, 0))
    )
    return dataclasses.replace(row, attempts=(*row.attempts, *added))


def _slim(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """By sample index and without the raw completion, as `labelled.join` leaves them."""
    return tuple(
        dataclasses.replace(
            attempt, candidate=dataclasses.replace(attempt.candidate, completion="")
        )
        for attempt in sorted(attempts, key=lambda attempt: attempt.candidate.sample_index)
    )


def _check_attempts(row: LabelledProblem, where: str) -> None:
    if not row.attempts:
        raise InputError("field 'attempts': expected one or more", where=where)
    for number, attempt in enumerate(row.attempts):
        place = f"field 'attempts[{number}]"
        for part, record in (("candidate", attempt.candidate), ("verdict", attempt.verdict)):
            if record.problem_id != row.problem_id:
                raise InputError(
                    f"{place}.{part}.problem_id': expected {row.problem_id!r}, the row's problem, "
                    f"found {record.problem_id!r}",
                    where=where,
                )
        index = attempt.candidate.sample_index
        if index < GREEDY_INDEX:
            raise InputError(
                f"{place}.candidate.sample_index': expected 0 or more, or {GREEDY_INDEX} for the "
                f"greedy candidate, found {index}",
                where=where,
            )
        if attempt.verdict.sample_index != index:
            raise InputError(
                f"{place}.verdict.sample_index': expected {index}, as the candidate has it, "
                f"found {attempt.verdict.sample_index}",
                where=where,
            )
    require_unique(
        (
            (attempt.candidate.key, f"{where}: field 'attempts[{number}]'")
            for number, attempt in enumerate(row.attempts)
        ),
        "candidate",
    )


def _check_same(problem: Problem, known: Problem, where: str) -> None:
    for name in _COMPARED:
        found, expected = getattr(problem, name), getattr(known, name)
        if found != expected:
            raise InputError(
                f"field 'problem.{name}': {problem.problem_id!r} is in train already, with another "
                f"{name}: expected {_short(expected)}, found {_short(found)}",
                where=where,
                hint="labels of other tests or another task cannot be joined: give the problem "
                "another id, or make the file from the same problems",
            )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
