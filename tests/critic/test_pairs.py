"""Which programs are compared: within problems, distinct, evenly, by the curriculum."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from ouroboros.critic.pairs import FAULTS, Pool, collapse, draw_groups, fault, with_made
from ouroboros.critic.params import CurriculumPhase
from ouroboros.errors import InputError
from ouroboros.records import LabelledProblem, Verdict
from tests.critic.tiny_critics import attempt, labelled, problem

BALANCED = CurriculumPhase(name="balanced", negatives="balanced")


def hard(**changes: float) -> CurriculumPhase:
    return CurriculumPhase(name="hard", negatives="hard", **changes)  # type: ignore[arg-type]


def pool() -> Pool:
    return collapse([labelled(n, k) for n, k in enumerate(["ppff", "ffff", "pppp", "pfnns"])])


def test_identical_programs_are_collapsed() -> None:
    code = "def add(x):\n    return x + 1\n"
    row = LabelledProblem(
        problem=problem(1),
        attempts=(
            attempt(1, -1, code, "pass"),
            attempt(1, 0, code + "# same\n", "pass"),
            attempt(1, 1, code.replace("1", "2"), "wrong_answer", ("fail", "pass")),
        ),
    )
    found = collapse([row])
    assert [(p.copies, p.passed, p.near_miss) for p in found.programs] == [
        (2, True, False),
        (1, False, True),
    ]
    assert found.attempts == 3


def test_programs_that_read_alike_but_differ_in_verdict_are_left_out_and_counted() -> None:
    code = "def add(x):\n    return x + 1\n"
    row = LabelledProblem(
        problem=problem(1),
        attempts=(
            attempt(1, 0, code, "pass"),
            attempt(1, 1, code + "add(None)\n", "runtime_error"),
            attempt(1, 2, "def add(x): return 1", "wrong_answer"),
        ),
    )
    found = collapse([row])
    assert found.contradictory == 2
    assert len(found.programs) == 1


def test_pairs_are_of_one_problem_and_of_opposite_verdicts() -> None:
    p = pool()
    for group in draw_groups(p, BALANCED, count=40, size=4, seed="0"):
        members = [p.programs[n] for n in (*group.chosen, *group.rejected)]
        assert len({m.problem for m in members}) == 1
        assert all(p.programs[n].passed for n in group.chosen)
        assert not any(p.programs[n].passed for n in group.rejected)
        assert len({m.number for m in members}) == len(members) <= 4


def test_every_problem_weighs_the_same() -> None:
    p = pool()
    groups = draw_groups(p, BALANCED, count=40, size=4, seed="0")
    turns = Counter(p.programs[(*g.chosen, *g.rejected)[0]].problem for g in groups)
    assert turns == {0: 10, 1: 10, 2: 10, 3: 10}
    # Each once a round.
    first = [p.programs[(*g.chosen, *g.rejected)[0]].problem for g in groups[:4]]
    assert sorted(first) == [0, 1, 2, 3]


def test_a_group_is_balanced_where_it_can_be_and_full_where_not() -> None:
    groups = draw_groups(pool(), BALANCED, count=40, size=4, seed="0")
    shapes = {(len(g.chosen), len(g.rejected)) for g in groups}
    assert shapes == {(2, 2), (0, 4), (4, 0), (1, 3)}


def test_the_draw_depends_on_the_seed_alone() -> None:
    draws = [draw_groups(pool(), BALANCED, count=9, size=3, seed=s) for s in ("0", "0", "1")]
    assert draws[0] == draws[1] != draws[2]


def test_a_hard_phase_takes_the_failures_the_critic_scores_highest() -> None:
    p = collapse([labelled(0, "p" + "f" * 9)])
    rewards = [float(n) for n in range(10)]
    phase = hard(hard_fraction=1.0, near_miss_fraction=0.0, hard_cap=2)
    groups = draw_groups(p, phase, count=30, size=3, seed="0", rewards=rewards)
    assert {n for g in groups for n in g.rejected} == {8, 9}


def test_near_misses_are_drawn_at_their_share() -> None:
    p = collapse([labelled(0, "p" + "f" * 10 + "nn")])
    near = {q.number for q in p.programs if q.near_miss}
    phase = hard(hard_fraction=0.0, near_miss_fraction=0.5)
    groups = draw_groups(p, phase, count=2000, size=2, seed="0", rewards=[0.0] * 13)
    share = sum(g.rejected[0] in near for g in groups) / len(groups)
    # Half by their own share, and 2 of 12 of the easy half.
    assert share == pytest.approx(0.5 + 0.5 * 2 / 12, abs=0.04)


def test_easy_failures_stay_in_a_hard_phase() -> None:
    p = collapse([labelled(0, "p" + "f" * 9)])
    rewards = [float(n) for n in range(10)]
    phase = hard(hard_fraction=0.5, near_miss_fraction=0.0, hard_cap=1)
    groups = draw_groups(p, phase, count=400, size=2, seed="0", rewards=rewards)
    assert len({n for g in groups for n in g.rejected}) == 9


def made_row(number: int, count: int, verdict: str = "wrong_answer") -> LabelledProblem:
    attempts = []
    for index in range(count):
        one = attempt(number, 100 + index, f"def add(x):\n    return {index} - x\n", verdict)
        candidate = dataclasses.replace(one.candidate, sampling="mutant")
        attempts.append(dataclasses.replace(one, candidate=candidate))
    return LabelledProblem(problem=problem(number), attempts=tuple(attempts))


def test_made_failures_are_drawn_by_their_share() -> None:
    rows = with_made([labelled(0, "pp" + "f" * 10)], [made_row(0, 10)])
    p = collapse(rows)
    assert sum(program.made for program in p.programs) == 10
    for share in (0.0, 0.3, 1.0):
        phase = CurriculumPhase(name="x", negatives="balanced", made_fraction=share)
        groups = draw_groups(p, phase, count=300, size=4, seed="0")
        drawn = [p.programs[n].made for group in groups for n in group.rejected]
        assert sum(drawn) / len(drawn) == pytest.approx(share, abs=0.06)
    # Where nothing else fails, made failures give a problem its comparisons.
    p = collapse(with_made([labelled(0, "ppp")], [made_row(0, 3)]))
    assert all(group.comparisons for group in draw_groups(p, BALANCED, count=5, size=4, seed="0"))


def test_a_made_pass_stands_in_only_where_no_real_program_passes() -> None:
    p = collapse(with_made([labelled(0, "pff")], [made_row(0, 3, "pass")]))
    groups = draw_groups(p, BALANCED, count=20, size=4, seed="0")
    assert {n for group in groups for n in group.chosen} == {0}
    p = collapse(with_made([labelled(0, "fff")], [made_row(0, 3, "pass")]))
    groups = draw_groups(p, BALANCED, count=20, size=4, seed="0")
    assert all(p.programs[n].made for group in groups for n in group.chosen)
    assert all(group.comparisons for group in groups)


def test_made_programs_belong_to_train_problems() -> None:
    with pytest.raises(InputError, match="tiny/7"):
        with_made([labelled(0, "pf")], [made_row(7, 1)])


@pytest.mark.parametrize(
    ("verdict", "error", "kind"),
    [
        ("pass", None, "pass"),
        ("wrong_answer", None, "wrong_answer"),
        ("syntax_error", "SyntaxError", "syntax_error"),
        ("runtime_error", "NameError", "name_error"),
        ("runtime_error", "TypeError", "type_error"),
        ("runtime_error", "IndexError", "other_error"),
        ("crashed", None, "other_error"),
        ("timeout", None, "limit"),
    ],
)
def test_verdicts_fall_into_kinds(verdict: str, error: str | None, kind: str) -> None:
    found = Verdict(problem_id="a/1", sample_index=0, verdict=verdict, error_type=error)  # type: ignore[arg-type]
    assert FAULTS[fault(found)] == kind
