"""A whole experiment that runs in about a minute: ten problems, given candidates, a tiny critic.

Every stage is the real one; only sizes differ. Candidates come through `generate.engine: file`, so
that there are passes and failures to learn from without drawing samples.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from tests.support.projects import Project, make_project, write_jsonl
from tests.support.tiny_models import make_tiny_qwen2

# Per problem, what each candidate is; "reference" passes, the others fail in different ways.
KINDS = ("reference", "return None", "raise", "not python", "reference with a comment", "loop")


def make_tiny_pipeline(folder: Path) -> Project:
    """A project with profile `tiny`, ready for `dvc repro`."""
    project = make_project(folder)
    problems = _starter(20)
    transfer = _starter(26)[20:]
    rows = {"main": problems, "transfer": transfer}
    blocks: dict[str, Any] = {"problems": {}, "generate": {"engine": "file", "n": 5, "files": {}}}
    for name, chosen in rows.items():
        digest = write_jsonl(folder / "inputs" / f"{name}.jsonl", chosen)
        blocks["problems"][name] = {
            "source": "path",
            "path": f"inputs/{name}.jsonl",
            "sha256": digest,
            "visible_tests": 1,
            "limit": None,
        }
        candidates = [row for problem in chosen for row in _candidates(problem)]
        digest = write_jsonl(folder / "inputs" / f"{name}_candidates.jsonl", candidates)
        blocks["generate"]["files"][name] = {
            "path": f"inputs/{name}_candidates.jsonl",
            "sha256": digest,
        }
    make_tiny_qwen2(folder / "inputs" / "backbone")
    blocks["split"] = {"scheme": "random", "test_fraction": 0.4}
    blocks["critic"] = {
        "backbone": "inputs/backbone",
        "max_length": 128,
        "steps": 6,
        "problems_per_step": 2,
        "learning_rate": 0.001,
        "evaluations_per_phase": 1,
        "threads": 1,
    }
    (folder / "params" / "tiny.yaml").write_text(json.dumps(blocks))
    project.set_params("params.yaml", {"profile": "tiny"})
    project.set_params(
        "params.yaml",
        {"evaluate": {"bootstrap_replicates": 200}, "execute": {"cpu_seconds": 1}},
    )
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "tiny project")
    return project


def _starter(count: int) -> list[dict[str, Any]]:
    text = resources.files("ouroboros.problems.starter").joinpath("problems.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()[:count]]


def _candidates(problem: dict[str, Any]) -> list[dict[str, Any]]:
    name, reference = problem["entry_point"], problem["reference"]
    codes = {
        "reference": reference,
        "return None": f"def {name}(*args):\n    return None\n",
        "raise": f"def {name}(*args):\n    raise ValueError('no')\n",
        "not python": f"def {name}(x:\n    return x\n",
        "reference with a comment": f"# solved\n{reference}",
        "loop": f"def {name}(*args):\n    while True:\n        pass\n",
    }
    return [
        {
            "problem_id": problem["problem_id"],
            # The first is the greedy candidate, the rest are samples 0, 1, ...
            "sample_index": index - 1,
            "sampling": "sample" if index else "greedy",
            "code": codes[kind],
            "completion": codes[kind],
            "finish_reason": "stop",
            "num_tokens": 10 + index,
            "sum_logprob": -5.0 - index,
        }
        for index, kind in enumerate(KINDS)
    ]
