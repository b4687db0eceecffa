"""Many candidates, and a machine that is busy with something else.

`make soak`. docs/verifier.md records what it prints.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

from ouroboros.problems.formats import load_problems
from ouroboros.records import Candidate, Verdict
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify
from tests.soak.soak_exactness import DATA, programs

# Programs at the edge of the limits, where load could decide.
EDGE = (
    "def {f}(*a):\n    while True: pass",
    "import time\ndef {f}(*a):\n    time.sleep(60)",
    "def {f}(*a):\n    return [0] * 10 ** 9",
    "import time\nwhile time.process_time() < 1.5: pass\ndef {f}(*a): return None",
    "import threading, time\ndef {f}(*a):\n    for _ in range(4):\n"
    "        threading.Thread(target=time.sleep, args=(.2,)).start()\n    return 1",
    "def {f}(*a):\n    print('x' * 70000)\n    return 1",
    "import os\ndef {f}(*a): os._exit(0)",
)  # fmt: skip


def mixed(count: int) -> tuple[list, list[Candidate]]:
    problems, candidates = programs("mbpp_7_generators.jsonl")
    entry_points = {p.problem_id: p.entry_point for p in problems}
    chosen = random.Random(0).sample(candidates, count - 5 * len(EDGE))
    chosen += [
        Candidate(
            problem_id=problem.problem_id, sample_index=1000 + 10 * number + n,
            code=text.format(f=entry_points[problem.problem_id]),
        )
        for number, text in enumerate(EDGE)
        for n, problem in enumerate(problems[number * 5 : number * 5 + 5])
    ]  # fmt: skip
    return problems, chosen


def test_eight_busy_processes_change_no_verdict() -> None:
    problems, candidates = mixed(1000)
    begin = time.monotonic()
    idle = verify(problems, candidates, ExecuteParams(), label="idle")
    middle = time.monotonic()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        loaded = verify(problems, candidates, ExecuteParams(), label="8 busy processes")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print(f"\n{len(candidates)} programs: idle {middle - begin:.0f} s, "
          f"busy {time.monotonic() - middle:.0f} s")  # fmt: skip
    different = [(a, b) for a, b in zip(idle, loaded, strict=True) if label(a) != label(b)]
    for one, other in different:
        print(f"idle {one}\nbusy {other}")
    assert not different


def label(verdict: Verdict) -> tuple[object, ...]:
    """All of a verdict but its message."""
    return (verdict.problem_id, verdict.sample_index, verdict.verdict, verdict.tests,
            verdict.error_type, verdict.outputs)  # fmt: skip


class PeakMemory(threading.Thread):
    """The largest sum of resident memory of this process and all below it, sampled, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = self.workers = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        from tests.verification.test_faults import descendants

        page = os.sysconf("SC_PAGE_SIZE")
        while not self.stop.wait(0.5):
            total = 0
            for pid in descendants():
                try:  # proportional: pages shared by a fork count once
                    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    total += int(text.split("Pss:")[1].split()[0]) * 1024
                except (OSError, IndexError):
                    continue
            self.workers = max(self.workers, total / 1e6)
            own = int(Path("/proc/self/statm").read_text().split()[1]) * page
            self.own = max(self.own, own / 1e6)


def test_fifty_thousand_candidates_run_in_bounded_memory() -> None:
    problems = [p for p in load_problems(DATA / "mbpp.jsonl") if p.problem_id != "mbpp/123"]
    # Distinct programs: none is taken from the one before it.
    candidates = [
        Candidate(
            problem_id=problem.problem_id, sample_index=index,
            code=f"{problem.reference}\n_repetition = {index}\n",
        )
        for index in range(-(-50_000 // len(problems)))
        for problem in problems
    ][:50_000]  # fmt: skip
    memory = PeakMemory()
    memory.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    begin = time.monotonic()
    verdicts = verify(problems, candidates, ExecuteParams(), label="50,000")
    seconds = time.monotonic() - begin
    memory.stop.set()
    memory.join()
    print(f"\n{len(verdicts)} programs in {seconds:.0f} s, {len(verdicts) / seconds:.0f}/s; "
          f"own peak {memory.own:.0f} MB (before {before:.0f}), "
          f"workers together {memory.workers:.0f} MB")  # fmt: skip
    assert all(verdict.passed for verdict in verdicts)
    assert memory.own < 1000
    assert memory.workers < 2 * 150 * 2
