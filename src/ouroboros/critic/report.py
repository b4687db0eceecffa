"""What a training reports: metrics, curve, and the params shown beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ouroboros.critic.params import CriticParams, CurriculumPhase

CURVE_POINTS = 40
"""Rows per phase in the training curve: each the mean of the steps since the last."""


def run_params(params: CriticParams, curriculum: tuple[CurriculumPhase, ...]) -> dict[str, object]:
    """The params worth a column when critics are compared."""
    names = (
        "auxiliary_weight", "backbone", "code", "frozen_layers", "learning_rate", "likelihood",
        "max_length", "pairwise_weight", "pointwise_weight", "problems_per_step",
        "programs_per_problem", "seed", "static_facts", "steps",
    )  # fmt: skip
    chosen: dict[str, object] = {name: getattr(params, name) for name in names}
    chosen["lora_rank"] = params.lora.rank if params.lora is not None else "none"
    chosen["curriculum"] = " ".join(f"{phase.name}:{phase.negatives}" for phase in curriculum)
    return chosen


def final_metrics(metrics: dict[str, Any]) -> dict[str, float]:
    """The written metrics as flat MLflow names: training/kept/dev_best_of_k, ..."""
    flat: dict[str, float] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(f"{prefix}/{key}", item)
        elif not isinstance(value, str):
            flat[prefix] = float(value)

    walk("training", metrics)
    return flat


def dev_metrics(figures: dict[str, float]) -> dict[str, float]:
    return {f"dev_{name}": value for name, value in figures.items() if name != "step"}


def phase_report(result: dict[str, Any]) -> dict[str, Any]:
    return {
        "steps": result["steps"],
        "groups": result["groups"],
        "groups_with_pairs": result["groups_with_pairs"],
        "comparisons": result["comparisons"],
        "programs_encoded": result["programs"],
        "last_dev_best_of_k": result["history"][-1]["best_of_k"],
        "best_step": result["first_step"] + result["best"]["step"],
        "best_dev_best_of_k": result["best"]["best_of_k"],
        "best_dev_pair_accuracy": result["best"]["pair_accuracy"],
    }


def curve(phases: Sequence[dict[str, Any]], baseline: dict[str, float]) -> Iterator[str]:
    """The training curve as CSV: means over the steps since the row before.

    The dev columns hold the last evaluation made so far.
    """
    names = ("loss", "pairwise_loss", "pointwise_loss", "auxiliary_loss", "pair_accuracy")
    yield ",".join(["step", "phase", *names, "dev_best_of_k", "dev_pair_accuracy"])
    dev = (baseline["dev_untrained_best_of_k"], baseline["dev_untrained_pair_accuracy"])
    for result in phases:
        evaluated = {int(entry["step"]): entry for entry in result["history"]}
        every = max(1, result["steps"] // CURVE_POINTS)
        window: list[dict[str, float]] = []
        for entry in result["log"]:
            window.append(entry)
            step = int(entry["step"])
            if step in evaluated:
                dev = (evaluated[step]["best_of_k"], evaluated[step]["pair_accuracy"])
            if len(window) < every and step not in evaluated:
                continue
            means = []
            for name in names:
                values = [float(row[name]) for row in window if name in row]
                means.append(f"{sum(values) / len(values):.5f}" if values else "")
            row = [str(result["first_step"] + step), result["name"], *means]
            yield ",".join([*row, *(f"{value:.5f}" for value in dev)])
            window = []


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, 5) if isinstance(value, float) else value
