"""Engine openai against a real vLLM server: it draws what engine vllm draws."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ouroboros.jsonl import read_records
from ouroboros.records import Candidate
from tests.support.generate_stage import Stage, problems
from tests.support.tiny_models import make_tiny_qwen2
from tests.support.vllm_server import VllmServer

COUNT = 40
TOTAL = COUNT * 9


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_qwen2(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    with VllmServer(tiny, tmp_path_factory.mktemp("server") / "log") as running:
        yield running


def endpoint(server: VllmServer, **changes: Any) -> dict[str, Any]:
    settings = {"base_url": server.base_url, "concurrency": 24, "retries": 1} | changes
    return {"engine": "openai", "openai": settings}


@pytest.fixture(scope="module")
def drawn_here(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The candidates file that engine vllm makes of the same params."""
    stage = Stage(tmp_path_factory.mktemp("here"), tiny, problems(COUNT))
    stage.run()
    return stage.output


@pytest.mark.slow
def test_the_same_candidates_as_with_engine_vllm(
    tiny: Path, server: VllmServer, drawn_here: Path, tmp_path: Path
) -> None:
    """Text, token counts, finish reasons and summed log-probabilities, greedy and sampled."""
    stage = Stage(tmp_path, tiny, problems(COUNT), **endpoint(server))
    report = stage.run()
    assert f"{TOTAL} candidates" in report
    wanted = {c.key: c for c in read_records(drawn_here, Candidate)}
    found = {c.key: c for c in read_records(stage.output, Candidate)}
    assert len(found) == TOTAL
    assert len({c.completion for c in found.values()}) > TOTAL * 3 // 4, "samples should differ"
    different = [(c, wanted[key]) for key, c in found.items() if c != wanted[key]]
    assert not different, f"{len(different)} of {TOTAL} differ, such as {different[0]}"
    assert stage.output.read_bytes() == drawn_here.read_bytes()


@pytest.mark.slow
def test_a_chat_is_wrapped_by_the_server(
    tiny: Path, server: VllmServer, drawn_here: Path, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, tiny, problems(3), n=2, **endpoint(server, api="chat"))
    stage.run()
    found = read_records(stage.output, Candidate)
    assert len(found) == 9
    for candidate in found:
        assert candidate.sum_logprob is not None
        assert candidate.sum_logprob < 0
        assert 0 < candidate.num_tokens <= 96
    # Another prompt than engine vllm's, which ends with the beginning of the reply.
    texts = {c.key: c.completion for c in read_records(drawn_here, Candidate)}
    assert all(candidate.completion != texts[candidate.key] for candidate in found)


# The last one: it leaves the server stopped.
@pytest.mark.slow
def test_a_killed_stage_and_a_killed_server_lose_only_what_is_under_way(
    tiny: Path, server: VllmServer, drawn_here: Path, tmp_path: Path
) -> None:
    chosen = problems(COUNT)
    stage = Stage(tmp_path, tiny, chosen, **endpoint(server))
    process = stage.start()
    stage.wait_for(30, process)
    assert process.poll() is None, process.communicate()[0][-3000:]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    first = stage.stored()
    assert 30 <= first < TOTAL, f"killed with {first} of {TOTAL} done"

    process = stage.start()
    stage.wait_for(first + 30, process)
    server.stop()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2, output[-3000:]
    assert f"error: the endpoint {server.base_url}: problem 'mbpp/" in output
    assert "no connection, in 2 attempts: " in output
    assert "what was drawn is kept" in output
    assert not stage.output.exists()
    second = stage.stored()
    assert first + 30 <= second < TOTAL, f"server killed with {second} of {TOTAL} done"

    server.start()
    stage.set(tiny, chosen, **endpoint(server))
    report = stage.run()
    assert f"generate main: {TOTAL - second} candidates" in report
    assert stage.output.read_bytes() == drawn_here.read_bytes()

    # Nothing left to draw: the same bytes again, without any server.
    server.stop()
    stage.output.unlink()
    stage.run()
    assert stage.output.read_bytes() == drawn_here.read_bytes()
