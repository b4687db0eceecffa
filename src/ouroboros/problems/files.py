"""Rows of a problem file: JSONL, one JSON list, or CSV; the first two may be gzipped."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError, UserError
from ouroboros.jsonl import parse_json, read_objects

CSV_LISTS = ("tests", "visible_tests", "extra_tests", "subsets")
"""The columns whose cells hold a list, one item a line."""
_CELL_LIMIT = 1 << 24


def problem_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (where, row) for each problem of a file, in its order.

    A CSV file (UTF-8, with a header) becomes rows of our own form: each cell is a field, an empty
    cell is none, and a row without `problem_id` gets the file's name and its number (`mine/1`).

    Raises:
        UserError: no such file, or it cannot be read.
        InputError: not JSON or CSV; the message names file and line (or item).
    """
    name = path.name.lower()
    if name.endswith(".csv"):
        yield from _csv_rows(path)
    elif name.removesuffix(".gz").endswith(".json"):
        yield from _list_items(path)
    else:
        yield from read_objects(path)


def _list_items(path: Path) -> Iterator[tuple[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 JSON: {error}") from error
    value = parse_json(text, str(path))
    if not isinstance(value, list):
        raise InputError(
            f"expected a list of problems, found {type(value).__name__}",
            where=str(path),
            hint="a file with one problem a line must end in .jsonl",
        )
    for index, item in enumerate(value):
        yield f"{path}: item {index + 1}", item


def _csv_rows(path: Path) -> Iterator[tuple[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    csv.field_size_limit(_CELL_LIMIT)
    try:
        # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            header = [name.strip() for name in reader.fieldnames or ()]
            _check_header(header, path)
            reader.fieldnames = header
            before = reader.line_num
            for number, cells in enumerate(reader, start=1):
                # A cell may hold line breaks: a row is named by its first line.
                where, before = f"{path}:{before + 1}", reader.line_num
                yield where, _own_row(cells, path.stem, number, where)
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", where=f"{path}:{reader.line_num}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 CSV: {error}") from error


def _check_header(header: list[str], path: Path) -> None:
    for name in ("prompt_text", "tests"):
        if name not in header:
            raise InputError(
                f"the header has no column {name!r}",
                where=f"{path}:1",
                hint=f"found: {', '.join(map(repr, header)) or 'nothing'}; needed are prompt_text "
                "and tests (asserts, one a line in the cell), and entry_point or reference",
            )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"the header has column {twice[0]!r} twice", where=f"{path}:1")


def _own_row(cells: dict[str, Any], stem: str, number: int, where: str) -> dict[str, Any]:
    if None in cells or None in cells.values():
        raise InputError("another number of cells than the header has", where=where)
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if cell.strip()}
    for name in CSV_LISTS:
        if name in row:
            row[name] = [line.strip() for line in row[name].splitlines() if line.strip()]
    row.setdefault("problem_id", f"{stem}/{number}")
    return row
