"""Finished work that outlives a killed stage.

DVC deletes a stage's outputs before it reruns the stage, so progress cannot live there. It lives
here: one SQLite file per kind of work, mapping the digest of everything that determines a result
to the result. The file is shared by every run of the repository, queued experiments included;
SQLite's own locking makes that safe. A key is never overwritten: what was drawn stays drawn.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ouroboros.errors import UserError
from ouroboros.jsonl import dumps


def digest(value: object) -> str:
    """SHA-256 (hex) of a plain value's canonical JSON."""
    return hashlib.sha256(dumps(value).encode("utf-8", "surrogatepass")).hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 (hex) over the names and contents of all files under `folder`."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open(path, "rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def project_root(start: Path | None = None) -> Path:
    """The repository's root: the folder with dvc.yaml, at `start` or above.

    A queued DVC experiment runs in a copy under `.dvc/tmp/exps`; for that copy this is the
    original repository, so that stores and the MLflow database are shared.

    Raises:
        UserError: no dvc.yaml at or above `start`.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            parts = folder.parts
            for index in range(len(parts) - 2):
                if parts[index : index + 3] == (".dvc", "tmp", "exps"):
                    return Path(*parts[:index])
            return folder
    raise UserError(f"no dvc.yaml at or above {here}: run this inside the project")


def cache_dir() -> Path:
    """Where stores, checkpoints and converted weights live: `.ouroboros/` at the project's root,
    or `$OUROBOROS_CACHE`."""
    override = os.environ.get("OUROBOROS_CACHE")
    return Path(override) if override else project_root() / ".ouroboros"


class ResultStore:
    """A digest -> JSON value map in one SQLite file.

    Args:
        path: the file; its folder is made. A second process may use the same file.

    Raises:
        UserError: the file cannot be opened or written (read-only, full disk, not a database).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Autocommit: each batch opens its own transaction. 60 s is the wait for another writer.
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            # WAL survives a killed process without loss and lets others read meanwhile.
            self._switch_to_wal()
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS results "
                "(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"{path}: this store of finished work cannot be used: {error}"
            ) from error

    def _switch_to_wal(self) -> None:
        # SQLite does not wait for another process that switches at the same moment: ask again.
        deadline = time.monotonic() + 60
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that are present."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Any] = {}
        try:
            for start in range(0, len(wanted), 500):
                chunk = wanted[start : start + 500]
                marks = ",".join("?" * len(chunk))
                rows = self._connection.execute(
                    f"SELECT key, value FROM results WHERE key IN ({marks})", chunk
                )
                found.update((key, json.loads(value)) for key, value in rows)
        except sqlite3.Error as error:
            raise UserError(f"{self._path}: cannot be read: {error}") from error
        return found

    def put(self, items: Mapping[str, Any]) -> None:
        """Add results in one transaction; a key that is there already keeps its value."""
        rows = [(key, dumps(value)) for key, value in items.items()]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR IGNORE INTO results VALUES (?, ?)", rows)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise UserError(
                f"{self._path}: cannot be written: {error}\n"
                "  what was stored before is kept; free the disk or mend the folder's rights, then "
                "run the same command again"
            ) from error

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
