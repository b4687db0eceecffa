"""Frozen backbones: the states under the head, computed once, and a head trained on them alone.

With `critic.frozen_layers: all` the body never changes, so what it says of a program is the same in
every step, phase, seed and ablation. It is computed once, kept in the store of finished work, and
training the head takes seconds. The head is put back under its body in the end: such a critic is
saved, loaded and used as any other.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from ouroboros.critic.likelihood import inputs_of, mean_log_probabilities
from ouroboros.critic.scoring import DECIMALS, batches, head_names
from ouroboros.critic.serialise import Encoded
from ouroboros.store import ResultStore, digest

Ids = tuple[int, ...]


def _pooled(state: torch.Tensor, mask: torch.Tensor, head: nn.Module) -> torch.Tensor:
    """Of a head's input, the vector per program that decides its reward.

    Some architectures hand their head one vector (BERT's pooler, ModernBERT); RoBERTa's head takes
    all positions and reads the first; a decoder's linear layer is applied to all of them, and the
    result is read at the last token.
    """
    if state.dim() == 2:
        return state
    if isinstance(head, nn.Linear):
        return state[torch.arange(len(state)), mask.sum(dim=1) - 1]
    return state[:, 0]


def compute_states(
    model: Any,
    encoded: Sequence[Encoded],
    *,
    pad_token_id: int,
    tokens_per_forward: int,
    store: ResultStore,
    identity: str,
    bfloat16: bool = False,
    likelihood: bool = False,
    advance: Callable[[int], None] | None = None,
) -> dict[Ids, np.ndarray]:
    """The vector under the head, for each distinct input.

    Args:
        model: a sequence-classification model, on its device.
        store: where they are kept; a stopped computation goes on from there.
        identity: of everything but the token ids that determines a state (weights, number format).
        bfloat16: compute in mixed precision, as training does with `dtype: bfloat16`.
        likelihood: one number more, the program's mean log-probability under the model.
        advance: told how many distinct inputs are done.

    Returns:
        token ids -> float32 array of the hidden size, one longer with `likelihood`.
    """
    distinct = sorted({item.ids for item in encoded}, key=lambda ids: (len(ids), ids))
    key_of = {ids: digest([identity, *ids]) for ids in distinct}
    known = store.get(key_of.values())
    found = {
        ids: np.frombuffer(base64.b64decode(known[key]), dtype="<f4")
        for ids, key in key_of.items()
        if key in known
    }
    if advance is not None:
        advance(len(found))
    head = getattr(model, head_names(model)[0])
    programs = {item.ids: item.program for item in encoded}
    model.eval()
    place = next(model.parameters()).device
    with (
        inputs_of(head) as seen,
        torch.inference_mode(),
        torch.autocast(place.type, dtype=torch.bfloat16, enabled=bfloat16),
    ):
        missing = [ids for ids in distinct if ids not in found]
        for rows, inputs in batches(missing, pad_token_id, tokens_per_forward, place):
            seen.clear()
            model(**inputs)
            states = _pooled(seen[0], inputs["attention_mask"], head).float()
            if likelihood:
                spans = [programs[ids] for ids in rows]
                means = mean_log_probabilities(model, seen[0], inputs["input_ids"], spans)
                states = torch.cat([states, means[:, None]], dim=1)
            fresh = dict(zip(rows, states.cpu().numpy().astype("<f4"), strict=True))
            store.put(
                {
                    key_of[ids]: base64.b64encode(state.tobytes()).decode()
                    for ids, state in fresh.items()
                }
            )
            found |= fresh
            if advance is not None:
                advance(len(rows))
    return found


def copy_of_head(head: nn.Module) -> nn.Module:
    """A float32 copy that computes with its own weights."""
    copied = copy.deepcopy(head).float()
    # `keep_head_in_float32` hangs a function on the module itself, which a copy would share, and
    # with it the weights of the module it was made for.
    vars(copied).pop("forward", None)
    return copied


class HeadConfig(PreTrainedConfig):
    """Of a `HeadOnStates`: nothing but that a reward model has one label."""

    model_type = "ouroboros-head"

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"num_labels": 1, **options})


class HeadOnStates(PreTrainedModel):
    """A classification head by itself, on states brought to mean 0 and deviation 1.

    Args:
        model: the whole model the head belongs to; its head is copied.
        states: (n, hidden) of the train programs, to begin training: they set the scale (unscaled,
            a few loud dimensions would decide how fast all others learn), and a linear head starts
            at 0. Null takes the head as it is. One column more is the program's mean
            log-probability (`CriticParams.likelihood`), which the head then takes too.
        likelihood_weight: in place of `states`, the weight such a head was trained to give it.
    """

    config_class = HeadConfig

    def __init__(
        self,
        model: Any,
        states: torch.Tensor | None = None,
        likelihood_weight: float | None = None,
    ) -> None:
        super().__init__(HeadConfig())
        self.heads = nn.ModuleList(copy_of_head(getattr(model, name)) for name in head_names(model))
        first, last = _linears(self)
        self._width = first.in_features
        if likelihood_weight is not None or (
            states is not None and states.shape[1] == self._width + 1
        ):
            first = last = _wider(first, likelihood_weight or 0.0)
            self.heads = nn.ModuleList([first])
        self._takes_positions = _takes_positions(self.heads[0], first.in_features)
        mean, scale = torch.zeros(first.in_features), torch.ones(first.in_features)
        # Where a layer without offset stands below others (ModernBERT) a shift could not be put
        # back into it; its states are taken as they are.
        if states is not None and (first.bias is not None or first is last):
            mean, scale = states.mean(dim=0), states.std(dim=0).clamp(min=1e-4)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        # A decoder's head has no offset, but pass or fail needs one while it is learnt; the
        # calibration has its own.
        missing = last.bias is None
        self.offset = nn.Parameter(torch.zeros(last.out_features)) if missing else None
        if states is not None and first is last:
            nn.init.zeros_(last.weight)

    def forward(self, states: torch.Tensor, **_: Any) -> SequenceClassifierOutput:
        """Logits (n, outputs) of states (n, hidden)."""
        # As every critic's head, in float32 whatever the body's type.
        with torch.autocast(states.device.type, enabled=False):
            value = (states - self.mean) / self.scale
            if self._takes_positions:
                value = value[:, None, :]
            for head in self.heads:
                value = head(value)
        if self.offset is not None:
            value = value + self.offset
        return SequenceClassifierOutput(logits=value)

    def put_back(self, model: Any) -> None:
        """Give `model` this head, the scaling of the states folded into its first layer."""
        for name, head in zip(head_names(model), self.heads, strict=True):
            weights = dict(head.state_dict())
            if self.likelihood_weight is not None:
                weights["weight"] = weights["weight"][:, : self._width]
            getattr(model, name).load_state_dict(weights)
        first = _linears(nn.ModuleList([getattr(model, name) for name in head_names(model)]))[0]
        with torch.no_grad():
            first.weight /= self.scale[: self._width]
            if first.bias is not None:
                first.bias.sub_(first.weight @ self.mean[: self._width])

    @property
    def likelihood_weight(self) -> float | None:
        """What a program's mean log-probability adds to its reward; null where it adds nothing.

        As the head of a decoder has no offset, what centres it is left to the calibration.
        """
        first = _linears(self)[0]
        if first.in_features == self._width:
            return None
        return float(first.weight.detach()[0, self._width] / self.scale[self._width])


def _wider(head: nn.Linear, weight: float) -> nn.Linear:
    """The head with one more input, which counts `weight` towards the reward."""
    wide = nn.Linear(head.in_features + 1, head.out_features, bias=head.bias is not None)
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, : head.in_features] = head.weight
        wide.weight[0, head.in_features] = weight
        if head.bias is not None:
            wide.bias.copy_(head.bias)
    return wide


def _takes_positions(head: nn.Module, width: int) -> bool:
    """Whether the head wants all positions of a text, of which it takes one (RoBERTa's)."""
    with torch.no_grad():
        answer: torch.Tensor = head(torch.zeros(1, 2, width))
    return answer.dim() == 2


def _linears(module: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    """The first and the last linear layer."""
    found = [part for part in module.modules() if isinstance(part, nn.Linear)]
    return found[0], found[-1]


def state_rewards(
    model: HeadOnStates, states: dict[Ids, np.ndarray], encoded: Sequence[Encoded]
) -> list[float]:
    """Rewards of encoded programs from their states, in order."""
    if not encoded:
        return []
    rows = torch.from_numpy(np.stack([states[item.ids] for item in encoded]))
    training = model.training
    model.eval()
    with torch.inference_mode():
        rewards = model(states=rows.to(model.device)).logits[:, 0]
    model.train(training)
    return [round(reward, DECIMALS) for reward in rewards.double().cpu().tolist()]
