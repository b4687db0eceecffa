"""A head trained on stored states is the head of the whole model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ouroboros.critic import backbone as backbones
from ouroboros.critic.backbone import Backbone
from ouroboros.critic.params import CriticParams
from ouroboros.critic.scoring import encoded_rewards
from ouroboros.critic.serialise import Serialiser
from ouroboros.critic.states import HeadOnStates, compute_states, state_rewards
from ouroboros.store import ResultStore
from tests.critic.tiny_critics import (
    labelled,
    make_tiny_bert,
    make_tiny_byte_encoder,
    make_tiny_decoder,
)
from tests.support.tiny_models import make_tiny_qwen2

ROWS = [labelled(n, kinds) for n, kinds in enumerate(["ppff", "pfns", "ppsf"])]
MAKERS = {
    "bert": make_tiny_bert,
    "qwen2": make_tiny_qwen2,
    "llama": lambda folder: make_tiny_decoder(folder, "llama"),
    "roberta": lambda folder: make_tiny_byte_encoder(folder, "roberta"),
    "modernbert": lambda folder: make_tiny_byte_encoder(folder, "modernbert"),
}


def parts(kind: str, folder: Path) -> tuple[Any, Any, Any]:
    """Model, tokenizer and encoded programs."""
    path = MAKERS[kind](folder / kind)
    params = CriticParams(backbone=str(path), steps=1, learning_rate=1e-3, max_length=200)
    backbone = Backbone(path=path, identity=kind)
    tokenizer, markers = backbones.load_tokenizer(backbone, params)
    model = backbones.build(backbone, params, tokenizer, markers, None)
    serialiser = Serialiser(
        tokenizer=tokenizer, max_length=200, markers=markers, static_facts=True, code="normalised"
    )
    encoded = serialiser.encode(
        [(row.problem, a.candidate.code) for row in ROWS for a in row.attempts]
    )
    return model, tokenizer, encoded


@pytest.mark.parametrize("kind", MAKERS)
def test_the_head_put_back_gives_the_rewards_of_the_head_alone(kind: str, tmp_path: Path) -> None:
    model, tokenizer, encoded = parts(kind, tmp_path)
    options = {"pad_token_id": tokenizer.pad_token_id, "tokens_per_forward": 500}
    with ResultStore(tmp_path / "states.sqlite") as store:
        states = compute_states(model, encoded, store=store, identity=kind, **options)
    rows = torch.from_numpy(np.stack([states[item.ids] for item in encoded]))
    head = HeadOnStates(model, rows)
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in head.heads.parameters():
            weights.normal_(std=0.3)
    alone = np.array(state_rewards(head, states, encoded))
    assert alone.std() > 0
    head.put_back(model)
    whole = np.array(encoded_rewards(model, encoded, **options))
    # A decoder's head has no offset: there, rewards are equal up to a constant.
    difference = whole - alone
    # Random bodies say nearly the same of every program, so that scaling magnifies rounding.
    tolerance = 0.01 * alone.std() + 1e-3
    assert difference == pytest.approx(np.full(len(alone), difference[0]), abs=tolerance)
    if kind not in ("qwen2", "llama"):
        assert difference[0] == pytest.approx(0, abs=tolerance)


def test_states_are_computed_once(tmp_path: Path) -> None:
    model, tokenizer, encoded = parts("bert", tmp_path)
    options = {"pad_token_id": tokenizer.pad_token_id, "tokens_per_forward": 200}
    with ResultStore(tmp_path / "states.sqlite") as store:
        some = compute_states(model, encoded[:5], store=store, identity="a", **options)
        calls: list[int] = []
        model.register_forward_pre_hook(
            lambda _, args, kwargs: calls.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        done: list[int] = []
        every = compute_states(
            model, encoded, store=store, identity="a", advance=done.append, **options
        )
        assert sum(calls) == len(every) - len(some)
        assert sum(done) == len(every)
        assert all((every[ids] == state).all() for ids, state in some.items())
        calls.clear()
        compute_states(model, encoded, store=store, identity="other weights", **options)
        assert sum(calls) == len(every)
