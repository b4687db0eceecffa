"""The pipeline of the real dvc.yaml in seconds: every script replaced by one that writes its outs.

What is pushed and pulled is the same in kind as in a real run: single files and folders, kept in
DVC's cache or in git (metrics).
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from pathlib import Path
from typing import Any

from ouroboros.errors import UserError
from ouroboros.sharing.s3_server import BUCKET, HOST, S3Server, check_ports
from tests.support.projects import Project, make_project

FILES_PER_FOLDER = 12  # so that a push or a pull lasts long enough to be interrupted
# Its outs are told by dvc.yaml; their bytes by their names.
SCRIPT = f"""\
import json, pathlib, random, sys
import yaml

name, item = pathlib.Path(sys.argv[0]).stem, (sys.argv[1:] or [""])[0]
stage = yaml.safe_load(open("dvc.yaml"))["stages"][name]
stage = stage.get("do", stage)
# A string, or a mapping of one name to its options.
entries = stage.get("outs", []) + stage.get("metrics", [])
for out in (name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)):
    path = pathlib.Path(out.replace("${{item}}", item))
    parts = [path]
    if not path.suffix:
        curves = [f"curves/{{number}}.csv" for number in range({FILES_PER_FOLDER})]
        parts = [path / part for part in ("config.json", "model.safetensors", *curves)]
    for part in parts:
        part.parent.mkdir(parents=True, exist_ok=True)
        data = random.Random(str(part)).randbytes(20_000)
        if part.suffix == ".json":  # DVC reads metrics
            data = json.dumps({{"of": str(part)}}).encode()
        part.write_bytes(data)
"""


def make_cheap_pipeline(folder: Path) -> Project:
    """A project that has been run and committed, dvc.lock and metrics included."""
    project = isolated(make_project(folder))
    for script in (folder / "stages").glob("*.py"):
        script.write_text(SCRIPT)
    ran = project.repro()
    assert ran[-1] == "summarize"
    commit(project)
    return project


def clone(project: Project, folder: Path) -> Project:
    """What a teammate gets from git: no cache, no outs, no local configuration."""
    project.run("git", "clone", "-q", str(project.folder), str(folder))
    return isolated(Project(folder))


def commit(project: Project) -> None:
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "a run")


def isolated(project: Project) -> Project:
    """Without this machine's own settings of DVC and AWS."""
    nowhere = str(project.folder / "nowhere")
    project.environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("AWS_")},
        **{name: text for name, text in project.environment.items() if not name.startswith("AWS_")},
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",  # it would ask a dead server for minutes
        # In the folder it would be committed with the rest.
        "DVC_SITE_CACHE_DIR": f"{project.folder}-site",
        "DVC_GLOBAL_CONFIG_DIR": nowhere,
        "DVC_SYSTEM_CONFIG_DIR": nowhere,
    }
    return project


def cached_outs(project: Project) -> dict[str, bytes]:
    """Every file that DVC, not git, keeps: path in the project -> content."""
    paths = project.run("dvc", "ls", "-R", "--dvc-only", ".").stdout.splitlines()
    return {path: (project.folder / path).read_bytes() for path in paths}


def cache_files(project: Project) -> int:
    """How many files the project's DVC cache holds, unfinished ones left out."""
    return sum(len(path.name) in (30, 34) for path in _cache(project).rglob("*"))


def _cache(project: Project) -> Path:
    return project.folder / ".dvc" / "cache" / "files" / "md5"


def use_remote(project: Project, server: S3Server, prefix: str) -> None:
    """Make a folder of the server's bucket the project's default remote.

    What the commands that `make s3` prints do (test_push_and_pull.py runs those), without starting
    DVC four times.
    """
    set_remote(
        project,
        url=f"s3://{BUCKET}/{prefix}",
        endpointurl=server.endpoint,
        access_key_id=server.key.access_key_id,
        secret_access_key=server.key.secret_access_key,
    )


def set_remote(project: Project, **settings: str) -> None:
    lines = ["[core]", "    remote = storage", "['remote \"storage\"']"]
    lines += [f"    {name} = {text}" for name, text in settings.items()]
    (project.folder / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")


def objects(server: S3Server, prefix: str) -> list[str]:
    """The names of what the bucket holds under a prefix (the first thousand)."""
    found = _client(server).list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/files/")
    return [entry["Key"] for entry in found.get("Contents", [])]


@functools.cache
def _client(server: S3Server) -> Any:
    # Making one takes longer than the push of many files.
    return server.client()


def free_ports() -> int:
    """The first of as many free ports in a row as a server needs."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            first = int(probe.getsockname()[1])
        with contextlib.suppress(UserError):
            check_ports(first)
            return first
