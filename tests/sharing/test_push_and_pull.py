"""What docs/sharing.md tells people to do, done: serve, add the remote, push, pull elsewhere."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ouroboros.sharing.s3_server import HOST, S3Server
from tests.sharing.cheap_pipeline import (
    FILES_PER_FOLDER,
    cached_outs,
    clone,
    commit,
    free_ports,
    objects,
    use_remote,
)
from tests.support.projects import Project


def test_a_clone_pulls_every_byte_and_has_nothing_to_run(
    server: S3Server, project: Project, tmp_path: Path
) -> None:
    use_remote(project, server, "whole")
    project.run("dvc", "push")
    other = clone(project, tmp_path / "clone")
    assert not (other.folder / ".dvc" / "cache").exists()
    assert not (other.folder / "models").exists() or not any(other.folder.glob("models/*/*"))
    use_remote(other, server, "whole")
    other.run("dvc", "pull")
    outs = cached_outs(other)
    assert outs == cached_outs(project)
    assert {"data/splits/train.jsonl", "models/critic/model.safetensors"} <= outs.keys()
    assert sum(path.startswith("plots/test/curves/") for path in outs) == FILES_PER_FOLDER
    assert "up to date" in other.run("dvc", "status").stdout
    assert other.repro() == []
    assert other.run("git", "status", "--short").stdout == ""


def test_the_run_cache_brings_runs_that_no_commit_holds(
    server: S3Server, project: Project, tmp_path: Path
) -> None:
    use_remote(project, server, "runs")
    project.run("dvc", "push", "--run-cache")
    other = clone(project, tmp_path / "clone")
    use_remote(other, server, "runs")
    (other.folder / "dvc.lock").unlink()
    output = other.run("dvc", "repro", "--pull").stdout
    # DVC brings back a run if it keeps all outputs; these have metrics, which git keeps.
    ran = re.findall(r"Running stage '([^']+)'", output)
    assert ran == [
        "split", "make_negatives", "train_critic", "evaluate@test", "evaluate@transfer",
        "summarize",
    ]  # fmt: skip
    brought = re.findall(r"Stage '([^']+)' is cached - skipping run", output)
    assert sorted(brought) == [
        "execute@main", "execute@transfer", "generate@main", "generate@transfer",
        "problems@main", "problems@transfer",
    ]  # fmt: skip
    candidates = Path("data", "candidates", "main.jsonl")
    ours, theirs = (each.folder / candidates for each in (project, other))
    assert theirs.read_bytes() == ours.read_bytes()


def test_no_key_gets_into_git(project: Project, tmp_path: Path) -> None:
    other = clone(project, tmp_path / "clone")
    port = free_ports()
    running = subprocess.Popen(
        [sys.executable, "-m", "ouroboros.sharing.serve", "--port", str(port)],
        cwd=other.folder, env=other.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        printed = []
        for line in running.stdout:
            printed.append(line.strip())
            if "Ctrl-C" in line:
                break
        commands = [line for line in printed if line.startswith("dvc remote ")]
        assert len(commands) == 4, printed
        for command in commands:
            other.run(*shlex.split(command))
        pull = other.run("dvc", "pull", check=False)  # nothing was pushed there yet
        assert "Missing cache files" in pull.stdout, pull.stdout
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    finally:
        running.kill()
        running.wait()
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) != 0, "the server still answers"

    key = S3Server(other.folder / ".s3", port).key
    local = (other.folder / ".dvc" / "config.local").read_text()
    assert key.access_key_id in local
    assert key.secret_access_key in local
    (other.folder / "note.txt").write_text("so that there is something to commit")
    commit(other)
    names = other.run("git", "ls-files").stdout.splitlines()
    assert "note.txt" in names
    assert not [name for name in names if name.startswith(".s3") or name.endswith("config.local")]
    for name in names:
        content = (other.folder / name).read_bytes()
        for secret in (key.access_key_id, key.secret_access_key):
            assert secret.encode() not in content, f"{name} holds a key"


@pytest.mark.parametrize("arguments", [("--remote", "storage"), ()], ids=["named", "default"])
def test_a_second_push_sends_nothing(
    arguments: tuple[str, ...], server: S3Server, project: Project
) -> None:
    use_remote(project, server, "twice")
    project.run("dvc", "push", *arguments)
    held = objects(server, "twice")
    assert "up to date" in project.run("dvc", "push", *arguments).stdout
    assert objects(server, "twice") == held
