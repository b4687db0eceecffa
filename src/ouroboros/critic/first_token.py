"""BERT-like encoders: in the last layer, compute the one position the reward is read at.

The head reads the first token alone, so what the last layer makes of all the others is thrown away.
The keys and values of every position are needed; queries, the projection after them and the
feed-forward part are not. Equal to the whole layer up to float rounding (a test compares); names
and shapes of the weights stay, so what is saved is the plain model. benchmarks/critic.py has what
it saves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

ARCHITECTURES = ("bert", "roberta")
"""Those whose layer is made of the parts used here, and whose head reads the first token."""


def read_first_token_alone(model: Any) -> None:
    """Change the last layer's computation; models of other architectures are left alone.

    Not for training with dropout, whose draws it does not make.
    """
    config = model.config
    if config.model_type not in ARCHITECTURES or config._attn_implementation != "sdpa":
        return
    last = getattr(model, model.base_model_prefix).encoder.layer[-1]
    heads = config.num_attention_heads

    def forward(
        states: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: Any, **__: Any
    ) -> torch.Tensor:
        # Looked up when called: adapters may have wrapped them since.
        attention = last.attention.self

        def split(projected: torch.Tensor) -> torch.Tensor:
            return projected.view(*projected.shape[:2], heads, -1).transpose(1, 2)

        found = functional.scaled_dot_product_attention(
            split(attention.query(states[:, :1])),
            split(attention.key(states)),
            split(attention.value(states)),
            attn_mask=None if attention_mask is None else attention_mask[:, :, :1, :],
        )
        mixed = last.attention.output(found.transpose(1, 2).flatten(2), states[:, :1])
        made: torch.Tensor = last.feed_forward_chunk(mixed)
        return made

    last.forward = forward
