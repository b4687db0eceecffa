"""Stricter tests: extra tests against EvalPlus' own checker, on real programs.

`make soak` (about fifteen minutes), after `make peers`. Both sides get the same programs and the
same inputs; each has its own expected values, ours from the sandbox, EvalPlus' from running its
solution in its own process. Prints the counts and every disagreement, which docs/stricter_tests.md
records.
"""

from __future__ import annotations

import ast
import json
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ouroboros.problems.evalplus import Entry, load_entries
from ouroboros.problems.stricter import add_stricter
from ouroboros.records import Candidate, Problem, Verdict
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify
from tests.soak.soak_exactness import DATA, programs

PEERS_PYTHON = Path(__file__).parents[2] / ".peers" / "bin" / "python"

# EvalPlus' checker, called as its command does: details for every input, its default time limits.
PEER = """
import json, sys
from evalplus.eval import untrusted_check
from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
from evalplus.gen.util import trusted_exec

sys.set_int_max_str_digits(0)
for line in sys.stdin:
    job = json.loads(line)
    name = job["entry_point"]
    fresh = lambda: [eval("[" + text + "]") for text in job["inputs"]]
    expected, times = trusted_exec(
        job["solution"], fresh(), name, record_time=True,
        output_not_none=job["dataset"] == "mbpp" and name in MBPP_OUTPUT_NOT_NONE_TASKS,
    )
    results = []
    for code in job["programs"]:
        status, details = untrusted_check(
            job["dataset"], code, fresh(), name, expected, job["atol"], times
        )
        results.append([status, [bool(passed) for passed in details]])
    print(json.dumps(results), flush=True)
"""


def arguments_of(test: str, name: str) -> str:
    """The source of the arguments with which a test calls the entry point."""
    (call,) = (
        node
        for node in ast.walk(ast.parse(test))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    )
    return ", ".join(map(ast.unparse, call.args))


def evalplus_job(problem: Problem, entry: Entry, codes: list[str]) -> dict[str, Any]:
    alias = f"\n\n{entry.entry_point} = {problem.entry_point}\n"
    renamed = problem.entry_point != entry.entry_point
    return {
        "dataset": problem.problem_id.split("/")[0],
        "entry_point": entry.entry_point,
        "solution": entry.solution,
        "atol": entry.atol,
        "inputs": [arguments_of(test, problem.entry_point) for test in problem.extra_tests],
        "programs": [code + alias if renamed else code for code in codes],
    }


@pytest.mark.skipif(not DATA.is_dir(), reason="the reference data (../shared/data) is not here")
@pytest.mark.skipif(not PEERS_PYTHON.is_file(), reason="EvalPlus is not installed: make peers")
@pytest.mark.parametrize(
    ("samples", "plus", "count"),
    [
        ("mbpp_7_generators.jsonl", "MbppPlus.jsonl.gz", 200),
        ("humaneval_davinci002_n50.jsonl.gz", "HumanEvalPlus.jsonl.gz", 300),
    ],
)
def test_extra_tests_agree_with_evalplus(samples: str, plus: str, count: int) -> None:
    problems, candidates = programs(samples)
    entries = {entry.problem_id: entry for entry in load_entries(DATA / plus)}
    # Extra tests of another source would not be EvalPlus'.
    bare = [
        replace(problem, extra_tests=()) for problem in problems if problem.problem_id in entries
    ]
    known = {p.problem_id: p for p in add_stricter(bare, list(entries.values()))[0]}
    rest = [c for c in candidates if c.problem_id in known and known[c.problem_id].extra_tests]
    chosen = [rest[number * len(rest) // count] for number in range(count)]
    verdicts = verify(list(known.values()), chosen, ExecuteParams(), label=samples)
    by_problem: dict[str, list[tuple[Candidate, Verdict]]] = {}
    for candidate, verdict in zip(chosen, verdicts, strict=True):
        by_problem.setdefault(candidate.problem_id, []).append((candidate, verdict))
    jobs = [
        evalplus_job(known[key], entries[key], [c.code for c, _ in pairs])
        for key, pairs in by_problem.items()
    ]
    done = subprocess.run(
        [PEERS_PYTHON, "-c", PEER], input="".join(json.dumps(job) + "\n" for job in jobs),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    counts: Counter[str] = Counter()
    disagreements = []
    for pairs, line in zip(by_problem.values(), done.stdout.splitlines(), strict=True):
        for (candidate, verdict), (status, details) in zip(pairs, json.loads(line), strict=True):
            ours = all(result == "pass" for result in verdict.extra_tests)
            theirs = status == "pass"
            counts[f"ours {ours}, EvalPlus {theirs}"] += 1
            # What EvalPlus did not come to is no answer of its own.
            pairwise = list(zip(verdict.extra_tests, details, strict=False))
            counts["single tests"] += len(pairwise)
            apart = [n for n, (r, d) in enumerate(pairwise) if (r == "pass") is not d]
            counts["single tests that differ"] += len(apart)
            if ours is not theirs or apart:
                disagreements.append((candidate, verdict, status, details, apart))
    print(f"\n{samples}: {len(chosen)} programs of {len(by_problem)} problems, {dict(counts)}")
    for candidate, verdict, status, details, apart in disagreements:
        key = f"{candidate.problem_id} sample {candidate.sample_index}"
        ours_by_result = dict(Counter(verdict.extra_tests))
        theirs_by_result = f"{status}, {sum(details)} of {len(details)} passed"
        print(f"- {key}: {ours_by_result}; EvalPlus: {theirs_by_result}; {len(apart)} differ")
        for number in apart[:1]:
            test = known[candidate.problem_id].extra_tests[number]
            print(f"    {test[:200]}: ours {verdict.extra_tests[number]}")
    agree = sum(n for key, n in counts.items() if key in ("ours True, EvalPlus True",
                                                         "ours False, EvalPlus False"))  # fmt: skip
    assert agree >= 0.99 * len(chosen), f"only {agree} of {len(chosen)} agree"
