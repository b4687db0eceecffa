"""The MLflow store: one run per critic, nothing twice, nothing overwritten."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ouroboros.errors import UserError
from ouroboros.tracking import EXPERIMENT, CriticRun, DatasetInput, file_digest, log_evaluation

DATA = DatasetInput(name="train", path="data/splits/train.jsonl", sha256="ab" * 32, rows=46)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose store the module's tests share: making one takes seconds."""
    root = tmp_path_factory.mktemp("project")
    (root / "dvc.yaml").write_text("stages: {}\n")
    return root


@pytest.fixture(autouse=True)
def _inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)


def client(project: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")


def runs(project: Path, tag: str, value: str) -> list[Any]:
    store = client(project)
    experiment = store.get_experiment_by_name(EXPERIMENT)
    assert experiment.artifact_location == (project / "mlartifacts").as_uri()
    found = store.search_runs([experiment.experiment_id])
    return [run for run in found if run.data.tags.get(tag) == value]


def begin(training: str) -> CriticRun:
    return CriticRun(training=training, params={"seed": 0, "backbone": "b"}, datasets=[DATA])


def test_a_training_is_one_run_with_params_curves_and_inputs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "wide-owl")
    figure = project / "m.json"
    figure.write_text("{}")
    run = begin("t1")
    for step in (1, 2):
        run.log(step, {"train_loss": 1.0 / step})
    run.finish(critic="c1", metrics={"training/brier": 0.2}, artifacts=[figure])
    (found,) = runs(project, "ouroboros.training", "t1")
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "wide-owl"
    assert found.data.params == {"seed": "0", "backbone": "b"}
    assert found.data.metrics == {"train_loss": 0.5, "training/brier": 0.2}
    assert found.data.tags["ouroboros.critic"] == "c1"
    assert found.data.tags["DVC_EXP_NAME"] == "wide-owl"
    assert found.data.tags["ouroboros.weights"] == "models/critic (DVC)"
    assert found.data.tags["ouroboros.data.train"] == "ab" * 32
    (entry,) = found.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.source) == ("train", "data/splits/train.jsonl")
    assert (project / "mlartifacts" / found.info.run_id / "artifacts" / "m.json").is_file()


def test_a_killed_training_goes_on_in_its_run(project: Path) -> None:
    killed = begin("t2")
    for step in (1, 2, 3):
        killed.log(step, {"train_loss": float(step)})
    killed.flush()
    resumed = begin("t2")
    for step in (2, 3, 4):  # it resumes from the checkpoint at step 1
        resumed.log(step, {"train_loss": float(step)})
    resumed.log(3, {"dev_best_of_k": 0.5})  # evaluated after the kill alone
    resumed.finish(critic="c2", metrics={"training/brier": 0.2}, artifacts=[])
    (found,) = runs(project, "ouroboros.training", "t2")
    history = client(project).get_metric_history(found.info.run_id, "train_loss")
    assert sorted(metric.step for metric in history) == [1, 2, 3, 4]
    assert found.data.metrics["dev_best_of_k"] == 0.5


def test_a_repeated_training_adds_nothing(project: Path) -> None:
    for _ in range(2):
        run = begin("t3")
        run.log(1, {"train_loss": 1.0})
        run.finish(critic="c3", metrics={"training/brier": 0.2}, artifacts=[])
    (found,) = runs(project, "ouroboros.training", "t3")
    for name in ("train_loss", "training/brier"):
        assert len(client(project).get_metric_history(found.info.run_id, name)) == 1


def test_evaluations_are_added_once_each_to_the_critics_run(project: Path, tmp_path: Path) -> None:
    begin("t4").finish(critic="c4", metrics={}, artifacts=[])
    (tmp_path / "table.csv").write_text("a\n")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "p.csv").write_text("b\n")
    both = [tmp_path / "table.csv", tmp_path / "plots"]
    log_evaluation("c4", {"test/critic": 0.5}, both)
    log_evaluation("c4", {"test/critic": 0.5}, both)
    log_evaluation("c4", {"test/critic": 0.6})
    (found,) = runs(project, "ouroboros.critic", "c4")
    assert found.data.tags["ouroboros.training"] == "t4"
    history = client(project).get_metric_history(found.info.run_id, "test/critic")
    assert sorted((metric.step, metric.value) for metric in history) == [(0, 0.5), (1, 0.6)]
    assert found.data.metrics["test/critic"] == 0.6
    folder = project / "mlartifacts" / found.info.run_id / "artifacts"
    assert {path.name for path in folder.rglob("*.csv")} == {"table.csv", "p.csv"}


def test_a_critic_from_elsewhere_gets_a_run(project: Path) -> None:
    log_evaluation("c5", {"test/critic": 0.5})
    log_evaluation("c5", {"test/critic": 0.7})
    (found,) = runs(project, "ouroboros.critic", "c5")
    assert found.info.status == "FINISHED"


def test_a_queued_experiments_copy_uses_the_original_store(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = project / ".dvc" / "tmp" / "exps" / "x" / "repository"
    copy.mkdir(parents=True)
    (copy / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(copy)
    log_evaluation("c6", {"test/critic": 0.5})
    assert not (copy / "mlflow.db").exists()
    assert len(runs(project, "ouroboros.critic", "c6")) == 1


def test_the_git_revision_is_a_tag(project: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e@e"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=project, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", "dvc.yaml")
    git("commit", "-qm", "project")
    log_evaluation("c7", {"test/critic": 0.5})
    (found,) = runs(project, "ouroboros.critic", "c7")
    assert found.data.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")


@pytest.mark.parametrize("uri", ["sqlite:////proc/nowhere/mlflow.db", "nonsense://x"])
def test_a_store_that_cannot_be_used_is_named(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match="the MLflow store") as caught:
        begin("t8")
    assert uri in str(caught.value)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)


def test_a_file_digest_is_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f").startswith("ba7816bf")
