"""Right programs under wrong prompts: another problem's passing program, renamed to be called here.

It teaches a critic to read the prompt. Whether such a program fails is found out by running it.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ouroboros.critic.normalise import identity, readable
from ouroboros.made.edits import call_name
from ouroboros.records import Problem
from ouroboros.static_analysis import facts, parse
from ouroboros.store import digest

Arguments = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Donor:
    """A problem's passing programs, to be put under other prompts.

    Attributes:
        arguments: what the visible tests call the entry point with (see `call_arguments`).
        programs: the code and the identity (`normalise.identity`) of each, no two alike.
    """

    problem_id: str
    entry_point: str
    arguments: Arguments | None
    programs: tuple[tuple[str, str], ...]


def make_donor(problem: Problem, passing: Sequence[str]) -> Donor | None:
    """The distinct programs among those that pass; None where there is none.

    A program that needs its problem's setup code is left out: elsewhere it names what is not there.
    """
    distinct: dict[str, str] = {}
    for code in sorted({readable(code) for code in passing}):
        if not facts(code, problem.entry_point).undefined_names:
            distinct.setdefault(identity(code), code)
    if not distinct:
        return None
    return Donor(
        problem_id=problem.problem_id,
        entry_point=problem.entry_point,
        arguments=call_arguments(problem),
        programs=tuple((distinct[key], key) for key in sorted(distinct)),
    )


def call_arguments(problem: Problem) -> Arguments | None:
    """The kind of each argument in the first visible call: ("list of int", "k=str"), for example.

    Anything but a literal is a "value". None where no visible test calls the entry point.
    """
    for test in problem.visible_tests:
        tree = parse(test)
        for node in ast.walk(tree) if tree is not None else ():
            if call_name(node) == problem.entry_point and isinstance(node, ast.Call):
                named = [f"{keyword.arg}={_kind(keyword.value)}" for keyword in node.keywords]
                return (*(_kind(argument) for argument in node.args), *named)
    return None


def _kind(node: ast.expr) -> str:
    match node:
        case ast.Constant():
            return type(node.value).__name__
        case ast.UnaryOp():
            return _kind(node.operand)
        case ast.List() | ast.Tuple() | ast.Set():
            inside = _kind(node.elts[0]) if node.elts else "nothing"
            return f"{type(node).__name__.lower()} of {inside}"
        case ast.Dict():
            return "dict"
    return "value"


def draw_wrong_prompts(
    problem: Problem, donors: Sequence[Donor], taken: Collection[str], *, count: int, seed: str
) -> list[str]:
    """Up to `count` programs of other problems under this problem's entry point, no two alike.

    First of donors that are called with the same kinds of arguments, then with as many arguments,
    then others: a program that cannot even be called here would be told by its signature. Beyond
    that donors are taken in an order by digest, so that one more problem in the set does not
    reshuffle the others. Each donor gives one program.

    Args:
        taken: identities that no program may have.
        seed: of the order.
    """
    arguments = call_arguments(problem)
    ranked = sorted(
        (donor for donor in donors if donor.problem_id != problem.problem_id),
        key=lambda donor: (_misfit(arguments, donor), digest([seed, donor.problem_id])),
    )
    seen = set(taken)
    made: list[str] = []
    for donor in ranked:
        if len(made) == count:
            break
        code = _transplant(problem, donor, seed)
        if code is not None and identity(code) not in seen:
            seen.add(identity(code))
            made.append(code)
    return made


def _misfit(arguments: Arguments | None, donor: Donor) -> int:
    if arguments == donor.arguments:
        return 0
    if arguments is None or donor.arguments is None or len(arguments) != len(donor.arguments):
        return 2
    return 1


def _transplant(problem: Problem, donor: Donor, seed: str) -> str | None:
    """The donor's first program, in an order by digest, that can be called by the other name."""
    for code, _ in sorted(
        donor.programs, key=lambda program: digest([seed, donor.problem_id, program[1]])
    ):
        renamed = rename_entry_point(code, donor.entry_point, problem.entry_point)
        if renamed is not None:
            return renamed
    return None


def rename_entry_point(code: str, old: str, new: str) -> str | None:
    """The program with the function `old` called `new`, in its definition and wherever it is used.

    None where that would not be the same program: `new` has another meaning in it, or `old` names
    a parameter or an import too.
    """
    tree = parse(code)
    if tree is None:
        return None
    if old == new:
        return ast.unparse(tree)
    plain: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            plain.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            plain.add(node.name)
        else:
            others.update(_other_names(node))
    if new in plain | others or old in others:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = new
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.name = new if node.name == old else node.name
    return ast.unparse(tree)


def _other_names(node: ast.AST) -> Collection[str]:
    """Names that a node other than a name or a definition binds or passes."""
    if isinstance(node, ast.arg | ast.keyword):
        return [node.arg] if node.arg else []
    if isinstance(node, ast.alias):
        return [(node.asname or node.name).split(".")[0]]
    if isinstance(node, ast.Global | ast.Nonlocal):
        return node.names
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    return []
