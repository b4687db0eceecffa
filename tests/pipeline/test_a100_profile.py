"""`profile: a100` runs whole on a CPU, a tiny Qwen2 in place of the weights.

Everything else stays as params/a100.yaml has it: prompt template, n = 50 samples, reply length,
bf16, LoRA. What cannot be had without a hub and a GPU is overridden by params alone: where the
problems come from (files in the published MBPP and HumanEval forms) and how many, which weights,
and the critic's sizes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ouroboros.problems.formats import load_problems
from tests.support.projects import ROOT, Project, make_project, write_jsonl
from tests.support.taught_model import make_taught_qwen2

pytestmark = pytest.mark.slow

IDS = [*range(1, 19), *range(501, 509)]  # of both sides of the seed split


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("a100") / "project"
    made = make_project(folder)
    starter = load_problems(ROOT / "src/ouroboros/problems/starter/problems.jsonl")
    rows = [
        {
            "task_id": number,
            "text": problem.prompt_text,
            "code": problem.reference,
            "test_list": list(problem.tests),
            "test_setup_code": "",
            "challenge_test_list": [],
        }
        for number, problem in zip(IDS, starter, strict=False)
    ]
    inputs = folder / "inputs"
    digest = write_jsonl(inputs / "mbpp.jsonl", rows)
    part = write_jsonl(inputs / "part.jsonl", rows[::2])
    model = make_taught_qwen2(inputs / "model", load_problems(inputs / "mbpp.jsonl"))
    made.set_params(
        "params/a100.yaml",
        {
            "problems": {
                "main": {
                    "source": "path", "path": "inputs/mbpp.jsonl", "sha256": digest,
                    "stricter": None,
                    "subsets": {
                        "sanitized": {
                            "source": "path", "path": "inputs/part.jsonl", "sha256": part,
                        }
                    },
                },
                "transfer": {
                    "source": "packaged", "name": "humaneval", "revision": None, "limit": 2,
                    "stricter": None,
                },
            },
            "generate": {"model": str(model), "revision": None},
            "critic": {"backbone": str(model), "revision": None, "steps": 8},
        },
    )  # fmt: skip
    made.set_params("params.yaml", {"profile": "a100", "evaluate": {"bootstrap_replicates": 500}})
    return made


def test_the_whole_pipeline_runs_with_the_a100_profile(project: Project) -> None:
    ran = project.repro()
    assert ran[-1] == "summarize"
    candidates = (project.folder / "data/candidates/main.jsonl").read_text().splitlines()
    n = project.params("params/a100.yaml")["generate"]["n"]
    assert n == 50
    assert len(candidates) == len(IDS) * (n + 1)
    verdicts = [
        json.loads(line)["verdict"]
        for line in (project.folder / "data/verdicts/main.jsonl").read_text().splitlines()
    ]
    assert 0 < verdicts.count("pass") < len(verdicts)
    assert json.loads((project.folder / "metrics/summary.json").read_text())
    metrics = json.loads((project.folder / "metrics/test.json").read_text())
    assert 0 < metrics["subsets"]["sanitized"]["problems"] < metrics["sizes"]["problems"]
    assert "coder_reviewer" in metrics["selectors"], metrics["left_out"]
    assert Path(project.folder, "models/critic/model.safetensors").is_file()
