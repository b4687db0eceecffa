"""A tiny Qwen2 that has half learnt some programs by heart: a generator that passes now and then.

A random model never writes a program that passes, and a critic cannot learn from failures alone.
This one is `make_tiny_qwen2`'s, fitted for a minute on the reference solutions of the problems it
will be asked, in the very prompts it will read. By hand:

    python -m tests.support.taught_model DIRECTORY
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ouroboros.generation.prompts import TEMPLATES, build_prompt
from ouroboros.records import Problem
from tests.support.tiny_models import make_tiny_qwen2


def make_taught_qwen2(
    directory: Path,
    problems: Sequence[Problem],
    *,
    template: str = "qwen2.5-coder",
    steps: int = 400,
    target_loss: float = 0.12,
    seed: int = 0,
) -> Path:
    """Write the model to `directory`.

    Args:
        problems: what it learns: each prompt with the problem's reference as the reply.
        steps: the most optimizer steps, of eight examples each.
        target_loss: mean loss per reply token at which to stop: low enough to pass often, high
            enough that samples differ.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # One thread: two that wait for each other crawl where other work wants the cores.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    make_tiny_qwen2(directory, seed, hidden_size=128, layers=2)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    # The random model's weights are wide, for sampling as it is; a fit starts better from small.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(0.15)
    examples = [_example(problem, template, tokenizer) for problem in problems]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    draw = random.Random(seed)
    recent = 1.0
    for _ in range(steps):
        loss = model(**_batch(draw.sample(examples, min(8, len(examples))))).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        recent = 0.9 * recent + 0.1 * float(loss.detach())
        if recent < target_loss:
            break
    torch.set_num_threads(threads)
    model.save_pretrained(directory)
    return directory


def _example(problem: Problem, template: str, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Token ids and labels; only the reply is learnt."""
    prompt = tokenizer(build_prompt(problem, TEMPLATES[template], tokenizer).text)["input_ids"]
    reply = tokenizer(problem.reference.strip() + "\n```\n<|im_end|>")["input_ids"]
    return prompt + reply, [-100] * len(prompt) + reply


def _batch(examples: Sequence[tuple[list[int], list[int]]]) -> dict[str, Any]:
    import torch

    width = max(len(ids) for ids, _ in examples)
    return {
        "input_ids": torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in examples]),
        "labels": torch.tensor([seen + [-100] * (width - len(seen)) for _, seen in examples]),
        "attention_mask": torch.tensor(
            [[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in examples]
        ),
    }
