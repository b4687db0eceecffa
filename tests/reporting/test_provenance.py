"""What a run was made from: dvc.lock first, the params files where there is none."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from ouroboros.errors import UserError
from ouroboros.reporting.provenance import read_provenance


def lock(root: Path, digest: str = "0" * 32) -> None:
    (root / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n"
        "  generate@main:\n    cmd: x\n    params:\n"
        "      params.yaml:\n        generate: {seed: 7, temperature: 0.8, note: <b>bold</b>}\n"
        "      params/cpu.yaml:\n        generate: {n: 4}\n"
        "  evaluate@test:\n    cmd: x\n    outs:\n"
        f"    - {{path: metrics/test.json, hash: md5, md5: {digest}, size: 12}}\n"
        "    - {path: plots/test, hash: md5, md5: x.dir, size: 1, nfiles: 4}\n"
    )


def test_params_are_those_the_run_used_and_changes_since_are_named(project: Path) -> None:
    lock(project)
    found = read_provenance(project)
    assert found.recorded
    assert found.get("generate.n") == "4"
    assert found.get("generate.seed") == "7"
    assert found.get("generate.unknown") is None
    assert found.changed_params == ("generate in params/cpu.yaml",)


def test_without_dvc_lock_the_files_stand(project: Path) -> None:
    found = read_provenance(project)
    assert not found.recorded
    assert found.params["params/cpu.yaml"] == {"critic.steps": "3", "generate.n": "8"}
    assert found.outputs == found.changed_params == found.changed_files == ()


def test_files_that_are_not_as_recorded_are_named(project: Path) -> None:
    lock(project)
    assert read_provenance(project).changed_files == ("metrics/test.json",)
    content = (project / "metrics" / "test.json").read_bytes()
    lock(project, hashlib.md5(content).hexdigest())
    found = read_provenance(project)
    assert found.changed_files == ()
    assert [out.path for out in found.outputs] == ["metrics/test.json"]


def test_the_commit_is_the_projects_own(project: Path) -> None:
    git = ["git", "-C", str(project.parent), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert read_provenance(project).commit is None, "the folder around it is another repository"
    (project.parent / ".git").rename(project / ".git")
    assert len(read_provenance(project).commit or "") == 40


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("dvc.lock", "stages: [1, 2]", r"dvc\.lock: is not as DVC writes it"),
        ("dvc.lock", "stages: {a: {outs: [{path: data/x}]}}", r"dvc\.lock: is not as DVC writes"),
        ("dvc.lock", "{", r"dvc\.lock: cannot be read as YAML"),
        ("params.yaml", "- 1", r"params\.yaml: expected a mapping"),
    ],
)
def test_unreadable_files_are_named(project: Path, file: str, text: str, message: str) -> None:
    (project / file).write_text(text)
    with pytest.raises(UserError, match=message):
        read_provenance(project)


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run this at the project"):
        read_provenance(tmp_path)
