"""Which programs are compared with which: within a problem, a passing against a failing one.

The unit of training is a group: some passing and some failing programs of one problem. Every
passing one is compared with every failing one, so each program is encoded once however many pairs
it is in. A problem without passes, or without failures, gives groups of one kind, which teach
through the pointwise term alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ouroboros.critic.normalise import identity
from ouroboros.critic.params import CurriculumPhase
from ouroboros.records import LabelledProblem


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A distinct program of a problem.

    Attributes:
        number: its place in the list of all programs of the split.
        problem: its problem's place in the list of rows.
        code: the first of the programs it stands for.
        passed: the verdict.
        near_miss: it failed, but passed at least one test.
        copies: how many attempts it stands for.
    """

    number: int
    problem: int
    code: str
    passed: bool
    near_miss: bool
    copies: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The distinct programs of a split, by problem.

    Attributes:
        programs: all of them, by number.
        by_problem: per row, the numbers of its programs.
        attempts: how many attempts there were.
        contradictory: attempts left out, because programs that read the same to the critic got
            different verdicts (a demonstration call that fails, say).
    """

    programs: tuple[Program, ...]
    by_problem: tuple[tuple[int, ...], ...]
    attempts: int
    contradictory: int

    def mixed(self) -> list[int]:
        """The rows that have both passing and failing programs."""
        return [
            row
            for row, numbers in enumerate(self.by_problem)
            if len({self.programs[number].passed for number in numbers}) == 2
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Programs of one problem that are compared in one step, by number."""

    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def comparisons(self) -> int:
        return len(self.chosen) * len(self.rejected)


def collapse(rows: Sequence[LabelledProblem]) -> Pool:
    """The distinct programs of each problem (see `normalise.identity`), in order."""
    programs: list[Program] = []
    by_problem = []
    attempts = contradictory = 0
    for row, labelled in enumerate(rows):
        groups: dict[str, list[int]] = {}
        for place, attempt in enumerate(labelled.attempts):
            groups.setdefault(identity(attempt.candidate.code), []).append(place)
        numbers = []
        for places in groups.values():
            verdicts = [labelled.attempts[place].verdict for place in places]
            attempts += len(places)
            if len({verdict.passed for verdict in verdicts}) == 2:
                contradictory += len(places)
                continue
            first = verdicts[0]
            numbers.append(len(programs))
            programs.append(
                Program(
                    number=len(programs),
                    problem=row,
                    code=labelled.attempts[places[0]].candidate.code,
                    passed=first.passed,
                    near_miss=not first.passed and "pass" in first.tests,
                    copies=len(places),
                )
            )
        by_problem.append(tuple(numbers))
    return Pool(
        programs=tuple(programs),
        by_problem=tuple(by_problem),
        attempts=attempts,
        contradictory=contradictory,
    )


def draw_groups(
    pool: Pool,
    phase: CurriculumPhase,
    *,
    count: int,
    size: int,
    seed: str,
    rewards: Sequence[float] | None = None,
) -> list[Group]:
    """The groups of a phase, in the order they are trained on.

    Problems take turns (each once, in a new order every round), so each weighs the same whatever
    its number of programs.

    Args:
        count: how many groups.
        size: most programs in a group; half of them passing where there are enough of both.
        seed: of the order and the draws.
        rewards: the current critic's, by program number; needed where the phase mines.
    """
    draw = random.Random(seed)
    rows = [row for row, numbers in enumerate(pool.by_problem) if numbers]
    groups: list[Group] = []
    while len(groups) < count:
        order = draw.sample(rows, len(rows))
        groups.extend(_group(pool, phase, row, size, draw, rewards) for row in order)
    return groups[:count]


def _group(
    pool: Pool,
    phase: CurriculumPhase,
    row: int,
    size: int,
    draw: random.Random,
    rewards: Sequence[float] | None,
) -> Group:
    members = [pool.programs[number] for number in pool.by_problem[row]]
    passes = [program.number for program in members if program.passed]
    failures = [program for program in members if not program.passed]
    chosen_count = min(len(passes), max(size // 2, size - len(failures)))
    rejected_count = min(len(failures), size - chosen_count)
    chosen = draw.sample(passes, chosen_count)
    rejected = _negatives(failures, phase, rejected_count, draw, rewards)
    return Group(chosen=tuple(chosen), rejected=tuple(rejected))


def _negatives(
    failures: Sequence[Program],
    phase: CurriculumPhase,
    count: int,
    draw: random.Random,
    rewards: Sequence[float] | None,
) -> list[int]:
    numbers = [program.number for program in failures]
    if phase.negatives == "balanced" or count == 0:
        return draw.sample(numbers, count)
    if rewards is None:
        raise ValueError("a hard phase needs the current critic's rewards")
    ranked = sorted(numbers, key=lambda number: (-rewards[number], number))
    pools = (
        ranked[: phase.hard_cap],
        [program.number for program in failures if program.near_miss],
        numbers,
    )
    weights = (
        phase.hard_fraction,
        phase.near_miss_fraction,
        1 - phase.hard_fraction - phase.near_miss_fraction,
    )
    # The kind of each place is drawn, so that the shares hold over groups of any size.
    taken: list[int] = []
    for _ in range(count):
        kind = draw.choices(range(3), weights=weights)[0]
        options = [n for n in pools[kind] if n not in taken] or [
            n for n in numbers if n not in taken
        ]
        taken.append(draw.choice(options))
    return taken
