"""`dvc exp run`, for one variant and as a queue of two at once, with the real DVC and MLflow."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.test_what_reruns import CRITIC, EVALUATE
from tests.support.projects import Project
from tests.support.tiny_pipeline import make_tiny_pipeline

pytestmark = pytest.mark.slow

CONTROL = (
    "curriculum=[{name: balanced, negatives: balanced, step_share: 2}, "
    "{name: more, negatives: balanced, step_share: 1}]"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The tiny pipeline, run once and committed."""
    made = make_tiny_pipeline(tmp_path_factory.mktemp("project") / "tiny")
    made.repro()
    made.run("git", "add", "-A")
    made.run("git", "commit", "-qm", "the first run")
    yield made
    made.run("dvc", "queue", "stop", "--kill", check=False)


def stages_of(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def mlflow_runs(project: Project) -> dict[str, Any]:
    """Name -> run, of all runs in the store at the project's root."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("ouroboros")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def shown(project: Project, *flags: str) -> dict[str, dict[str, str]]:
    """Experiment name -> its row of `dvc exp show`; the header under ''."""
    text = project.run("dvc", "exp", "show", "--csv", *flags).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    return {"": dict.fromkeys(rows[0], ""), **{row["Experiment"]: row for row in rows}}


def test_one_variant_runs_what_depends_on_it_and_shows_up(project: Project) -> None:
    done = project.run("dvc", "exp", "run", "-n", "pairs-alone", "-S", "critic.pointwise_weight=0")
    assert stages_of(done.stdout) == CRITIC
    run = mlflow_runs(project)["pairs-alone"]
    assert run.data.params["pointwise_weight"] == "0.0"
    assert run.data.tags["DVC_EXP_NAME"] == "pairs-alone"
    assert run.info.status == "FINISHED"
    row = shown(project)["pairs-alone"]
    assert float(row["critic.pointwise_weight"]) == 0
    assert len([name for name in row if name.startswith(("test.", "transfer."))]) == 12, list(row)
    assert 0 <= float(row["test.critic"]) <= 1
    changes = project.run("dvc", "params", "diff").stdout
    assert [line.split()[1] for line in changes.splitlines()[1:]] == ["critic.pointwise_weight"]
    for line in project.run("dvc", "metrics", "diff").stdout.splitlines()[1:]:
        assert line.startswith("metrics/headline.json"), line


def test_a_queue_of_two_at_once_from_a_changed_tree(project: Project) -> None:
    # The tree still holds the variant before, and one change more that no commit has.
    project.set_params("params.yaml", {"evaluate": {"bootstrap_replicates": 300}})
    queued = project.run("dvc", "exp", "run", "--queue", "-S", "critic.seed=1,2", "-S", CONTROL)
    names = re.findall(r"Queued experiment '([^']+)'", queued.stdout)
    assert len(names) == 2
    before = len(mlflow_runs(project))
    project.run("dvc", "queue", "start", "-j", "2")
    statuses = _wait(project, names)
    assert statuses == dict.fromkeys(names, "Success"), project.run(
        "dvc", "queue", "logs", names[0], check=False
    ).stdout[-3000:]

    runs = mlflow_runs(project)
    assert len(runs) == before + 2
    assert {runs[name].data.params["seed"] for name in names} == {"1", "2"}
    for name in names:
        assert runs[name].info.status == "FINISHED"
        assert runs[name].data.params["pointwise_weight"] == "0.0"
        assert runs[name].data.params["curriculum"] == "balanced:balanced more:balanced"
        assert runs[name].data.metrics["test/headline.critic"] >= 0
        place = Path(runs[name].info.artifact_uri.removeprefix("file://"))
        assert place.is_relative_to(project.folder / "mlartifacts")
        assert any(place.rglob("*.png"))
    # Nothing was left in the copies they ran in, and all share one store of finished work.
    copies = project.folder / ".dvc" / "tmp" / "exps"
    assert not [*copies.rglob("mlflow.db"), *copies.rglob("*.sqlite"), *copies.rglob("mlartifacts")]
    table = shown(project, "--only-changed")
    assert {table[name]["critic.seed"] for name in names} == {"1", "2"}
    # Few enough to read: two lists are one column each, so are the 12 headline figures.
    assert len(table[""]) < 30, list(table[""])

    # The workspace is as it was: applying one brings its files, and nothing has to run.
    applied = project.run("dvc", "exp", "apply", names[0])
    assert "error" not in applied.stdout.lower()
    assert project.params()["critic"]["seed"] in (1, 2)
    assert project.repro() == []


def _wait(project: Project, names: list[str], seconds: float = 600) -> dict[str, str]:
    """The status of each queued experiment, when none is under way any more."""
    deadline = time.monotonic() + seconds
    while True:
        text = project.run("dvc", "queue", "status").stdout
        found = {
            name: match[1]
            for name in names
            if (match := re.search(rf"\b{name}\b.*\b(Queued|Running|Success|Failed)\b", text))
        }
        if not {"Queued", "Running"} & set(found.values()) or time.monotonic() > deadline:
            return found
        time.sleep(2)


def test_only_the_evaluation_runs_again_with_other_resamples(project: Project) -> None:
    done = project.run("dvc", "exp", "run", "-S", "evaluate.bootstrap_replicates=250")
    assert stages_of(done.stdout) == EVALUATE
