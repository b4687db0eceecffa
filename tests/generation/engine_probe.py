"""Run by test_engine in a process of its own: the same requests in batches of several shapes.

vLLM's CPU engine binds its process's threads to cores, which other tests should not inherit.
Prints one JSON object: per arrangement, a list of [problem_id, sample_index, completion].

    python engine_probe.py MODEL_DIRECTORY PROBLEMS N MAX_TOKENS
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ouroboros.generation.params import GenerateParams, VllmParams
from ouroboros.generation.prompts import TEMPLATES, build_prompt
from ouroboros.generation.requests import Request
from ouroboros.generation.run import requests_of
from ouroboros.generation.vllm_engine import VllmEngine, prepare_process
from ouroboros.generation.weights import resolve_model
from ouroboros.records import Problem


def main() -> None:
    prepare_process()
    from transformers import AutoTokenizer

    directory, problems, n, max_tokens = sys.argv[1], *map(int, sys.argv[2:5])
    params = GenerateParams(
        engine="vllm",
        model=directory,
        prompt="qwen2.5-coder",
        n=n,
        max_tokens=max_tokens,
        vllm=VllmParams(dtype="bfloat16", max_num_seqs=64),
    )
    model = resolve_model(directory, None, Path())
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    engine = VllmEngine(model, params.vllm, tokenizer)
    requests = []
    for number in range(problems):
        problem = Problem(
            problem_id=f"mbpp/{number}",
            prompt_text=f"Write a function to add {number}" + " to each number" * (number % 7),
            entry_point="f",
            tests=("assert f([1]) == [2]",),
        )
        requests += requests_of(
            build_prompt(problem, TEMPLATES["qwen2.5-coder"], tokenizer), params
        )

    def draw(batches: Iterable[Sequence[Request]]) -> list:
        found = []
        for batch in batches:
            for answers in engine.complete(batch):
                found += [
                    [request.problem_id, request.sample_index, dataclasses.asdict(answer)]
                    for request, answer in answers
                ]
        return sorted(found, key=lambda row: row[:2])

    few = requests[:: max(1, len(requests) // 12)]
    arrangements = {
        "all": draw([requests]),
        "again": draw([requests]),
        "reversed": draw([requests[::-1]]),
        "in groups of seven": draw(requests[i : i + 7] for i in range(0, len(requests), 7)),
        "a few": draw([few]),
        "alone": draw([request] for request in few),
    }
    print(json.dumps(arrangements))


if __name__ == "__main__":
    main()
