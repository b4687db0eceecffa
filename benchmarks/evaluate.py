"""How long does one evaluation take, and how much memory?

Usage: python benchmarks/evaluate.py [--problems 1000] [--samples 100] [--replicates 10000]

Everything the evaluate stage does on labelled problems, except the critic's forward passes (scores
are drawn at random): reading the programs (static rules, normal form), every selector at every k,
all bootstrap intervals, metrics, plots and the table. Prints a line a part.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ouroboros.critic.scoring import Score
from ouroboros.evaluation.evaluate import evaluate
from ouroboros.evaluation.mixture import critic_and_logprob
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.samples import describe_programs, read_samples
from ouroboros.evaluation.selectors import SELECTORS
from ouroboros.evaluation.tables import write_evaluation
from ouroboros.records import Attempt, Candidate, LabelledProblem, Problem, Verdict
from ouroboros.static_analysis import facts

PROGRAM = '''def solve(values, limit={limit}):
    """Return how many values exceed the limit."""
    count = 0
    for index, value in enumerate(values):
        if value > limit + {step}:
            count += 1
        elif isinstance(value, str):
            count += len(value) % {modulus}
    return [count, {constant}]
'''


def make_rows(problems: int, samples: int) -> list[LabelledProblem]:
    """Distinct programs of ten lines, a third of them passing."""
    generator = random.Random(0)
    rows = []
    for number in range(problems):
        tests = tuple(f"assert solve([{value}]) == [0, 0]" for value in range(3))
        problem = Problem(
            problem_id=f"benchmark/{number}",
            prompt_text="Count the values.",
            entry_point="solve",
            tests=tests,
            visible_tests=tests[:1],
        )
        attempts = []
        for index in range(-1, samples):
            passed = generator.random() < 1 / 3
            key = {"problem_id": problem.problem_id, "sample_index": index}
            result = ("pass",) * 3 if passed else ("fail", "error", "pass")
            candidate = Candidate(
                **key,
                code=PROGRAM.format(
                    limit=index,
                    step=generator.randrange(5),
                    modulus=generator.randrange(1, 5),
                    constant=number,
                ),
                num_tokens=generator.randrange(20, 150),
                sum_logprob=-generator.random() * 50,
                sampling="greedy" if index < 0 else "sample",
            )
            verdict = Verdict(
                **key,
                verdict="pass" if passed else "wrong_answer",
                tests=result,
                visible_tests=result[:1],
                visible_outputs=(str(generator.randrange(8)),),
            )
            attempts.append(Attempt(candidate=candidate, verdict=verdict))
        rows.append(LabelledProblem(problem=problem, attempts=tuple(attempts)))
    return rows


def random_scores(pairs: Sequence[tuple[Problem, str]]) -> list[Score]:
    rewards = np.random.default_rng(0).normal(size=len(pairs))
    return [Score(reward=float(r), p_pass=float(1 / (1 + np.exp(-r)))) for r in rewards]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--replicates", type=int, default=10_000)
    arguments = parser.parse_args()

    rows = make_rows(arguments.problems, arguments.samples)
    params = EvaluateParams(bootstrap_replicates=arguments.replicates)
    selectors = [*SELECTORS, critic_and_logprob(1.0)]
    base = peak_mb()
    print(
        f"{arguments.problems} problems x {arguments.samples} samples x {len(selectors)} "
        f"selectors x {arguments.replicates} replicates"
    )
    start = time.perf_counter()
    samples = read_samples(rows, random_scores, describe_programs(rows, facts))
    read = time.perf_counter()
    evaluation = evaluate("benchmark", samples, selectors, params, critic_digest="")
    measured = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_evaluation(evaluation, Path(folder))
    written = time.perf_counter()
    print(f"read programs       {read - start:6.1f} s")
    print(f"measure and compare {measured - read:6.1f} s")
    print(f"write files         {written - measured:6.1f} s")
    print(f"total               {written - start:6.1f} s")
    print(f"peak memory         {peak_mb():6.0f} MB ({base:.0f} MB before, input and imports)")
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = [usage.ru_utime + usage.ru_stime for usage in used]
    print(f"processor time      {sum(seconds):6.1f} s, {seconds[1]:.1f} s of it in workers")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
