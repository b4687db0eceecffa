"""The published files, as their authors released them."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from ouroboros.problems.check import find_faults
from ouroboros.problems.formats import load_problems
from ouroboros.problems.params import ProblemsParams
from ouroboros.problems.sources import load_set
from ouroboros.records import Problem

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the reference data (../shared/data) is not on this machine"
)


@pytest.fixture(scope="module")
def mbpp() -> dict[str, Problem]:
    return {p.problem_id: p for p in load_problems(DATA / "mbpp.jsonl")}


@pytest.fixture(scope="module")
def humaneval() -> dict[str, Problem]:
    params = ProblemsParams(source="packaged", name="humaneval")
    return {p.problem_id: p for p in load_set(params, Path())}


@needs_data
def test_all_of_mbpp(mbpp):
    assert list(mbpp) == [f"mbpp/{number}" for number in range(1, 975)]
    assert find_faults(list(mbpp.values())) == []
    assert all(len(p.tests) == 3 and p.visible_tests == p.tests[:1] for p in mbpp.values())
    assert sum(bool(p.extra_tests) for p in mbpp.values()) == 11
    assert "\r" not in "".join(p.reference + p.setup_code for p in mbpp.values())


@needs_data
@pytest.mark.parametrize(
    ("number", "entry_point"),
    [(126, "sum"), (367, "is_tree_balanced"), (601, "max_chain_length"), (912, "lobb_num"),
     (927, "max_height")],
)  # fmt: skip
def test_entry_points_that_need_care(mbpp, number, entry_point):
    assert mbpp[f"mbpp/{number}"].entry_point == entry_point


@needs_data
def test_trees_are_built_by_the_setup_code(mbpp):
    assert mbpp["mbpp/367"].setup_code.startswith("root = Node(1) \nroot.left")


@needs_data
def test_sanitized_mbpp_has_the_same_entry_points(mbpp):
    sanitized = load_problems(DATA / "sanitized-mbpp.json")
    assert len(sanitized) == 427
    assert find_faults(sanitized) == []
    for problem in sanitized:
        old = mbpp[problem.problem_id].entry_point
        # The hand-verified version renamed some functions; what it kept must be read the same.
        if problem.entry_point != old:
            assert not re.search(rf"\b{old}\(", " ".join(problem.tests)), problem.problem_id


def test_all_of_humaneval(humaneval):
    assert list(humaneval) == [f"humaneval/{number}" for number in range(164)]
    assert find_faults(list(humaneval.values())) == []
    assert "def poly(" in humaneval["humaneval/32"].setup_code
    assert "def encode_cyclic(" in humaneval["humaneval/38"].setup_code
    assert all(f"def {p.entry_point}(" not in p.setup_code for p in humaneval.values())


@needs_data
def test_packaged_humaneval_is_the_published_file(humaneval):
    assert load_problems(DATA / "HumanEval.jsonl.gz") == list(humaneval.values())


def test_visible_tests_of_humaneval_hold_for_the_references(humaneval):
    failing, counts = [], Counter()
    for problem in humaneval.values():
        namespace: dict[str, object] = {}
        exec(problem.reference, namespace)
        for test in problem.visible_tests:
            counts[problem.problem_id] += 1
            try:
                exec(test, dict(namespace))
            except AssertionError:
                failing.append((problem.problem_id, test))
    assert len(counts) == 150
    assert counts.total() == 424
    # The prompts of these two show wrong values themselves; a visible test is what a prompt shows.
    assert sorted({problem_id for problem_id, _ in failing}) == ["humaneval/116", "humaneval/47"]
    assert len(failing) == 3


def test_visible_tests_are_asserts_on_the_entry_point(humaneval):
    for problem in humaneval.values():
        for test in problem.visible_tests:
            statement = ast.parse(test).body[0]
            assert isinstance(statement, ast.Assert)
            assert f"{problem.entry_point}(" in test
