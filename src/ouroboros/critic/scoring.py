"""Scoring programs with a trained critic."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from ouroboros.critic.calibration import Calibration
from ouroboros.critic.first_token import read_first_token_alone
from ouroboros.critic.likelihood import inputs_of, mean_log_probabilities
from ouroboros.critic.serialise import Encoded, Serialiser
from ouroboros.errors import UserError
from ouroboros.records import Problem

FORMAT = 1
"""Of the `ouroboros` entry in a critic's config.json."""
PHASES = "phases.json"
"""In the folder of the phases: their names in order, and the one the critic is of."""
DECIMALS = 5
"""Rewards are rounded here: below it, float32 sums depend on what shares a batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What the critic says of one program: `reward` ranks, `p_pass` is a probability."""

    reward: float
    p_pass: float


def encoded_rewards(
    model: Any,
    encoded: Sequence[Encoded],
    *,
    pad_token_id: int,
    tokens_per_forward: int,
    likelihood_weight: float | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[float]:
    """Rewards of encoded programs, in order.

    Equal inputs are run once; batches hold inputs of about one length, padded to the longest.

    Args:
        model: a sequence-classification model, on its device; its first output is the reward.
        tokens_per_forward: most padded tokens in a batch.
        likelihood_weight: of the program's mean log-probability under the model, added to the
            reward (`CriticParams.likelihood`); null leaves it out.
        advance: told how many inputs each batch finished, copies included.
    """
    copies: dict[tuple[int, ...], int] = {}
    for item in encoded:
        copies[item.ids] = copies.get(item.ids, 0) + 1
    order = sorted(copies, key=lambda ids: (len(ids), ids))
    programs = {item.ids: item.program for item in encoded}
    found: dict[tuple[int, ...], float] = {}
    training = model.training
    model.eval()
    head = getattr(model, head_names(model)[0]) if likelihood_weight is not None else nn.Identity()
    with torch.inference_mode(), inputs_of(head) as seen:
        place = next(model.parameters()).device
        for batch, inputs in batches(order, pad_token_id, tokens_per_forward, place):
            seen.clear()
            # In training there may be further outputs (`CriticParams.auxiliary_weight`).
            logits = model(**inputs).logits[:, 0].double()
            if likelihood_weight is not None:
                spans = [programs[ids] for ids in batch]
                means = mean_log_probabilities(model, seen[0], inputs["input_ids"], spans)
                logits = logits + likelihood_weight * means.double()
            rewards = logits.cpu().tolist()
            found.update(zip(batch, (round(r, DECIMALS) for r in rewards), strict=True))
            if advance is not None:
                advance(sum(copies[ids] for ids in batch))
    model.train(training)
    return [found[item.ids] for item in encoded]


def batches(
    rows: Sequence[tuple[int, ...]],
    pad_token_id: int,
    tokens_per_forward: int,
    place: torch.device | None = None,
) -> Iterator[tuple[Sequence[tuple[int, ...]], dict[str, torch.Tensor]]]:
    """Cut inputs, sorted by length, into batches of at most so many padded tokens (at least one).

    Yields:
        the batch's rows, and the model's keyword arguments for them.
    """
    start = 0
    while start < len(rows):
        stop = start + 1
        while stop < len(rows) and len(rows[stop]) * (stop + 1 - start) <= tokens_per_forward:
            stop += 1
        input_ids, mask = pad(rows[start:stop], pad_token_id, place)
        yield rows[start:stop], {"input_ids": input_ids, "attention_mask": mask}
        start = stop


def pad(
    rows: Sequence[Sequence[int]], pad_token_id: int, device: torch.device | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Input ids and attention mask, padded on the right to the longest row."""
    width = max(len(row) for row in rows)
    input_ids = torch.full((len(rows), width), pad_token_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        input_ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    return input_ids.to(device), mask.to(device)


def set_deterministic(threads: int) -> None:
    """Make torch give the same bits for the same work: fixed threads, deterministic kernels."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' reports and bars: a new head is missing from every backbone."""
    level, bars = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def head_names(model: Any) -> list[str]:
    """The modules on top of the body that hold weights: `score`, or `classifier`, ..."""
    return [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    ]


def keep_head_in_float32(model: Any) -> None:
    """Let the head compute in float32 whatever the body's type.

    In bfloat16 a reward near 3 has steps of 0.016, so that different programs tie, and small
    updates of the head's weights are rounded away.
    """
    base = model.base_model.model if hasattr(model, "peft_config") else model
    for name in head_names(base):
        head = getattr(base, name).float()
        head.forward = _in_float32(head.forward)


def _in_float32(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def computed(states: torch.Tensor, **options: Any) -> torch.Tensor:
        with torch.autocast(states.device.type, enabled=False):
            return forward(states.float(), **options)

    return computed


@dataclass(frozen=True, kw_only=True, slots=True)
class Critic:
    """A trained critic, as `load_critic` gives it."""

    model: Any
    serialiser: Serialiser
    calibration: Calibration
    tokens_per_forward: int
    likelihood_weight: float | None = None

    def score(
        self,
        items: Sequence[tuple[Problem, str]],
        advance: Callable[[int], None] | None = None,
    ) -> list[Score]:
        """Reward and p_pass of each (problem, code), in order.

        Args:
            items: any mixture of problems; the same program may stand several times.
            advance: told how many items each batch finished, for a progress bar.
        """
        rewards = encoded_rewards(
            self.model,
            self.serialiser.encode(items),
            pad_token_id=self.serialiser.tokenizer.pad_token_id,
            tokens_per_forward=self.tokens_per_forward,
            likelihood_weight=self.likelihood_weight,
            advance=advance,
        )
        probabilities = self.calibration.p_pass(rewards)
        return [
            Score(reward=reward, p_pass=round(float(p), DECIMALS + 1))
            for reward, p in zip(rewards, probabilities, strict=True)
        ]


def read_phases(folder: Path, critic: Path) -> tuple[dict[str, Path], str]:
    """The critic of each phase of a training, in order, and the name of the kept one.

    Args:
        folder: what the train_critic stage wrote beside the critic.
        critic: the critic, which is the kept phase's.

    Raises:
        UserError: the folder has no list of phases.
    """
    try:
        listed = json.loads((folder / PHASES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / PHASES}: cannot be read: {error}\n  the train_critic stage writes it"
        ) from error
    kept = listed["kept"]
    return {name: critic if name == kept else folder / name for name in listed["phases"]}, kept


def load_critic(path: Path) -> Critic:
    """Load what the train_critic stage wrote.

    Raises:
        UserError: no such folder, not a critic, or its weights do not fit its configuration.
    """
    if not (path / "config.json").is_file():
        raise UserError(
            f"{path}: no critic here (no config.json)\n  the train_critic stage writes one"
        )
    try:
        with quiet():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                path, output_loading_info=True, local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:  # whatever a damaged folder raises: name the folder
        raise UserError(f"{path}: this critic cannot be loaded: {error}") from error
    missing = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if missing:
        raise UserError(f"{path}: the weights do not fit the configuration, e.g. {missing[0]}")
    facts = getattr(model.config, "ouroboros", None)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise UserError(
            f"{path}: config.json has no ouroboros entry of format {FORMAT}, so this is not a "
            "critic of this version\n  train it with the train_critic stage"
        )
    set_deterministic(facts["threads"])
    keep_head_in_float32(model)
    read_first_token_alone(model)
    model.to(device()).eval()
    return Critic(
        model=model,
        serialiser=Serialiser(
            tokenizer=tokenizer,
            max_length=facts["max_length"],
            markers=facts["markers"],
            static_facts=facts["static_facts"],
            code=facts["code"],
        ),
        calibration=Calibration(slope=facts["slope"], intercept=facts["intercept"]),
        tokens_per_forward=facts["tokens_per_forward"],
        likelihood_weight=facts.get("likelihood_weight"),
    )
