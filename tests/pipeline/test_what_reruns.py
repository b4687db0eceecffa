"""One param changed per block: exactly the stages that depend on it run, for real."""

from __future__ import annotations

import pytest

from tests.support.projects import Project
from tests.support.tiny_pipeline import make_tiny_pipeline

CRITIC = ["train_critic", "evaluate@test", "evaluate@transfer", "summarize"]
NEGATIVES = ["make_negatives", *CRITIC]
EXECUTE = ["execute@main", "execute@transfer", "split", *NEGATIVES]
GENERATE = ["generate@main", "generate@transfer", *EXECUTE]
EVERY = ["problems@main", "problems@transfer", *GENERATE]
EVALUATE = ["evaluate@test", "evaluate@transfer", "summarize"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny pipeline, run once."""
    made = make_tiny_pipeline(tmp_path_factory.mktemp("project") / "tiny")
    assert sorted(made.repro()) == sorted(EVERY)
    assert made.repro() == [], "a second repro ran something"
    return made


TRANSFER = ["problems@transfer", "generate@transfer", "execute@transfer"]
PROFILE = "params/tiny.yaml"


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        # One transfer problem fewer: nothing is trained again.
        (
            PROFILE,
            {"problems": {"transfer": {"limit": 5}}},
            [*TRANSFER, "split", "evaluate@transfer", "summarize"],
        ),
        # The block runs; what it wrote is the same (the file decides), so nothing follows.
        ("params.yaml", {"generate": {"seed": 1}}, ["generate@main", "generate@transfer"]),
        # No verdict rests on this limit, so the verdicts are the same and nothing follows.
        (
            "params.yaml",
            {"execute": {"cpu_seconds": 2}},
            ["execute@main", "execute@transfer", "make_negatives"],
        ),
        ("params.yaml", {"split": {"seed": 1}}, ["split", *NEGATIVES]),
        (PROFILE, {"split": {"scheme": "folds", "folds": 4, "fold": 1}}, ["split", *NEGATIVES]),
        # None are made, whatever the seed.
        ("params.yaml", {"made_negatives": {"seed": 1}}, ["make_negatives"]),
        ("params.yaml", {"made_negatives": {"mutants_per_problem": 2}}, NEGATIVES),
        ("params.yaml", {"critic": {"pointwise_weight": 0.25}}, CRITIC),
        ("params.yaml", {"curriculum": [{"name": "only", "negatives": "balanced"}]}, CRITIC),
        ("params.yaml", {"evaluate": {"k": [1, 3]}}, EVALUATE),
    ],
    ids=[
        "problems",
        "generate",
        "execute",
        "split",
        "folds",
        "made_negatives",
        "mutants",
        "critic",
        "curriculum",
        "evaluate",
    ],
)
def test_a_changed_param_reruns_exactly_what_depends_on_it(
    project: Project, file: str, change: dict, expected: list[str]
) -> None:
    project.set_params(file, change)
    assert sorted(project.repro()) == sorted(expected)
