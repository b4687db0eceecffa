"""Stage problems: fetch one problem set and write it in the project's own form."""

from __future__ import annotations

import argparse
from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.jsonl import write_records
from ouroboros.params import load_params
from ouroboros.problems.check import require_sound
from ouroboros.problems.params import ProblemsParams
from ouroboros.problems.sources import load_set
from ouroboros.store import project_root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", help="the set's role, e.g. main or transfer")
    name = parser.parse_args().set
    problems = load_set(load_params(f"problems.{name}", ProblemsParams), project_root())
    require_sound(problems)
    write_records(Path("data/problems") / f"{name}.jsonl", problems)
    print(f"problems {name}: {len(problems)} problems")


if __name__ == "__main__":
    run_main(main)
