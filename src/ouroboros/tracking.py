"""The MLflow store: one run per critic, in `mlflow.db` at the project's root.

Runs of generation, with their cost, stand in an experiment of their own.

The root is the original repository's even in a queued DVC experiment's copy, so that critics of all
experiments stand side by side; `MLFLOW_TRACKING_URI` points elsewhere. The weights belong to DVC;
a run says where they are and carries their digest, by which later evaluations find it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import UserError
from ouroboros.store import digest, project_root

EXPERIMENT = "ouroboros"
GENERATION = "ouroboros-generation"
CRITIC, TRAINING, EVALUATIONS = "ouroboros.critic", "ouroboros.training", "ouroboros.evaluation"
WEIGHTS = {"ouroboros.weights": "models/critic (DVC)"}
FLUSH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetInput:
    """A data file a run was made from, shown as an input of the run.

    Attributes:
        name: e.g. "train".
        path: the file, relative to the project's root.
        sha256: of its bytes.
        rows: problems in it.
    """

    name: str
    path: str
    sha256: str
    rows: int


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class CriticRun:
    """The MLflow run of one training.

    A training is known by its digest: resumed after a kill it goes on in the run it began, and
    repeated it adds nothing.

    Args:
        training: digest of everything that determines the critic.
        params: the curated params shown in MLflow's table.
        datasets: what it learns from.

    Raises:
        UserError: the store cannot be reached or written.
    """

    def __init__(
        self, *, training: str, params: Mapping[str, object], datasets: Sequence[DatasetInput]
    ) -> None:
        self._buffer: list[Any] = []
        with _store_errors():
            self._client = _client()
            self._experiment = _experiment(self._client)
            run = _newest(self._client, self._experiment, TRAINING, training)
            if run is None:
                run = self._create(training, params, datasets)
            self._run_id = run.info.run_id
            self._finished = run.info.status == "FINISHED"
        self._last_steps: dict[str, int] = {}
        self._flushed = time.monotonic()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add one step's values; what an earlier, killed run has logged already is left out."""
        if self._finished:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._buffer += [
            Metric(name, value, now, step)
            for name, value in metrics.items()
            if step > self._last_step(name)
        ]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def _last_step(self, name: str) -> int:
        if name not in self._last_steps:
            with _store_errors():
                history = self._client.get_metric_history(self._run_id, name)
            self._last_steps[name] = max((metric.step for metric in history), default=-1)
        return self._last_steps[name]

    def flush(self) -> None:
        """Write what `log` has gathered."""
        with _store_errors():
            for start in range(0, len(self._buffer), 1000):
                self._client.log_batch(self._run_id, metrics=self._buffer[start : start + 1000])
        self._buffer.clear()
        self._flushed = time.monotonic()

    def finish(
        self, *, critic: str, metrics: Mapping[str, float], artifacts: Sequence[Path]
    ) -> None:
        """Log the final metrics, once, and tag the run with the critic's digest."""
        if self._finished:
            return
        self.flush()
        with _store_errors():
            for name, value in sorted(metrics.items()):
                self._client.log_metric(self._run_id, name, value)
            for path in artifacts:
                self._client.log_artifact(self._run_id, str(path))
            self._client.set_tag(self._run_id, CRITIC, critic)
            self._client.set_terminated(self._run_id)
        self._finished = True

    def _create(
        self, training: str, params: Mapping[str, object], datasets: Sequence[DatasetInput]
    ) -> Any:
        from mlflow.entities import Dataset, Param
        from mlflow.entities import DatasetInput as Input

        name = os.environ.get("DVC_EXP_NAME") or f"critic-{training[:8]}"
        run = self._client.create_run(
            self._experiment, run_name=name, tags={TRAINING: training, **WEIGHTS, **_tags()}
        )
        self._client.log_batch(
            run.info.run_id, params=[Param(key, str(value)) for key, value in params.items()]
        )
        # MLflow's dataset digest has at most 36 characters; the whole one is a tag.
        inputs = [
            Input(
                Dataset(
                    name=item.name,
                    digest=item.sha256[:32],
                    source_type="local",
                    source=item.path,
                    profile=f'{{"problems": {item.rows}}}',
                )
            )
            for item in datasets
        ]
        self._client.log_inputs(run.info.run_id, datasets=inputs)
        for item in datasets:
            self._client.set_tag(run.info.run_id, f"ouroboros.data.{item.name}", item.sha256)
        return run


