"""Reading and writing JSONL files of records, canonically.

Canonical: keys sorted, no spaces, UTF-8, one record a line, rows sorted by (dataset, number,
sample_index), so that equal records give equal bytes. A file appears whole or not at all.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from ouroboros.errors import InputError, UserError
from ouroboros.records import Candidate, Record, Verdict, from_dict, require_unique, to_dict


def dumps(value: object) -> str:
    """One canonical JSON line, without the newline. NaN and infinities are refused."""
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def read_objects(path: Path, *, infinities: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield (where, object) for each non-blank line of a JSONL file, gzipped if it ends in .gz.

    Args:
        infinities: take Infinity, -Infinity and NaN, which JSON has not, for floats.

    Raises:
        UserError: no such file, or it cannot be read.
        InputError: a line that is not JSON; `where` is "file:line".
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with _open_text(path) as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                where = f"{path}:{number}"
                yield where, parse_json(line, where, infinities=infinities)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 JSONL: {error}") from error


def parse_json(text: str, where: str, *, infinities: bool = False) -> Any:
    """Parse JSON, strictly: no key twice, no NaN or infinity (unless asked), no half of a
    surrogate pair.

    Raises:
        InputError: not such JSON; `where` says where it stands.
    """
    try:
        constant = float if infinities else _refuse
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=constant)
        if "\\ud" in text.lower():
            # An escaped lone surrogate cannot be written again as UTF-8, nor run as a program.
            dumps(value).encode("utf-8")
        return value
    except RecursionError:
        raise InputError("not a JSON object: nested too deeply", where=where) from None
    except ValueError as error:
        raise InputError(f"not a JSON object: {error}", where=where) from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise ValueError(f"key {twice!r} stands twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Read a whole file of records and check that no key stands twice.

    Raises:
        UserError, InputError: as `read_objects`, and for a record of another form or a duplicate.
    """
    return [record for _, record in read_records_with_place(path, kind)]


def read_records_with_place(path: Path, kind: type[Record]) -> list[tuple[str, Record]]:
    """As `read_records`, each record with its "file:line"."""
    rows = [(where, from_dict(kind, data, where)) for where, data in read_objects(path)]
    noun = kind.__name__.lower()
    require_unique(((record_key(record), where) for where, record in rows), noun)
    return rows


def record_key(record: Any) -> object:
    """What must be unique in a file: the problem id, or (problem id, sample index)."""
    return record.key if isinstance(record, Candidate | Verdict) else record.problem_id


def sort_key(record: Any) -> tuple[Any, ...]:
    """Natural order: mbpp/9 before mbpp/10, then by sample index."""
    return (problem_order(record.problem_id), getattr(record, "sample_index", 0))


def problem_order(problem_id: str) -> tuple[Any, ...]:
    """A sort key for problem ids that compares digit runs as numbers."""
    parts = re.split(r"(\d+)", problem_id)
    # Each part as (kind, number, text), so that a number never meets a string.
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def write_records(path: Path, records: Iterable[Any], *, keep_order: bool = False) -> None:
    """Write records canonically and atomically; sorted unless `keep_order`."""
    rows = list(records)
    if not keep_order:
        rows.sort(key=sort_key)
    write_lines(path, (dumps(to_dict(record)) for record in rows))


def is_special(path: Path) -> bool:
    """Whether a path is a pipe, a device (/dev/stdout) or a folder: no file that can be renamed."""
    return path.is_relative_to("/dev") or (path.exists() and not path.is_file())


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write text lines to `path` atomically (temporary file beside it, then rename).

    A pipe or a device (/dev/stdout) is written to as it is: it must never be renamed over.

    Raises:
        UserError: the file cannot be written (full disk, read-only folder, nobody reads the pipe).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if is_special(path):
            with open(path, "w", encoding="utf-8", newline="\n") as stream:
                stream.writelines(f"{line}\n" for line in lines)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "w", encoding="utf-8", newline="\n") as stream:
                for line in lines:
                    stream.write(line)
                    stream.write("\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error}") from error


def write_json(path: Path, value: object) -> None:
    """Write one JSON document, indented and with sorted keys, atomically (for metrics)."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False)
    write_lines(path, [text])
