"""Verdicts agree with plain Python on what programs return and on how tests use it."""

from __future__ import annotations

import pytest

from ouroboros.records import Candidate, Problem, Verdict
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify


def judge(
    code: str, *tests: str, setup: str = "", check: str | None = None, entry_point: str = "f",
    extra: tuple[str, ...] = (), visible: tuple[str, ...] = (),
) -> Verdict:  # fmt: skip
    problem = Problem(
        problem_id="exact/1", prompt_text="", entry_point=entry_point, setup_code=setup,
        tests=tests, check=check, extra_tests=extra, visible_tests=visible,
    )  # fmt: skip
    candidate = Candidate(problem_id="exact/1", sample_index=0, code=code)
    return verify([problem], [candidate], ExecuteParams(), workers=1)[0]


# What a call returns, a test of it, and whether plain Python would pass it.
VALUES = [
    ("None", "f() is None", True),
    ("True", "f() == 1", True),
    ("True", "f() is True", True),
    ("1", "f() is True", False),
    ("-(2 ** 200)", "f() == -(2 ** 200)", True),
    ("0.1 + 0.2", "f() == 0.3", False),
    ("0.1 + 0.2", "math.isclose(f(), 0.3)", True),
    ("-0.0", "str(f()) == '-0.0'", True),
    ("float('nan')", "f() != f()", True),
    ("float('inf')", "f() == float('inf')", True),
    ("complex(1, -2)", "f() == 1 - 2j", True),
    ("'\\ud800\\x00é'", "f() == '\\ud800\\x00é'", True),
    ("b'\\x00\\xff'", "f() == b'\\x00\\xff'", True),
    ("bytearray(b'a')", "f() == b'a'", True),
    ("[1, (2, [3])]", "f() == [1, (2, [3])]", True),
    ("[1, (2, [3])]", "f() == [1, [2, [3]]]", False),
    ("{1, 2}", "f() == {2, 1}", True),
    ("frozenset({1})", "f() == {1}", True),
    ("{frozenset({1}): {2}}", "f() == {frozenset({1}): {2}}", True),
    ("{'b': 1, 'a': 2}", "list(f()) == ['b', 'a']", True),
    ("{1: 'a'}", "f() == {1.0: 'a'}", True),
    ("range(3)", "f() == range(0, 3)", True),
    ("range(3)", "f() == [0, 1, 2]", False),
    ("range(3)", "list(f()) == [0, 1, 2]", True),
    ("(i for i in range(3))", "list(f()) == [0, 1, 2]", True),
    ("(i for i in range(3))", "f() == [0, 1, 2]", False),
    ("map(str, [1])", "sorted(f()) == ['1']", True),
    ("zip([1], [2])", "set(f()) == {(1, 2)}", True),
    ("enumerate('a')", "tuple(f()) == ((0, 'a'),)", True),
    ("reversed([1, 2])", "list(f()) == [2, 1]", True),
    ("{1: 2}.keys()", "f() == {1}", True),
    ("{1: 2}.values()", "list(f()) == [2]", True),
    ("{1: 2}.values()", "f() == [2]", False),
    ("{1: 2}.items()", "f() == {(1, 2)}", True),
    ("collections.Counter('aab')", "f() == {'a': 2, 'b': 1}", True),
    ("collections.OrderedDict(a=1)", "f() == {'a': 1}", True),
    ("collections.defaultdict(list, a=[1])", "f() == {'a': [1]}", True),
    ("collections.deque([1])", "f() == [1]", False),
    ("collections.deque([1])", "list(f()) == [1]", True),
    ("collections.namedtuple('P', 'x y')(1, 2)", "f() == (1, 2)", True),
    ("enum.IntEnum('E', 'A').A", "f() == 1", True),
    ("fractions.Fraction(1, 3)", "f() == __import__('fractions').Fraction(1, 3)", True),
    ("decimal.Decimal('1.50')", "f() == 1.5", True),
    ("datetime.date(2024, 2, 29)", "f().isoformat() == '2024-02-29'", True),
    ("datetime.datetime(2024, 2, 29, 1, 2)", "f().minute == 2", True),
    ("datetime.timedelta(days=-1, microseconds=5)", "f().days == -1", True),
    ("...", "f() is ...", True),
    ("int", "f() is int", True),
    ("[type(None), list]", "f() == [type(None), list]", True),
    ("[1, 2, 2]", "len(set(f())) == 2", True),
    ("'Abc'", "f().lower() == 'abc'", True),
    ("[3, 1]", "f()[0] - f()[1] == 2", True),
    ("[3, 1]", "f() and not None", True),
    ("0", "f() or f() == 0", True),
    ("5", "1 < f() < 10", True),
    ("5", "f() in [4, 5]", True),
    ("5", "(lambda x: x + 1)(f()) == 6", True),
    ("5", "all(f() == 5 for _ in range(3))", True),
    ("5", "[f() for _ in range(2)] == [5, 5]", True),
]  # fmt: skip


