"""A critic as an MLflow model: what MLflow loads (`_load_pyfunc`), and how it is written.

The model takes rows of a task, a program and, if there are any, the tests that the task shows, and
gives the reward and `p_pass` of each. It holds the critic's folder and this package's code, so that
it can be loaded where the project is not installed. It is no part of the pipeline's outputs.
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError, UserError

EXAMPLE = {
    "task": "Write a function to check whether a number is even.",
    "program": "def is_even(n):\n    return n % 2 == 0\n",
    "tests": "assert is_even(4) == True",
}
COLUMNS = ("task", "program", "tests")
REQUIREMENTS = ("mlflow", "numpy", "pandas", "safetensors", "tokenizers", "torch", "transformers")


def export_mlflow(critic: Path, target: Path) -> None:
    """Write a critic as an MLflow model.

    Args:
        critic: a folder the train_critic stage wrote.
        target: the model's folder, which must not be there yet.

    Raises:
        UserError: no critic there, something at the target already, or it cannot be written.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(
            f"{target}: there is something already\n  give another folder, or remove it"
        )
    from ouroboros.critic.scoring import load_critic

    load_critic(critic)
    import mlflow.pyfunc
    import pandas
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec("string", name, required=name != "tests") for name in COLUMNS]),
        outputs=Schema([ColSpec("double", "reward"), ColSpec("double", "p_pass")]),
    )
    try:
        mlflow.pyfunc.save_model(
            target,
            loader_module="ouroboros.mlflow_model",
            data_path=str(critic),
            code_paths=[str(Path(__file__).parent)],
            signature=signature,
            # MLflow tries it, so that what is written is known to answer.
            input_example=pandas.DataFrame([EXAMPLE]),
            pip_requirements=[f"{n}=={importlib.metadata.version(n)}" for n in REQUIREMENTS],
        )
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error}") from error


class CriticModel:
    """What MLflow calls: `predict` on a table with the columns `COLUMNS`."""

    def __init__(self, folder: Path) -> None:
        from ouroboros.critic.scoring import load_critic

        self._critic = load_critic(folder)

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> Any:
        """Reward and p_pass of each row, in order.

        Args:
            rows: a pandas data frame; `tests` holds asserts, one a line, and may be missing.

        Raises:
            InputError: a row without a task, or with tests that are none.
        """
        import pandas

        from ouroboros.answering.tasks import as_read, make_problem

        items = []
        for number, row in enumerate(rows.to_dict("records")):
            tests = row.get("tests") or ""
            lines = [line for line in str(tests).splitlines() if line.strip()]
            try:
                problem = make_problem(row["task"], lines)
            except InputError as error:
                raise InputError(f"row {number}: {error}") from None
            items.append((as_read(problem, row["program"]), row["program"]))
        scores = self._critic.score(items)
        return pandas.DataFrame(
            {"reward": [s.reward for s in scores], "p_pass": [s.p_pass for s in scores]},
            columns=["reward", "p_pass"],
        )


def _load_pyfunc(path: str) -> CriticModel:
    """MLflow's entry point."""
    return CriticModel(Path(path))
