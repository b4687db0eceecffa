"""Run every candidate of a set against its problem's tests in the sandbox.

Reads data/problems/<set>.jsonl, data/candidates/<set>.jsonl; writes data/verdicts/<set>.jsonl.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.jsonl import read_records, read_records_with_place, write_records
from ouroboros.params import load_params
from ouroboros.records import Candidate, Problem
from ouroboros.store import ResultStore, cache_dir
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import check_candidates, verify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", help="a problem set, e.g. main")
    parser.add_argument("--workers", type=int, help="programs run at once; default: all processors")
    arguments = parser.parse_args()
    name = arguments.set
    params = load_params("execute", ExecuteParams)
    source = Path("data/problems") / f"{name}.jsonl"
    problems = read_records(source, Problem)
    rows = read_records_with_place(Path("data/candidates") / f"{name}.jsonl", Candidate)
    candidates = check_candidates(problems, rows, str(source))
    with ResultStore(cache_dir() / "verdicts.sqlite") as store:
        verdicts = verify(
            problems,
            candidates,
            params,
            workers=arguments.workers,
            store=store,
            label=f"execute {name}",
        )
    write_records(Path("data/verdicts") / f"{name}.jsonl", verdicts)


if __name__ == "__main__":
    run_main(main)
