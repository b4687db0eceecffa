"""Drawing mutants: distinct, one edit each, the same every time."""

from __future__ import annotations

import ast
import difflib
from collections import Counter
from pathlib import Path

import pytest

from ouroboros.critic.normalise import identity, readable
from ouroboros.made.edits import Program
from ouroboros.made.mutants import OPERATORS, draw_mutants
from ouroboros.problems.formats import load_problems
from ouroboros.static_analysis import facts

STARTER = Path(__file__).parents[2] / "src/ouroboros/problems/starter/problems.jsonl"
PROBLEMS = load_problems(STARTER)
# A statement that moves leaves one place and arrives at another.
MOVES = ("return_indentation", "statement_indentation")
TWO_SPOTS = (*MOVES, "swap_operands", "swap_arguments", "elif_or_if")
# What is left of an expression moves up in the tree: it cannot be compared node by node.
KEEPS_A_PART = (
    "drop_operand", "forgotten_call", "drop_condition", "negate_condition", "range_bounds",
    "index_shift", "slice_bounds", "missing_return",
)  # fmt: skip
LOOP = """
def f(items, limit):
    total = 0
    for item in items:
        if item > limit:
            total += item
    return total
"""


def spots(first: object, second: object) -> int:
    """In how many separate spots two trees differ."""
    if isinstance(first, list) and isinstance(second, list):
        start = 0
        while start < min(len(first), len(second)) and not spots(first[start], second[start]):
            start += 1
        first, second = first[start:], second[start:]
        while first and second and not spots(first[-1], second[-1]):
            first, second = first[:-1], second[:-1]
        if len(first) == len(second):
            return sum(spots(one, other) for one, other in zip(first, second, strict=True))
        return 1
    if isinstance(first, ast.AST) and type(first) is type(second):
        pairs = [(getattr(first, name), getattr(second, name)) for name in first._fields]
        return sum(spots(one, other) for one, other in pairs)
    return int(isinstance(first, ast.AST) or first != second)


@pytest.mark.parametrize("problem", PROBLEMS[:40], ids=lambda problem: problem.problem_id)
def test_every_edit_is_one_edit_that_parses_and_leaves_the_program(problem) -> None:
    text = readable(problem.reference)
    program = Program(text)
    for kind, operator in OPERATORS.items():
        for edit in [edit for place in operator(program) for edit in place]:
            code = program.code_after(edit)
            lines = difflib.SequenceMatcher(None, text.splitlines(), code.splitlines())
            runs = sum(tag != "equal" for tag, *_ in lines.get_opcodes())
            assert 1 <= runs <= (2 if kind in MOVES else 1), f"{kind}: {runs} places\n{code}"
            if kind not in KEEPS_A_PART:
                changed = spots(ast.parse(text), ast.parse(code))
                assert changed <= (2 if kind in TWO_SPOTS else 1), f"{kind}: {changed}\n{code}"
            compile(code, "mutant", "exec", dont_inherit=True)  # no `break` outside a loop either
    assert program.code_after(()) == text


@pytest.mark.parametrize("problem", PROBLEMS[:40], ids=lambda problem: problem.problem_id)
def test_mutants_differ_from_parent_from_each_other_and_from_what_is_taken(problem) -> None:
    first = draw_mutants([problem.reference], [], count=8, seed="s")
    assert first
    taken = {identity(first[0].code)}
    mutants = draw_mutants([problem.reference], taken, count=40, seed="s")
    keys = [identity(mutant.code) for mutant in mutants]
    assert len(set(keys)) == len(keys)
    assert not {identity(problem.reference), *taken} & set(keys)
    assert all(facts(mutant.code, problem.entry_point).parses for mutant in mutants)


def test_the_draw_depends_on_its_seed_alone() -> None:
    other = LOOP.replace("total += item", "total += item * 2")
    mutants = draw_mutants([LOOP, other], [], count=30, seed="a")
    assert mutants == draw_mutants([other, LOOP, LOOP], [], count=30, seed="a")
    assert mutants[:5] == draw_mutants([LOOP, other], [], count=5, seed="a")
    assert mutants != draw_mutants([LOOP, other], [], count=30, seed="b")


def test_programs_that_differ_in_names_alone_are_one_parent() -> None:
    renamed = LOOP.replace("total", "result")
    both = {identity(m.code) for m in draw_mutants([LOOP, renamed], [], count=999, seed="s")}
    one = {identity(m.code) for m in draw_mutants([LOOP], [], count=999, seed="s")}
    assert both == one


def test_no_operator_dominates() -> None:
    # A long program with one `break`, one slice, and additions everywhere.
    sums = "".join(f"    a = a + b + {number}\n" for number in range(12))
    code = f"def f(a, b):\n{sums}    for c in a[1:]:\n        break\n    return a\n"
    kinds = Counter(
        draw_mutants([code], [], count=1, seed=str(number))[0].kind for number in range(100)
    )
    assert kinds["loop_control"] > 2
    assert max(kinds.values()) < 30, kinds


def test_nothing_to_mutate_gives_no_mutants() -> None:
    assert draw_mutants([], [], count=5, seed="s") == []
    assert draw_mutants(["def f(): pass"], [], count=5, seed="s") == []
    assert draw_mutants(["not python ("], [], count=5, seed="s") == []
    assert draw_mutants(["x = " + "-" * 3000 + "1"], [], count=5, seed="s") == []
