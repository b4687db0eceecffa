"""Platt scaling: right on data made for it, finite on data that is not."""

from __future__ import annotations

import numpy as np
import pytest

from ouroboros.critic import calibration


def sample(count: int, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    rewards = generator.normal(size=count) * 3
    p = 1 / (1 + np.exp(-(slope * rewards + intercept)))
    return rewards, generator.random(count) < p


def test_slope_and_intercept_are_recovered() -> None:
    rewards, passed = sample(20_000, 0.7, -1.2)
    found = calibration.fit(rewards, passed, np.ones(len(rewards)))
    assert found.slope == pytest.approx(0.7, rel=0.05)
    assert found.intercept == pytest.approx(-1.2, rel=0.05)
    p = found.p_pass(rewards)
    assert calibration.expected_calibration_error(p, passed, np.ones(len(p))) < 0.01


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_separable_data_has_a_finite_answer(scale: float) -> None:
    rewards = np.array([-2.0, -1.0, 1.0, 2.0]) * scale
    found = calibration.fit(rewards, [False, False, True, True], np.ones(4))
    p = found.p_pass(rewards)
    assert np.all(np.diff(p) > 0)
    assert 0 < p[0] < 0.5 < p[-1] < 1


def test_p_pass_never_falls_with_the_reward() -> None:
    rewards, passed = sample(500, -0.5, 0.0)
    found = calibration.fit(rewards, passed, np.ones(500))
    assert found.slope > 0
    assert np.mean(found.p_pass(rewards)) == pytest.approx(np.mean(passed), abs=0.02)


def test_equal_rewards_give_the_pass_rate() -> None:
    found = calibration.fit([1.0] * 40, [True] * 10 + [False] * 30, [1.0] * 40)
    assert float(found.p_pass([1.0])[0]) == pytest.approx(0.25, abs=0.03)


def test_problems_weigh_the_same_whatever_their_size() -> None:
    # One problem of 90 failures, one of 10 passes, equal in weight.
    passed = [False] * 90 + [True] * 10
    weights = [1 / 90] * 90 + [1 / 10] * 10
    p = calibration.fit([0.0] * 100, passed, weights).p_pass([0.0])
    assert float(p[0]) == pytest.approx(0.5, abs=0.01)


def test_cross_fitting_leaves_a_problem_out_of_its_own_fit() -> None:
    problems = [0] * 20 + [1] * 20 + [2] * 20
    passed = [True] * 20 + [False] * 40
    rewards = [0.0] * 60
    p = calibration.cross_fitted(rewards, passed, [1 / 20] * 60, problems)
    assert p[0] < p[20], "problem 0 alone passes, so the fit without it is lower"


def test_brier_and_ece_of_known_forecasts() -> None:
    ones = np.ones(4)
    passed = [True, True, False, False]
    assert calibration.brier([1, 1, 0, 0], passed, ones) == 0
    assert calibration.brier([0.5] * 4, passed, ones) == 0.25
    assert calibration.expected_calibration_error([0.5] * 4, passed, ones) == 0
    assert calibration.expected_calibration_error([0.9] * 4, passed, ones) == pytest.approx(0.4)
