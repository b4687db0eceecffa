"""The real engine, on a tiny model: a candidate depends on its own request and on nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ouroboros.errors import UserError
from ouroboros.generation.params import GenerateParams, VllmParams
from ouroboros.generation.run import generate
from ouroboros.jsonl import read_records
from ouroboros.records import GREEDY_INDEX, Candidate, Problem
from tests.support.generate_stage import Stage, problems
from tests.support.tiny_models import make_tiny_qwen2


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_qwen2(tmp_path_factory.mktemp("model") / "tiny")


@pytest.mark.slow
def test_a_candidate_is_independent_of_its_batch(tiny: Path) -> None:
    """Over 200 requests, text and log-probabilities, in six arrangements."""
    command = [sys.executable, str(Path(__file__).with_name("engine_probe.py")), str(tiny)]
    done = subprocess.run(
        [*command, "23", "8", "64"], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    arrangements = json.loads(done.stdout.splitlines()[-1])
    reference = {(row[0], row[1]): row[2] for row in arrangements.pop("all")}
    assert len(reference) == 207
    full = [answer for answer in reference.values() if answer["finish_reason"] == "length"]
    assert len(full) > 100, "most requests should run to full length"
    texts = {answer["text"] for answer in reference.values()}
    assert len(texts) > 150, "samples should differ from each other"
    for name, rows in arrangements.items():
        different = [row for row in rows if row[2] != reference[row[0], row[1]]]
        assert not different, (
            f"{name}: {len(different)} of {len(rows)} differ, such as {different[0]} against "
            f"{reference[different[0][0], different[0][1]]}"
        )


@pytest.mark.slow
def test_a_killed_stage_goes_on_and_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    whole = Stage(tmp_path / "whole", tiny, problems(24))
    whole.run()
    total = 24 * 9
    assert whole.stored() == total
    (metrics,) = whole.logged()
    rows = read_records(whole.output, Candidate)
    assert metrics["candidates"] == total
    assert metrics["tokens"] == sum(row.num_tokens for row in rows)
    assert metrics["cut"] == sum(row.finish_reason == "length" for row in rows)
    assert metrics["tokens_per_second"] == pytest.approx(metrics["tokens"] / metrics["seconds"])

    killed = Stage(tmp_path / "killed", tiny, problems(24))
    process = killed.start()
    killed.wait_for(30, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = killed.stored()
    assert 30 <= kept < total, f"killed with {kept} of {total} done"
    assert not killed.output.exists()
    report = killed.run()
    assert f"{total - kept} candidates" in report
    assert killed.output.read_bytes() == whole.output.read_bytes()

    # Nothing left to draw: the same bytes again, without an engine.
    killed.output.unlink()
    logged = len(killed.logged())
    assert "tokens/s" not in killed.run()
    assert len(killed.logged()) == logged
    assert killed.output.read_bytes() == whole.output.read_bytes()

    # A larger n and another problem draw only what is new, and keep what is there.
    killed.set(tiny, problems(25), n=10)
    assert f"{25 * 11 - total} candidates" in killed.run()
    before = {c.key: c for c in read_records(whole.output, Candidate)}
    after = {c.key: c for c in read_records(killed.output, Candidate)}
    assert len(after) == 25 * 11
    assert all(after[key] == candidate for key, candidate in before.items())

    _greedy_is_that_of_transformers(tiny, before)


def _greedy_is_that_of_transformers(tiny: Path, candidates: dict[Any, Candidate]) -> None:
    """The peer everyone knows finds the same greedy text, and the same log-probabilities."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ouroboros.generation.prompts import TEMPLATES, build_prompt

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    compared = 0
    for problem in problems(24)[::4]:
        candidate = candidates[problem.problem_id, GREEDY_INDEX]
        prompt = build_prompt(problem, TEMPLATES["qwen2.5-coder"], tokenizer)
        inputs = tokenizer(prompt.text, return_tensors="pt", add_special_tokens=False)
        length = inputs["input_ids"].shape[1]
        answer = model.generate(**inputs, max_new_tokens=candidate.num_tokens, do_sample=False)
        text = tokenizer.decode(answer[0, length:], skip_special_tokens=True)
        assert text.startswith(candidate.completion[:-3]), (text, candidate.completion)
        logits = model(answer[:, :-1]).logits[0, length - 1 :]
        chosen = torch.log_softmax(logits, -1).gather(1, answer[0, length:, None]).sum().item()
        assert candidate.sum_logprob is not None
        assert abs(chosen - candidate.sum_logprob) < 0.01, (chosen, candidate.sum_logprob)
        compared += 1
    assert compared == 6


def test_a_prompt_longer_than_the_context_names_its_problem(tiny: Path, tmp_path: Path) -> None:
    long = Problem(
        problem_id="mbpp/7", prompt_text="add " * 300, entry_point="f", tests=("assert f()",)
    )
    params = GenerateParams(
        engine="vllm", model=str(tiny), prompt="qwen2.5-coder", n=1, max_tokens=64,
        vllm=VllmParams(max_model_len=256),
    )  # fmt: skip
    with pytest.raises(UserError) as caught:
        generate([*problems(2), long], params, cache=tmp_path, label="main")
    assert "problem 'mbpp/7': its prompt has" in str(caught.value)
    assert "more than the context of 256 tokens" in str(caught.value)
    assert "generate.vllm.max_model_len" in str(caught.value)


def test_a_missing_problems_file_is_named(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Path("nowhere"), [])
    (tmp_path / "data" / "problems" / "main.jsonl").unlink()
    process = stage.start()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "error: data/problems/main.jsonl: no such file" in output
