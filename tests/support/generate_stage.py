"""The generate stage, run for real in a folder of its own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from ouroboros.jsonl import write_records
from ouroboros.records import Problem
from ouroboros.tracking import GENERATION

ROOT = Path(__file__).resolve().parents[2]


def problems(count: int) -> list[Problem]:
    return [
        Problem(
            problem_id=f"mbpp/{number}",
            prompt_text=f"Write a function to add {number} to each number of a list.",
            entry_point="add_to_each",
            tests=(f"assert add_to_each([1]) == [{number + 1}]",),
        )
        for number in range(count)
    ]


class Stage:
    """`python stages/generate.py main` in a folder of its own."""

    def __init__(self, folder: Path, model: Path, chosen: list[Problem], **changes: Any) -> None:
        self.folder, self.store = folder, folder / "cache" / "samples.sqlite"
        self.output = folder / "data" / "candidates" / "main.jsonl"
        self.set(model, chosen, **changes)

    def set(self, model: Path, chosen: list[Problem], **changes: Any) -> None:
        (self.folder / "params").mkdir(parents=True, exist_ok=True)
        (self.folder / "params.yaml").write_text("profile: p\n")
        (self.folder / "dvc.yaml").write_text("stages: {}\n")  # the root, where MLflow's store is
        block = {
            "engine": "vllm", "model": str(model), "prompt": "qwen2.5-coder", "n": 8,
            "max_tokens": 96, "vllm": {"dtype": "float32", "max_num_seqs": 16},
        } | changes  # fmt: skip
        (self.folder / "params" / "p.yaml").write_text(yaml.safe_dump({"generate": block}))
        write_records(self.folder / "data" / "problems" / "main.jsonl", chosen)

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "stages" / "generate.py"), "main"], cwd=self.folder,
            env={name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
            | {"OUROBOROS_CACHE": str(self.folder / "cache")},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def wait_for(self, count: int, process: subprocess.Popen[str], seconds: float = 600) -> None:
        """Until the store holds `count` samples or the process has ended."""
        deadline = time.monotonic() + seconds
        while self.stored() < count and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def run(self) -> str:
        """Run it to its end; what it printed."""
        process = self.start()
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output[-3000:]
        return output

    def logged(self) -> list[dict[str, float]]:
        """The metrics of its MLflow runs, the newest first."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name(GENERATION)
        return [run.data.metrics for run in client.search_runs([experiment.experiment_id])]

    def stored(self) -> int:
        """How many samples its store holds."""
        if not self.store.is_file():
            return 0
        try:
            with sqlite3.connect(self.store, timeout=60) as connection:
                return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])
        except sqlite3.OperationalError:
            return 0
