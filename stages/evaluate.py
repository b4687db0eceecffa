"""Stage evaluate: the critic and its rivals on a split the critic has never seen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ouroboros.critic.scoring import Critic, Score, load_critic, read_phases
from ouroboros.errors import run_main
from ouroboros.evaluation.evaluate import evaluate
from ouroboros.evaluation.mixture import critic_and_logprob, fit_weight
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.phases import phase_metrics
from ouroboros.evaluation.samples import ScoreFunction, describe_programs, read_samples
from ouroboros.evaluation.selectors import SELECTORS
from ouroboros.evaluation.tables import write_evaluation
from ouroboros.jsonl import read_records
from ouroboros.params import load_params
from ouroboros.progress import Progress
from ouroboros.records import LabelledProblem, NearDuplicates, Problem
from ouroboros.static_analysis import facts
from ouroboros.store import folder_digest

SPLITS = Path("data/splits")
CRITIC = Path("models/critic")
PHASES = Path("models/phases")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", choices=["test", "transfer"])
    split = parser.parse_args().split

    params = load_params("evaluate", EvaluateParams)
    rows = read_records(SPLITS / f"{split}.jsonl", LabelledProblem)
    dev = read_records(SPLITS / "dev.jsonl", LabelledProblem)
    programs = describe_programs([*dev, *rows], facts)
    critic = load_critic(CRITIC)

    def score_with(critic: Critic, what: str) -> ScoreFunction:
        def score(pairs: Sequence[tuple[Problem, str]]) -> list[Score]:
            with Progress(len(pairs), f"evaluate {split}: {what}", "programs") as progress:
                return critic.score(pairs, progress.advance)

        return score

    weight = fit_weight(read_samples(dev, score_with(critic, "score dev"), programs))
    samples = read_samples(rows, score_with(critic, "score"), programs)
    critics, kept = read_phases(PHASES, CRITIC)
    phases = {
        name: samples
        if name == kept
        else read_samples(rows, score_with(load_critic(path), f"score phase {name}"), programs)
        for name, path in critics.items()
    }
    selectors = [*SELECTORS, critic_and_logprob(weight)]
    evaluation = evaluate(
        split,
        samples,
        selectors,
        params,
        critic_digest=folder_digest(CRITIC),
        near_duplicates={
            item.problem_id
            for item in read_records(SPLITS / "near_duplicates.jsonl", NearDuplicates)
            if item.split == split
        },
        fitted={"logprob_weight": weight},
        phases=phase_metrics(phases, kept, params),
    )
    write_evaluation(evaluation, Path())


if __name__ == "__main__":
    run_main(main)
