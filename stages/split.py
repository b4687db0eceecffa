"""Stage split: join problems, candidates and verdicts, divide them by problem, report leakage."""

from __future__ import annotations

from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.jsonl import read_records, write_json, write_records
from ouroboros.labelled import join
from ouroboros.params import load_params
from ouroboros.records import Candidate, LabelledProblem, Problem, Verdict
from ouroboros.splitting.params import SplitParams
from ouroboros.splitting.split import leakage, split_problems

DATA = Path("data")


def main() -> None:
    params = load_params("split", SplitParams)
    main_set, transfer = labelled("main"), labelled("transfer")
    split = split_problems(
        [row.problem for row in main_set], [row.problem for row in transfer], params
    )
    for name in ("train", "dev", "test", "transfer"):
        ids = getattr(split, name)
        rows = [row for row in main_set + transfer if row.problem_id in ids]
        write_records(DATA / "splits" / f"{name}.jsonl", rows)
    write_records(DATA / "splits" / "near_duplicates.jsonl", split.near_duplicates)
    report = leakage(split, params.near_duplicate_threshold)
    write_json(Path("metrics/leakage.json"), report)
    print(
        f"split: {len(split.train)} train, {len(split.dev)} dev, {len(split.test)} test, "
        f"{len(split.transfer)} transfer problems; near-duplicates of train or dev: "
        f"{sum(row.split == 'test' for row in split.near_duplicates)} in test, "
        f"{sum(row.split == 'transfer' for row in split.near_duplicates)} in transfer"
    )


def labelled(name: str) -> list[LabelledProblem]:
    return join(
        read_records(DATA / "problems" / f"{name}.jsonl", Problem),
        read_records(DATA / "candidates" / f"{name}.jsonl", Candidate),
        read_records(DATA / "verdicts" / f"{name}.jsonl", Verdict),
    )


if __name__ == "__main__":
    run_main(main)
