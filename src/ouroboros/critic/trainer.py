"""TRL's RewardTrainer over groups of programs, with a pointwise pass/fail term.

RewardTrainer takes rows of one chosen and one rejected text, so a program that stands in five pairs
is encoded five times. Here a row is a group (`pairs.Group`): its programs are encoded once, and the
Bradley-Terry loss runs over every chosen-rejected pair in it. With one of each and no pointwise
term the loss is RewardTrainer's own.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features, List, Value
from torch.nn import functional
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import RewardConfig, RewardTrainer

from ouroboros.critic.pairs import Group
from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.critic.scoring import pad
from ouroboros.errors import UserError

COMPLETE = "complete.json"
"""Written last into a checkpoint: one without it was cut off by a kill and is thrown away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupCollator:
    """Makes a batch of groups: padded programs, and the weight of each pair and each program.

    Args:
        ids: token ids of every program, by number.
        passed: whether each passed.
        pad_token_id: of the tokenizer.
        tokens_per_forward: most padded tokens encoded at once.
    """

    ids: Sequence[Sequence[int]]
    passed: Sequence[bool]
    pad_token_id: int
    tokens_per_forward: int

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
        """The batch of the given rows.

        Returns:
            `passes`: a list of {input_ids, attention_mask}, programs sorted by length;
            `passed`: (n,) floats, in the same order;
            `pair_weights`: (n, n), row the chosen, column the rejected program; each group's pairs
            sum to 1 / groups;
            `point_weights`: (n,); each group's programs sum to 1 / groups.
        """
        members = [
            (number, group)
            for group, row in enumerate(rows)
            for number in (*row["chosen"], *row["rejected"])
        ]
        members.sort(key=lambda member: (len(self.ids[member[0]]), member))
        group = torch.tensor([g for _, g in members])
        passed = torch.tensor([float(self.passed[number]) for number, _ in members])
        same = group[:, None] == group[None, :]
        pairs = (same & (passed[:, None] > passed[None, :])).float()
        per_group = torch.tensor([len(row["chosen"]) * len(row["rejected"]) for row in rows])
        return {
            "passes": list(self._passes([self.ids[number] for number, _ in members])),
            "passed": passed,
            "pair_weights": pairs / per_group[group].clamp(min=1)[:, None] / len(rows),
            "point_weights": 1 / same.float().sum(dim=1) / len(rows),
        }

    def _passes(self, ids: list[Sequence[int]]) -> list[dict[str, torch.Tensor]]:
        cuts, start = [0], 0
        for stop, row in enumerate(ids):
            if stop > start and len(row) * (stop + 1 - start) > self.tokens_per_forward:
                cuts.append(stop)
                start = stop
        cuts.append(len(ids))
        batches = []
        for first, last in itertools.pairwise(cuts):
            input_ids, mask = pad(ids[first:last], self.pad_token_id)
            batches.append({"input_ids": input_ids, "attention_mask": mask})
        return batches


class CriticTrainer(RewardTrainer):
    """RewardTrainer whose rows are groups.

    Args:
        pairwise_weight, pointwise_weight: of the two parts of the loss.
        options: RewardTrainer's own; `train_dataset` has the columns `chosen` and `rejected`,
            lists of program numbers, and `data_collator` is a `GroupCollator`.
    """

    def __init__(self, *, pairwise_weight: float, pointwise_weight: float, **options: Any) -> None:
        self._pairwise_weight = pairwise_weight
        self._pointwise_weight = pointwise_weight
        super().__init__(**options)

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        # RewardTrainer tokenizes texts and drops the long ones; groups are tokenized and cut
        # already (`serialise`), and nothing may be dropped silently.
        return dataset

    def _save(self, *arguments: Any, **options: Any) -> None:
        with warnings.catch_warnings():
            # Where markers were added, PEFT says that it saves the embeddings: as it should.
            warnings.filterwarnings("ignore", message="Setting `save_embedding_layers`")
            super()._save(*arguments, **options)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """No card in checkpoints: they are deleted when training ends."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Pairwise -log sigmoid(chosen - rejected), plus pointwise pass/fail cross-entropy."""
        logits = [model(**batch).logits for batch in inputs["passes"]]
        rewards = torch.cat(logits).squeeze(-1).float()
        margins = rewards[:, None] - rewards[None, :]
        pair_weights = inputs["pair_weights"]
        pairwise = (functional.softplus(-margins) * pair_weights).sum()
        pointwise = functional.binary_cross_entropy_with_logits(
            rewards, inputs["passed"], weight=inputs["point_weights"], reduction="sum"
        )
        loss = self._pairwise_weight * pairwise + self._pointwise_weight * pointwise
        if not math.isfinite(loss.item()):
            raise UserError(
                f"training diverged at step {self.state.global_step + 1}: the loss is {loss.item()}"
                "\n  lower critic.learning_rate"
            )
        self._note("pointwise_loss", pointwise)
        if pair_weights.any():
            # Means over the pairs there are, to be read on their own.
            share = pair_weights.sum()
            self._note("pairwise_loss", pairwise / share)
            self._note("pair_accuracy", ((margins > 0) * pair_weights).sum() / share)
        return (loss, {"logits": rewards}) if return_outputs else loss

    def _note(self, name: str, value: torch.Tensor) -> None:
        # RewardTrainer averages these between logs and adds them to the log.
        self._metrics["train"][name].append(value.item())


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


def make_trainer(
    *,
    model: Any,
    tokenizer: Any,
    collator: GroupCollator,
    groups: Sequence[Group],
    params: CriticParams,
    phase: CurriculumPhase,
    steps: int,
    folder: Path,
    callbacks: list[TrainerCallback],
) -> CriticTrainer:
    """A fresh trainer (optimizer, schedule) for one phase; it trains on the groups in order."""
    on_gpu = torch.cuda.is_available()
    config = RewardConfig(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=params.problems_per_step,
        learning_rate=params.learning_rate * phase.learning_rate_scale,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(params.warmup_fraction * steps) if params.warmup_fraction else 0,
        weight_decay=params.weight_decay,
        disable_dropout=not params.dropout,
        gradient_checkpointing=params.gradient_checkpointing,
        bf16=params.dtype == "bfloat16",
        seed=params.seed,
        data_seed=params.seed,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        max_length=None,
        logging_strategy="steps",
        logging_steps=1,
        save_strategy="steps",
        save_steps=math.ceil(steps / params.evaluations_per_phase),
        report_to="none",
        disable_tqdm=True,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        optim="adamw_torch",
    )
    rows = {
        "chosen": [list(group.chosen) for group in groups],
        "rejected": [list(group.rejected) for group in groups],
    }
    # Written out, since a phase may have no failure or no pass to tell the type from.
    features = Features({name: List(Value("int64")) for name in rows})
    trainer = CriticTrainer(
        pairwise_weight=params.pairwise_weight,
        pointwise_weight=params.pointwise_weight,
        model=model,
        args=config,
        data_collator=collator,
        train_dataset=Dataset.from_dict(rows, features=features),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    # It prints every log; progress is shown through `progress.Progress` instead.
    trainer.remove_callback(PrinterCallback)
    return trainer
