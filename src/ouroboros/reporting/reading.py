"""Reading the evaluation's files: an error names the file, the field and what to do."""

from __future__ import annotations

import csv
import math
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError, UserError
from ouroboros.evaluation.summary import read_metrics

AGAIN = "it was written by another version or by hand: run the pipeline again (make repro)"


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object, read field by field.

    Metrics may hold more than is asked for. What is asked for must be there and of its kind, or an
    `InputError` names the file and the field's whole path.

    Attributes:
        value: the object.
        where: the file.
        path: the object's place in the file; empty at the top.
    """

    value: Mapping[str, Any]
    where: str
    path: str = ""

    def number(self, key: str) -> float:
        """A finite number."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "a number", value)
        if not math.isfinite(value):
            raise self._wrong(key, "a finite number", value)
        return float(value)

    def maybe_number(self, key: str) -> float | None:
        """A finite number, or None where the field is null or missing."""
        return None if self.value.get(key) is None else self.number(key)

    def whole(self, key: str) -> int:
        """A whole number."""
        number = self.number(key)
        if number != int(number):
            raise self._wrong(key, "a whole number", number)
        return int(number)

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "text", value)
        return value

    def part(self, key: str) -> Fields:
        """The object in a field."""
        value = self._get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "an object", value)
        return Fields(value, self.where, self._path(key))

    def maybe_part(self, key: str) -> Fields:
        """The object in a field, or an empty one where the field is missing."""
        return self.part(key) if key in self.value else Fields({}, self.where, self._path(key))

    def parts(self) -> Iterator[tuple[str, Fields]]:
        """The fields, each of which must hold an object."""
        for key in self.value:
            yield key, self.part(key)

    def _get(self, key: str) -> Any:
        if key not in self.value:
            raise InputError(f"has no {self._path(key)!r}", where=self.where, hint=AGAIN)
        return self.value[key]

    def _path(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _wrong(self, key: str, expected: str, value: object) -> InputError:
        return InputError(
            f"{self._path(key)}: expected {expected}, found {value!r}", where=self.where, hint=AGAIN
        )


def metrics_fields(root: Path, name: str) -> Fields:
    """metrics/<name>.json.

    Raises:
        UserError: no such file, or it is not a JSON object.
    """
    return Fields(read_metrics(root, name), str(root / "metrics" / f"{name}.json"))


Row = dict[str, Any]


def read_rows(
    path: Path,
    *,
    numbers: Sequence[str] = (),
    maybe_numbers: Sequence[str] = (),
    texts: Sequence[str] = (),
) -> list[Row]:
    """Read a CSV file's rows.

    Columns of `numbers` become float; those of `maybe_numbers` float, or None where the cell or the
    column is missing; `texts` must be there; other columns stay as they are.

    Raises:
        UserError: no such file; not CSV; no rows.
        InputError: a column is missing, or a cell is not a finite number; the message names line
            and column.
    """
    limit = csv.field_size_limit(sys.maxsize)  # a program may be long
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            for name in (*numbers, *texts):
                if name not in (reader.fieldnames or ()):
                    raise InputError(f"has no column {name!r}", where=str(path), hint=AGAIN)
            rows: list[Row] = []
            for row in reader:
                where = f"{path}:{reader.line_num}"
                for name in numbers:
                    row[name] = _number(row[name], f"{where}: {name}")
                for name in maybe_numbers:
                    row[name] = _number(row[name], f"{where}: {name}") if row.get(name) else None
                if any(row[name] is None for name in texts):
                    raise InputError("the row ends too early", where=where, hint=AGAIN)
                rows.append(row)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run the pipeline first: make repro, or dvc pull"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}") from error
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise UserError(f"{path}: is empty; run the pipeline again: make repro")
    return rows


def _number(cell: str | None, where: str) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"expected a number, found {cell!r}", where=where, hint=AGAIN)
    return value


LONGEST = 8000
"""Characters shown of one program or prompt."""


def visible(text: str) -> str:
    """Untrusted text as a reader should see it (escaping for HTML is the template's part).

    What a browser would not show, or would let reorder the line, becomes a Python escape: control
    characters, lone surrogates, direction marks, zero-width ones. Text beyond `LONGEST` characters
    is left out, and says so.
    """
    shown = "".join(_shown(character) for character in text[:LONGEST])
    left = len(text) - LONGEST
    return f"{shown}\n[{left} more characters are left out here]" if left > 0 else shown


def _shown(character: str) -> str:
    if character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
