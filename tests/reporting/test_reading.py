"""Files are read field by field; what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.reporting.reading import LONGEST, Fields, read_rows, visible


def test_fields_of_the_right_kind_are_read() -> None:
    fields = Fields({"a": {"n": 3, "x": 0.5, "none": None, "word": "w"}}, "m.json").part("a")
    assert (fields.whole("n"), fields.number("x"), fields.text("word")) == (3, 0.5, "w")
    assert fields.maybe_number("none") is None
    assert fields.maybe_number("missing") is None
    assert fields.maybe_part("missing").value == {}


@pytest.mark.parametrize(
    ("key", "read", "message"),
    [
        ("gone", Fields.number, r"m\.json: has no 'a\.gone'"),
        ("word", Fields.number, r"m\.json: a\.word: expected a number, found 'w'"),
        ("yes", Fields.number, r"m\.json: a\.yes: expected a number, found True"),
        ("nan", Fields.maybe_number, r"m\.json: a\.nan: expected a finite number, found nan"),
        ("half", Fields.whole, r"m\.json: a\.half: expected a whole number, found 0\.5"),
        ("half", Fields.text, r"m\.json: a\.half: expected text, found 0\.5"),
        ("half", Fields.part, r"m\.json: a\.half: expected an object, found 0\.5"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(key: str, read: object, message: str) -> None:
    value = {"word": "w", "yes": True, "nan": float("nan"), "half": 0.5}
    with pytest.raises(InputError, match=message) as caught:
        read(Fields(value, "m.json", "a"), key)  # type: ignore[operator]
    assert "make repro" in str(caught.value)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k,rate\n1,0.5\n2,\n", r"t\.csv:3: rate: expected a number, found ''"),
        ("k,rate\n1,nan\n", r"t\.csv:2: rate: expected a number, found 'nan'"),
        ("k,rate\n1\n", r"t\.csv:2: rate: expected a number, found None"),
        ("k,other\n1,2\n", r"t\.csv: has no column 'rate'"),
        ("", r"t\.csv: has no column 'k'"),
        ("k,rate\n", r"t\.csv: is empty"),
    ],
)
def test_a_wrong_cell_is_named_with_line_and_column(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_rows(write(tmp_path / "t.csv", text), numbers=("k", "rate"))


def test_a_row_without_its_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.csv:2: the row ends too early"):
        read_rows(write(tmp_path / "t.csv", "k,name\n1\n"), numbers=("k",), texts=("name",))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"k\n\xff\n")
    with pytest.raises(UserError, match="cannot be read as CSV"):
        read_rows(tmp_path / "t.csv", numbers=("k",))


def test_a_program_longer_than_the_csv_module_allows_is_read(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "t.csv", f"code\n{'x' * 200_000}\n"), texts=("code",))
    assert len(rows[0]["code"]) == 200_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x = 1\n\ty = 'é 漢 \N{NO-BREAK SPACE}'", "x = 1\n\ty = 'é 漢 \N{NO-BREAK SPACE}'"),
        ("a\x00b\x1b[31m\r", "a\\x00b\\x1b[31m\\r"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\u200b\ud800", "\\u200b\\ud800"),
    ],
)
def test_what_a_browser_would_hide_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
    visible(text).encode("utf-8")


def test_a_very_long_program_is_cut_and_says_so() -> None:
    shown = visible("x" * (LONGEST + 5))
    assert shown == "x" * LONGEST + "\n[5 more characters are left out here]"
