"""Stage problems: fetch one problem set and write it in the project's own form.

With `stricter` in its params each problem also gets extra tests, whose expected values a reference
program returns in the sandbox; what was left out is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.jsonl import write_records
from ouroboros.params import load_params
from ouroboros.problems.check import require_sound
from ouroboros.problems.params import ProblemsParams
from ouroboros.problems.sources import load_set
from ouroboros.problems.stricter import add_stricter, load_stricter
from ouroboros.store import project_root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", help="the set's role, e.g. main or transfer")
    name = parser.parse_args().set
    params = load_params(f"problems.{name}", ProblemsParams)
    problems = load_set(params, project_root())
    if params.stricter is not None:
        entries = load_stricter(params.stricter, project_root())
        problems, report = add_stricter(problems, entries, max_inputs=params.stricter.max_inputs)
        print(*(f"problems {name}: {line}" for line in report.lines()), sep="\n")
    require_sound(problems)
    write_records(Path("data/problems") / f"{name}.jsonl", problems)
    print(f"problems {name}: {len(problems)} problems")


if __name__ == "__main__":
    run_main(main)
