"""A finished run's files, with programs and prompts that try to become part of the page."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ouroboros.critic.scoring import Score
from ouroboros.evaluation.evaluate import evaluate
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.samples import ScoreFunction
from ouroboros.evaluation.selectors import SELECTORS
from ouroboros.evaluation.tables import write_evaluation
from ouroboros.jsonl import write_json, write_records
from ouroboros.records import LabelledProblem, Problem
from tests.evaluation.synthetic import (
    critic_of_quality,
    make_attempt,
    make_problem,
    make_rows,
    read,
)

HOSTILE = (
    "</code></pre></script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
)


def fooled(score: ScoreFunction) -> ScoreFunction:
    """A critic that is surest of the hostile program."""

    def scores(pairs: Sequence[tuple[Problem, str]]) -> list[Any]:
        sure = Score(reward=99.0, p_pass=0.99)
        return [
            sure if HOSTILE in code else found
            for (_, code), found in zip(pairs, score(pairs), strict=True)
        ]

    return scores


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, for tests that only read them."""
    root = tmp_path_factory.mktemp("project")
    params = EvaluateParams(bootstrap_replicates=300, vote_resamples=10)
    for split, count in (("test", 40), ("transfer", 6)):
        rows = make_rows(count, 8, extra=2)
        problem = make_problem(990)
        object.__setattr__(problem, "prompt_text", HOSTILE)
        attempts = tuple(
            make_attempt(problem, n, passed=False, code=f"def f(x): return '{HOSTILE}', {n}")
            for n in range(-1, 8)
        )
        rows.append(LabelledProblem(problem=problem, attempts=attempts))
        found = evaluate(
            split, read(rows, fooled(critic_of_quality(rows, 0.5))), SELECTORS, params,
            critic_digest="ab" * 32, near_duplicates={rows[0].problem_id},
        )  # fmt: skip
        write_evaluation(found, root)
        name = "main" if split == "test" else split
        write_records(root / "data" / "problems" / f"{name}.jsonl", [row.problem for row in rows])
    write_json(
        root / "metrics" / "training.json", {"data": {"train_problems": 9}, "kept": {"step": 3}}
    )
    write_json(
        root / "metrics" / "leakage.json",
        {"test": {"near_duplicates": 1, "problems": 41}, "threshold": 0.8},
    )
    (root / "plots" / "training").mkdir(parents=True)
    (root / "plots" / "training" / "curve.csv").write_text(
        "step,phase,loss,dev_best_of_k\n1,easy,0.7,0.2\n2,easy,0.5,\n3,hard,0.4,0.35\n"
    )
    (root / "params").mkdir()
    (root / "params.yaml").write_text(
        "profile: cpu\ngenerate: {seed: 7, temperature: 0.8, note: <b>bold</b>}\n"
    )
    (root / "params" / "cpu.yaml").write_text("critic: {steps: 3}\ngenerate: {n: 8}\n")
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "project"))
