"""How fast does the generate stage draw, against bare vLLM and against transformers?

Usage: python benchmarks/generate.py [--problems 24] [--samples 8] [--max-num-seqs 64]

The first starter problems, the cpu profile's model, prompt and limits, in one process each:
  stage         the stage's own engine and store
  LLM.generate  vLLM's plain call with the same requests, engine settings and environment
  transformers  model.generate in batches, the same prompts, limits and stop strings (on an eighth
                of the requests, since it is slow)
Prints, for each, start-up seconds, tokens, tokens a second after start-up, and peak memory.
Timings on a busy machine mean little.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from ouroboros.generation.params import GenerateParams, VllmParams
from ouroboros.generation.prompts import TEMPLATES, build_prompt
from ouroboros.generation.requests import Request
from ouroboros.generation.run import draw, requests_of
from ouroboros.generation.vllm_engine import VllmEngine, prepare_process
from ouroboros.generation.weights import Model, resolve_model
from ouroboros.problems.formats import load_problems
from ouroboros.store import ResultStore, cache_dir

Timing = tuple[float, float, int]
"""Seconds to start, seconds to draw, tokens drawn."""


def prepare(options: argparse.Namespace) -> tuple[Model, Any, GenerateParams, list[Request]]:
    prepare_process()
    from transformers import AutoTokenizer

    params = GenerateParams(
        engine="vllm",
        model="packaged:smollm2-135m-instruct",
        prompt="smollm2-chat",
        n=options.samples,
        max_tokens=160,
        vllm=VllmParams(max_num_seqs=options.max_num_seqs, dtype=options.dtype),
    )
    model = resolve_model(str(params.model), None, cache_dir())
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    packaged = resources.files("ouroboros.problems.starter") / "problems.jsonl"
    with resources.as_file(packaged) as path:
        problems = load_problems(path)[: options.problems]
    template = TEMPLATES[str(params.prompt)]
    prompts = [build_prompt(problem, template, tokenizer) for problem in problems]
    requests = [request for prompt in prompts for request in requests_of(prompt, params)]
    return model, tokenizer, params, requests


def time_stage(options: argparse.Namespace) -> Timing:
    model, tokenizer, params, requests = prepare(options)
    engine = VllmEngine(model, params.vllm, tokenizer)
    begin = time.perf_counter()
    engine.start(requests)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ResultStore(Path(folder) / "s.sqlite") as store:
        answers = draw(requests, engine, store, model.identity, label="benchmark")
    return (
        started - begin,
        time.perf_counter() - started,
        sum(answer.num_tokens for answer in answers),
    )


def time_llm(options: argparse.Namespace) -> Timing:
    model, tokenizer, params, requests = prepare(options)
    engine = VllmEngine(model, params.vllm, tokenizer)
    begin = time.perf_counter()
    arguments = engine.arguments(requests)
    from vllm import LLM

    from ouroboros.generation.vllm_engine import sampling_params

    llm = LLM(**arguments)
    started = time.perf_counter()
    outputs = llm.generate(
        [request.prompt.text for request in requests],
        [sampling_params(request) for request in requests],
        use_tqdm=False,
    )
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    return started - begin, time.perf_counter() - started, tokens


def time_transformers(options: argparse.Namespace) -> Timing:
    model, tokenizer, params, requests = prepare(options)
    requests = requests[: max(1, len(requests) // 8)]
    begin = time.perf_counter()
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer.padding_side = "left"
    network = AutoModelForCausalLM.from_pretrained(
        model.path, dtype=getattr(torch, params.vllm.dtype)
    )
    started = time.perf_counter()
    tokens = 0
    for first in range(0, len(requests), 16):
        batch = requests[first : first + 16]
        inputs = tokenizer(
            [request.prompt.text for request in batch],
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
        )
        answers = network.generate(
            **inputs,
            do_sample=True,
            temperature=params.temperature,
            top_p=params.top_p,
            max_new_tokens=params.max_tokens,
            stop_strings=list(batch[0].prompt.stop),
            tokenizer=tokenizer,
        )[:, inputs["input_ids"].shape[1] :]
        tokens += int((answers != tokenizer.pad_token_id).sum())
    return started - begin, time.perf_counter() - started, tokens


WAYS: dict[str, Callable[[argparse.Namespace], Timing]] = {
    "stage": time_stage,
    "LLM.generate": time_llm,
    "transformers": time_transformers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--max-num-seqs", type=int, default=64)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--way", choices=WAYS, help="measure one in this process; prints JSON")
    options = parser.parse_args()
    if options.way:
        start, seconds, tokens = WAYS[options.way](options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps([start, seconds, tokens, peak]))
        return
    print(f"{'':14}{'start s':>9}{'tokens':>9}{'draw s':>9}{'tokens/s':>10}{'peak GB':>9}")
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{way} failed:\n{done.stderr[-2000:]}")
        start, seconds, tokens, peak = json.loads(done.stdout.splitlines()[-1])
        rate = tokens / seconds
        print(f"{way:14}{start:9.1f}{tokens:9d}{seconds:9.1f}{rate:10.0f}{peak:9.2f}", flush=True)


if __name__ == "__main__":
    main()
