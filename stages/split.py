"""Stage split: join problems, candidates and verdicts, divide them by problem, report leakage."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.jsonl import read_records, write_json, write_records
from ouroboros.labelled import join
from ouroboros.params import load_params
from ouroboros.records import Candidate, LabelledProblem, Problem, Verdict
from ouroboros.splitting.extra import join_train, read_extra
from ouroboros.splitting.params import SplitParams
from ouroboros.splitting.split import leakage, split_problems

DATA = Path("data")


def main() -> None:
    params = load_params("split", SplitParams)
    extra = read_extra(params.extra_train)
    main_set, transfer = labelled("main"), labelled("transfer")
    split = split_problems(
        [row.problem for row in main_set],
        [row.problem for row in transfer],
        params,
        extra=[row.problem for _, row in extra],
    )
    train, counts = join_train(main_set, extra, split.train)
    write_records(DATA / "splits" / "train.jsonl", train)
    for name in ("dev", "test", "transfer"):
        ids = getattr(split, name)
        rows = [row for row in main_set + transfer if row.problem_id in ids]
        write_records(DATA / "splits" / f"{name}.jsonl", rows)
    write_records(DATA / "splits" / "near_duplicates.jsonl", split.near_duplicates)
    report = leakage(split, params.near_duplicate_threshold)
    if params.extra_train:
        report["extra_train"] = asdict(counts)
        print(
            f"split: extra_train adds {counts.problems} problems to train and further attempts to "
            f"{counts.grown_problems}, {counts.attempts} attempts in all; left out, as their "
            f"problems are evaluated or excluded: {counts.left_out_problems} problems with "
            f"{counts.left_out_attempts} attempts"
        )
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
