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
    advance: Callable[[int], None] | None = None,
) -> dict[Ids, np.ndarray]:
    """The vector under the head, for each distinct input.

    Args:
        model: a sequence-classification model, on its device.
        store: where they are kept; a stopped computation goes on from there.
        identity: of everything but the token ids that determines a state (weights, number format).
        bfloat16: compute in mixed precision, as training does with `dtype: bfloat16`.
        advance: told how many distinct inputs are done.

    Returns:
        token ids -> float32 array of the hidden size.
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
    seen: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.eval()
    place = next(model.parameters()).device
    try:
        with (
            torch.inference_mode(),
            torch.autocast(place.type, dtype=torch.bfloat16, enabled=bfloat16),
        ):
            missing = [ids for ids in distinct if ids not in found]
            for rows, inputs in batches(missing, pad_token_id, tokens_per_forward, place):
                seen.clear()
                model(**inputs)
                states = _pooled(seen[0], inputs["attention_mask"], head).float().cpu().numpy()
                fresh = dict(zip(rows, states.astype("<f4"), strict=True))
                store.put(
                    {
                        key_of[ids]: base64.b64encode(state.tobytes()).decode()
                        for ids, state in fresh.items()
                    }
                )
                found |= fresh
                if advance is not None:
                    advance(len(rows))
    finally:
        hook.remove()
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
            at 0. Null takes the head as it is.
    """

    config_class = HeadConfig

    def __init__(self, model: Any, states: torch.Tensor | None = None) -> None:
        super().__init__(HeadConfig())
        self._takes_positions = False
        modules: list[nn.Module] = []
        for name in head_names(model):
            module = getattr(model, name)
            modules.append(copy_of_head(module))
            # RoBERTa's head wants all positions and takes the first.
            self._takes_positions |= type(module).__name__.endswith("ClassificationHead")
        self.heads = nn.ModuleList(modules)
        first, last = _linears(self)
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
            getattr(model, name).load_state_dict(head.state_dict())
        first = _linears(nn.ModuleList([getattr(model, name) for name in head_names(model)]))[0]
        with torch.no_grad():
            first.weight /= self.scale
            if first.bias is not None:
                first.bias.sub_(first.weight @ self.mean)


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
