"""The evaluate stage's script, with a critic of known quality in place of the trained one."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ouroboros.errors import UserError
from ouroboros.jsonl import write_records
from ouroboros.records import NearDuplicates, Neighbour
from ouroboros.store import folder_digest
from tests.evaluation.synthetic import critic_of_quality, make_rows

ROOT = Path(__file__).resolve().parents[2]


def load_stage(name):
    spec = importlib.util.spec_from_file_location(f"stage_{name}", ROOT / "stages" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with dev, test and transfer splits and a folder for the critic."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "params", tmp_path / "params")
    for seed, split in enumerate(("dev", "test", "transfer")):
        write_records(tmp_path / f"data/splits/{split}.jsonl", make_rows(12, 4, seed=seed))
    near = NearDuplicates(
        problem_id="synthetic/3", split="test",
        neighbours=(Neighbour(problem_id="synthetic/1", similarity=0.9),),
    )  # fmt: skip
    write_records(tmp_path / "data/splits/near_duplicates.jsonl", [near])
    (tmp_path / "models/critic").mkdir(parents=True)
    (tmp_path / "models/critic/config.json").write_text("{}")
    (tmp_path / "models/phases").mkdir()
    (tmp_path / "models/phases/phases.json").write_text(
        json.dumps({"kept": "balanced", "phases": ["balanced", "hard"]})
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate_split(monkeypatch, split):
    stage = load_stage("evaluate")
    rows = [row for seed in range(3) for row in make_rows(12, 4, seed=seed)]

    def load_critic(path):
        score = critic_of_quality(rows, 0.0 if path.name == "hard" else 2.0)
        return SimpleNamespace(score=lambda pairs, advance: score(pairs))

    monkeypatch.setattr(stage, "load_critic", load_critic)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", split])
    stage.main()


def test_the_stage_writes_what_dvc_expects_and_says_which_critic_it_was(project, monkeypatch):
    evaluate_split(monkeypatch, "test")
    metrics = json.loads((project / "metrics/test.json").read_text())
    assert metrics["sizes"]["k"] == 4
    assert metrics["critic_digest"] == folder_digest(project / "models/critic")
    assert metrics["fitted_on_dev"]["logprob_weight"] >= 0
    assert "critic_and_logprob" in metrics["selectors"]
    kept, other = metrics["phases"]["balanced"], metrics["phases"]["hard"]
    assert kept["kept"]
    assert kept["pass_rate"] == metrics["headline"]["critic"]
    assert not other["kept"]
    assert other["minus_kept"]["difference"] == pytest.approx(
        other["pass_rate"] - kept["pass_rate"], abs=1e-3
    )
    assert metrics["subsets"]["without_near_duplicates"]["problems"] == 11
    assert (project / "plots/test/best_of_k.csv").is_file()
    assert (project / "data/tables/test.csv").is_file()


def test_the_summary_is_written_printed_and_logged_once_to_the_critics_run(
    project, monkeypatch, capsys
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (project / "dvc.yaml").write_text("stages: {}\n")
    for split in ("test", "transfer"):
        evaluate_split(monkeypatch, split)
    stage = load_stage("summarize")
    stage.main()
    stage.main()
    text = capsys.readouterr().out
    assert (
        text.count("verifier pass@1 > likelihood pass@1: ") == 10
    )  # two sets, two labels, a subset, twice
    summary = json.loads((project / "metrics/summary.json").read_text())
    assert set(summary) == {"test", "transfer"}
    headline = json.loads((project / "metrics/headline.json").read_text())
    assert headline["test"]["critic"] == summary["test"]["pass_rate"]["critic"]
    assert headline["transfer"]["low"] == summary["transfer"]["verifier_over_baseline"]["low"]
    assert sum(map(len, headline.values())) == 12, "each is a column of dvc exp show"

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "ouroboros"]
    (run,) = client.search_runs([experiment.experiment_id])
    rate = summary["test"]["pass_rate"]["critic"]
    assert run.data.metrics["test/headline.critic"] == rate
    assert len(client.get_metric_history(run.info.run_id, "test/headline.critic")) == 1
    (folder,) = client.list_artifacts(run.info.run_id)
    assert "  critic after each phase: balanced " in text
    assert run.data.metrics["test/phases.hard.pass_rate"] >= 0
    names = {Path(item.path).name for item in client.list_artifacts(run.info.run_id, folder.path)}
    assert {"test_best_of_k.png", "transfer_rewards.png", "test.csv"} <= names


def test_a_missing_split_and_a_missing_critic_are_named(project, monkeypatch):
    stage = load_stage("evaluate")
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "test"])
    shutil.rmtree(project / "models/critic")
    with pytest.raises(UserError, match="no critic here"):
        stage.main()
    shutil.rmtree(project / "models/phases")
    rows = make_rows(12, 4, seed=1)
    score = critic_of_quality([*rows, *make_rows(12, 4, seed=0)], 2.0)
    monkeypatch.setattr(
        stage,
        "load_critic",
        lambda path: SimpleNamespace(score=lambda pairs, advance: score(pairs)),
    )
    with pytest.raises(UserError, match=r"phases.json: cannot be read"):
        stage.main()
    (project / "data/splits/test.jsonl").unlink()
    with pytest.raises(UserError, match=r"test.jsonl: no such file"):
        stage.main()


def test_the_folder_digest_sees_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = folder_digest(tmp_path)
    assert first == folder_digest(tmp_path)
    (tmp_path / "a").write_text("2")
    second = folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, folder_digest(tmp_path)}) == 3
