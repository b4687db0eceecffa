"""Labelled problems from elsewhere: what is read, what joins train, what stays out."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouroboros.errors import InputError, UserError
from ouroboros.jsonl import write_records
from ouroboros.records import Attempt, Candidate, LabelledProblem, Problem, Verdict, to_dict
from ouroboros.splitting.extra import join_train, read_extra
from ouroboros.splitting.params import ExtraFile


def labelled(problem_id: str, *indices: int, source: str = "a", **changes: Any) -> LabelledProblem:
    problem = Problem(
        problem_id=problem_id,
        **{"prompt_text": "p", "entry_point": "f", "tests": ("assert f()",), **changes},
    )
    return LabelledProblem(
        problem=problem,
        attempts=tuple(
            Attempt(
                candidate=Candidate(
                    problem_id=problem_id,
                    sample_index=index,
                    code=f"{source}{index}",
                    completion="said",
                    sampling="greedy" if index < 0 else "sample",
                ),
                verdict=Verdict(
                    problem_id=problem_id, sample_index=index, verdict="pass", message=f"{index}"
                ),
            )
            for index in indices
        ),
    )


MAIN = [labelled("own/1", -1, 0, 1), labelled("own/2", 0, 5), labelled("own/3", -1, 0)]
TRAIN = {"own/1", "own/2", "new/1", "new/2"}


def placed(*rows: LabelledProblem) -> list[tuple[str, LabelledProblem]]:
    return [(f"extra.jsonl:{number}", row) for number, row in enumerate(rows, start=1)]


def shown(row: LabelledProblem) -> list[tuple[int, str, str]]:
    return [
        (a.candidate.sample_index, a.candidate.code, a.candidate.sampling) for a in row.attempts
    ]


def test_a_known_problem_gets_the_attempts_behind_its_own():
    rows, counts = join_train(MAIN, placed(labelled("own/2", -1, 0, 3, source="b")), TRAIN)
    assert [row.problem_id for row in rows] == ["own/1", "own/2"]
    assert rows[0] == MAIN[0]
    assert shown(rows[1]) == [
        (0, "a0", "sample"), (5, "a5", "sample"),
        (6, "b-1", "sample"), (7, "b0", "sample"), (8, "b3", "sample"),
    ]  # fmt: skip
    assert [a.verdict.message for a in rows[1].attempts] == ["0", "5", "-1", "0", "3"]
    assert dataclasses.astuple(counts) == (0, 3, 1, 0, 0)


def test_a_new_problem_keeps_its_indices_and_loses_its_completions():
    rows, counts = join_train(MAIN, placed(labelled("new/1", 4, -1)), TRAIN)
    assert shown(rows[-1]) == [(-1, "a-1", "greedy"), (4, "a4", "sample")]
    assert all(a.candidate.completion == "" for a in rows[-1].attempts)
    assert dataclasses.astuple(counts) == (1, 2, 0, 0, 0)


def test_a_problem_of_another_part_is_left_out_whatever_it_looks_like():
    extra = placed(labelled("own/3", 0, 1, prompt_text="another"), labelled("own/3", 2))
    rows, counts = join_train(MAIN, extra, TRAIN)
    assert rows == MAIN[:2]
    assert dataclasses.astuple(counts) == (0, 0, 0, 1, 3)


def test_a_greedy_only_problem_grows_from_index_0():
    main = [labelled("own/1", -1)]
    rows, _ = join_train(main, placed(labelled("own/1", -1, source="b")), {"own/1"})
    assert shown(rows[0]) == [(-1, "a-1", "greedy"), (0, "b-1", "sample")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["own/1", "own/2", "own/3", "new/1", "new/2"]),
            st.sets(st.integers(-1, 9), min_size=1),
        )
    )
)
def test_no_attempt_is_lost_and_no_index_stands_twice(drawn):
    extra = placed(
        *(labelled(i, *indices, source=f"x{n}_") for n, (i, indices) in enumerate(drawn))
    )
    rows, counts = join_train(MAIN, extra, TRAIN)
    assert (rows, counts) == join_train(MAIN, extra, TRAIN)
    own = {row.problem_id: row.attempts for row in MAIN}
    total = 0
    for row in rows:
        indices = [a.candidate.sample_index for a in row.attempts]
        assert indices == sorted(set(indices))
        assert [a.verdict.sample_index for a in row.attempts] == indices
        assert all((a.candidate.sampling == "greedy") == (i < 0)
                   for a, i in zip(row.attempts, indices, strict=True))  # fmt: skip
        before = own.get(row.problem_id, ())
        assert row.attempts[: len(before)] == before
        total += len(row.attempts) - len(before)
    assert total == counts.attempts
    assert counts.attempts + counts.left_out_attempts == sum(len(i) for _, i in drawn)
    assert {row.problem_id for row in rows} <= TRAIN


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt_text": "q"}, "prompt_text"),
        ({"entry_point": "g"}, "entry_point"),
        ({"tests": ("assert f()", "assert not f()")}, "tests"),
        ({"setup_code": "import os"}, "setup_code"),
        ({"tests": (), "check": "def check(c): pass"}, "tests"),
    ],
)
def test_another_problem_under_a_known_id_is_an_error(changes, field):
    with pytest.raises(InputError) as error:
        join_train(MAIN, placed(labelled("new/1", 0), labelled("own/1", 0, **changes)), TRAIN)
    assert f"extra.jsonl:2: field 'problem.{field}'" in str(error.value)
    # The same between two files that add a problem.
    with pytest.raises(InputError, match=f"field 'problem.{field}'"):
        join_train(MAIN, placed(labelled("new/1", 0), labelled("new/1", 0, **changes)), TRAIN)


def test_what_no_label_depends_on_may_differ_and_mains_stays():
    extra = placed(labelled("own/1", 0, visible_tests=("assert f()",), reference="r"))
    rows, _ = join_train(MAIN, extra, TRAIN)
    assert rows[0].problem == MAIN[0].problem


def pinned(path: Path) -> ExtraFile:
    return ExtraFile(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_files_are_read_in_order_gzipped_or_not(tmp_path: Path):
    plain, packed = tmp_path / "b.jsonl", tmp_path / "a.jsonl.gz"
    write_records(plain, MAIN[:2])
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    rows = read_extra([pinned(plain), pinned(packed)])
    assert [where for where, _ in rows] == [
        f"{plain}:1", f"{plain}:2", f"{packed}:1", f"{packed}:2",
    ]  # fmt: skip
    assert [row for _, row in rows] == [*MAIN[:2], *MAIN[:2]]
    assert read_extra([]) == []


def change(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """MAIN's first row as plain data with one value changed."""
    row: Any = json.loads(json.dumps(to_dict(MAIN[0])))
    place = row
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return row


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem_id": "own/1"}, "e.jsonl:2: unknown field 'problem_id'"),
        (change(("attempts",), []), "e.jsonl:2: field 'attempts': expected one or more"),
        (change(("problem", "tests"), 3), "field 'tests': expected a list, found int 3"),
        (change(("attempts", 1, "verdict", "verdict"), "ok"), "field 'verdict': expected one of"),
        (
            change(("attempts", 1, "candidate", "problem_id"), "own/2"),
            "e.jsonl:2: field 'attempts[1].candidate.problem_id': expected 'own/1'",
        ),
        (
            change(("attempts", 1, "verdict", "sample_index"), 7),
            "e.jsonl:2: field 'attempts[1].verdict.sample_index': expected 0, as the candidate",
        ),
        (
            change(("attempts", 1, "candidate", "sample_index"), -2),
            "field 'attempts[1].candidate.sample_index': expected 0 or more, or -1",
        ),
        (
            change(("attempts", 2), to_dict(MAIN[0].attempts[1])),
            "e.jsonl:2: field 'attempts[2]': duplicate candidate ('own/1', 0)",
        ),
        (to_dict(MAIN[1]), "e.jsonl:2: duplicate labelledproblem 'own/2'"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], message: str):
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in (to_dict(MAIN[1]), row)))
    with pytest.raises(InputError) as error:
        read_extra([pinned(path)])
    assert message in str(error.value)


def test_a_missing_an_empty_and_a_changed_file_are_named(tmp_path: Path):
    path = tmp_path / "e.jsonl"
    with pytest.raises(UserError, match=r"e\.jsonl: no such file"):
        read_extra([ExtraFile(path=str(path), sha256="0" * 64)])
    path.write_text("")
    with pytest.raises(InputError, match=r"e\.jsonl: no labelled problem"):
        read_extra([pinned(path)])
    with pytest.raises(InputError, match=r"the param split.extra_train.sha256 is 0000"):
        read_extra([ExtraFile(path=str(path), sha256="0" * 64)])
