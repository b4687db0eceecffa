"""What is trained: the whole model on token ids, or its head alone on states computed once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file

from ouroboros import store
from ouroboros.critic import backbone as backbones
from ouroboros.critic.backbone import Backbone
from ouroboros.critic.params import CriticParams
from ouroboros.critic.scoring import Critic, device, encoded_rewards, head_names
from ouroboros.critic.serialise import Encoded
from ouroboros.critic.states import (
    HeadOnStates,
    Ids,
    compute_states,
    copy_of_head,
    state_rewards,
)
from ouroboros.progress import Progress

Advance = Callable[[int], None] | None


class Learner(Protocol):
    """What the phases of a training share, whichever part of the model they train."""

    states: torch.Tensor | None
    """Of the train programs, by number, where the trainer is to read these in place of tokens."""

    def model(self, checkpoint: Path | None) -> Any:
        """The model to train, with a new seeded head or as the checkpoint left it."""

    def rewards(self, model: Any, items: Sequence[Encoded], advance: Advance = None) -> list[float]:
        """The rewards of encoded programs, in order."""

    def whole(self, model: Any) -> Any:
        """The sequence-classification model to save."""

    def likelihood_weight(self, model: Any) -> float | None:
        """What belongs to the critic beside `whole` (`CriticParams.likelihood`)."""

    def saved_rewards(self, critic: Critic, items: Sequence[Encoded]) -> list[float]:
        """The rewards that the saved critic gives."""


class WholeModel:
    """Training with every step running the backbone: full fine-tuning, some layers, or adapters."""

    states: torch.Tensor | None = None

    def __init__(
        self, backbone: Backbone, params: CriticParams, tokenizer: Any, markers: bool
    ) -> None:
        self._parts = (backbone, params, tokenizer, markers)

    def model(self, checkpoint: Path | None) -> Any:
        return backbones.build(*self._parts, checkpoint).to(device())

    def rewards(self, model: Any, items: Sequence[Encoded], advance: Advance = None) -> list[float]:
        _, params, tokenizer, _ = self._parts
        return encoded_rewards(
            model,
            items,
            pad_token_id=tokenizer.pad_token_id,
            tokens_per_forward=params.tokens_per_forward,
            advance=advance,
        )

    def whole(self, model: Any) -> Any:
        return model

    def likelihood_weight(self, model: Any) -> float | None:
        return None

    def saved_rewards(self, critic: Critic, items: Sequence[Encoded]) -> list[float]:
        return self.rewards(critic.model, items)


def _states_identity(backbone: Backbone, params: CriticParams, markers: bool) -> str:
    """What, beside the token ids, determines a state of a frozen backbone."""
    return store.digest(
        {
            "backbone": backbone.identity,
            "markers": markers,
            "bfloat16": params.dtype == "bfloat16",
            **({"likelihood": True} if params.likelihood else {}),
            "device": device().type,
            "torch": torch.__version__,
        }
    )


def stored_states(
    model: Any,
    items: Sequence[Encoded],
    backbone: Backbone,
    params: CriticParams,
    tokenizer: Any,
    markers: bool,
    advance: Advance = None,
) -> dict[Ids, np.ndarray]:
    """The states of encoded programs under a frozen body, from the store where it has them.

    Args:
        model: the backbone with any head (`backbone.build`, or a critic of the same backbone).
        advance: told how many distinct inputs are done.
    """
    with store.ResultStore(store.cache_dir() / "states.sqlite") as kept:
        return compute_states(
            model,
            items,
            pad_token_id=tokenizer.pad_token_id,
            tokens_per_forward=params.tokens_per_forward,
            store=kept,
            identity=_states_identity(backbone, params, markers),
            bfloat16=params.dtype == "bfloat16",
            likelihood=params.likelihood,
            advance=advance,
        )


class HeadAlone:
    """Training the head on the states of a frozen backbone.

    Args:
        train: the train programs, by number.
        others: further programs that will be scored (dev).
    """

    states: torch.Tensor | None

    def __init__(
        self,
        backbone: Backbone,
        params: CriticParams,
        tokenizer: Any,
        markers: bool,
        *,
        train: Sequence[Encoded],
        others: Sequence[Encoded],
    ) -> None:
        self._body = backbones.build(backbone, params, tokenizer, markers, None).to(device())
        items = [*train, *others]
        with Progress(len({item.ids for item in items}), "encode", "programs") as progress:
            self._by_ids = stored_states(
                self._body, items, backbone, params, tokenizer, markers, progress.advance
            )
        self.states = torch.from_numpy(np.stack([self._by_ids[item.ids] for item in train]))
        # Saving a critic changes the body's head; every model begins with the new, seeded one.
        self._new = HeadOnStates(self._body, self.states)
        self._heads = {
            name: copy_of_head(getattr(self._body, name)) for name in head_names(self._body)
        }

    def model(self, checkpoint: Path | None) -> Any:
        model = copy.deepcopy(self._new)
        if checkpoint is not None:
            model.load_state_dict(load_file(checkpoint / "model.safetensors"))
        return model.to(device())

    def rewards(self, model: Any, items: Sequence[Encoded], advance: Advance = None) -> list[float]:
        rewards = state_rewards(model, self._by_ids, items)
        if advance is not None:
            advance(len(items))
        return rewards

    def whole(self, model: Any) -> Any:
        for name, head in self._heads.items():
            setattr(self._body, name, copy_of_head(head))
        model.put_back(self._body)
        return self._body

    def likelihood_weight(self, model: Any) -> float | None:
        weight: float | None = model.likelihood_weight
        return weight

    def saved_rewards(self, critic: Critic, items: Sequence[Encoded]) -> list[float]:
        head = HeadOnStates(critic.model, likelihood_weight=critic.likelihood_weight)
        return state_rewards(head, self._by_ids, items)
