"""Measured pick frequencies against brute force over all subsets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ouroboros.errors import InputError
from ouroboros.estimators import pass_at_k
from ouroboros.evaluation.measure import choose_ks, measure, vote
from ouroboros.evaluation.selectors import SELECTORS, Votes
from ouroboros.evaluation.views import narrow
from ouroboros.records import LabelledProblem
from tests.evaluation.synthetic import (
    Score,
    critic_of_quality,
    make_attempt,
    make_problem,
    make_rows,
    read,
)


def make_samples(problems=6, samples=6, **options):
    rows = make_rows(problems, samples, **options)
    return read(rows, critic_of_quality(rows, 1.0))


def brute(selector, item, k):
    """Mean over all size-k subsets of the expected pass of the pick."""
    result = selector.rule(narrow(item.view, selector.view))
    values = []
    for subset in itertools.combinations(range(item.view.count), k):
        chosen = np.array([subset])
        if isinstance(result, Votes):
            shares = vote(result, chosen)[0]
        else:
            best = result[chosen[0]] == max(result[chosen[0]])
            shares = best / best.sum()
        values.append(float(shares @ item.passed[chosen[0]]))
    return np.mean(values)


def test_score_selectors_are_exact_and_votes_within_their_stated_error():
    samples = make_samples()
    found = measure(samples, SELECTORS, [1, 2, 4, 6], vote_resamples=400, seed=0)
    values = found.values([item.passed for item in samples])
    for s, selector in enumerate(found.selectors):
        votes = isinstance(selector.rule(narrow(samples[0].view, selector.view)), Votes)
        for p, item in enumerate(samples):
            for place, k in enumerate(found.ks):
                want = brute(selector, item, k)
                error = found.spread[p, s, place]
                # A vote over subsets is exact at k = n, and elsewhere within a few errors.
                allowed = 4.5 * error + 1e-9
                assert values[p, s, place] == pytest.approx(want, abs=allowed), (selector.name, k)
                assert votes or error == 0
                assert k < item.view.count or error == 0


def test_pick_frequencies_sum_to_one():
    found = measure(make_samples(), SELECTORS, [1, 3, 6], vote_resamples=20, seed=0)
    for weights in found.weights:
        assert np.allclose(weights.sum(axis=-1), 1)


def test_the_oracle_is_unbiased_pass_at_k():
    samples = make_samples()
    found = measure(samples, SELECTORS[:1], [2, 5], vote_resamples=1, seed=0)
    oracle = found.oracle([item.passed for item in samples])
    for item, values in zip(samples, oracle, strict=True):
        assert values == pytest.approx(pass_at_k(6, int(item.passed.sum()), [2, 5]))


def test_a_problems_numbers_do_not_depend_on_the_other_problems():
    samples = make_samples()
    all_of_them = measure(samples, SELECTORS, [3], vote_resamples=10, seed=7)
    alone = measure(samples[2:3], SELECTORS, [3], vote_resamples=10, seed=7)
    assert (all_of_them.weights[2] == alone.weights[0]).all()


def test_a_selector_that_cannot_be_measured_is_left_out_with_the_reason():
    rows = make_rows(3, 4)
    first = rows[0].attempts[1]
    object.__setattr__(first.candidate, "sum_logprob", None)
    samples = read(rows, critic_of_quality(rows, 1.0))
    found = measure(samples, SELECTORS, [4], vote_resamples=10, seed=0)
    assert set(found.left_out) == {
        "sum_logprob", "mean_logprob", "coder_reviewer", "visible_tests_then_logprob",
    }  # fmt: skip
    assert found.left_out["mean_logprob"] == "some candidates have no log-probabilities"
    assert "mean_logprob" not in [selector.name for selector in found.selectors]


@pytest.mark.parametrize(
    ("counts", "asked", "chosen"),
    [
        ([8], None, (1, 2, 4, 8)),
        ([50], None, (1, 2, 4, 8, 16, 32, 50)),
        ([1], None, (1,)),
        ([9, 6], None, (1, 2, 4, 6)),
        ([8], (8, 2), (2, 8)),
    ],
)
def test_k_runs_over_powers_of_two_and_n(counts, asked, chosen):
    samples = [make_samples(1, n)[0] for n in counts]
    assert choose_ks(samples, asked) == chosen


def test_a_k_larger_than_some_problems_samples_names_the_problem():
    samples = make_samples(2, 4)
    with pytest.raises(InputError, match=r"evaluate.k asks for 8 samples, but 'synthetic/0' has 4"):
        choose_ks(samples, [1, 8])


def test_the_worked_example_of_the_docs():
    problem = make_problem(0)
    row = LabelledProblem(
        problem=problem,
        attempts=tuple(make_attempt(problem, i, passed=i == 1) for i in range(3)),
    )
    samples = read([row], lambda pairs: [Score(3.0 - i, 0.5) for i in range(len(pairs))])
    critic = [selector for selector in SELECTORS if selector.name == "critic"]
    found = measure(samples, critic, [1, 2, 3], vote_resamples=1, seed=0)
    passed = [item.passed for item in samples]
    assert found.values(passed)[0, 0] == pytest.approx([1 / 3, 1 / 3, 0])
    assert found.oracle(passed)[0] == pytest.approx([1 / 3, 2 / 3, 1])