def test_values_compare_as_in_plain_python() -> None:
    code = "import collections, datetime, decimal, enum, fractions\n" + "".join(
        f"def f{n}(): return {value}\n" for n, (value, _, _) in enumerate(VALUES)
    )
    tests = [f"assert {test.replace('f()', f'f{n}()')}" for n, (_, test, _) in enumerate(VALUES)]
    for number, (value, test, passes) in enumerate(VALUES):
        # The table itself is right about plain Python.
        space: dict[str, object] = {"math": __import__("math")}
        exec(code, space)
        assert bool(eval(test.replace("f()", f"f{number}()"), space)) is passes, (value, test)
    verdict = judge(code, *tests, setup="import math", entry_point="f0")
    expected = ["pass" if passes else "fail" for _, _, passes in VALUES]
    found = list(verdict.tests)
    wrong = [(VALUES[n], r) for n, r in enumerate(found) if r != expected[n]]
    assert not wrong


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("object()", "unsupported_value"),
        ("[object()]", "unsupported_value"),
        ("print", "unsupported_value"),
        ("lambda: 1", "unsupported_value"),
        ("ValueError('x')", "unsupported_value"),
        ("__import__('re').match('a', 'a')", "unsupported_value"),
        ("__import__('enum').Enum('E', 'A').A", "unsupported_value"),
        ("[0] * 30000", "output_limit"),
        ("'x' * 300000", "output_limit"),
        ("__import__('itertools').count()", "output_limit"),
    ],
)
def test_other_values_are_named_as_what_they_are(value: str, verdict: str) -> None:
    found = judge(f"def f(): return {value}", "assert f() == 1")
    assert (found.verdict, found.tests) == (verdict, ("error",)), found


def test_every_test_runs_after_one_fails_and_the_first_failure_decides() -> None:
    code = "def f(x):\n    if x == 2: raise KeyError('no')\n    return x if x != 1 else 0"
    found = judge(code, *(f"assert f({n}) == {n}" for n in (0, 1, 2, 3)))
    assert found.tests == ("pass", "fail", "error", "pass")
    assert found.verdict == "wrong_answer"
    assert [output is None for output in found.outputs] == [False, False, True, False]


def test_outputs_are_equal_exactly_where_values_are() -> None:
    tests = ("assert f(0) == 0", "assert f(1) == 0", "assert f(2) == 0")
    one = judge("def f(x): return [{1, 'a', None}, {2: 3, 4: 5}, x % 2]", *tests)
    two = judge("def f(x): return [{None, 'a', 1}, {4: 5, 2: 3}, x % 2]", *tests)
    assert one.outputs == two.outputs
    assert one.outputs[0] == one.outputs[2] != one.outputs[1]


def test_visible_tests_outside_the_tests_have_outputs_of_their_own() -> None:
    check = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9"
    visible = ("assert f(1) == 1", "assert f(0) == 1")
    found = judge("def f(n): return n * n or 1 // n", check=check, visible=visible)
    assert found.passed
    assert found.visible_tests == ("pass", "error")
    assert [output is None for output in found.visible_outputs] == [False, True]
    assert len(found.outputs) == 2


def test_a_death_keeps_what_was_answered_before() -> None:
    found = judge(
        "def f(x):\n    while x == 2: pass\n    return x",
        *(f"assert f({n}) == {n}" for n in (1, 2, 3)),
        extra=("assert f(4) == 4",),
    )
    assert (found.verdict, found.tests, found.extra_tests) == (
        "timeout", ("pass", "error", "error"), ("error",),
    )  # fmt: skip


def test_extra_tests_never_decide() -> None:
    found = judge(
        "def f(x):\n    while x == 9: pass\n    return x",
        "assert f(1) == 1",
        extra=("assert f(2) == 3", "assert f(9) == 9", "assert f(1) == 1"),
        visible=("assert f(1) == 1",),
    )
    assert found.verdict == "pass"
    assert found.extra_tests == ("fail", "error", "pass")
    assert found.visible_tests == ("pass",)


def test_arguments_the_candidate_changes_do_not_change_the_test() -> None:
    found = judge(
        "def f(x):\n    x.clear()\n    return x",
        "assert f(data) == data",
        "assert data == [1, 2] and f(data) == []",
        setup="data = [1, 2]",
    )
    assert found.tests == ("fail", "pass")


