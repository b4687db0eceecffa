"""What happens while the trainer runs: checkpoints are judged and kept, progress is shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from ouroboros.critic.report import dev_metrics
from ouroboros.progress import Progress
from ouroboros.tracking import CriticRun

COMPLETE = "complete.json"
"""Written last into a checkpoint: one without it was cut off by a kill and is thrown away."""


class Checkpoints(TrainerCallback):
    """Evaluates each checkpoint on dev and keeps two: the newest, and the best.

    Args:
        folder: of the phase; checkpoints are `checkpoint-<step>` in it.
        evaluate: the model's figures on dev; the one named `select` chooses.
    """

    def __init__(
        self, folder: Path, evaluate: Callable[[Any], dict[str, float]], select: str
    ) -> None:
        self._folder, self._evaluate, self._select = folder, evaluate, select
        self.history: list[dict[str, float]] = []

    def resume(self) -> Path | None:
        """The newest whole checkpoint, its history read; unfinished ones are removed."""
        while found := get_last_checkpoint(str(self._folder)):
            note = Path(found) / COMPLETE
            if note.is_file():
                self.history = json.loads(note.read_text(encoding="utf-8"))
                return Path(found)
            shutil.rmtree(found)
        return None

    @property
    def best(self) -> dict[str, float]:
        """The best evaluation so far; the earliest among equals."""
        return max(self.history, key=lambda entry: (entry[self._select], -entry["step"]))

    def path(self, step: float) -> Path:
        return self._folder / f"checkpoint-{int(step)}"

    def keep_only_best(self) -> None:
        """Remove the other checkpoint, when the phase is done."""
        for folder in self._folder.glob("checkpoint-*"):
            if folder != self.path(self.best["step"]):
                shutil.rmtree(folder)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer when a checkpoint's files are written."""
        if self.history and self.history[-1]["step"] == state.global_step:
            return
        figures = self._evaluate(kwargs["model"])
        self.history.append({"step": state.global_step, **figures})
        note = self.path(state.global_step) / COMPLETE
        temporary = note.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.history), encoding="utf-8")
        temporary.replace(note)
        kept = {self.path(state.global_step), self.path(self.best["step"])}
        for folder in self._folder.glob("checkpoint-*"):
            if folder not in kept:
                shutil.rmtree(folder)


class Watcher(TrainerCallback):
    """Tells the user and the MLflow run how training goes."""

    def __init__(
        self,
        progress: Progress,
        checkpoints: Checkpoints,
        first_step: int,
        run: CriticRun | None,
    ) -> None:
        self._progress, self._checkpoints = progress, checkpoints
        self._first_step, self._run = first_step, run

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step is done; called by the trainer."""
        entry = kwargs["logs"]
        if "loss" not in entry:
            return  # the summary at the end of training
        self._progress.advance(note=f"loss {entry['loss']:.3f}")
        names = (
            "loss",
            "pairwise_loss",
            "pointwise_loss",
            "auxiliary_loss",
            "pair_accuracy",
            "learning_rate",
        )
        self._log(state, {f"train_{name}": entry[name] for name in names if name in entry})

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A checkpoint is written and evaluated; called by the trainer."""
        figures = self._checkpoints.history[-1]
        self._log(state, dev_metrics(figures))

    def _log(self, state: Any, values: dict[str, float]) -> None:
        if self._run is not None:
            self._run.log(
                self._first_step + state.global_step,
                {name: float(value) for name, value in values.items()},
            )
