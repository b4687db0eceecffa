"""Claims: the right answer, honest when it cannot be known, and right as often as it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ouroboros.estimators import Interval, expected_best_of_k, paired_bootstrap
from ouroboros.evaluation.claims import (
    ALL_TESTS,
    STRICTER,
    Comparison,
    decide,
    rounded,
)
from ouroboros.evaluation.measure import choose_ks, measure
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.selectors import SELECTORS
from ouroboros.evaluation.wording import (
    GREEDY,
    ORACLE,
    RANDOM,
    VERIFIER,
    detail,
    least_differing,
    sentence,
)
from ouroboros.records import LabelledProblem, Problem
from tests.evaluation.synthetic import (
    critic_of_quality,
    make_attempt,
    make_problem,
    make_rows,
    read,
)

BY_NAME = {selector.name: selector for selector in SELECTORS}
CLAIMED = [BY_NAME["random"], BY_NAME["mean_logprob"], BY_NAME["critic"]]
QUICK = EvaluateParams(bootstrap_replicates=500, vote_resamples=10)


def compare(rows, separation=1.0, params=QUICK, labelling=ALL_TESTS, selectors=CLAIMED, seed=0):
    samples = read(rows, critic_of_quality(rows, separation, seed))
    ks = choose_ks(samples, params.k)
    measured = measure(
        samples, selectors, ks, vote_resamples=params.vote_resamples, seed=params.seed
    )
    return Comparison(measured, labelling, params)


def found(low, high, differing):
    return Interval(
        estimate=(low + high) / 2, low=low, high=high, standard_error=0.02, problems=50,
        differing=differing,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "differing", "answer"),
    [
        (0.01, 0.2, 30, "yes"),
        (-0.01, 0.2, 30, "undecided"),
        (0.0, 0.2, 30, "undecided"),
        (-0.2, -0.01, 30, "no"),
        (0.01, 0.2, 5, "undecided"),
        (0.01, 0.2, 6, "yes"),
    ],
)
def test_a_claim_is_undecided_where_the_interval_or_too_few_problems_leave_it_open(
    low, high, differing, answer
):
    assert decide(found(low, high, differing), "a > b", 0.95).answer == answer


def test_the_fewest_differing_problems_are_those_of_a_sign_test():
    for confidence, fewest in [(0.95, 6), (0.9, 5), (0.99, 8), (0.5, 2)]:
        assert least_differing(confidence) == fewest
        assert 2 * 0.5**fewest <= 1 - confidence + 1e-12 < 2 * 0.5 ** (fewest - 1) + 1e-12


def test_a_claim_reads_as_a_sentence():
    claim = decide(found(0.0123, 0.2, 30), "verifier pass@1 > baseline pass@1", 0.95)
    metrics = claim.as_metrics()
    assert sentence(claim.words, metrics, 0.95) == (
        "verifier pass@1 > baseline pass@1: yes (+10.6 pp, 95% interval [+1.2, +20.0])"
    )
    assert detail(metrics, 0.95).startswith(
        "the two differ on 30 of 50 problems; a true difference of 5.6"
    )
    few = {**metrics, "problems_that_differ": 5}
    assert detail(few, 0.95) == (
        "the two differ on 5 of 50 problems; fewer than 6 decide nothing, whatever the difference"
    )


def test_a_comparison_agrees_with_the_paired_bootstrap_of_its_columns():
    comparison = compare(make_rows(30, 8))
    direct = paired_bootstrap(
        comparison.column(VERIFIER), comparison.column(RANDOM), replicates=500, seed=0
    )
    assert dataclasses.astuple(comparison.difference(VERIFIER, RANDOM)) == pytest.approx(
        dataclasses.astuple(direct)
    )


def test_random_is_pass_at_1_and_the_oracle_closes_the_whole_gap():
    rows = make_rows(30, 8)
    comparison = compare(rows)
    rates = [np.mean([a.verdict.passed for a in row.samples]) for row in rows]
    assert comparison.column(RANDOM) == pytest.approx(rates)
    assert comparison.gap_closed(ORACLE) == pytest.approx(1)
    assert comparison.gap_closed(RANDOM) == pytest.approx(0)


def test_greedy_is_the_greedy_candidate_at_every_k_or_absent():
    rows = make_rows(10, 4)
    comparison = compare(rows)
    for k in range(len(comparison.ks)):
        expected = [float(row.greedy.verdict.passed) for row in rows]
        assert comparison.column(GREEDY, k).tolist() == expected
    assert GREEDY not in compare(make_rows(10, 4, greedy=False))


def test_a_perfect_critic_reaches_the_oracle_and_a_blind_one_decides_nothing():
    rows = make_rows(60, 8)
    perfect = compare(rows, separation=1000.0)
    assert perfect.gap_closed(VERIFIER) == pytest.approx(1)
    assert perfect.claims()["verifier_over_baseline"].answer == "yes"
    assert compare(rows, separation=0.0).claims()["verifier_over_baseline"].answer == "undecided"
    assert compare(rows, separation=-1000.0).claims()["verifier_over_baseline"].answer == "no"


def test_where_nothing_passes_the_gap_is_undefined_and_the_claim_undecided():
    comparison = compare(make_rows(10, 4, solvable=0.0))
    assert comparison.gap_closed(VERIFIER) is None
    claim = comparison.claims()["verifier_over_baseline"]
    assert (claim.answer, claim.interval.estimate, claim.interval.differing) == ("undecided", 0, 0)


def test_hidden_tests_leave_out_the_visible_ones():
    problem = make_problem(0)
    attempts = []
    for index, results in enumerate(
        [("fail", "pass", "pass"), ("pass", "fail", "pass"), ("pass", "pass", "pass")]
    ):
        attempt = make_attempt(problem, index, passed=results == ("pass",) * 3)
        verdict = dataclasses.replace(attempt.verdict, tests=results)
        attempts.append(dataclasses.replace(attempt, verdict=verdict))
    hidden = STRICTER[0]
    assert [hidden.label(problem, a.verdict) for a in attempts] == [True, False, True]
    assert not hidden.applies(make_problem(0, visible=0))
    check = Problem(problem_id="humaneval/0", prompt_text="", entry_point="f", check="...")
    assert not hidden.applies(check)


def test_extra_tests_are_judged_on_the_problems_that_have_them():
    plain, strict = make_problem(0), make_problem(1, extra=2)
    rows = [
        LabelledProblem(
            problem=problem,
            attempts=tuple(
                make_attempt(problem, i, passed=True, extra=("pass", "fail" if i else "pass"))
                if problem.extra_tests
                else make_attempt(problem, i, passed=True)
                for i in range(2)
            ),
        )
        for problem in (plain, strict)
    ]
    comparison = compare(rows, labelling=STRICTER[1])
    assert comparison.problems == 1
    assert comparison.column(RANDOM).tolist() == [0.5]


def test_rounding_leaves_no_negative_zero():
    assert str(rounded(-0.000001)) == "0.0"
    assert rounded(None) is None


def simulate(problems, samples, separation, seed):
    """The true mean difference critic - random of the synthetic population: many problems."""
    generator = np.random.default_rng(seed)
    rate = generator.beta(1, 2, size=problems) * (generator.random(problems) < 0.7)
    passed = generator.random((problems, samples)) < rate[:, None]
    reward = separation * passed + generator.normal(size=passed.shape)
    return float((expected_best_of_k(reward, passed, samples) - passed.mean(axis=1)).mean())


@pytest.mark.parametrize("separation", [0.0, 0.8])
def test_intervals_cover_the_truth_in_about_95_of_100_simulations(separation):
    """A critic of known quality on fresh problems each time, through the whole comparison."""
    truth = simulate(200_000, 8, separation, seed=1)
    simulations, covered, claimed = 200, 0, 0
    for trial in range(simulations):
        rows = make_rows(40, 8, seed=1000 + trial)
        claim = compare(rows, separation, seed=5000 + trial).claims()["verifier_over_baseline"]
        covered += claim.interval.low <= truth <= claim.interval.high
        claimed += claim.answer == "yes"
    # 95% of 200, give or take 2.5 standard errors.
    assert 0.91 <= covered / simulations <= 0.985, covered / simulations
    if separation == 0.0:
        assert claimed / simulations <= 0.05, f"claimed without cause: {claimed / simulations}"
