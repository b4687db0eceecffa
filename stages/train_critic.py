"""Stage train_critic: learn from the verdicts to predict them, and write the critic."""

from __future__ import annotations

from pathlib import Path

from ouroboros.critic.pairs import with_made
from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.errors import run_main
from ouroboros.jsonl import read_records
from ouroboros.params import load_params
from ouroboros.records import LabelledProblem
from ouroboros.tracking import CriticRun, DatasetInput, file_digest

SPLITS = {name: Path("data/splits") / f"{name}.jsonl" for name in ("train", "made", "dev")}
CRITIC = Path("models/critic")
PHASES = Path("models/phases")
METRICS = Path("metrics/training.json")
CURVE = Path("plots/training/curve.csv")


def main() -> None:
    params = load_params("critic", CriticParams)
    curriculum = load_params("curriculum", tuple[CurriculumPhase, ...])
    rows = {name: read_records(path, LabelledProblem) for name, path in SPLITS.items()}

    # Imported late: params and data are read before torch takes its seconds to load.
    from ouroboros.critic.report import run_params
    from ouroboros.critic.train import Outputs, train_critic

    def start_run(training: str) -> CriticRun:
        return CriticRun(
            training=training,
            params=run_params(params, curriculum),
            datasets=[
                DatasetInput(
                    name=name, path=str(path), sha256=file_digest(path), rows=len(rows[name])
                )
                for name, path in SPLITS.items()
            ],
        )

    train_critic(
        params=params,
        curriculum=curriculum,
        train=with_made(rows["train"], rows["made"]),
        dev=rows["dev"],
        outputs=Outputs(critic=CRITIC, phases=PHASES, metrics=METRICS, curve=CURVE),
        start_run=start_run,
    )


if __name__ == "__main__":
    run_main(main)
