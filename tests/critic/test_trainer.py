"""The loss: TRL's own where it coincides with it, and the weights where it does not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer

from ouroboros.critic.pairs import Group
from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.critic.trainer import CriticTrainer, GroupCollator, make_trainer
from ouroboros.errors import UserError
from tests.critic.tiny_critics import make_tiny_bert

IDS = [[2, 40, 41, 3], [2, 42, 3], [2, 43, 44, 45, 3], [2, 46, 47, 3], [2, 48, 3]]
PASSED = [True, False, True, False, False]
FAULTS = [0, 1, 0, 3, 2]
PHASE = CurriculumPhase(name="balanced", negatives="balanced")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_bert(tmp_path_factory.mktemp("backbone"))


def model_of(backbone: Path, outputs: int = 1) -> Any:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=outputs)
    model.config.num_labels = 1  # as `backbone.build` leaves it
    return model


def trainer_of(
    backbone: Path, folder: Path, groups: list[Group], tokens_per_forward: int = 4096, **params: Any
) -> CriticTrainer:
    settings = {"steps": 1, "learning_rate": 1e-3, "problems_per_step": len(groups), **params}
    return make_trainer(
        model=model_of(backbone, 8 if params.get("auxiliary_weight") else 1),
        tokenizer=AutoTokenizer.from_pretrained(backbone),
        collator=GroupCollator(
            ids=IDS,
            passed=PASSED,
            faults=FAULTS,
            pad_token_id=0,
            tokens_per_forward=tokens_per_forward,
        ),
        groups=groups,
        params=CriticParams(backbone=str(backbone), **settings),
        phase=PHASE,
        steps=settings["steps"],
        folder=folder,
        callbacks=[],
    )


def loss_of(trainer: CriticTrainer, groups: list[Group]) -> float:
    rows = [{"chosen": list(g.chosen), "rejected": list(g.rejected)} for g in groups]
    trainer.model.train()
    with torch.no_grad():
        return trainer.compute_loss(trainer.model, trainer.data_collator(rows)).item()


def rewards_of(backbone: Path) -> list[float]:
    model = model_of(backbone).eval()
    with torch.no_grad():
        return [model(input_ids=torch.tensor([ids])).logits.item() for ids in IDS]


def test_one_pair_a_group_and_no_pointwise_term_is_trls_loss(
    backbone: Path, tmp_path: Path
) -> None:
    groups = [Group(chosen=(0,), rejected=(1,)), Group(chosen=(2,), rejected=(3,))]
    ours = loss_of(trainer_of(backbone, tmp_path, groups, pointwise_weight=0.0), groups)
    rows = {
        "chosen_ids": [IDS[g.chosen[0]] for g in groups],
        "rejected_ids": [IDS[g.rejected[0]] for g in groups],
    }
    trl = RewardTrainer(
        model=model_of(backbone),
        args=RewardConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none"),
        train_dataset=Dataset.from_dict(rows),
        processing_class=AutoTokenizer.from_pretrained(backbone),
    )
    batch = trl.data_collator([{k: rows[k][n] for k in rows} for n in range(2)])
    trl.model.train()
    with torch.no_grad():
        theirs = trl.compute_loss(trl.model, batch).item()
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_the_loss_is_the_mean_over_problems(backbone: Path, tmp_path: Path) -> None:
    groups = [Group(chosen=(0, 2), rejected=(1, 3)), Group(chosen=(), rejected=(4,))]
    r = rewards_of(backbone)

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    pairwise = sum(softplus(r[n] - r[p]) for p in (0, 2) for n in (1, 3)) / 4 / 2
    mixed = (softplus(-r[0]) + softplus(-r[2]) + softplus(r[1]) + softplus(r[3])) / 4
    pointwise = (mixed + softplus(r[4])) / 2
    trainer = trainer_of(backbone, tmp_path, groups, pairwise_weight=2.0, pointwise_weight=0.5)
    assert loss_of(trainer, groups) == pytest.approx(2 * pairwise + 0.5 * pointwise, abs=1e-5)


def test_the_auxiliary_target_is_the_kind_of_verdict(backbone: Path, tmp_path: Path) -> None:
    groups = [Group(chosen=(0,), rejected=(1, 3)), Group(chosen=(), rejected=(4,))]
    trainer = trainer_of(backbone, tmp_path, groups, auxiliary_weight=0.25)
    with torch.no_grad():
        logits = [
            trainer.model.eval()(input_ids=torch.tensor([ids])).logits[0].tolist() for ids in IDS
        ]

    def cross_entropy(number: int) -> float:
        kinds = logits[number][1:]
        return math.log(sum(map(math.exp, kinds))) - kinds[FAULTS[number]]

    r = [row[0] for row in logits]
    pairwise = sum(math.log1p(math.exp(r[n] - r[0])) for n in (1, 3)) / 2 / 2
    signs = {0: -1, 1: 1, 3: 1, 4: 1}
    point = {n: math.log1p(math.exp(sign * r[n])) for n, sign in signs.items()}
    pointwise = (sum(point[n] for n in (0, 1, 3)) / 3 + point[4]) / 2
    auxiliary = (sum(cross_entropy(n) for n in (0, 1, 3)) / 3 + cross_entropy(4)) / 2
    expected = pairwise + 0.5 * pointwise + 0.25 * auxiliary
    assert loss_of(trainer, groups) == pytest.approx(expected, abs=1e-5)


def test_cutting_a_step_into_passes_does_not_change_the_loss(
    backbone: Path, tmp_path: Path
) -> None:
    groups = [Group(chosen=(0, 2), rejected=(1, 3))]
    whole = loss_of(trainer_of(backbone, tmp_path, groups), groups)
    cut = trainer_of(backbone, tmp_path, groups, tokens_per_forward=4)
    assert len(cut.data_collator([{"chosen": [0, 2], "rejected": [1, 3]}])["passes"]) == 4
    assert loss_of(cut, groups) == pytest.approx(whole, abs=1e-6)


def test_groups_are_trained_in_their_order(backbone: Path, tmp_path: Path) -> None:
    groups = [Group(chosen=(0,), rejected=(n,)) for n in (1, 3, 4, 1, 4, 3)]
    trainer = trainer_of(backbone, tmp_path, groups, problems_per_step=2, steps=3)
    seen: list[int] = []

    def spy(rows: list[dict[str, list[int]]]) -> dict[str, Any]:
        seen.extend(row["rejected"][0] for row in rows)
        return collate(rows)

    collate, trainer.data_collator = trainer.data_collator, spy
    trainer.train()
    assert seen == [1, 3, 4, 1, 4, 3]


def test_a_diverging_loss_stops_training(backbone: Path, tmp_path: Path) -> None:
    groups = [Group(chosen=(0,), rejected=(1,))]
    trainer = trainer_of(backbone, tmp_path, groups)
    with torch.no_grad():
        trainer.model.classifier.weight.fill_(math.nan)
    with pytest.raises(UserError, match="diverged at step 1: the loss is nan"):
        trainer.train()
