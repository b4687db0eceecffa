"""The critic's quality measures against their definitions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from ouroboros.evaluation.quality import auc, auc_within, brier, reliability, risk_coverage


def random_case(seed=0, size=500):
    generator = np.random.default_rng(seed)
    p = np.round(generator.random(size), 2)  # rounded: ties
    return p, generator.random(size) < p


def test_auc_and_brier_agree_with_scikit_learn():
    p, passed = random_case()
    assert auc(p, passed) == pytest.approx(roc_auc_score(passed, p))
    assert brier(p, passed) == pytest.approx(brier_score_loss(passed, p))


def test_auc_of_one_class_is_none():
    assert auc([0.1, 0.2], [True, True]) is None
    assert auc([0.1, 0.2], [False, False]) is None


def test_auc_within_ignores_differences_between_problems():
    easy = (np.array([9.0, 8.0]), np.array([False, True]))
    hard = (np.array([1.0, 2.0]), np.array([False, True]))
    never = (np.array([5.0, 5.0]), np.array([False, False]))
    assert auc_within([easy, hard, never]) == (0.5, 2)
    assert auc_within([never]) == (None, 0)


def test_reliability_of_calibrated_probabilities_is_near_the_diagonal():
    p, passed = random_case(size=20_000)
    bins = reliability(p, passed)
    assert bins.count.sum() == 20_000
    assert np.abs(bins.predicted - bins.observed).max() < 0.05
    assert bins.ece < 0.02


def test_reliability_by_hand_with_the_edges_in_the_last_and_first_bin():
    bins = reliability([0.0, 0.05, 1.0, 0.95], [False, True, True, True])
    assert bins.low.tolist() == [0.0, 0.9]
    assert bins.observed.tolist() == [0.5, 1.0]
    assert bins.predicted == pytest.approx([0.025, 0.975])
    assert bins.ece == pytest.approx((0.475 * 2 + 0.025 * 2) / 4)


def test_risk_coverage_answers_the_most_confident_first_and_ties_together():
    curve = risk_coverage([0.2, 0.9, 0.5, 0.5], [0, 1, 1, 0])
    assert curve.threshold.tolist() == [0.9, 0.5, 0.2]
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]
    assert curve.accuracy.tolist() == pytest.approx([1.0, 2 / 3, 0.5])
    assert curve.area == pytest.approx(0.5 * (1 / 3) + 0.25 * 0.5)
