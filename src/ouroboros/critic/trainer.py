"""TRL's RewardTrainer over groups of programs, with a pointwise pass/fail term.

RewardTrainer takes rows of one chosen and one rejected text, so a program that stands in five pairs
is encoded five times. Here a row is a group (`pairs.Group`): its programs are encoded once, and the
Bradley-Terry loss runs over every chosen-rejected pair in it. With one of each and no pointwise
term the loss is RewardTrainer's own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features, List, Value
from torch.nn import functional
from transformers import PrinterCallback, TrainerCallback
from trl import RewardConfig, RewardTrainer

from ouroboros.critic.pairs import Group
from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.critic.scoring import batches
from ouroboros.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupCollator:
    """Makes a batch of groups: padded programs, and the weight of each pair and each program.

    Args:
        ids: token ids of every program, by number.
        passed: whether each passed.
        faults: the kind of verdict of each, a place in `pairs.FAULTS`; read where the model has
            outputs for it.
        pad_token_id: of the tokenizer.
        tokens_per_forward: most padded tokens encoded at once.
        states: (programs, hidden), where the model reads these in place of token ids.
    """

    ids: Sequence[Sequence[int]]
    passed: Sequence[bool]
    faults: Sequence[int]
    pad_token_id: int
    tokens_per_forward: int
    states: torch.Tensor | None = None

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
        """The batch of the given rows.

        Returns:
            `passes`: a list of the model's arguments ({input_ids, attention_mask} or {states}),
            programs sorted by length;
            `passed`: (n,) floats, in the same order;
            `faults`: (n,) the kinds of verdict;
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
            "passes": self._passes([number for number, _ in members]),
            "passed": passed,
            "faults": torch.tensor([self.faults[number] for number, _ in members]),
            "pair_weights": pairs / per_group[group].clamp(min=1)[:, None] / len(rows),
            "point_weights": 1 / same.float().sum(dim=1) / len(rows),
        }

    def _passes(self, numbers: list[int]) -> list[dict[str, torch.Tensor]]:
        if self.states is not None:
            return [{"states": self.states[numbers]}]
        ids = [tuple(self.ids[number]) for number in numbers]
        return [inputs for _, inputs in batches(ids, self.pad_token_id, self.tokens_per_forward)]


class CriticTrainer(RewardTrainer):
    """RewardTrainer whose rows are groups.

    Args:
        pairwise_weight, pointwise_weight, auxiliary_weight: of the parts of the loss. With the last
            the model has further outputs, one for each of `pairs.FAULTS` (`backbone.build`).
        options: RewardTrainer's own; `train_dataset` has the columns `chosen` and `rejected`,
            lists of program numbers, and `data_collator` is a `GroupCollator`.
    """

    def __init__(
        self,
        *,
        pairwise_weight: float,
        pointwise_weight: float,
        auxiliary_weight: float,
        **options: Any,
    ) -> None:
        self._pairwise_weight = pairwise_weight
        self._pointwise_weight = pointwise_weight
        self._auxiliary_weight = auxiliary_weight
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
        """Pairwise -log sigmoid(chosen - rejected), pointwise pass/fail and fault cross-entropy."""
        logits = torch.cat([model(**batch).logits for batch in inputs["passes"]]).float()
        rewards = logits[:, 0]
        margins = rewards[:, None] - rewards[None, :]
        pair_weights = inputs["pair_weights"]
        pairwise = (functional.softplus(-margins) * pair_weights).sum()
        pointwise = functional.binary_cross_entropy_with_logits(
            rewards, inputs["passed"], weight=inputs["point_weights"], reduction="sum"
        )
        loss = self._pairwise_weight * pairwise + self._pointwise_weight * pointwise
        if self._auxiliary_weight:
            each = functional.cross_entropy(logits[:, 1:], inputs["faults"], reduction="none")
            auxiliary = (each * inputs["point_weights"]).sum()
            loss = loss + self._auxiliary_weight * auxiliary
            self._note("auxiliary_loss", auxiliary)
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
        auxiliary_weight=params.auxiliary_weight,
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
