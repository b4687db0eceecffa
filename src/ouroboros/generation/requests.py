"""What is asked of an engine, and what it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ouroboros.generation.prompts import Prompt
from ouroboros.store import digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One candidate to draw. Temperature 0 is greedy; then `seed` and `top_p` mean nothing."""

    prompt: Prompt
    sample_index: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int

    @property
    def problem_id(self) -> str:
        return self.prompt.problem_id

    def key(self, source: Sequence[str]) -> str:
        """The digest of everything that decides the answer.

        Args:
            source: what identifies the model and the engine that answers.
        """
        sampled = self.temperature > 0
        return digest(
            {
                "source": list(source),
                "problem_id": self.problem_id,
                "sample_index": self.sample_index,
                "prompt": self.prompt.text or list(self.prompt.messages),
                "stop": list(self.prompt.stop),
                "max_tokens": self.max_tokens,
                "temperature": self.temperature,
                "top_p": self.top_p if sampled else None,
                "seed": self.seed if sampled else None,
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """An engine's answer: the text after the prompt, without the stop string that ended it.

    `sum_logprob` is the sum, over all `num_tokens` generated tokens (an end-of-turn token and those
    of a stop string included), of the model's natural-log probabilities at temperature 1, before
    top-p; null where the engine gives none.
    """

    text: str
    finish_reason: str
    num_tokens: int
    sum_logprob: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """What a run drew, engine start included: never part of an output, since it differs each time.

    Args:
        candidates: how many; those that were there already are not counted.
        tokens: that they are long together.
        seconds: that it took.
        cut: how many ended at `max_tokens`.
    """

    candidates: int
    tokens: int
    seconds: float
    cut: int


class Engine(Protocol):
    """Draws completions. Which engine, with which settings, `identity` says."""

    @property
    def identity(self) -> str: ...

    def check(self, prompts: Iterable[Prompt], max_tokens: int) -> None:
        """Raise `UserError` for a prompt the model cannot take."""

    def complete(self, requests: Sequence[Request]) -> Iterator[list[tuple[Request, Completion]]]:
        """Answer all requests, in any order, each batch as soon as it is finished."""


def sample_seed(seed: int, problem_id: str, sample_index: int) -> int:
    """A candidate's own random seed: 63 bits of a hash, so that no two candidates share a stream
    and none depends on how many others are drawn."""
    text = f"{seed}\0{problem_id}\0{sample_index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
