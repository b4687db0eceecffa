"""Real programs: the verdict against plain execution, one nsjail per program, asserts inside it.

`make soak` (about 15 minutes). Prints the counts and, for every disagreement, what both sides say;
docs/verifier.md records them.
"""

from __future__ import annotations

import gzip
import json
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ouroboros.problems.formats import load_problems
from ouroboros.records import Candidate, Problem, Verdict
from ouroboros.verification import jail
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import default_workers, verify

DATA = Path(__file__).parents[3] / "shared" / "data"
LIMITS = ExecuteParams()

# The plain grader: what most benchmarks do, but in a jail. It shares nothing with the verifier but
# nsjail's configuration. Its result is the process's own word.
PLAIN = """
import json, os, random, resource
resource.setrlimit(resource.RLIMIT_CPU, ({cpu}, {cpu}))
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
out = os.dup(1)
os.dup2(2, 1)
random.seed(0)
code, units, function = json.loads({job!r})
space = dict(__name__='__main__')
results = []
try:
    exec(compile(code, '<candidate>', 'exec'), space)
except BaseException:
    results = ['error'] * len(units)
else:
    for unit in units:
        try:
            # A check function's own helpers must not reach the program, nor it them.
            exec(unit, space if function is None else dict({{function: space[function]}}))
            results.append('pass')
        except AssertionError:
            results.append('fail')
        except BaseException:
            results.append('error')
os.write(out, json.dumps(results).encode())
os._exit(0)
"""


def plain(spec: jail.JailSpec, slot: int, problem: Problem, code: str) -> list[str] | str:
    """Each test's result, or why the process gave none."""
    function = None
    if problem.check is None:
        units = [f"{problem.setup_code}\n{test}" for test in problem.tests]
    else:
        function = problem.entry_point
        keep = f"__candidate__ = {function}"
        units = [f"{keep}\n{problem.setup_code}\n{problem.check}\ncheck(__candidate__)"]
    script = PLAIN.format(
        cpu=LIMITS.cpu_seconds, memory=LIMITS.memory_mb << 20,
        job=json.dumps([code, units, function])
    )  # fmt: skip
    command = spec.command(slot, {}, script, [])
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "timeout"
    try:
        return list(json.loads(done.stdout))
    except ValueError:
        return f"died with status {done.returncode}"


def programs(name: str) -> tuple[list[Problem], list[Candidate]]:
    path = DATA / "samples" / name
    source = DATA / ("mbpp.jsonl" if name.startswith("mbpp") else "HumanEval.jsonl.gz")
    problems = {p.problem_id: p for p in load_problems(source)}
    opener: Any = gzip.open if path.suffix == ".gz" else open
    candidates = []
    counts: Counter[str] = Counter()
    with opener(path, "rt") as stream:
        for line in stream:
            row = json.loads(line)
            problem_id = row["problem_id"]
            code = row.get("code") or problems[problem_id].prompt_text + row["completion"]
            candidates.append(
                Candidate(problem_id=problem_id, sample_index=counts[problem_id], code=code)
            )
            counts[problem_id] += 1
    return [problems[problem_id] for problem_id in counts], candidates


@pytest.mark.parametrize(
    "name",
    [
        "mbpp_7_generators.jsonl",
        "humaneval_codegen16b_n100.jsonl.gz",
        "humaneval_davinci002_n50.jsonl.gz",
    ],
)
def test_verdicts_agree_with_plain_execution(name: str) -> None:
    problems, candidates = programs(name)
    by_id = {problem.problem_id: problem for problem in problems}
    verdicts = verify(problems, candidates, LIMITS, label=name)
    spec = jail.make_spec(None, 2 << 30, 64)
    # One outside user per thread; identical programs need not run twice here either.
    distinct = dict.fromkeys((c.problem_id, c.code) for c in candidates)
    workers = default_workers()

    def run(item: tuple[int, tuple[str, str]]) -> tuple[tuple[str, str], list[str] | str]:
        number, key = item
        return key, plain(spec, number % workers, by_id[key[0]], key[1])

    with ThreadPoolExecutor(workers) as pool:
        found = dict(pool.map(run, enumerate(distinct)))
    classes: Counter[str] = Counter()
    disagreements = []
    own_asserts = []
    for candidate, verdict in zip(candidates, verdicts, strict=True):
        other = found[candidate.problem_id, candidate.code]
        classes[verdict.verdict] += 1
        if agree(verdict, other):
            continue
        if verdict.error_type == "AssertionError" and "fail" in other:
            # The program's own assert failed. Where asserts run in its process, a failed test and
            # a program that asserts cannot be told apart.
            own_asserts.append(f"{candidate.problem_id} sample {candidate.sample_index}")
        else:
            disagreements.append((candidate, verdict, other))
    print(f"\n{name}: {len(candidates)} programs, {len(distinct)} distinct, {dict(classes)}")
    print(f"{len(own_asserts)} fail by an assert of their own: {', '.join(own_asserts)}")
    print(f"{len(disagreements)} disagree")
    for candidate, verdict, other in disagreements:
        key = f"{candidate.problem_id} sample {candidate.sample_index}"
        print(f"- {key}: {verdict.verdict} {verdict.tests} ({verdict.message}); plain: {other}")
    assert not disagreements


def agree(verdict: Verdict, other: list[str] | str) -> bool:
    if isinstance(other, str):
        # Dead without a word: for the verifier some test did not pass, and not by an assert alone.
        return not verdict.passed
    if len(other) == len(verdict.tests):
        return list(verdict.tests) == other
    return verdict.passed == (other == ["pass"])
