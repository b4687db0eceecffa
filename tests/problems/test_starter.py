"""The starter set, which is written for this project."""

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from ouroboros.problems.check import find_faults
from ouroboros.problems.formats import load_problems
from ouroboros.problems.sources import STARTER
from ouroboros.records import Candidate, Problem
from ouroboros.splitting.similarity import near_duplicates
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(scope="module")
def starter() -> list[Problem]:
    return load_problems(STARTER)


def test_size_and_numbering(starter):
    assert len(starter) >= 96
    assert [p.problem_id for p in starter] == [f"starter/{n}" for n in range(1, len(starter) + 1)]


def test_three_tests_and_at_least_four_stricter_ones_all_different(starter):
    for problem in starter:
        assert len(problem.tests) == 3, problem.problem_id
        assert len(problem.extra_tests) >= 4, problem.problem_id
        tests = [ast.dump(ast.parse(test)) for test in (*problem.tests, *problem.extra_tests)]
        assert len(set(tests)) == len(tests), problem.problem_id


def test_no_static_faults_and_no_shared_entry_point(starter):
    assert find_faults(starter) == []
    names = Counter(problem.entry_point for problem in starter)
    assert [name for name, count in names.items() if count > 1] == []


def test_topics_are_spread():
    rows = [json.loads(line) for line in STARTER.read_text().splitlines()]
    topics = Counter(row["topic"] for row in rows)
    assert len(topics) >= 8, topics
    assert max(topics.values()) <= len(rows) / 3, topics


@pytest.mark.skipif(
    not DATA.is_dir(), reason="the reference data (../shared/data) is not on this machine"
)
def test_no_problem_is_taken_from_mbpp_or_humaneval(starter):
    for name in ("mbpp.jsonl", "HumanEval.jsonl.gz"):
        pairs = near_duplicates(starter, load_problems(DATA / name), 0.8)
        assert [(pair.first, pair.second) for pair in pairs] == []


def test_every_reference_passes_every_test_in_the_sandbox(starter):
    candidates = [
        Candidate(problem_id=problem.problem_id, sample_index=0, code=problem.reference)
        for problem in starter
    ]
    verdicts = verify(starter, candidates, ExecuteParams(), label="verify starter references")
    failing = [
        (verdict.problem_id, verdict.verdict, verdict.tests, verdict.extra_tests, verdict.message)
        for verdict in verdicts
        if not verdict.passed or set(verdict.extra_tests) != {"pass"}
    ]
    assert failing == []


def test_a_wrong_program_fails_each_problem(starter):
    """The tests tell something: a function that always returns None passes none of them."""
    candidates = [
        Candidate(
            problem_id=problem.problem_id,
            sample_index=0,
            code=f"def {problem.entry_point}(*args, **kwargs):\n    return None\n",
        )
        for problem in starter
    ]
    verdicts = verify(starter, candidates, ExecuteParams(), label="verify wrong programs")
    assert [verdict.problem_id for verdict in verdicts if verdict.passed] == []
