"""How likely a frozen decoder finds a program, as one more input of the critic's head."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.critic.scoring import load_critic
from ouroboros.critic.serialise import Encoded, Serialiser
from ouroboros.critic.train import Outputs, train_critic
from ouroboros.errors import InputError, UserError
from tests.critic.tiny_critics import labelled, make_tiny_bert, make_tiny_decoder

TRAIN = [labelled(n, k) for n, k in enumerate(["ppff", "pfns", "ffff", "pppp", "pnnn", "ppsf"])]
DEV = [labelled(n + 10, k) for n, k in enumerate(["ppff", "pfns", "ffff"])]
ITEMS = [(row.problem, a.candidate.code) for row in DEV for a in row.attempts]
KINDS = ["llama", "qwen2"]


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("decoders")
    return {kind: make_tiny_decoder(folder / kind, kind, tied=True) for kind in KINDS}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUROBOROS_CACHE", str(tmp_path / "cache"))


def train(backbone: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    settings = {
        "steps": 40, "learning_rate": 0.05, "problems_per_step": 2, "evaluations_per_phase": 2,
        "max_length": 220, "threads": 1, "frozen_layers": "all", "likelihood": True,
    }  # fmt: skip
    params = CriticParams(backbone=str(backbone), **{**settings, **changes})
    outputs = Outputs(
        critic=folder / "critic", phases=folder / "phases",
        metrics=folder / "m.json", curve=folder / "c.csv",
    )  # fmt: skip
    phases = (CurriculumPhase(name="balanced", negatives="balanced"),)
    return train_critic(params=params, curriculum=phases, train=TRAIN, dev=DEV, outputs=outputs)


def serialiser_of(path: Path, max_length: int) -> Serialiser:
    return Serialiser(
        tokenizer=AutoTokenizer.from_pretrained(path), max_length=max_length, markers=False,
        static_facts=True, code="normalised",
    )  # fmt: skip


def mean_by_causal_model(model: Any, item: Encoded) -> float:
    """The language model's own loss on the program's tokens, with the sign turned."""
    ids = torch.tensor([item.ids])
    labels = torch.full_like(ids, -100)
    start, stop = item.program
    labels[0, start:stop] = ids[0, start:stop]
    with torch.no_grad():
        return -float(model(ids, labels=labels).loss)


@pytest.mark.parametrize("max_length", [220, 70])
def test_the_place_of_the_program_is_that_of_its_text(
    decoders: dict[str, Path], max_length: int
) -> None:
    serialiser = serialiser_of(decoders["llama"], max_length)
    cut = 0
    for item, (_, code) in zip(serialiser.encode(ITEMS), ITEMS, strict=True):
        start, stop = item.program
        text = serialiser.tokenizer.decode(item.ids[start:stop])
        if not item.code_cut:
            assert text == code.strip("\n")
        else:
            assert text
            assert code.startswith(text)
        cut += item.prompt_cut
    assert (cut > 0) == (max_length == 70)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reward_is_the_logit_and_the_weighted_mean_of_the_language_model(
    decoders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    train(decoders[kind], tmp_path)
    critic = load_critic(tmp_path / "critic")
    assert critic.likelihood_weight
    plain = pipeline("text-classification", model=str(tmp_path / "critic"), device="cpu")
    texts = [critic.serialiser.text(*item) for item in ITEMS]
    logits = [answer["score"] for answer in plain(texts, function_to_apply="none")]
    model = AutoModelForCausalLM.from_pretrained(decoders[kind])
    encoded = critic.serialiser.encode(ITEMS)
    expected = [
        logit + critic.likelihood_weight * mean_by_causal_model(model, item)
        for logit, item in zip(logits, encoded, strict=True)
    ]
    assert [score.reward for score in critic.score(ITEMS)] == pytest.approx(expected, abs=2e-3)
    # Whatever shares its batch, a program gets the same reward.
    one = dataclasses.replace(critic, tokens_per_forward=1)
    assert [score.reward for score in one.score(ITEMS)] == pytest.approx(
        [score.reward for score in critic.score(ITEMS)], abs=2e-4
    )


def test_the_saved_critic_ranks_dev_as_the_one_that_was_chosen(
    decoders: dict[str, Path], tmp_path: Path
) -> None:
    metrics = train(decoders["llama"], tmp_path, auxiliary_weight=0.5, pointwise_weight=0.1)
    critic = load_critic(tmp_path / "critic")
    rewards = {item: score.reward for item, score in zip(ITEMS, critic.score(ITEMS), strict=True)}
    right = wrong = 0
    for row in DEV:
        mine = [(rewards[row.problem, a.candidate.code], a.verdict.passed) for a in row.attempts]
        margins = [p - f for p, passed in mine if passed for f, other in mine if not other]
        right += sum(margin > 0 for margin in margins)
        wrong += sum(margin < 0 for margin in margins)
    assert right + wrong > 0
    # Mean over problems there, over pairs here: both say whether the order survived saving.
    assert (right > wrong) == (metrics["kept"]["dev_pair_accuracy"] > 0.5)


def test_what_is_no_language_model_is_named(decoders: dict[str, Path], tmp_path: Path) -> None:
    untied = make_tiny_decoder(tmp_path / "untied", "llama", tied=False)
    for backbone in (make_tiny_bert(tmp_path / "bert"), untied):
        with pytest.raises(UserError, match="is no decoder whose output layer is its embedding"):
            train(backbone, tmp_path)
    with pytest.raises(InputError, match="likelihood needs frozen_layers: all"):
        train(decoders["llama"], tmp_path, frozen_layers=0)
