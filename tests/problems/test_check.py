"""Static checks of a problem list."""

import dataclasses

import pytest

from ouroboros.errors import InputError
from ouroboros.problems.check import find_faults, require_sound
from ouroboros.records import Problem

SOUND = Problem(
    problem_id="own/1",
    prompt_text="Write a function to negate.",
    entry_point="negate",
    tests=("assert negate(1) == -1",),
    visible_tests=("assert negate(1) == -1",),
    extra_tests=("assert set(negate(x) for x in [1]) == {-1}",),
    reference="def negate(x):\n    return -x\n",
)


def test_sound_problem_has_no_faults():
    assert find_faults([SOUND]) == []
    require_sound([SOUND])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"prompt_text": "  "}, "own/1: prompt_text: is empty"),
        ({"entry_point": "not a name"}, "entry_point: 'not a name' is not a Python name"),
        ({"tests": ("assert negate(",)}, "own/1: tests[0]: not Python"),
        ({"tests": ("negate(1)",)}, "own/1: tests[0]: expected one assert statement"),
        ({"tests": ("assert negate(1)\nassert 1",)}, "tests[0]: expected one assert statement"),
        ({"extra_tests": ("assert abs(1) == 1",)}, "extra_tests[0]: does not call 'negate'"),
        ({"visible_tests": ("assert 1",)}, "visible_tests[0]: does not call 'negate'"),
        ({"setup_code": "x = ("}, "setup_code: not Python"),
        ({"reference": "def other(): pass"}, "reference: does not define 'negate'"),
        ({"reference": "def"}, "reference: not Python"),
        ({"tests": (), "check": "def verify(c): pass"}, "check: does not define 'check'"),
    ],
)
def test_fault_is_named(change, fault):
    faults = [str(found) for found in find_faults([dataclasses.replace(SOUND, **change)])]
    assert any(fault in found for found in faults), faults


def test_duplicate_ids_are_found():
    assert [str(fault) for fault in find_faults([SOUND, SOUND])] == [
        "own/1: problem_id: another problem has the same id"
    ]


def test_many_faults_are_counted():
    broken = [
        dataclasses.replace(SOUND, problem_id=f"own/{number}", prompt_text="")
        for number in range(30)
    ]
    with pytest.raises(InputError) as error:
        require_sound(broken)
    assert "own/0: prompt_text: is empty" in str(error.value)
    assert "and 20 more" in str(error.value)
