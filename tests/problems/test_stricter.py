"""Stricter tests: made of what a solution returns in the sandbox, compared as EvalPlus compares."""

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.problems.check import find_faults
from ouroboros.problems.evalplus import Entry, load_entries
from ouroboros.problems.formats import load_problems
from ouroboros.problems.params import StricterParams
from ouroboros.problems.stricter import LARGEST_NUMBER, Report, add_stricter, load_stricter
from ouroboros.records import Candidate, Problem
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify
from tests.problems.test_evalplus import RELEASE

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "MbppPlus.jsonl.gz").is_file(),
    reason="the reference data (../shared/data) is not on this machine",
)


def entry(solution: str, *inputs: tuple, problem_id: str = "mbpp/1", atol: float = 0.0) -> Entry:
    return Entry(
        problem_id=problem_id, entry_point="f", solution=solution, inputs=inputs, atol=atol
    )


def problem(test: str, problem_id: str = "mbpp/1", name: str = "f") -> Problem:
    return Problem(problem_id=problem_id, prompt_text="p", entry_point=name, tests=(test,))


def make(given: Entry, own: Problem, **options) -> tuple[Problem, Report]:
    (found,), report = add_stricter([own], [given], workers=1, **options)
    return found, report


def passes(found: Problem, code: str) -> list[str]:
    candidate = Candidate(problem_id=found.problem_id, sample_index=0, code=code)
    return list(verify([found], [candidate], ExecuteParams(), workers=1)[0].extra_tests)


def strict(given: Entry, own_test: str) -> Problem:
    return make(given, problem(own_test, problem_id=given.problem_id))[0]


def test_expected_values_are_what_the_solution_returns():
    given = entry("def f(a, b):\n    return [a, b]", (1, "x"), ((2,), {3}))
    found = strict(given, "assert f(0, 0) == [0, 0]")
    assert found.extra_tests == (
        "assert f(1, 'x') == [1, 'x']",
        "assert f((2,), {3}) == [(2,), {3}]",
    )
    assert passes(found, "def f(a, b): return [a, b]") == ["pass", "pass"]
    assert passes(found, "def f(a, b): return [a, list(b)] if b == {3} else [a, b]") == [
        "pass", "fail",
    ]  # fmt: skip
    assert passes(found, "def f(a, b): return (a, b)") == ["fail", "fail"]


def test_the_solution_runs_under_the_name_the_problem_calls():
    given = entry("def f(x):\n    return x + 1", (1,))
    own = problem("assert F(1) == 2", name="F")
    assert make(given, own)[0].extra_tests == ("assert F(1) == 2",)


def test_the_problems_own_extra_tests_stay_in_front():
    own = Problem(
        problem_id="mbpp/1", prompt_text="p", entry_point="f", tests=("assert f(1) == 2",),
        extra_tests=("assert f(5) == 6",),
    )  # fmt: skip
    found, _ = make(entry("def f(x): return x + 1", (2,)), own)
    assert found.extra_tests == ("assert f(5) == 6", "assert f(2) == 3")


