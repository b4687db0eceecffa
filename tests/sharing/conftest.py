"""An S3 server and a project that has been run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ouroboros.sharing.s3_server import S3Server
from tests.sharing.cheap_pipeline import free_ports, make_cheap_pipeline
from tests.support.projects import Project


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    # One a module: where the sandbox is tested, no other process may be left below this one.
    running = S3Server(tmp_path_factory.mktemp("s3"), free_ports())
    running.start()
    yield running
    running.kill()
    shutil.rmtree(running.folder)  # pytest would keep it for three sessions


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder: Path = tmp_path_factory.mktemp("shared") / "project"
    return make_cheap_pipeline(folder)
