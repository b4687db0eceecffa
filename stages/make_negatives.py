"""Stage make_negatives: programs made to learn from, for the train problems alone.

Reads data/splits/train.jsonl; writes data/splits/made.jsonl (the made programs with their
verdicts) and metrics/made.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.jsonl import read_records, write_json, write_records
from ouroboros.made.make import make_negatives
from ouroboros.made.params import MadeNegativesParams
from ouroboros.params import load_params
from ouroboros.records import Candidate, LabelledProblem, Verdict
from ouroboros.store import ResultStore, cache_dir
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, help="programs run at once; default: all processors")
    arguments = parser.parse_args()
    params = load_params("made_negatives", MadeNegativesParams)
    limits = load_params("execute", ExecuteParams)
    train = read_records(Path("data/splits/train.jsonl"), LabelledProblem)
    problems = [row.problem for row in train]

    def execute(candidates: Sequence[Candidate], what: str) -> list[Verdict]:
        with ResultStore(cache_dir() / "verdicts.sqlite") as store:
            return verify(
                problems, candidates, limits, workers=arguments.workers, store=store,
                label=f"make_negatives: {what}",
            )  # fmt: skip

    made = make_negatives(train, params, execute)
    write_records(Path("data/splits/made.jsonl"), made.rows)
    write_json(Path("metrics/made.json"), made.report)
    for sampling, name in (("mutant", "mutants"), ("wrong_prompt", "programs under wrong prompts")):
        counts = made.report[sampling]
        verdicts = ", ".join(
            f"{count} {kind}" for kind, count in sorted(counts["verdicts"].items())
        )
        print(f"make_negatives: {counts['made']} {name}" + (f": {verdicts}" if verdicts else ""))


if __name__ == "__main__":
    run_main(main)