# What the solution returns for (), atol, and what other programs return with whether it passes.
CLOSE = [
    ("1.0", 0.0, {"1.0": 1, "1": 1, "1.0 + 5e-7": 1, "1.0 + 3e-6": 0, "None": 0, "'1'": 0}),
    ("1e9", 0.0, {"1e9 + 99": 1, "1e9 + 101": 0, "int(1e9) + 1": 0}),
    ("1.0", 1e-4, {"1.0 + 9e-5": 1, "1.0 + 2e-4": 0, "float('nan')": 0}),
    ("3", 1e-4, {"3": 1, "3.0": 1, "3.00001": 0, "4": 0}),
    ("float('inf')", 0.0, {"float('inf')": 1, "1.0": 0, "-float('inf')": 0}),
    ("[1.0, 2.0]", 0.0, {"[1.0, 2.0 + 5e-7]": 1, "(1.0, 2.0 + 5e-7)": 0, "[1.0]": 0,
                         "[1.0, 2.1]": 0, "[1, 2]": 1, "[1.0, None]": 0}),
    ("[1.0, float('inf')]", 0.0, {"[1.0 + 5e-7, float('inf')]": 1, "[1.0, 5.0]": 0}),
    ("[]", 0.0, {"[]": 1, "()": 0}),
    ("[[1.0]]", 0.0, {"[[1.0]]": 1, "[[1.0 + 5e-7]]": 0}),
    ("(1.0, 2)", 0.0, {"(1.0, 2)": 1, "(1.0 + 5e-7, 2)": 0}),
    ("'a'", 1e-4, {"'a'": 1, "'b'": 0}),
    ("True", 0.0, {"True": 1, "1": 1, "False": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("want", "atol", "others"), CLOSE)
def test_floats_are_compared_within_a_tolerance(want, atol, others):
    found = strict(entry(f"def f():\n    return {want}", (), atol=atol), "assert (f() or 1)")
    assert len(found.extra_tests) == 1
    for value, right in others.items():
        result = passes(found, f"def f(): return {value}")
        assert (result == ["pass"]) is bool(right), (found.extra_tests, value, result)


# Problem, its solution, an input, and what other programs do with whether it passes.
SPECIAL = [
    ("mbpp/2", "return (2, 3)", (), {"return [3, 2, 2]": 1, "return (2,)": 0, "return None": 0}),
    ("mbpp/232", "return [2.0, 1.0]", (), {"return [1.0, 2.0]": 1, "return [2.0 + 5e-7, 1.0]": 1,
                                           "return [1.0, 2.0 + 5e-7]": 0}),
    ("mbpp/164", "return True", (), {"return False": 1, "raise ValueError": 0}),
    ("mbpp/295", "return 7", (), {"return 0": 1, "return 7": 1, "return 6": 0}),
    ("mbpp/581", "return 33", (3, 4), {"return 35": 1, "return 33": 1, "return 34": 0}),
    ("mbpp/558", "return 1", (123, 23), {"return 1": 1, "return 2": 0}),
    ("mbpp/558", "return 0", (-1, 23), {"return 0": 1, "return 2": 0}),
    ("humaneval/32", "return -0.5", ([1, 2],), {"return -0.50001": 1, "return -0.6": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("problem_id", "body", "arguments", "others"), SPECIAL)
def test_tasks_with_several_right_answers(problem_id, body, arguments, others):
    given = entry(
        f"def f(*a):\n    {body}", arguments, problem_id=problem_id,
        atol=1e-4 if problem_id == "humaneval/32" else 0.0,
    )  # fmt: skip
    found = strict(given, "assert f(1, 2) is not None")
    assert len(found.extra_tests) == 1
    assert find_faults([found]) == []
    for other, right in others.items():
        result = passes(found, f"def f(*a):\n    {other}")
        assert (result == ["pass"]) is bool(right), (found.extra_tests, other, result)


def test_match_or_not_whatever_the_match_is():
    given = entry(
        "import re\ndef f(s):\n    return re.search('^a', s)", ("ab",), ("b",),
        problem_id="mbpp/737",
    )  # fmt: skip
    found = strict(given, "assert f('ab')")  # a match object: the verifier cannot say
    assert len(found.extra_tests) == 2
    assert passes(found, "import re\ndef f(s): return re.match('a', s)") == ["pass", "pass"]
    assert passes(found, "def f(s): return s[0] == 'a'") == ["pass", "pass"]
    assert passes(found, "def f(s): return s[0] == 'a' or None") == ["pass", "pass"]
    assert passes(found, "def f(s): return True") == ["pass", "fail"]
    assert passes(found, "def f(s): return 'no'") == ["pass", "fail"]


def test_what_is_left_out_is_counted_with_its_reason():
    solution = (
        "import itertools\n"
        "def f(x):\n"
        "    if x == 1: return float('nan')\n"
        "    if x == 2: return iter([1])\n"
        "    if x == 3: return [0] * 30000\n"
        "    if x == 4: raise ValueError('no')\n"
        "    return x\n"
    )
    long = "y" * 30_000
    given = entry(solution, (0,), (0,), (1,), (2,), (3,), (4,), (long,), (9,))
    found, report = make(given, problem("assert f(0) == 0"), max_inputs=6)
    assert found.extra_tests == ("assert f(0) == 0",)
    assert (report.problems, report.tests, report.inputs) == (1, 1, 7)
    assert report.left_out == {
        "the solution returned nan, which equals nothing": 1,
        "a value of type list_iterator": 1,
        "the solution returned a value beyond the verifier's limits": 1,
        "the solution returned no value: runtime_error": 1,
        "its test would be longer than 20000 characters": 1,
        "beyond the first 6 (max_inputs)": 1,
    }
    assert sum(report.left_out.values()) == report.inputs - report.tests
    assert any(line.startswith("left out 1 inputs: ") for line in report.lines())


def test_a_call_that_takes_too_long_costs_only_itself():
    solution = "def f(x):\n    while x == 2: pass\n    return x"
    given = entry(solution, (1,), (2,), (3,))
    found, report = make(given, problem("assert f(0) == 0"))
    assert found.extra_tests == ("assert f(1) == 1", "assert f(3) == 3")
    assert report.left_out == {"the solution ran out of CPU time": 1}


def test_a_bound_on_numbers_keeps_slow_inputs_out_on_any_machine():
    bound = LARGEST_NUMBER["mbpp/599"]
    given = entry("def f(n): return n", (bound,), (bound + 1,), problem_id="mbpp/599")
    found, report = make(given, problem("assert f(0) == 0", problem_id="mbpp/599"))
    assert found.extra_tests == (f"assert f({bound}) == {bound}",)
    assert report.left_out == {"a number above the problem's bound (LARGEST_NUMBER)": 1}


def test_an_entry_about_another_task_gives_nothing():
    given = entry("def f(x): return x + 1", (1,))
    found, report = make(given, problem("assert f(1) == 3"))
    assert found.extra_tests == ()
    assert report.without == {"the source's solution fails the problem's own tests": ["mbpp/1"]}
    assert "1 problems: the source's solution fails" in "\n".join(report.lines())


def test_problems_without_an_entry_stay_as_they_are():
    other = problem("assert f(1) == 2", problem_id="mbpp/9")
    own = problem("assert f(1) == 2")
    found, report = add_stricter([own, other], [entry("def f(x): return x + 1", (3,))], workers=1)
    assert found[1] == other
    assert report.without == {"not in the source": ["mbpp/9"]}
    with pytest.raises(InputError, match=r"none of the set's problems is in it") as error:
        add_stricter([other], [entry("def f(x): return x", (1,))])
    assert "it holds 1 problems, 'mbpp/1' for one" in str(error.value)


def pinned(tmp_path: Path, rows: list[dict]) -> StricterParams:
    data = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    (tmp_path / "plus.jsonl.gz").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return StricterParams(source="path", path="plus.jsonl.gz", sha256=digest)


def test_a_pinned_file(tmp_path):
    params = pinned(tmp_path, [RELEASE])
    assert [found.problem_id for found in load_stricter(params, tmp_path)] == ["mbpp/2"]


def test_missing_unpinned_and_changed_files(tmp_path):
    pinned(tmp_path, [RELEASE])
    with pytest.raises(UserError, match=r"gone\.jsonl: no such file"):
        load_stricter(StricterParams(source="path", path="gone.jsonl", sha256="0"), tmp_path)
    with pytest.raises(InputError, match=r"must be pinned by its digest\n  sha256: [0-9a-f]{64}"):
        load_stricter(StricterParams(source="path", path="plus.jsonl.gz"), tmp_path)
    wrong = StricterParams(source="path", path="plus.jsonl.gz", sha256="0" * 64)
    with pytest.raises(InputError, match=r"SHA-256 is .*, but the param stricter.sha256 is 000"):
        load_stricter(wrong, tmp_path)


def test_a_malformed_row_names_file_and_line(tmp_path):
    params = pinned(tmp_path, [RELEASE, {**RELEASE, "task_id": 3}])
    with pytest.raises(InputError, match=r"plus\.jsonl\.gz:2: field 'task_id': expected a string"):
        load_stricter(params, tmp_path)


@needs_data
@pytest.mark.parametrize(
    ("published", "plus", "ids"),
    [
        ("mbpp.jsonl", "MbppPlus.jsonl.gz", (2, 63, 98, 124, 252, 255, 599, 722, 737)),
        ("HumanEval.jsonl.gz", "HumanEvalPlus.jsonl.gz", (0, 2, 15, 32, 139)),
    ],
)
def test_published_entries(published, plus, ids):
    """A few problems of each kind; `make soak` compares whole sets with EvalPlus' own checker."""
    problems = [
        p for p in load_problems(DATA / published) if int(p.problem_id.split("/")[1]) in ids
    ]
    entries = {e.problem_id: e for e in load_entries(DATA / plus)}
    found, report = add_stricter(problems, list(entries.values()), workers=2)
    assert find_faults(found) == []
    assert sum(report.left_out.values()) + report.tests == report.inputs
    assert report.tests > 0.8 * report.inputs
    counts = Counter({p.problem_id: len(p.extra_tests) for p in found})
    assert set(report.without.get("the source's solution fails the problem's own tests", ())) == {
        p for p, count in counts.items() if not count
    }
    candidates = [
        Candidate(problem_id=p.problem_id, sample_index=0, code=entries[p.problem_id].solution)
        for p in found
        if p.extra_tests
    ]
    for verdict in verify(found, candidates, ExecuteParams(), workers=2):
        assert set(verdict.extra_tests) == {"pass"}, verdict.problem_id
