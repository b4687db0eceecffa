"""Entries of MBPP+ and HumanEval+, in the release files' form and the hub's."""

import json

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.problems.evalplus import load_entries, parse_entries

RELEASE = {
    "task_id": "Mbpp/2",
    "prompt": '"""\nShared elements.\n"""\n',
    "entry_point": "similar",
    "canonical_solution": "\ndef similar(a, b):\n    return tuple(set(a) & set(b))\n",
    "base_input": [[[1, 2], [2, 3]]],
    "plus_input": [[[], []]],
    "atol": 0,
    "contract": "",
    "assertion": "",
}
HUB_TEST = """\
import numpy as np
from math import inf

def assertion(out, exp, atol):
    if atol == 0:
        atol = 1e-6

inputs = [[(1, 2), (2, inf)], [(), ()]]
results = [(2,), ()]
for i, (inp, exp) in enumerate(zip(inputs, results)):
    assertion(similar(*inp), exp, 0.0001)
"""
HUB_MBPP = {
    "task_id": 2, "prompt": "Shared elements.", "source_file": "x", "test_imports": [],
    "code": "def similar(a, b):\n    return tuple(set(a) & set(b))\n", "test": HUB_TEST,
    "test_list": ["assert set(similar((1, 2), (2, 3))) == {2}"],
}  # fmt: skip
HUB_HUMANEVAL = {
    "task_id": "HumanEval/32", "entry_point": "find_zero",
    "prompt": "def find_zero(xs):\n", "canonical_solution": "    return -xs[0] / xs[1]\n",
    "test": "import math\n\ndef check(candidate):\n    inputs = [[[1, 2]], [[3, 1]]]\n"
    "    results = [-0.5, -3.0]\n    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
    "        assert _poly(*candidate(*inp), inp) <= 0.0001\n\ncheck(find_zero)\n",
}  # fmt: skip


def one(row):
    (entry,) = parse_entries([("x:1", row)])
    return entry


def test_a_release_row():
    entry = one(RELEASE)
    assert (entry.problem_id, entry.entry_point, entry.atol) == ("mbpp/2", "similar", 0.0)
    assert entry.solution.startswith('"""\nShared')
    assert entry.inputs == (((1, 2), (2, 3)), ((), ()))


@pytest.mark.parametrize(
    ("number", "arguments", "restored"),
    [
        (1, [[1], 2], ([1], 2)),
        (63, [[[1, 2], [3, 4]]], ([(1, 2), (3, 4)],)),
        (75, [[[1, 2]], 3], ([(1, 2)], 3)),
        (106, [[1], [2, 3]], ([1], (2, 3))),
        (115, [[[1, 1], [], {}]], ([{1}, {}, {}],)),
        (124, ["1.5", "2j"], (1.5, 2j)),
        (252, ["1+2j"], (1 + 2j,)),
        (259, [[[1, 2]], [[3, 4]]], (((1, 2),), ((3, 4),))),
        (278, [[1, [2, 3]]], ((1, (2, 3)),)),
        (307, [[1, []], 2, 3], ((1, []), 2, 3)),
        (580, [[1, [2, [3]]]], ((1, (2, (3,))),)),
        (722, [{"a": [1, 2]}, 3], ({"a": (1, 2)}, 3)),
    ],
)
def test_types_that_json_lost_are_restored_by_problem(number, arguments, restored):
    row = {**RELEASE, "task_id": f"Mbpp/{number}", "base_input": [arguments], "plus_input": []}
    assert one(row).inputs == (restored,)
    assert repr(one(row).inputs) == repr((restored,))


def test_humaneval_is_json_as_it_is():
    row = {**RELEASE, "task_id": "HumanEval/2"}
    assert one(row).inputs == (([1, 2], [2, 3]), ([], []))


def test_an_empty_mapping_is_no_input():
    assert one({**RELEASE, "plus_input": {}}).inputs == (((1, 2), (2, 3)),)


def test_the_hubs_mbpp():
    entry = one(HUB_MBPP)
    assert (entry.problem_id, entry.entry_point, entry.atol) == ("mbpp/2", "similar", 0.0001)
    assert entry.inputs == (((1, 2), (2, float("inf"))), ((), ()))


def test_the_hubs_humaneval():
    entry = one(HUB_HUMANEVAL)
    assert (entry.problem_id, entry.atol) == ("humaneval/32", 0.0001)
    assert entry.solution == "def find_zero(xs):\n    return -xs[0] / xs[1]\n"
    assert entry.inputs == (([1, 2],), ([3, 1],))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "x:1: expected an object, found list"),
        ({"task_id": 1}, "x:1: not a problem of MBPP+ or HumanEval+"),
        ({**RELEASE, "task_id": "Other/1"}, "field 'task_id': expected Mbpp/N or HumanEval/N"),
        ({k: v for k, v in RELEASE.items() if k != "base_input"}, "missing field 'base_input'"),
        ({k: v for k, v in RELEASE.items() if k != "atol"}, "missing field 'atol'"),
        ({**RELEASE, "atol": "0"}, "field 'atol': expected a number"),
        ({**RELEASE, "plus_input": {"a": 1}}, "field 'plus_input': expected a list of inputs"),
        ({**RELEASE, "plus_input": [3]}, "'plus_input'[0]: expected the list of a call's arg"),
        ({**RELEASE, "extra": 1}, "unknown field 'extra'"),
        ({**RELEASE, "plus_input": [[1, 2]]}, "types cannot be restored as mbpp/2 needs"),
        ({**HUB_MBPP, "test": "inputs = ("}, "field 'test': not Python"),
        ({**HUB_MBPP, "test": "pass"}, "field 'test': expected one assignment to inputs"),
        ({**HUB_MBPP, "test": "inputs = [f(1)]"}, "field 'test': inputs are not literals"),
        ({**HUB_MBPP, "test": "inputs = [1]"}, "inputs is not a list of argument lists"),
        ({**HUB_MBPP, "test": "inputs = [[1]]"}, "field 'test': its tolerance cannot be told"),
        ({**HUB_MBPP, "test_list": ["assert other(1)"]}, "cannot tell the entry point"),
    ],
)
def test_malformed_rows_name_place_and_field(row, message):
    with pytest.raises(InputError) as error:
        parse_entries([("x:1", row)])
    assert message in str(error.value)
    assert str(error.value).startswith("x:1")


def test_a_problem_twice():
    with pytest.raises(InputError, match="duplicate problem 'mbpp/2'"):
        parse_entries([("x:1", RELEASE), ("x:2", HUB_MBPP)])


def test_a_file(tmp_path):
    path = tmp_path / "plus.jsonl"
    path.write_text(json.dumps(RELEASE).replace("[[[], []]]", "[[[-Infinity], [1e400]]]"))
    (entry,) = load_entries(path)
    assert entry.inputs[1] == ((float("-inf"),), (float("inf"),))
    with pytest.raises(UserError, match=r"gone\.jsonl: no such file"):
        load_entries(tmp_path / "gone.jsonl")
