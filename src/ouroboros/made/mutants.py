"""One-edit mutants of passing programs, drawn to look like the mistakes models make.

A mutant is no failure by itself: it is executed like any program, and its verdict is its label.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ouroboros.critic.normalise import identity, readable
from ouroboros.made import calls, expressions, statements
from ouroboros.made.edits import Edit, Operator, Place, Program
from ouroboros.static_analysis import parse

_ALL: tuple[Operator, ...] = (
    expressions.comparison, expressions.arithmetic, expressions.division,
    expressions.swap_operands, expressions.drop_operand, expressions.off_by_one,
    expressions.range_bounds, expressions.slice_bounds, expressions.index_shift,
    expressions.initial_value, expressions.boolean, expressions.text, expressions.regex,
    expressions.wrong_variable,
    calls.function_twin, calls.method_twin, calls.forgotten_call, calls.swap_arguments,
    calls.sort_order,
    statements.negate_condition, statements.logical, statements.drop_condition,
    statements.delete_statement, statements.drop_else, statements.elif_or_if,
    statements.loop_control, statements.accumulation, statements.missing_return,
    statements.return_other, statements.return_indentation, statements.statement_indentation,
)  # fmt: skip
OPERATORS: dict[str, Operator] = {operator.__name__: operator for operator in _ALL}
"""Every mutation operator by its kind. What each changes is said in its docstring."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """A program with one edit, and the kind of the edit (a key of `OPERATORS`)."""

    code: str
    kind: str


def draw_mutants(
    parents: Sequence[str], taken: Collection[str], *, count: int, seed: str
) -> list[Mutant]:
    """Up to `count` mutants of the parents, no two alike and none that is already there.

    Each is drawn in four steps, each uniform over what is left: a parent, a kind of edit, a place,
    an edit there; so neither a long program nor an operator that applies everywhere dominates.
    The first mutants do not depend on `count`, nor any of them on the parents' order.

    Args:
        parents: programs that pass. Those with one identity count once.
        taken: identities (`normalise.identity`) that no mutant may have; the parents' are added.
        seed: of the draws.
    """
    distinct: dict[str, str] = {}
    for text in sorted({readable(code) for code in parents}):
        distinct.setdefault(identity(text), text)
    seen = {*taken, *distinct}
    draw = random.Random(seed)
    pools = [_Pool(distinct[key]) for key in sorted(distinct)]
    made: list[Mutant] = []
    while pools and len(made) < count:
        pool = draw.choice(pools)
        mutant = pool.draw(draw)
        if mutant is None:
            pools.remove(pool)
            continue
        key = identity(mutant.code)
        if key not in seen and parse(mutant.code) is not None:
            seen.add(key)
            made.append(mutant)
    return made


class _Pool:
    """The edits of one parent that have not been drawn. They are looked for at the first draw."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._program: Program | None = None
        self._places: dict[str, list[Place]] = {}

    def draw(self, draw: random.Random) -> Mutant | None:
        """The next mutant, or None where no edit is left."""
        if self._program is None and not self._open():
            return None
        assert self._program is not None
        while self._places:
            kind = draw.choice(list(self._places))
            edit = self._take(kind, draw)
            try:
                return Mutant(code=self._program.code_after(edit), kind=kind)
            except ValueError:
                continue  # an f-string that cannot be written with the new value in it
        return None

    def _open(self) -> bool:
        try:
            self._program = Program(self._code)
            for kind, operator in OPERATORS.items():
                places = [list(place) for place in operator(self._program) if place]
                if places:
                    self._places[kind] = places
        except (SyntaxError, ValueError, RecursionError):
            # A program that passes parses; one nested too deeply to walk has no mutants.
            self._places = {}
        return self._program is not None

    def _take(self, kind: str, draw: random.Random) -> Edit:
        places = self._places[kind]
        place = draw.randrange(len(places))
        edit = places[place].pop(draw.randrange(len(places[place])))
        if not places[place]:
            del places[place]
        if not places:
            del self._places[kind]
        return edit
