"""Canonical, atomic JSONL files."""

import dataclasses
import gzip
import json
import os
import random

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.jsonl import (
    dumps,
    problem_order,
    read_objects,
    read_records,
    write_json,
    write_lines,
    write_records,
)
from ouroboros.records import Candidate, Problem, Verdict


def candidate(problem_id: str, sample_index: int, code: str = "pass") -> Candidate:
    return Candidate(problem_id=problem_id, sample_index=sample_index, code=code)


CANDIDATES = [
    candidate(problem_id, index)
    for problem_id in ("humaneval/2", "mbpp/9", "mbpp/10", "mbpp/100")
    for index in (-1, 0, 2, 10)
]


def test_canonical_bytes(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records(path, [candidate("mbpp/1", 0, 'print("é\u2028")\n')])
    assert (
        path.read_bytes()
        == (
            '{"code":"print(\\"é\u2028\\")\\n","completion":"","finish_reason":"unknown",'
            '"num_tokens":0,"problem_id":"mbpp/1","review_logprob":null,"sample_index":0,'
            '"sampling":"sample","sum_logprob":null}\n'
        ).encode()
    )


def test_rows_are_in_natural_order_whatever_order_they_come_in(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records(path, CANDIDATES)
    expected = path.read_bytes()
    shuffled = CANDIDATES.copy()
    for seed in range(5):
        random.Random(seed).shuffle(shuffled)
        write_records(path, shuffled)
        assert path.read_bytes() == expected
    assert read_records(path, Candidate) == CANDIDATES


def test_input_order_can_be_kept(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records(path, CANDIDATES[::-1], keep_order=True)
    assert read_records(path, Candidate) == CANDIDATES[::-1]


def test_problem_order_compares_numbers_as_numbers_and_never_fails():
    ids = ["mbpp/10", "mbpp/9", "9", "a", "", "mbpp/9a", "mbpp/٣", "x/²"]
    ordered = sorted(ids, key=problem_order)
    assert ordered.index("mbpp/9") < ordered.index("mbpp/10")


def test_unusual_line_ends_inside_a_string_do_not_split_a_record(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [candidate("mbpp/1", 0, "a\u2028b\x85c\x0bd\re\r\nf")]
    write_records(path, rows)
    assert read_records(path, Candidate) == rows


def test_gzipped_and_plain_read_the_same(tmp_path):
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    write_records(plain, CANDIDATES)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_records(packed, Candidate) == read_records(plain, Candidate)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "rows.jsonl:3: not a JSON object"),
        ("[1", "rows.jsonl:3: not a JSON object"),
        ('{"a": 1, "a": 2}', "rows.jsonl:3: not a JSON object: key 'a' stands twice"),
        ('{"a": {"b": 1, "b": 1}}', "key 'b' stands twice"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ('{"a": ' + "9" * 5000 + "}", "rows.jsonl:3: not a JSON object: Exceeds the limit"),
        ("[" * 100_000, "rows.jsonl:3: not a JSON object: nested too deeply"),
    ],
    ids=lambda value: value[:24],
)
def test_malformed_line_is_named(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "\\ud83d\\ude00"}\n\n' + line + "\n")
    with pytest.raises(InputError) as error:
        list(read_objects(path))
    assert message in str(error.value)


def test_infinities_are_read_where_they_are_asked_for(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": [Infinity, -Infinity]}\n')
    ((_, row),) = read_objects(path, infinities=True)
    assert row == {"a": [float("inf"), float("-inf")]}
    with pytest.raises(InputError, match="Infinity is not JSON"):
        list(read_objects(path))


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(UserError, match=r"gone\.jsonl: no such file"):
        list(read_objects(tmp_path / "gone.jsonl"))
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes('{"a": "é"}\n'.encode("latin-1"))
    with pytest.raises(UserError, match="cannot be read as UTF-8 JSONL"):
        list(read_objects(latin))


@pytest.mark.parametrize("damage", ["truncated", "garbled", "not gzip"])
def test_damaged_gzip(tmp_path, damage):
    data = bytearray(gzip.compress(json.dumps({"a": "x" * 100 + os.urandom(2000).hex()}).encode()))
    if damage == "truncated":
        data = data[:-20]
    elif damage == "garbled":
        data[200:260] = bytes(60)
    else:
        data = bytearray(b"plain text")
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(UserError, match="cannot be read"):
        list(read_objects(path))


@pytest.mark.parametrize(
    ("kind", "rows", "key"),
    [
        (Problem, [{"problem_id": "a/1", "prompt_text": "", "entry_point": "f", "check": ""}] * 2,
         "problem 'a/1'"),
        (Candidate, [{"problem_id": "a/1", "sample_index": 3, "code": ""}] * 2,
         r"candidate \('a/1', 3\)"),
        (Verdict, [{"problem_id": "a/1", "sample_index": 3, "verdict": "pass"}] * 2,
         r"verdict \('a/1', 3\)"),
    ],
)  # fmt: skip
def test_duplicate_record_is_named(tmp_path, kind, rows, key):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=rf"rows\.jsonl:2: duplicate {key}\n.*rows\.jsonl:1"):
        read_records(path, kind)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records(path, CANDIDATES)
    before = path.read_bytes()

    def lines():
        yield "first"
        raise RuntimeError("killed midway")

    with pytest.raises(RuntimeError):
        write_lines(path, lines())
    with pytest.raises(ValueError, match="Out of range float"):
        write_records(path, [dataclasses.replace(CANDIDATES[0], sum_logprob=float("nan"))])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_json_documents_are_indented_sorted_and_end_with_a_newline(tmp_path):
    path = tmp_path / "new" / "metrics.json"
    write_json(path, {"b": 1, "a": {"d": 0.5, "c": "é"}})
    assert path.read_text(encoding="utf-8") == (
        '{\n  "a": {\n    "c": "é",\n    "d": 0.5\n  },\n  "b": 1\n}\n'
    )


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="Out of range float"):
        dumps({"a": float("inf")})


def test_what_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match=r"file/rows\.jsonl: cannot be written"):
        write_records(blocked / "rows.jsonl", CANDIDATES)