def log_evaluation(
    critic: str, metrics: Mapping[str, float], artifacts: Sequence[Path] = ()
) -> None:
    """Add an evaluation to the run of the critic it judges.

    The evaluation is known by the digest of its metrics: the same one is logged once, another one
    (say, at other k) is added at the next step, so nothing is overwritten and the table shows the
    newest. A critic that was trained elsewhere gets a run of its own.

    Args:
        critic: digest of the critic's folder (`store.folder_digest`).
        metrics: final figures, e.g. {"test/critic_best_of_8": 0.61}.
        artifacts: files and folders kept with the run, under the evaluation's digest.

    Raises:
        UserError: the store cannot be reached or written.
    """
    evaluation = digest(dict(metrics))[:16]
    with _store_errors():
        client = _client()
        experiment = _experiment(client)
        run = _newest(client, experiment, CRITIC, critic)
        if run is None:
            run = client.create_run(
                experiment,
                run_name=f"critic-{critic[:8]}",
                tags={CRITIC: critic, **WEIGHTS, **_tags()},
            )
            client.set_terminated(run.info.run_id)
        run_id = run.info.run_id
        known = [value for value in run.data.tags.get(EVALUATIONS, "").split(" ") if value]
        if evaluation in known:
            return
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        values = [
            Metric(name, float(value), now, len(known)) for name, value in sorted(metrics.items())
        ]
        folder = f"evaluation-{evaluation}"
        for path in artifacts:
            if path.is_dir():
                client.log_artifacts(run_id, str(path), f"{folder}/{path.name}")
            else:
                client.log_artifact(run_id, str(path), folder)
        # The tag in the same transaction as the values: a killed call is repeated whole.
        client.log_batch(
            run_id, metrics=values, tags=[RunTag(EVALUATIONS, " ".join([*known, evaluation]))]
        )


def log_generation(name: str, params: Mapping[str, object], totals: Mapping[str, float]) -> None:
    """Log one drawing of candidates: what was drawn, how many tokens, in what time.

    Args:
        name: the problem set.
        params: shown in MLflow's table.
        totals: `candidates`, `tokens`, `seconds` and `cut`; a rate is added.

    Raises:
        UserError: the store cannot be reached or written.
    """
    from mlflow.entities import Metric, Param

    rates = {"tokens_per_second": totals["tokens"] / totals["seconds"]} if totals["seconds"] else {}
    now = int(time.time() * 1000)
    with _store_errors():
        client = _client()
        run = client.create_run(
            _experiment(client, GENERATION), run_name=f"generate-{name}", tags=_tags()
        )
        client.log_batch(
            run.info.run_id,
            params=[Param(key, str(value)) for key, value in {"set": name, **params}.items()],
            metrics=[Metric(key, float(v), now, 0) for key, v in {**totals, **rates}.items()],
        )
        client.set_terminated(run.info.run_id)


def _tags() -> dict[str, str]:
    tags = {}
    revision = _git("rev-parse", "HEAD")
    if revision:
        tags["mlflow.source.git.commit"] = revision
        # What a run itself writes is no change to what it ran: DVC deletes metrics beforehand.
        changes = _git("status", "--porcelain", "--", ".", ":!metrics", ":!dvc.lock")
        tags["ouroboros.git.dirty"] = "true" if changes else "false"
    experiment = os.environ.get("DVC_EXP_NAME")
    if experiment:
        tags["DVC_EXP_NAME"] = experiment
    return tags


def _git(*arguments: str) -> str:
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""  # no git, or not a repository: the run has no revision to name
    return result.stdout.strip()


def _client() -> Any:
    # Usage data would be sent over the network at the first import.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    import logging

    # Its store announces every table migration of a new database.
    for name in ("mlflow.store.db.utils", "alembic", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project_root() / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri)


def _experiment(client: Any, name: str = EXPERIMENT) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        # Only the local store needs a place for artifacts; a server has its own.
        remote = os.environ.get("MLFLOW_TRACKING_URI")
        place = None if remote else (project_root() / "mlartifacts").as_uri()
        return str(client.create_experiment(name, artifact_location=place))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _newest(client: Any, experiment: str, tag: str, value: str) -> Any:
    runs = client.search_runs(
        [experiment],
        filter_string=f"tags.`{tag}` = '{value}'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return runs[0] if runs else None


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turn whatever the store raises into a `UserError` that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # sqlalchemy, requests, mlflow: each its own kinds
        uri = os.environ.get("MLFLOW_TRACKING_URI") or "mlflow.db at the project's root"
        reason = str(error).strip().splitlines()
        raise UserError(
            f"the MLflow store ({uri}) cannot be used: "
            f"{type(error).__name__}: {reason[0] if reason else ''}\n"
            "  check MLFLOW_TRACKING_URI, the folder's rights and the disk; then run the same "
            "command again"
        ) from error
