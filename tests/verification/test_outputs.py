"""Values that programs return, brought out of the sandbox."""

from __future__ import annotations

import pytest

from ouroboros.errors import InputError
from ouroboros.verification.outputs import Calls, NotReturned, Returned, run_calls
from ouroboros.verification.params import ExecuteParams

LIMITS = ExecuteParams(cpu_seconds=2)


def call(code: str, *arguments: str, params: ExecuteParams = LIMITS) -> list:
    program = Calls(label="own/1", code=code, entry_point="f", arguments=arguments)
    (found,) = run_calls([program], params, workers=1)
    return found


def test_values_come_out_with_their_types() -> None:
    texts = ["1, [2.5, (3,)]", "float('inf'), -0.0", "{1, 2}, {'a': b'x'}", "1 + 2j, None"]
    found = call("def f(*values): return list(values)", *texts)
    assert [repr(outcome.value) for outcome in found] == [
        "[1, [2.5, (3,)]]", "[inf, -0.0]", "[{1, 2}, {'a': b'x'}]", "[(1+2j), None]",
    ]  # fmt: skip


def test_equal_calls_have_equal_outcomes_and_none_is_no_call() -> None:
    assert call("def f(x): return x", "1", "2", "1") == [Returned(1), Returned(2), Returned(1)]
    assert call("def f(x): return x") == []


def test_a_failed_call_does_not_end_the_others() -> None:
    code = "def f(x): return 1 // x if x < 5 else ([0] * 30000 if x < 9 else object())"
    first, *bad, last = call(code, "1", "0", "7", "10", "2")
    assert (first, last) == (Returned(1), Returned(0))
    assert [outcome.verdict for outcome in bad] == [
        "runtime_error", "output_limit", "unsupported_value",
    ]  # fmt: skip
    assert not any(outcome.ended for outcome in bad)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("def f(x):\n    while x: pass\n    return 0", "timeout"),
        ("import os\ndef f(x): return os._exit(3) if x else 0", "crashed"),
    ],
)
def test_the_call_that_ended_the_process_is_told_from_those_behind_it(code, verdict) -> None:
    first, second, third = call(code, "0", "1", "()")
    assert first == Returned(0)
    assert isinstance(second, NotReturned)
    assert (second.verdict, second.ended, second.begun) == (verdict, True, True)
    assert isinstance(third, NotReturned)
    assert (third.verdict, third.ended, third.begun) == (verdict, False, False)


def test_a_program_that_does_not_load_returns_nothing() -> None:
    (found,) = call("def f(:", "1")
    assert (found.verdict, found.ended) == ("syntax_error", True)


def test_what_is_no_argument_list_is_refused() -> None:
    with pytest.raises(InputError, match=r"own/1.*do not parse"):
        call("def f(x): return x", "1 +")
    with pytest.raises(InputError, match=r"own/1"):
        call("def f(x): return x", "f(1)")


def test_many_programs_on_several_workers_keep_their_order() -> None:
    programs = [
        Calls(label=f"own/{n}", code=f"def f(x): return x + {n}", entry_point="f", arguments=("1",))
        for n in range(12)
    ]
    found = run_calls(programs, LIMITS, workers=3)
    assert [outcomes[0].value for outcomes in found] == list(range(1, 13))
