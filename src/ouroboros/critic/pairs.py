"""Which programs are compared with which: within a problem, a passing against a failing one.

The unit of training is a group: some passing and some failing programs of one problem. Every
passing one is compared with every failing one, so each program is encoded once however many pairs
it is in. A problem without passes, or without failures, gives groups of one kind, which teach
through the pointwise term alone.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ouroboros.critic.normalise import identity
from ouroboros.critic.params import CurriculumPhase
from ouroboros.errors import InputError
from ouroboros.records import LabelledProblem, Verdict

REAL = ("greedy", "sample")
"""How programs came about that a generator wrote; the others were made to learn from."""
FAULTS = (
    "pass",
    "wrong_answer",
    "syntax_error",
    "name_error",
    "type_error",
    "other_error",
    "limit",
)
"""The kinds of verdict the auxiliary target tells apart."""
_NAME_ERRORS = frozenset(
    {"NameError", "UnboundLocalError", "AttributeError", "ImportError", "ModuleNotFoundError"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A distinct program of a problem.

    Attributes:
        number: its place in the list of all programs of the split.
        problem: its problem's place in the list of rows.
        code: the first of the programs it stands for.
        passed: the verdict.
        fault: the kind of its verdict, a place in `FAULTS`.
        near_miss: it failed, but passed at least one test.
        made: it was made to learn from (a mutant, say), not drawn from a generator.
        copies: how many attempts it stands for.
    """

    number: int
    problem: int
    code: str
    passed: bool
    fault: int
    near_miss: bool
    made: bool
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


def fault(verdict: Verdict) -> int:
    """The place in `FAULTS` of a verdict's kind."""
    if verdict.verdict in ("pass", "wrong_answer", "syntax_error"):
        kind: str = verdict.verdict
    elif verdict.verdict in ("timeout", "memory_limit", "output_limit"):
        kind = "limit"
    elif verdict.error_type in _NAME_ERRORS:
        kind = "name_error"
    elif verdict.error_type == "TypeError":
        kind = "type_error"
    else:
        kind = "other_error"
    return FAULTS.index(kind)


def with_made(
    rows: Sequence[LabelledProblem], made: Sequence[LabelledProblem]
) -> list[LabelledProblem]:
    """The train rows with the made programs of their problems behind the real ones.

    Raises:
        InputError: made programs of a problem that is not among the rows.
    """
    extra = {row.problem_id: row.attempts for row in made}
    joined = [
        dataclasses.replace(row, attempts=(*row.attempts, *extra.pop(row.problem_id, ())))
        for row in rows
    ]
    if extra:
        raise InputError(
            f"made programs of {min(extra)!r}, which is no train problem",
            hint="run the make_negatives stage on this split",
        )
    return joined


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
                    fault=fault(first),
                    near_miss=not first.passed and "pass" in first.tests,
                    made=all(
                        labelled.attempts[place].candidate.sampling not in REAL for place in places
                    ),
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
    real = [program.number for program in members if program.passed and not program.made]
    # A mutant that passes is mostly its parent again: it stands in only where nothing else does.
    passes = real or passes
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
    made = [program.number for program in failures if program.made]
    real = [program for program in failures if not program.made]
    numbers = [program.number for program in real]
    made_share = phase.made_fraction if made else 0.0
    pools, weights = [made], [made_share]
    if phase.negatives == "hard":
        if rewards is None:
            raise ValueError("a hard phase needs the current critic's rewards")
        ranked = sorted(numbers, key=lambda number: (-rewards[number], number))
        near = [program.number for program in real if program.near_miss]
        pools += [ranked[: phase.hard_cap], near, numbers]
        shares = [phase.hard_fraction, phase.near_miss_fraction]
        weights += [(1 - made_share) * share for share in (*shares, 1 - sum(shares))]
    else:
        pools.append(numbers)
        weights.append(1 - made_share)
    # The kind of each place is drawn, so that the shares hold over groups of any size.
    taken: list[int] = []
    for _ in range(count):
        kind = draw.choices(range(len(pools)), weights=weights)[0]
        for options in (pools[kind], numbers, made):
            left = [number for number in options if number not in taken]
            if left:
                taken.append(draw.choice(left))
                break
    return taken
