"""From labelled problems to views: what is seen is right, and what does not fit is refused."""

from __future__ import annotations

import dataclasses

import pytest

from ouroboros.errors import InputError
from ouroboros.evaluation import samples as samples_module
from ouroboros.evaluation.samples import describe_programs
from ouroboros.records import LabelledProblem
from ouroboros.static_analysis import StaticFacts
from tests.evaluation.synthetic import (
    Score,
    critic_of_quality,
    make_attempt,
    make_problem,
    make_rows,
    read,
)


def constant(pairs):
    return [Score(0.5, 0.5) for _ in pairs]


def read_one(problem, *attempts):
    row = LabelledProblem(problem=problem, attempts=attempts)
    return read([row], constant)[0]


def test_the_greedy_candidate_is_not_a_sample():
    problem = make_problem(0)
    item = read_one(
        problem, make_attempt(problem, -1, passed=True), make_attempt(problem, 0, passed=False)
    )
    assert (item.view.count, item.passed.tolist(), item.greedy_passed) == (1, [False], True)


def test_equal_programs_are_scored_once_and_share_the_score():
    problem = make_problem(0)
    seen = []

    def score(pairs):
        seen.extend(pairs)
        return [Score(float(i), 0.5) for i in range(len(pairs))]

    rows = [
        LabelledProblem(
            problem=problem,
            attempts=tuple(
                make_attempt(problem, i, passed=True, code=code)
                for i, code in enumerate(["x = 1", "x = 2", "x = 1", "x  =  1"])
            ),
        )
    ]
    (item,) = read(rows, score)
    assert len(seen) == 3
    assert item.view.reward.tolist() == [0, 1, 0, 2]
    assert item.view.same_program.tolist() == [0, 1, 0, 0]


def test_visible_results_become_what_may_be_seen_of_them():
    problem = make_problem(0, visible=2)
    attempts = [
        make_attempt(problem, 0, passed=False, visible=("pass", "pass"), outputs=("a", "b")),
        make_attempt(problem, 1, passed=False, visible=("pass", "fail"), outputs=("a", "b")),
        make_attempt(problem, 2, passed=False, visible=("pass", "error"), outputs=("a", None)),
    ]
    view = read_one(problem, *attempts).view
    assert view.passes_visible.tolist() == [True, False, False]
    assert view.runs.tolist() == [True, True, False]
    assert view.output.tolist() == [0, 0, -1]


def test_a_program_that_never_started_neither_runs_nor_passes():
    problem = make_problem(0)
    attempt = make_attempt(problem, 0, passed=False, verdict="syntax_error")
    bare = dataclasses.replace(
        attempt.verdict, tests=(), visible_tests=(), visible_outputs=(), extra_tests=()
    )
    view = read_one(problem, dataclasses.replace(attempt, verdict=bare)).view
    assert view.runs.tolist() == [False]
    assert view.passes_visible.tolist() == [False]
    assert view.output.tolist() == [-1]


def test_without_visible_tests_nothing_is_told_apart():
    problem = make_problem(0, visible=0)
    attempts = [make_attempt(problem, i, passed=bool(i)) for i in range(2)]
    view = read_one(problem, *attempts).view
    assert view.runs.all()
    assert view.passes_visible.all()
    assert view.output.tolist() == [0, 0]


def test_outputs_on_hidden_tests_tell_nothing_apart():
    problem = make_problem(0)
    attempts = [make_attempt(problem, i, passed=False, outputs=("a",)) for i in range(2)]
    hidden = [
        dataclasses.replace(
            one, verdict=dataclasses.replace(one.verdict, outputs=("a", str(i), ""))
        )
        for i, one in enumerate(attempts)
    ]
    assert read_one(problem, *hidden).view.output.tolist() == [0, 0]


def test_a_source_without_outputs_is_told_from_programs_without_outputs():
    problem = make_problem(0)
    passing = make_attempt(problem, 0, passed=True, outputs=())
    assert read_one(problem, passing).view.output is None


@pytest.mark.parametrize("name", ["tests", "visible_tests", "extra_tests"])
def test_verdicts_of_other_tests_are_refused(name):
    problem = make_problem(0, extra=1)
    attempt = make_attempt(problem, 3, passed=True)
    results = (*getattr(attempt.verdict, name), "pass")
    wrong = dataclasses.replace(attempt.verdict, **{name: results})
    with pytest.raises(InputError, match=rf"synthetic/0 sample 3: the verdict has \d {name} where"):
        read_one(problem, dataclasses.replace(attempt, verdict=wrong))


def test_an_empty_split_and_a_problem_without_samples_are_refused():
    with pytest.raises(InputError, match="holds no problems"):
        read([], constant)
    problem = make_problem(4)
    with pytest.raises(InputError, match="'synthetic/4' has no samples"):
        read_one(problem, make_attempt(problem, -1, passed=True))


@pytest.mark.parametrize(("reward", "p_pass"), [(float("nan"), 0.5), (0.0, 1.5), (0.0, -0.1)])
def test_scores_that_are_none_are_refused(reward, p_pass):
    rows = make_rows(1, 2)
    with pytest.raises(InputError, match="to a program of 'synthetic/0'"):
        read(rows, lambda pairs: [Score(reward, p_pass)] * len(pairs))


def test_a_critic_that_skips_programs_is_refused():
    rows = make_rows(1, 3)
    with pytest.raises(InputError, match="gave 1 scores for 3 programs"):
        read(rows, lambda pairs: [Score(0, 0.5)])


def test_rewards_are_rounded_so_that_last_bits_order_nothing():
    rows = make_rows(1, 2)
    scores = iter([0.1, 0.1 + 1e-12])
    (item,) = read(rows, lambda pairs: [Score(next(scores), 0.5) for _ in pairs])
    assert item.view.reward[0] == item.view.reward[1]


def test_all_problems_keep_their_order():
    rows = make_rows(12, 2)
    samples = read(rows, critic_of_quality(rows, 1.0))
    assert [item.problem_id for item in samples] == [row.problem_id for row in rows]


def test_many_programs_are_described_alike_by_several_processes(monkeypatch):
    rows = make_rows(5, 8)
    alone = describe_programs(rows, length_of)
    monkeypatch.setattr(samples_module, "MANY", 1)
    assert describe_programs(rows, length_of) == alone
    assert len(alone) == 40


def length_of(code, entry_point, visible_tests):
    return StaticFacts(parses=len(code) % 2 == 0)
