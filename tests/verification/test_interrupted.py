"""Runs that something stops half way: a clear message, finished work kept, nothing done twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ouroboros.jsonl import read_records, write_records
from ouroboros.records import Verdict
from ouroboros.store import ResultStore
from ouroboros.verification import run
from ouroboros.verification.jail import SandboxError, find_nsjail
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify
from tests.verification.test_faults import PROBLEM, ROOT, descendants, programs

KILLS = 100
CLASSES = ("pass", "wrong_answer", "runtime_error")


class Killer(threading.Thread):
    """Kills one of the sandbox's processes at random moments, whatever it is at.

    Only once every worker has finished something since the last kill: a candidate that loses its
    worker three times stops the run, by design, and chance would see to that.
    """

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers = workers
        self.random = random.Random(1)
        self.progressed: set[str] = set()
        self.killed: Counter[str] = Counter()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set() and self.killed.total() < KILLS:
            if len(self.progressed) < self.workers:
                time.sleep(0.001)
                continue
            time.sleep(self.random.random() * 0.05)
            targets = {p: n for p, n in sorted(descendants().items()) if "verification." in n}
            if not targets:
                continue
            pid = self.random.choice(list(targets))
            self.progressed.clear()
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            name = "nsjail" if "nsjail" in targets[pid].split()[0] else "python"
            part = "judge" if "verification.judge" in targets[pid] else "zygote or candidate"
            self.killed[f"{name} of the {part}"] += 1


def test_a_hundred_kills_at_random_moments_change_no_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    killer = Killer(workers=2)
    receive = run.Worker.receive

    def note(self: run.Worker, job: run.Job) -> dict[str, Any]:
        verdict = receive(self, job)
        killer.progressed.add(threading.current_thread().name)
        return verdict

    monkeypatch.setattr(run.Worker, "receive", note)
    killer.start()
    count = 0
    try:
        while killer.is_alive():
            candidates = programs(300, first=count)  # new programs each round
            count += 300
            with ResultStore(tmp_path / "store.sqlite") as store:
                verdicts = verify([PROBLEM], candidates, ExecuteParams(), workers=2, store=store)
            assert [v.verdict for v in verdicts] == [CLASSES[n % 3] for n in range(300)]
            assert not descendants(), "a process of the sandbox was left behind"
    finally:
        killer.stop.set()
        killer.join()
    print(f"{count} programs, killed: {dict(killer.killed)}")
    assert killer.killed.total() == KILLS
    assert len(killer.killed) == 4, killer.killed


def write_inputs(folder: Path, count: int) -> tuple[Path, Path]:
    problems, candidates = folder / "problems.jsonl", folder / "candidates.jsonl"
    write_records(problems, [PROBLEM])
    write_records(candidates, programs(count))
    return problems, candidates


def command(problems: Path, candidates: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "ouroboros.cli", "verify", "--problems", str(problems),
        "--candidates", str(candidates), "--out", str(out), *more,
    ]  # fmt: skip


def test_an_interrupted_command_goes_on_from_where_it_was(tmp_path: Path) -> None:
    problems, candidates = write_inputs(tmp_path, 1500)
    out = tmp_path / "verdicts.jsonl"
    arguments = command(problems, candidates, out)
    first = subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    unfinished = tmp_path / "verdicts.jsonl.unfinished"
    while not unfinished.exists() or len(rows(unfinished)) < 100:
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    first.kill()  # not even a chance to tidy up
    first.wait()
    kept = len(rows(unfinished))
    assert not out.exists()
    again = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"{kept} of them kept from an earlier run" in again.stderr
    assert [v.verdict for v in read_records(out, Verdict)] == [CLASSES[n % 3] for n in range(1500)]
    assert not list(tmp_path.glob("*.unfinished*"))


def rows(store: Path) -> list[Any]:
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT key FROM results").fetchall()
    except sqlite3.Error:
        return []


def test_a_full_disk_stops_the_run_with_what_to_do_and_keeps_the_rest(tmp_path: Path) -> None:
    problems, candidates = write_inputs(tmp_path, 900)
    small = tmp_path / "small"
    small.mkdir()
    # A file system of its own, in a mount namespace of its own, so that any user may make it.
    script = (
        'mount -t tmpfs -o size=160k none "$0" && "$@"; code=$?; '
        'mount -o remount,size=64m "$0" && "$@"; echo "codes $code $?"'
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(small),
         *command(problems, candidates, small / "verdicts.jsonl")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert "codes 2 0" in done.stdout, done.stdout + done.stderr
    assert "verdicts.jsonl.unfinished: cannot be written: database or disk is full" in done.stderr
    assert "free the disk" in done.stderr
    assert "Traceback" not in done.stderr
    kept = [line for line in done.stderr.splitlines() if "kept from an earlier run" in line]
    assert kept, done.stderr


def test_an_output_nobody_reads_is_a_clear_stop(tmp_path: Path) -> None:
    problems, candidates = write_inputs(tmp_path, 6)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command(problems, candidates, Path("/dev/stdout")),
        cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode == 2
    assert "/dev/stdout: cannot be written: [Errno 32] Broken pipe" in done.stderr
    assert "Traceback" not in done.stderr


def test_verdicts_go_to_a_pipe_that_is_read(tmp_path: Path) -> None:
    problems, candidates = write_inputs(tmp_path, 3)
    done = subprocess.run(
        command(problems, candidates, Path("/dev/stdout")),
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [line.count('"verdict"') for line in done.stdout.splitlines()] == [1, 1, 1]


def test_nsjail_that_disappears_half_way_stops_the_run_and_keeps_what_was_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = tmp_path / "nsjail"
    binary.write_text(f'#!/bin/sh\nexec "{find_nsjail()}" "$@"\n')
    binary.chmod(0o755)
    monkeypatch.setenv("OUROBOROS_NSJAIL", str(binary))
    receive = run.Worker.receive

    def lose(self: run.Worker, job: run.Job) -> dict[str, Any]:
        if job.label.endswith("sample 40") and binary.exists():
            binary.unlink()
            self._jails["zygote"].process.kill()
        return receive(self, job)

    monkeypatch.setattr(run.Worker, "receive", lose)
    candidates = programs(60)
    with (
        ResultStore(tmp_path / "store.sqlite") as store,
        pytest.raises(SandboxError, match=r"nsjail.*cannot be run"),
    ):
        verify([PROBLEM], candidates, ExecuteParams(), workers=1, store=store)
    kept = len(rows(tmp_path / "store.sqlite"))
    assert 40 <= kept < 50  # a few were judged ahead
    monkeypatch.undo()
    done: list[str] = []
    monkeypatch.setattr(
        run.Worker, "receive", lambda self, job: (done.append(job.label), receive(self, job))[1]
    )
    with ResultStore(tmp_path / "store.sqlite") as store:
        verdicts = verify([PROBLEM], candidates, ExecuteParams(), workers=1, store=store)
    assert len(done) == 60 - kept
    assert [v.verdict for v in verdicts] == [CLASSES[n % 3] for n in range(60)]
    assert not descendants()
