"""The `generate` params block."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from ouroboros.generation.prompts import TEMPLATES
from ouroboros.generation.weights import PACKAGED_PREFIX, is_hub_id
from ouroboros.params import require


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmParams:
    """How vLLM runs the model: speed and memory, and with `dtype` the numbers themselves.

    Args:
        dtype: the weights' and activations' number format.
        max_model_len: the longest prompt plus reply, in tokens.
        max_num_seqs: how many requests are decoded at once.
        gpu_memory_utilization: GPU only: share of its memory that vLLM takes.
        enable_prefix_caching: GPU only: compute a prompt that several requests share only once.
        enable_chunked_prefill: GPU only: mix pieces of long prompts into decoding steps.
        enforce_eager: GPU only: neither compile the model nor capture CUDA graphs; starts sooner,
            decodes slower.
        batch_invariant: GPU only: use kernels whose result for one request is independent of the
            others in its batch (VLLM_BATCH_INVARIANT); decodes slower.
    """

    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    max_model_len: int = 1024
    max_num_seqs: int = 64
    gpu_memory_utilization: float = 0.9
    enable_prefix_caching: bool = True
    enable_chunked_prefill: bool = True
    enforce_eager: bool = False
    batch_invariant: bool = True

    def __post_init__(self) -> None:
        require(self.max_model_len >= 16, "vllm.max_model_len must be at least 16 tokens")
        require(self.max_num_seqs >= 1, "vllm.max_num_seqs must be at least 1")
        require(
            0 < self.gpu_memory_utilization <= 1, "vllm.gpu_memory_utilization must be in (0, 1]"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateFile:
    """A candidates file from elsewhere, JSONL or gzipped JSONL, pinned by its SHA-256 (hex)."""

    path: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateParams:
    """What is drawn, from which model, how often.

    Args:
        engine: `vllm` draws from `model`; `file` takes finished candidates from `files`.
        model: `packaged:<name>`, a local transformers directory, or a hub id; for engine vllm.
        revision: the commit of a hub model (40 hex digits); null for the other two.
        prompt: the prompt template, a key of `prompts.TEMPLATES`; it must suit the model.
        n: sampled candidates per problem; the greedy one comes on top.
        max_tokens: the longest reply, in tokens.
        temperature, top_p: of the sampled candidates. The greedy one has temperature 0.
        reviewer: also ask the model for log p(task | program) of every candidate (`review`), for
            the selectors that use it; one pass over each program, no drawing.
        seed: decides, with the problem id and the sample index, each sample's own random seed.
        vllm: engine settings, for engine vllm.
        files: per problem set, the candidates file; for engine file.
    """

    engine: Literal["vllm", "file"]
    model: str | None = None
    revision: str | None = None
    prompt: str | None = None
    n: int = 8
    max_tokens: int = 512
    temperature: float = 0.8
    top_p: float = 0.95
    reviewer: bool = False
    seed: int = 0
    vllm: VllmParams = VllmParams()
    files: dict[str, CandidateFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.n >= 1, f"n must be at least 1, found {self.n}")
        require(self.max_tokens >= 1, f"max_tokens must be at least 1, found {self.max_tokens}")
        require(
            0 <= self.temperature <= 2, f"temperature must be in [0, 2], found {self.temperature}"
        )
        require(0 < self.top_p <= 1, f"top_p must be in (0, 1], found {self.top_p}")
        require(
            self.temperature > 0 or self.n == 1,
            f"temperature 0 always draws the same program: n must be 1, found {self.n}",
        )
        if self.engine == "vllm":
            self._check_model()

    def _check_model(self) -> None:
        require(self.model is not None, "engine vllm needs a model")
        require(
            self.prompt in TEMPLATES,
            f"unknown prompt {self.prompt!r}; known: {', '.join(TEMPLATES)}",
        )
        require(
            self.max_tokens < self.vllm.max_model_len,
            f"max_tokens ({self.max_tokens}) leaves no room for a prompt in vllm.max_model_len "
            f"({self.vllm.max_model_len})",
        )
        if self.revision is not None:
            require(
                re.fullmatch(r"[0-9a-f]{40}", self.revision) is not None,
                f"revision must be a commit (40 hex digits), found {self.revision!r}: a branch or "
                "tag may move",
            )
            require(
                is_hub_id(str(self.model)) and not str(self.model).startswith(PACKAGED_PREFIX),
                "revision is only for a hub model (org/name); set it to null",
            )
