"""A push and a pull that were cut off, by `kill -9` of either side, go on where they were."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ouroboros.sharing.s3_server import BUCKET, S3Server
from tests.sharing.cheap_pipeline import (
    cache_files,
    cached_outs,
    clone,
    free_ports,
    isolated,
    objects,
    use_remote,
)
from tests.support.projects import Project

LARGE_BYTES = 120 << 20  # s3fs sends 100 MiB and more in parts
SOME = 5  # files that are across when it is cut off


@pytest.fixture(scope="module")
def total(server: S3Server, project: Project) -> int:
    """How many objects the whole push is."""
    use_remote(project, server, "counted")
    project.run("dvc", "push")
    return len(objects(server, "counted"))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[S3Server]:
    """A server that may be killed without a word."""
    running = S3Server(tmp_path / "s3", free_ports())
    running.start()
    yield running
    running.kill()


def start(project: Project, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=project.folder, env=project.environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def wait_until(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert process.poll() is None, f"it was done before: {process.communicate()[0]}"


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_killed_push_goes_on(
    server: S3Server, project: Project, total: int, tmp_path: Path
) -> None:
    use_remote(project, server, "killed-push")
    process = start(project, "dvc", "push", "-j", "1")
    wait_until(process, lambda: len(objects(server, "killed-push")) >= SOME)
    kill(process)
    held = len(objects(server, "killed-push"))
    assert SOME <= held < total

    again = project.run("dvc", "push").stdout
    assert f"{total - held} files pushed" in again
    assert_all_there(server, project, "killed-push", tmp_path)


def test_a_large_file_killed_on_its_way_leaves_no_half_object(
    server: S3Server, tmp_path: Path
) -> None:
    large = isolated(Project(tmp_path / "large"))
    large.folder.mkdir()
    for command in ("git init -q", "dvc init -q"):
        large.run(*command.split())
    content = random.Random(0).randbytes(LARGE_BYTES)
    (large.folder / "model.safetensors").write_bytes(content)
    large.run("dvc", "add", "-q", "model.safetensors")
    use_remote(large, server, "large")
    client = server.client()

    def under_way() -> list[str]:
        uploads = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return [upload["Key"] for upload in uploads if upload["Key"].startswith("large/")]

    process = start(large, "dvc", "push")
    wait_until(process, lambda: bool(under_way()))
    kill(process)
    assert len(under_way()) == 1
    assert objects(server, "large") == []

    large.run("dvc", "push")
    assert len(objects(server, "large")) == 1
    shutil.rmtree(large.folder / ".dvc" / "cache")
    (large.folder / "model.safetensors").unlink()
    large.run("dvc", "pull")
    assert (large.folder / "model.safetensors").read_bytes() == content
    shutil.rmtree(large.folder)  # pytest would keep it for three sessions


def test_a_push_goes_on_after_the_server_was_killed(
    own_server: S3Server, project: Project, total: int, tmp_path: Path
) -> None:
    use_remote(project, own_server, "down")
    process = start(project, "dvc", "push", "-j", "1")
    wait_until(process, lambda: len(objects(own_server, "down")) >= SOME)
    held = objects(own_server, "down")
    own_server.kill()
    assert len(held) < total
    output, _ = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "Could not connect to the endpoint URL" in output

    own_server.start()
    assert set(held) <= set(objects(own_server, "down")), "what was stored is gone"
    project.run("dvc", "push")
    assert_all_there(own_server, project, "down", tmp_path)


def test_a_killed_pull_goes_on(
    server: S3Server, project: Project, total: int, tmp_path: Path
) -> None:
    other = clone(project, tmp_path / "clone")
    use_remote(other, server, "counted")
    process = start(other, "dvc", "pull", "-j", "1")
    wait_until(process, lambda: cache_files(other) >= SOME)
    kill(process)
    assert SOME <= cache_files(other) < total

    other.run("dvc", "pull")
    assert cached_outs(other) == cached_outs(project)
    assert other.repro() == []


def test_a_pull_goes_on_after_the_server_was_killed(
    own_server: S3Server, project: Project, total: int, tmp_path: Path
) -> None:
    use_remote(project, own_server, "down")
    project.run("dvc", "push")
    other = clone(project, tmp_path / "clone")
    use_remote(other, own_server, "down")
    process = start(other, "dvc", "pull", "-j", "1")
    wait_until(process, lambda: cache_files(other) >= SOME)
    own_server.kill()
    output, _ = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "Could not connect to the endpoint URL" in output
    assert cache_files(other) < total

    own_server.start()
    other.run("dvc", "pull")
    assert cached_outs(other) == cached_outs(project)
    assert other.repro() == []


def assert_all_there(server: S3Server, project: Project, prefix: str, folder: Path) -> None:
    other = clone(project, folder / "whole")
    use_remote(other, server, prefix)
    other.run("dvc", "pull")
    assert cached_outs(other) == cached_outs(project)