def test_a_set_argument_has_the_order_it_has_in_plain_python() -> None:
    sets = ("{10, 15, 13, 5, 17}", "{1, 2, 9, 17, 33}", "{'b', 'a', 'c', 'd', 'e', 'f'}")
    tests = [f"assert f([{s}, -1]) == {list(eval(s))!r}" for s in sets[:2]]
    assert judge("def f(x): return list(x[0])", *tests).passed
    assert judge("def f(x): return sorted(x)", f"assert f({sets[2]}) == list('abcdef')").passed


def test_names_resolve_from_the_problem_first_then_from_the_candidate() -> None:
    code = (
        "def helper(): return 'candidate'\ndef f(): return helper()\ndef sorted(x): return 'mine'"
    )
    found = judge(
        code,
        "assert helper() == 'problem'",
        "assert f() == 'candidate'",
        "assert sorted([2, 1]) == [1, 2]",
        setup="def helper(): return 'problem'",
    )
    assert found.passed, found


def test_an_entry_point_may_shadow_a_builtin() -> None:
    assert judge("def sum(a, b): return a * b", "assert sum(2, 3) == 6", entry_point="sum").passed


def test_modules_named_in_tests_are_the_judges() -> None:
    code = "import sys\nsys.getsizeof = lambda x: 7\ndef f(x): return sys.getsizeof(x)"
    assert judge(code, "assert f((1,)) == sys.getsizeof((1,))").verdict == "wrong_answer"


def test_objects_of_the_candidates_class_pass_by_reference() -> None:
    code = (
        "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\n"
        "def f(pairs, k): return sum(p.a * p.b for p in pairs) + k\n"
    )
    assert judge(code, "assert f([Pair(1, 2), Pair(3, 4)], 1) == 15").passed


def test_setup_that_uses_the_candidates_names_runs_on_its_side() -> None:
    code = "class Node:\n    def __init__(self, v): self.v, self.left = v, None\n"
    code += "def f(root): return root.left.v"
    setup = "root = Node(1) \r\nroot.left = Node(2) \r\n"
    assert judge(code, "assert f(root) == 2", setup=setup).passed
    assert judge(code.replace("left.v", "v"), "assert f(root) == 2", setup=setup).tests == ("fail",)


def test_methods_and_attributes_of_a_kept_object() -> None:
    code = "class Box:\n    def __init__(self): self.items = [1]\n"
    code += "    def push(self, x):\n        self.items.append(x)\n        return self\n"
    found = judge(
        code,
        "assert Box().push(2).items == [1, 2]",
        "assert Box() == 1",
        "assert Box()",
        entry_point="Box",
    )
    assert found.tests == ("pass", "error", "error")


def test_a_check_is_judged_statement_by_statement() -> None:
    check = (
        "METADATA = {}\n\n\ndef check(candidate):\n    # simple\n    assert candidate(1) == 1\n"
        "    for n in range(3):\n        assert candidate(n) == n\n    offset = candidate(5)\n"
        "    assert candidate(offset) == 5, 'message'\n    assert abs(candidate(7) - 7) < 1e-6\n"
    )
    found = judge("def f(n): return n if n != 2 else 0", check=check)
    assert found.tests == ("pass", "fail", "pass", "pass")
    assert found.verdict == "wrong_answer"


def test_a_check_may_expect_an_exception() -> None:
    check = (
        "def check(candidate):\n    try:\n        candidate(0)\n        assert False\n"
        "    except ZeroDivisionError:\n        pass\n"
    )
    assert judge("def f(n): return 1 / n", check=check).passed
    assert judge("def f(n): return n", check=check).verdict == "wrong_answer"
    # Neither an unsupported value nor a death is an exception of the program's.
    swallow = check.replace("ZeroDivisionError", "Exception").replace(
        "candidate(0)", "candidate(0) == 1"
    )
    assert judge("def f(n): return object()", check=swallow).verdict == "unsupported_value"
    assert judge("import os\ndef f(n): os._exit(0)", check=swallow).verdict == "crashed"


def test_a_check_that_returns_runs_as_a_whole() -> None:
    check = "def check(candidate):\n    if candidate(1) != 1:\n        assert False\n    return 1\n"
    assert judge("def f(n): return n", check=check).tests == ("pass",)
    assert judge("def f(n): return 0", check=check).tests == ("fail",)


def test_the_prompts_helpers_are_the_judges_own() -> None:
    check = "def check(candidate):\n    assert encode(candidate(3)) == 4\n"
    forged = "def encode(x): return 4\ndef f(n): return 0"
    found = judge(forged, check=check, setup="def encode(x): return x + 1")
    assert found.verdict == "wrong_answer"
    assert judge("def f(n): return n", check=check, setup="def encode(x): return x + 1").passed


