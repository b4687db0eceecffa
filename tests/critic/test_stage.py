"""The stage as a command: killed and run again, and told of bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ouroboros import store
from ouroboros.jsonl import write_records
from tests.critic.tiny_critics import labelled, make_tiny_bert

ROOT = Path(__file__).resolve().parents[2]


def make_project(folder: Path, **critic: Any) -> Path:
    """A folder with all the stage reads, and a tiny backbone."""
    splits = folder / "data" / "splits"
    write_records(splits / "train.jsonl", [labelled(n, "ppffn") for n in range(6)])
    write_records(splits / "made.jsonl", [])
    write_records(splits / "dev.jsonl", [labelled(n, "ppffs") for n in range(10, 13)])
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "params").mkdir()
    settings = {
        "backbone": "backbone", "steps": 60, "problems_per_step": 4, "evaluations_per_phase": 4,
        "learning_rate": 1e-3, "max_length": 200, "threads": 1,
    }  # fmt: skip
    (folder / "params" / "p.yaml").write_text(json.dumps({"critic": {**settings, **critic}}))
    phases = [{"name": kind, "negatives": kind} for kind in ("balanced", "hard")]
    (folder / "params.yaml").write_text(json.dumps({"profile": "p", "curriculum": phases}))
    make_tiny_bert(folder / "backbone")
    return folder


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for name in ("OUROBOROS_CACHE", "MLFLOW_TRACKING_URI", "DVC_EXP_NAME"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "stages" / "train_critic.py")],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(folder: Path) -> str:
    process = start(folder)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    return output


def outputs(folder: Path) -> dict[str, str]:
    names = ("models", "metrics", "plots")
    return {name: store.folder_digest(folder / name) for name in names}


@pytest.mark.slow
def test_kill_9_then_the_same_command_gives_the_same_bytes_and_one_run(tmp_path: Path) -> None:
    whole = make_project(tmp_path / "whole")
    finish(whole)
    killed = make_project(tmp_path / "killed")
    process = start(killed)
    deadline = time.monotonic() + 300
    while not list(killed.glob(".ouroboros/training/*/phase-0/*/complete.json")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no checkpoint within five minutes"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "models").exists(), "killed before its end"
    output = finish(killed)
    assert "kept from an earlier run" in output
    assert outputs(killed) == outputs(whole)
    assert not list((killed / ".ouroboros" / "training").iterdir())

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{killed / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("ouroboros").experiment_id])
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "train_loss")]
    assert sorted(steps) == list(range(1, 61))
    evaluated = client.get_metric_history(run.info.run_id, "dev_best_of_k")
    assert sorted(metric.step for metric in evaluated) == [8, 16, 24, 30, 38, 46, 54, 60]
    assert run.data.tags["ouroboros.critic"] == store.folder_digest(killed / "models" / "critic")
    assert 10 <= len(run.data.params) <= 20
    assert {"dev_best_of_k", "training/kept/dev_best_of_k"} <= set(run.data.metrics)


@pytest.mark.parametrize(
    ("critic", "message"),
    [({"stpes": 1}, "unknown param 'critic.stpes'"), ({"steps": "many"}, "expected an integer")],
)
def test_a_wrong_param_ends_with_one_message(
    tmp_path: Path, critic: dict[str, Any], message: str
) -> None:
    process = start(make_project(tmp_path / "p", **critic))
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 2
    assert message in output
    assert "Traceback" not in output


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p")
    (folder / "data" / "splits" / "dev.jsonl").unlink()
    process = start(folder)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 2
    assert "data/splits/dev.jsonl: no such file" in output
