"""Finished work survives a kill, and several processes may share it."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ouroboros.errors import UserError
from ouroboros.store import ResultStore, cache_dir, digest, project_root

WRITER = """
import sys
from pathlib import Path
from ouroboros.store import ResultStore

path, name, batches, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with ResultStore(Path(path)) as store:
    for batch in range(batches):
        # The same keys in every process, with a value that tells who wrote it.
        store.put({f"{batch}/{item}": [name, batch, item] for item in range(size)})
        print(batch, flush=True)
"""


def writer(path: Path, name: str, batches: int, size: int) -> subprocess.Popen[str]:
    arguments = [str(path), name, str(batches), str(size)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_what_was_put_is_got_back(tmp_path):
    values = {"a": {"x": [1, None, 0.1, "é"]}, "b": "", "c": False}
    with ResultStore(tmp_path / "new" / "store.db") as store:
        store.put(values)
        assert store.get(["a", "b", "c", "d", "a"]) == values
    with ResultStore(tmp_path / "new" / "store.db") as store:
        assert store.get(["a", "b", "c"]) == values


def test_a_stored_value_is_never_overwritten(tmp_path):
    with ResultStore(tmp_path / "store.db") as store:
        store.put({"a": 1})
        store.put({"a": 2, "b": 3})
        assert store.get(["a", "b"]) == {"a": 1, "b": 3}


def test_many_keys(tmp_path):
    values = {str(number): number for number in range(5000)}
    with ResultStore(tmp_path / "store.db") as store:
        store.put(values)
        assert store.get(values) == values


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path):
    with ResultStore(tmp_path / "store.db") as store:
        with pytest.raises(ValueError, match="Out of range"):
            store.put({"a": 1, "b": float("nan")})
        assert store.get(["a", "b"]) == {}
        store.put({"a": 1})
        assert store.get(["a"]) == {"a": 1}


def test_processes_that_start_together_and_write_the_same_keys(tmp_path):
    path = tmp_path / "store.db"
    processes = [writer(path, f"w{number}", 30, 40) for number in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with ResultStore(path) as store:
        found = store.get(f"{batch}/{item}" for batch in range(30) for item in range(40))
    assert len(found) == 1200
    for batch in range(30):
        writers = {found[f"{batch}/{item}"][0] for item in range(40)}
        assert len(writers) == 1, f"batch {batch} is a mix of {writers}: not one transaction"


def test_two_processes_can_create_the_store_at_once(tmp_path):
    """Opening switches the journal mode, which two processes must be able to do at once."""
    for attempt in range(3):
        path = tmp_path / f"store{attempt}.db"
        processes = [writer(path, f"w{number}", 1, 1) for number in range(4)]
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors


def test_killed_writer_loses_nothing_it_had_finished(tmp_path):
    path = tmp_path / "store.db"
    for seen in (1, 7, 23):
        process = writer(path, "killed", 100_000, 50)
        assert process.stdout is not None
        last = -1
        for _ in range(seen):
            last = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with ResultStore(path) as store:
            keys = [f"{batch}/{item}" for batch in range(last + 1) for item in range(50)]
            assert len(store.get(keys)) == len(keys)
            # The batch under way at the kill is there whole or not at all.
            following = len(store.get(f"{last + 1}/{item}" for item in range(50)))
            assert following in (0, 50)
            store.put({f"after/{seen}": 1})


def test_reader_is_not_blocked_by_a_writer(tmp_path):
    path = tmp_path / "store.db"
    with ResultStore(path) as store:
        store.put({"a": 1})
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        assert store.get(["a"]) == {"a": 1}
        assert time.monotonic() - start < 5
        other.execute("ROLLBACK")
        other.close()


def test_file_that_is_no_database(tmp_path):
    path = tmp_path / "store.db"
    path.write_text("this is text, and long enough to have a header of a hundred bytes" * 3)
    with pytest.raises(UserError, match=r"store\.db: this store of finished work cannot be used"):
        ResultStore(path)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="this store of finished work cannot be used"):
        ResultStore(tmp_path / "file" / "store.db")


def test_digest_depends_on_the_value_alone():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.0})
    assert digest({"a": None}) != digest({})
    assert digest("\ud800") != digest("?")
    assert len(digest(None)) == 64


def test_project_root_is_found_from_below(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text("")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert project_root(below) == tmp_path
    monkeypatch.chdir(below)
    monkeypatch.delenv("OUROBOROS_CACHE", raising=False)
    assert cache_dir() == tmp_path / ".ouroboros"
    monkeypatch.setenv("OUROBOROS_CACHE", str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"


def test_queued_experiment_shares_the_original_repository(tmp_path):
    workspace = tmp_path / ".dvc" / "tmp" / "exps" / "tmpabc"
    (workspace / "src").mkdir(parents=True)
    (workspace / "dvc.yaml").write_text("")
    assert project_root(workspace / "src") == tmp_path


def test_outside_a_project(tmp_path):
    with pytest.raises(UserError, match=r"no dvc\.yaml at or above"):
        project_root(tmp_path)
