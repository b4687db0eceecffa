"""The judge against generated input: no crash, no hang, nothing taken that plain Python refuses.

`pytest --hypothesis-profile=soak` runs many more examples (tests/conftest.py).
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import struct
from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ouroboros.records import Candidate, Problem
from ouroboros.verification.inside import values
from ouroboros.verification.inside.channel import frame
from ouroboros.verification.judge.session import Failure, answer_of
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify
from tests.verification.test_values import hashable, plain

SETUP = (
    "import math, datetime\nfrom collections import deque\nfrom decimal import Decimal\n"
    "from fractions import Fraction\ninf, nan = math.inf, math.nan"
)
CLASSES = """
class Mine(list):
    pass
class Liar(list):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __len__(self): return 3
    def __contains__(self, item): return True
    __hash__ = None
class Sly(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
class Blank:
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __len__(self): return 3
    def __iter__(self): return iter([1, 2, 3])
    def __getitem__(self, key): return self
    def __getattr__(self, name): return self
    def __call__(self, *a): return self
    def __abs__(self): return 0
    def __sub__(self, other): return 0
    def __lt__(self, other): return True
    def __hash__(self): return 1
"""

RETURNED = (
    "{0}", "{0}", "{0}", "iter([{0}])", "(x for x in [{0}, {0}])",
    "dict(enumerate([{0}])).values()",
    "map(str, [{0}])", "Mine([{0}])", "Liar([{0}])", "Sly(1)", "Blank()", "[Blank(), {0}]",
    "({0}, [Sly(2)])", "zip([{0}], [1])", "[{0}][::-1]", "print({0})", "1 // 0", "lambda: {0}",
    "{{1: {0}}}.items()", "open", "NotImplemented", "type({0})",
)  # fmt: skip
ASKED = (
    "{f} == {e}", "{f} == {e}", "{f} == [{e}]", "{f} != {e}", "not {f} != {e}",
    "list({f}) == [{e}]",
    "sorted({f}) == sorted({e})", "set({f}) == set({e})", "len({f}) == len({e})", "{f} is None",
    "{f} is True", "{f}", "not {f}", "{f} in [{e}]", "{e} in {f}", "str({f}) == str({e})",
    "repr({f}) == repr({e})", "math.isclose({f}, {e})", "abs({f} - {e}) < 1e-6", "{f} < {e}",
    "{f}[0] == {e}", "type({f}) == type({e})", "isinstance({f}, (int, list))",
    "({f}, 1) == ({e}, 1)",
    "all({f})", "max({f}) == {e}", "tuple({f}) == ({e},)", "[x for x in {f}] == [{e}]",
    "bool({f}) == bool({e})", "{f} <= {e} <= {f}", "hash({f}) == hash({e})", "{e} == {f}",
)  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, str]:
    """What the program returns, the value it is compared with, and how."""
    value = draw(plain)
    other = draw(st.just(value) | plain | hashable | st.sampled_from([0, 1, True, 1.0, (), [], ""]))
    return draw(st.sampled_from(RETURNED)).format(repr(value)), repr(other), draw(
        st.sampled_from(ASKED)
    )  # fmt: skip


def in_plain_python(code: str, test: str) -> str:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(SETUP + "\n" + code, space)
    try:
        exec(test, space)
    except AssertionError:
        return "fail"
    except Exception:
        return "error"
    return "pass"


@given(st.lists(cases(), min_size=40, max_size=40))
def test_no_test_passes_that_plain_python_would_not_pass(drawn: list[tuple[str, str, str]]) -> None:
    returned = ", ".join(f"lambda: {source}" for source, _, _ in drawn)
    code = f"{SETUP}{CLASSES}\nMADE = [{returned}]\ndef f(n): return MADE[n]()"
    tests = tuple(
        "assert " + asked.format(f=f"f({n})", e=f"({other})")
        for n, (_, other, asked) in enumerate(drawn)
    )
    # A test is judged alone as well as among others: alone, its calls are taken out beforehand.
    problem = Problem(
        problem_id="fuzz/1", prompt_text="", entry_point="f", setup_code=SETUP, tests=tests,
        extra_tests=("for n in [0]:\n    assert f(n) is not f",),
    )  # fmt: skip
    taken_out = Problem(
        problem_id="fuzz/2", prompt_text="", entry_point="f", setup_code=SETUP, tests=tests
    )
    candidates = [
        Candidate(problem_id=p.problem_id, sample_index=0, code=code) for p in (problem, taken_out)
    ]
    verdicts = verify([problem, taken_out], candidates, ExecuteParams(), workers=1)
    for verdict in verdicts:
        for case, test, result in zip(drawn, tests, verdict.tests, strict=True):
            expected = in_plain_python(code, test)
            if result == "pass":
                assert expected == "pass", (verdict.problem_id, case, test, verdict.message)
            elif plainly_returned(case[0]):
                assert result == expected, (verdict.problem_id, case, test, verdict.message)


def plainly_returned(source: str) -> bool:
    """Whether what is returned is a plain value, which the judge must take as plain Python does."""
    return source.split("(")[0].split("[")[0] not in ("Liar", "Sly", "Blank", "lambda: ") and not (
        any(
            word in source for word in ("Sly", "Blank", "lambda", "open", "NotImplemented", "type(")
        )
    )


WIDE = values.Limits(max_bytes=1 << 20, max_depth=20, max_items=9999)
FRAMES = st.lists(
    st.tuples(st.sampled_from([b"L", b"V", b"X", b"U", b"H", b"J", b"\0"]), st.binary(max_size=40))
    .map(lambda parts: frame(*parts))
    | st.binary(max_size=12)
    | plain.map(lambda value: frame(b"V", values.encode(value, WIDE)))
    | st.integers(0, 2**32 - 1).map(lambda length: struct.pack("<IB", length, 86)),
    max_size=8,
).map(b"".join)  # fmt: skip
SECRET = "5f0c2b7d9a1e4386"


@given(st.lists(FRAMES, min_size=4, max_size=4), st.booleans())
def test_forged_answers_never_pass_and_honest_ones_still_do(
    forged: list[bytes], exits: bool
) -> None:
    """Whatever is written on the job socket, before and instead of an answer."""
    ending = "os._exit(0)" if exits else "pass"
    codes = [
        f"import os\nos.write(3, {data!r})\ndef f(n):\n    os.write(3, {data!r})\n    {ending}"
        for data in forged
    ]
    honest = f"def f(n): return '{SECRET[:8]}' + '{SECRET[8:]}'"
    problems = [
        Problem(
            problem_id=f"fuzz/{kind}", prompt_text="", entry_point="f",
            tests=(test.format(f"f(1) == {SECRET!r}"), test.format(f"f(2) == {SECRET!r}")),
        )
        for kind, test in enumerate(("assert {}", "if True:\n    assert {}"))
    ]  # fmt: skip
    candidates = [
        Candidate(problem_id=problem.problem_id, sample_index=index, code=code)
        for problem in problems
        for index, code in enumerate([*codes, honest])
    ]
    params = ExecuteParams(cpu_seconds=1, wall_seconds=1)
    verdicts = verify(problems, candidates, params, workers=1)
    for verdict in verdicts:
        assert verdict.passed == (verdict.sample_index == len(codes)), verdict


@settings(max_examples=500)
@given(st.binary(min_size=1, max_size=1), st.binary(max_size=80) | plain.map(
    lambda value: values.encode(value, WIDE)
))  # fmt: skip
def test_an_answer_is_a_value_or_a_failure(kind: bytes, body: bytes) -> None:
    limits = values.Limits(max_bytes=1 << 16, max_depth=8, max_items=500)
    try:
        value, data = answer_of(kind, body, limits)
    except Failure as raised:
        failure = raised
    else:
        failure = None
    if failure is not None:
        assert failure.verdict in (
            "protocol_violation", "runtime_error", "syntax_error", "memory_limit",
            "unsupported_value", "output_limit",
        )  # fmt: skip
        assert failure.message.isprintable()
        return
    assert kind == b"V"
    assert data == body
    assert type(value) in PLAIN_TYPES


PLAIN_TYPES = {
    type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict,
    range, type(...), deque, decimal.Decimal, fractions.Fraction, datetime.date, datetime.datetime,
    datetime.timedelta, type, type(iter([])), type({}.keys()), type({}.values()), type({}.items()),
}  # fmt: skip
