"""train_critic: learn to predict the verdicts, and write the critic with its training metrics."""

from __future__ import annotations

from pathlib import Path

from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.errors import run_main
from ouroboros.jsonl import read_records
from ouroboros.params import load_params
from ouroboros.records import LabelledProblem

TRAIN, DEV = Path("data/splits/train.jsonl"), Path("data/splits/dev.jsonl")
CRITIC = Path("models/critic")
METRICS = Path("metrics/training.json")
CURVE = Path("plots/training/curve.csv")


def main() -> None:
    params = load_params("critic", CriticParams)
    curriculum = load_params("curriculum", tuple[CurriculumPhase, ...])
    train, dev = read_records(TRAIN, LabelledProblem), read_records(DEV, LabelledProblem)

    # Imported late: params and data are checked before torch takes its seconds to load.
    from ouroboros.critic.train import Outputs, train_critic

    outputs = Outputs(critic=CRITIC, metrics=METRICS, curve=CURVE)
    train_critic(params=params, curriculum=curriculum, train=train, dev=dev, outputs=outputs)


if __name__ == "__main__":
    run_main(main)
