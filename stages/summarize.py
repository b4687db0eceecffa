"""Stage summarize: the table that answers whether the verifier beat the baseline."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.evaluation.figures import draw_figures
from ouroboros.evaluation.summary import (
    HEADLINE,
    SUMMARY,
    flatten,
    headline,
    print_summary,
    read_metrics,
    summarize,
)
from ouroboros.jsonl import write_json
from ouroboros.tracking import log_evaluation

SPLITS = ("test", "transfer")


def main() -> None:
    root = Path()
    evaluations = {split: read_metrics(root, split) for split in SPLITS}
    summary = summarize(evaluations)
    write_json(root / "metrics" / f"{SUMMARY}.json", summary)
    write_json(root / "metrics" / f"{HEADLINE}.json", headline(summary))
    with tempfile.TemporaryDirectory() as folder:
        figures = [path for split in SPLITS for path in draw_figures(root, split, Path(folder))]
        tables = [root / "data" / "tables" / f"{split}.csv" for split in SPLITS]
        critic = evaluations[SPLITS[0]]["critic_digest"]
        log_evaluation(critic, flatten(evaluations), [*figures, *tables])
    if "OUROBOROS_TABLE_FOLLOWS" not in os.environ:  # make repro prints it after every run
        print_summary(root)


if __name__ == "__main__":
    run_main(main)
