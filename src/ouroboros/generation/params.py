"""The `generate` params block."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from ouroboros.errors import InputError
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


MOST_CONNECTIONS = 1000
"""How many requests the HTTP client keeps open at once; more would wait for it unseen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenaiParams:
    """Which OpenAI-compatible endpoint answers, and how it is asked.

    Args:
        base_url: where the endpoint's API begins, for most servers http://HOST:PORT/v1. It is no
            part of a sample's identity: a server that moved redraws nothing.
        api: `completions` sends the prompt as text, chat template applied here, so that it is the
            one engine vllm reads; `chat` sends messages, which the endpoint wraps in its own
            template, and asks for nothing that OpenAI's own API lacks.
        served_name: what the endpoint calls the model; null: `generate.model` as it stands.
        max_stop_strings: how many stop strings the endpoint takes: 4 in OpenAI's API, with vLLM
            what its environment variable VLLM_MAX_STOP_STRINGS says. At any further one the reply
            is cut here: it comes out the same, but was drawn to a later end.
        concurrency: how many requests are under way at once.
        timeout_seconds: how long the endpoint may be silent before a request counts as failed.
        retries: how often a request is sent again after a failure that may pass (no connection, a
            timeout, 408, 409, 429, 5xx), after 0.5 s, 1 s, ... 8 s or what Retry-After says.
        logprobs: ask for the sampled tokens' log-probabilities; false for an endpoint that refuses.
        api_key_variable: the name of the environment variable that holds the API key; null sends
            none.
    """

    base_url: str = "http://127.0.0.1:8000/v1"
    api: Literal["completions", "chat"] = "completions"
    served_name: str | None = None
    max_stop_strings: int = 4
    concurrency: int = 32
    timeout_seconds: float = 600.0
    retries: int = 5
    logprobs: bool = True
    api_key_variable: str | None = None

    def __post_init__(self) -> None:
        _check_url(self.base_url)
        require(
            self.max_stop_strings >= 0,
            f"openai.max_stop_strings must be at least 0, found {self.max_stop_strings}",
        )
        require(
            1 <= self.concurrency <= MOST_CONNECTIONS,
            f"openai.concurrency must be from 1 to {MOST_CONNECTIONS}, found {self.concurrency}",
        )
        require(
            self.timeout_seconds > 0,
            f"openai.timeout_seconds must be more than 0, found {self.timeout_seconds}",
        )
        require(self.retries >= 0, f"openai.retries must be at least 0, found {self.retries}")
        require(
            self.served_name != "", "openai.served_name must not be empty; null: generate.model"
        )
        # What stands here may be the key itself, put in the wrong place: it is not repeated.
        require(
            self.api_key_variable is None
            or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.api_key_variable) is not None,
            "openai.api_key_variable must be the name of an environment variable (letters, digits, "
            "_), never the key itself",
        )


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    odd = re.search(r"[\s?#]", url)
    if not host or odd or parts.scheme not in ("http", "https"):
        raise InputError(f"openai.base_url must look like http://HOST:PORT/v1, found {url!r}")
    # Not repeated either: it would end in logs.
    require(
        parts.username is None and parts.password is None,
        "openai.base_url must hold no user or password; the key comes from the environment "
        "variable that openai.api_key_variable names",
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
        engine: `vllm` draws from `model`; `openai` asks an endpoint that serves it; `file` takes
            finished candidates from `files`.
        model: `packaged:<name>`, a local transformers directory, or a hub id. With engine openai it
            says what the endpoint serves, and with `openai.api` completions whose tokenizer builds
            the prompts.
        revision: the commit of a hub model (40 hex digits); null for the other two.
        prompt: the prompt template, a key of `prompts.TEMPLATES`; it must suit the model.
        few_shot: ids of problems of the same set that are shown, solved, before a task in words;
            for a template with a place for examples.
        n: sampled candidates per problem; the greedy one comes on top.
        max_tokens: the longest reply, in tokens.
        temperature, top_p: of the sampled candidates. The greedy one has temperature 0.
        reviewer: also ask the model for log p(task | program) of every candidate (`review`), for
            the selectors that use it; one pass over each program, no drawing. Engine vllm alone.
        seed: decides, with the problem id and the sample index, each sample's own random seed.
        vllm: engine settings, for engine vllm.
        openai: the endpoint, for engine openai.
        files: per problem set, the candidates file; for engine file.
    """

    engine: Literal["vllm", "openai", "file"]
    model: str | None = None
    revision: str | None = None
    prompt: str | None = None
    few_shot: tuple[str, ...] = ()
    n: int = 8
    max_tokens: int = 512
    temperature: float = 0.8
    top_p: float = 0.95
    reviewer: bool = False
    seed: int = 0
    vllm: VllmParams = VllmParams()
    openai: OpenaiParams = OpenaiParams()
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
        if self.engine != "file":
            self._check_model()
        if self.engine == "vllm":
            require(
                self.max_tokens < self.vllm.max_model_len,
                f"max_tokens ({self.max_tokens}) leaves no room for a prompt in "
                f"vllm.max_model_len ({self.vllm.max_model_len})",
            )
        if self.engine == "openai":
            self._check_endpoint()

    def shown(self) -> dict[str, object]:
        """The params that say what was drawn, for MLflow's table."""
        names = ("engine", "model", "revision", "prompt", "n", "max_tokens", "temperature", "top_p")
        return {name: getattr(self, name) for name in (*names, "seed")}

    def _check_endpoint(self) -> None:
        require(
            not self.reviewer,
            "reviewer is not supported with engine openai, whose API has no likelihood of a given "
            "text: set reviewer to false, or draw with engine vllm",
        )
        require(
            self.openai.api == "completions" or TEMPLATES[str(self.prompt)].form == "chat",
            f"prompt {self.prompt!r} is a text to continue, which openai.api chat cannot send: use "
            "openai.api completions, or a prompt for a chat model",
        )

    def _check_model(self) -> None:
        require(self.model is not None, f"engine {self.engine} needs a model")
        require(
            self.prompt in TEMPLATES,
            f"unknown prompt {self.prompt!r}; known: {', '.join(TEMPLATES)}",
        )
        require(
            not self.few_shot or TEMPLATES[str(self.prompt)].example is not None,
            f"prompt {self.prompt!r} has no place for examples: set few_shot to []",
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
