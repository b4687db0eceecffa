"""Draw candidates for one problem set: `python stages/generate.py <set>`.

Reads data/problems/<set>.jsonl and the params block `generate`; writes data/candidates/<set>.jsonl.
What was drawn, how fast, goes to MLflow: it is no part of the output, which is the same every time.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.generation.params import GenerateParams
from ouroboros.generation.requests import Drawn
from ouroboros.generation.run import generate
from ouroboros.jsonl import read_records, write_records
from ouroboros.params import load_params
from ouroboros.records import Problem
from ouroboros.store import cache_dir
from ouroboros.tracking import log_generation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", help="a problem set, e.g. main")
    name = parser.parse_args().set
    params = load_params("generate", GenerateParams)
    problems = read_records(Path("data/problems") / f"{name}.jsonl", Problem)
    drawn: list[Drawn] = []
    candidates = generate(problems, params, cache=cache_dir(), label=name, on_drawn=drawn.append)
    write_records(Path("data/candidates") / f"{name}.jsonl", candidates)
    for totals in drawn:
        log_generation(name, params.shown(), asdict(totals))


if __name__ == "__main__":
    run_main(main)