def test_random_is_seeded_on_both_sides() -> None:
    check = (
        "def check(candidate):\n    import random\n    data = [random.random() for _ in range(3)]\n"
        "    assert candidate(data) == sum(data)\n"
    )
    first = judge("def f(x): return sum(x)", check=check)
    again = judge("def f(x): return sum(x)", check=check)
    assert first.passed
    assert first == again
    code = "import random\ndef f(): return random.random()"
    assert judge(code, "assert f() == 0").outputs == judge(code, "assert f() == 0").outputs


def test_a_program_runs_as_a_script_with_empty_input() -> None:
    code = (
        "import sys\nif __name__ == '__main__':\n    state = 'main'\n"
        "try:\n    input('> ')\nexcept EOFError:\n    state += ' eof'\n"
        "print('hello', file=sys.stderr)\ndef f(): return state, sys.stdin.read()\n"
    )
    assert judge(code, "assert f() == ('main eof', '')").passed


def test_dataclasses_and_pickle_find_the_program() -> None:
    code = (
        "from __future__ import annotations\nimport dataclasses, pickle\n"
        "@dataclasses.dataclass\nclass P:\n    x: int\n"
        "def f(): return pickle.loads(pickle.dumps(P(3))).x\n"
    )
    assert judge(code, "assert f() == 3").passed


@pytest.mark.parametrize(
    ("code", "verdict", "error_type"),
    [
        ("def f(:", "syntax_error", "SyntaxError"),
        ("  def f(): pass", "syntax_error", "IndentationError"),
        ("raise ValueError('at load 0x7f00deadbeef')", "runtime_error", "ValueError"),
        ("def f(): return g()", "runtime_error", "NameError"),
        ("def f(x): return x", "runtime_error", "TypeError"),
        ("def f(): return f()", "runtime_error", "RecursionError"),
        ("def f(): return [0] * 10**12", "memory_limit", "MemoryError"),
        ("import numpy", "runtime_error", "ModuleNotFoundError"),
    ],
)
def test_errors_are_classified(code: str, verdict: str, error_type: str) -> None:
    found = judge(code, "assert f() == 1")
    assert (found.verdict, found.error_type) == (verdict, error_type)
    assert "deadbeef" not in found.message
    assert found.message.isprintable()


def test_how_a_program_ends_does_not_depend_on_when() -> None:
    """A program may end while the judge is still sending: what it said before must count."""
    ends = {
        "def f(:": "syntax_error",
        "raise KeyError": "runtime_error",
        "import os; os._exit(0)": "crashed",
        "def f(): return 1": "pass",
    }
    problem = Problem(
        problem_id="exact/1", prompt_text="", entry_point="f", tests=("assert f() == 1",)
    )
    candidates = [
        Candidate(problem_id="exact/1", sample_index=n, code=f"# {n}\n{list(ends)[n % len(ends)]}")
        for n in range(1200)
    ]
    verdicts = verify([problem], candidates, ExecuteParams())
    found = [v.verdict for v in verdicts]
    assert found == list(ends.values()) * 300


def test_printing_while_large_arguments_arrive_is_no_deadlock() -> None:
    code = "import sys\nfor _ in range(60): print('x' * 1000)\ndef f(x): return len(x)"
    tests = [f"assert f('a' * {300_000 + n}) == {300_000 + n}" for n in range(8)]
    assert judge(code, *tests).passed
    flood = code.replace("range(60)", "range(10 ** 6)")
    assert judge(flood, *tests).verdict == "output_limit"


def test_an_error_in_the_judges_part_of_a_test_is_the_programs_error() -> None:
    found = judge("def f(): return None", "assert len(f()) == 0", "assert f() is None")
    assert (found.verdict, found.error_type, found.tests) == (
        "runtime_error", "TypeError", ("error", "pass"),
    )  # fmt: skip


RARELY_IMPORTED = (
    "array", "calendar", "cmath", "dataclasses", "decimal", "fractions", "hashlib", "inspect",
    "json", "queue", "statistics", "textwrap", "threading", "traceback", "unicodedata", "zlib",
    "bz2", "lzma",
    "secrets", "uuid", "difflib", "graphlib", "zoneinfo", "csv", "ast", "asyncio",
    "concurrent.futures", "multiprocessing", "unittest", "logging", "xml.etree.ElementTree",
)  # fmt: skip


def test_the_whole_standard_library_can_be_imported_not_only_what_the_zygote_has() -> None:
    code = "import importlib\ndef f(name): return importlib.import_module(name).__name__"
    verdict = judge(code, *(f"assert f({name!r}) == {name!r}" for name in RARELY_IMPORTED))
    assert verdict.passed, verdict
