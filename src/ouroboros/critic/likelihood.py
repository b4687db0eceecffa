"""How likely the backbone itself finds a program, given its prompt.

A frozen decoder is still the language model it was: where its output layer is its embedding table
(`tie_word_embeddings`), a sequence-classification model holds all that is needed for
log p(program | prompt), and the hidden states are computed anyway. With `critic.likelihood` the
mean of it per token of the program is one more input of the head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ouroboros.errors import UserError

POSITIONS = 256
"""Whose logits over the whole vocabulary are held at once: some 150 MB for 150,000 tokens."""


@contextmanager
def inputs_of(head: nn.Module) -> Iterator[list[torch.Tensor]]:
    """What `head` is called with, call after call."""
    seen: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        hook.remove()


def mean_log_probabilities(
    model: Any, hidden: torch.Tensor, input_ids: torch.Tensor, programs: Sequence[tuple[int, int]]
) -> torch.Tensor:
    """The mean natural-log probability per token of each program.

    Args:
        model: a decoder whose output layer is its embedding table.
        hidden: (n, length, hidden), its last hidden states.
        input_ids: (n, length).
        programs: for each row where its program begins and ends (`Encoded.program`).

    Returns:
        (n,) float32; 0 where no token of a program is left.
    """
    table = model.get_input_embeddings().weight
    found = []
    for states, ids, (start, stop) in zip(hidden, input_ids, programs, strict=True):
        total = states.new_zeros((), dtype=torch.float32)
        # The first token of a text has nothing before it to be predicted from.
        start = max(start, 1)
        for first in range(start, stop, POSITIONS):
            last = min(first + POSITIONS, stop)
            logits = (states[first - 1 : last - 1].to(table.dtype) @ table.T).float()
            chosen = logits.gather(1, ids[first:last, None])[:, 0]
            total = total + (chosen - logits.logsumexp(dim=1)).sum()
        found.append(total / max(stop - start, 1))
    return torch.stack(found)


def require_language_model(model: Any, heads: Sequence[str], name: str) -> None:
    """Raise `UserError` where the backbone cannot say how likely a program is."""
    if list(heads) != ["score"] or not model.config.get_text_config().tie_word_embeddings:
        raise UserError(
            f"critic.likelihood: {name!r} is no decoder whose output layer is its embedding table "
            "(tie_word_embeddings), so it gives no log-probabilities\n  set critic.likelihood to "
            "false, or take another backbone"
        )
