"""A copy of the project to run in a test, with a git, DVC, params and caches of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("dvc.yaml", "params.yaml", ".dvcignore", "stages", "src", "sandbox", "params")


class Project:
    """A project folder whose stages run with this environment's interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # The copy's modules, not the installed project's: DVC hashes the copy's.
            "PYTHONPATH": str(folder / "src"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site"),
        }
        self.environment.pop("OUROBOROS_CACHE", None)

    def run(self, *command: str, check: bool = True, **extra: Any) -> subprocess.CompletedProcess:
        """Run a command in the folder; its output is captured, both streams together."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **extra,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-6000:]}"
        return done

    def repro(self, *arguments: str) -> list[str]:
        """`dvc repro`; the names of the stages that ran, in order."""
        return re.findall(r"Running stage '([^']+)'", self.run("dvc", "repro", *arguments).stdout)

    def params(self, name: str = "params.yaml") -> dict[str, Any]:
        return yaml.safe_load((self.folder / name).read_text())

    def set_params(self, name: str, change: dict[str, Any]) -> None:
        """Merge `change` into a params file, mappings key by key."""
        merged = _merge(self.params(name), change)
        (self.folder / name).write_text(yaml.safe_dump(merged, sort_keys=False))


def _merge(value: Any, change: Any) -> Any:
    if not (isinstance(value, dict) and isinstance(change, dict)):
        return change
    return {**value, **{key: _merge(value.get(key), entry) for key, entry in change.items()}}


def make_project(folder: Path) -> Project:
    """Copy the pipeline's files into `folder` and initialise git and DVC there."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)
    shutil.copy(ROOT / ".gitignore", folder / ".gitignore")
    project = Project(folder)
    project.run("git", "init", "-q", "-b", "main")
    project.run("git", "config", "user.email", "test@example.org")
    project.run("git", "config", "user.name", "test")
    project.run("dvc", "init", "-q")
    return project


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write rows as JSONL and return the file's SHA-256, as params pin it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return hashlib.sha256(path.read_bytes()).hexdigest()
