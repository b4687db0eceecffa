"""Each selector picks what it says it picks, and none can see a hidden test."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ouroboros.evaluation.measure import vote
from ouroboros.evaluation.mixture import critic_and_logprob
from ouroboros.evaluation.selectors import SELECTORS, Selector, Votes, selector, then
from ouroboros.evaluation.views import (
    VIEWS,
    Blind,
    CodeView,
    LeftOut,
    VisibleTestsView,
    narrow,
)
from ouroboros.evaluation.wording import SIGHTS
from ouroboros.records import Verdict

BY_NAME = {item.name: item for item in SELECTORS}


def make_view(**changes):
    values = {
        "count": 4,
        "codes": ("aaaa", "aa", "aaa", "a" * 9),
        "num_tokens": np.array([10, 10, 40, 0]),
        "sum_logprob": np.array([-5.0, -2.0, -4.0, -9.0]),
        "review_logprob": np.array([-3.0, -9.0, -2.0, -1.0]),
        "parses": np.array([True, True, True, False]),
        "reward": np.array([0.1, 0.4, 0.3, 0.2]),
        "p_pass": np.array([0.3, 0.6, 0.5, 0.4]),
        "static_score": np.array([0.0, 0.0, -6.0, -20.0]),
        "same_program": np.array([0, 1, 0, 2]),
        "runs": np.array([True, False, True, False]),
        "output": np.array([0, -1, 0, -1]),
        "passes_visible": np.array([False, True, True, False]),
    }
    return VisibleTestsView(**(values | changes))


def picks(name, view):
    """The share of picks each of all samples gets."""
    item = BY_NAME[name] if isinstance(name, str) else name
    result = item.rule(narrow(view, item.view))
    if isinstance(result, Votes):
        return vote(result, np.arange(view.count)[None, :])[0].tolist()
    best = result == result.max()
    return (best / best.sum()).tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("random", [0.25, 0.25, 0.25, 0.25]),
        ("shortest", [0, 1, 0, 0]),
        ("sum_logprob", [0, 1, 0, 0]),
        ("mean_logprob", [0, 0, 1, 0]),
        ("reviewer", [0, 0, 0, 1]),
        ("coder_reviewer", [0, 0, 1, 0]),
        ("parses", [1 / 3, 1 / 3, 1 / 3, 0]),
        ("static_rules", [0.5, 0.5, 0, 0]),
        ("majority", [0.5, 0, 0.5, 0]),
        ("runs", [0.5, 0, 0.5, 0]),
        ("agreement", [0.5, 0, 0.5, 0]),
        ("visible_tests", [0, 0.5, 0.5, 0]),
        ("visible_tests_then_logprob", [0, 0, 1, 0]),
        ("critic", [0, 1, 0, 0]),
        ("static_rules_then_critic", [0, 1, 0, 0]),
        ("runs_then_critic", [0, 0, 1, 0]),
        ("agreement_by_critic", [0, 0, 1, 0]),
        ("visible_tests_then_critic", [0, 1, 0, 0]),
    ],
)
def test_each_selector_picks_what_it_says(name, expected):
    assert picks(name, make_view()) == expected


def test_every_registered_selector_is_tested_above():
    marks = test_each_selector_picks_what_it_says.pytestmark
    assert {case[0] for case in marks[0].args[1]} == set(BY_NAME)


def test_the_mixture_weighs_the_log_probability():
    view = make_view()
    assert picks(critic_and_logprob(0.0), view) == picks("critic", view)
    assert picks(critic_and_logprob(30.0), view) == picks("mean_logprob", view)


def test_no_view_has_a_field_for_a_hidden_result():
    """Hidden are: the verdict, the results of all tests and of the extra ones, the error."""
    hidden = {field.name for field in dataclasses.fields(Verdict)} - {
        "visible_tests",
        "visible_outputs",
    }
    hidden |= {"passed", "attempts", "row", "problem", "greedy_passed"}
    for view in VIEWS:
        assert not hidden & {field.name for field in dataclasses.fields(view)}


def test_a_rule_gets_no_more_than_it_says_it_sees():
    view = make_view()
    assert tuple(kind.sees for kind in VIEWS) == SIGHTS
    for kind in VIEWS:
        narrowed = narrow(view, kind)
        assert type(narrowed) is kind
    with pytest.raises(AttributeError):
        _ = narrow(view, CodeView).passes_visible
    with pytest.raises(AttributeError):
        _ = narrow(view, Blind).codes


def test_missing_log_probabilities_leave_a_selector_out():
    view = make_view(sum_logprob=np.array([-1.0, np.nan, -1.0, -1.0]))
    for name in ("sum_logprob", "mean_logprob", "visible_tests_then_logprob"):
        with pytest.raises(LeftOut, match="no log-probabilities"):
            picks(name, view)


def test_missing_outputs_leave_agreement_out():
    with pytest.raises(LeftOut, match="no outputs"):
        picks("agreement", make_view(output=None))


def test_then_orders_by_the_first_key_and_keeps_full_ties():
    scores = then(np.array([1.0, 0.0, 1.0, 1.0]), np.array([5.0, 9.0, 7.0, 7.0]))
    assert scores.tolist() == [1.0, 0.0, 2.0, 2.0]


def test_a_vote_counts_members_alone():
    votes = Votes(groups=np.array([0, 0, 1, 1, -1]), weights=np.array([1.0, 1.0, 1.5, 0.2, 9.0]))
    # All: 2.0 against 1.7; three of them: 1.0 against 1.5. No group never wins.
    assert vote(votes, np.array([[0, 1, 2, 3, 4]])).tolist() == [[0.5, 0.5, 0, 0, 0]]
    assert vote(votes, np.array([[4, 0, 2], [2, 3, 4]])).tolist() == [[0, 0, 1], [0.5, 0.5, 0]]


def test_a_vote_without_groups_picks_any_member():
    votes = Votes(groups=np.array([-1, -1, -1]), weights=np.ones(3))
    assert vote(votes, np.array([[0, 2]])).tolist() == [[0.5, 0.5]]


def test_a_selector_must_say_what_it_sees():
    with pytest.raises(TypeError, match="annotate its argument"):

        @selector("no annotation")
        def sees_everything(view):
            return view

    with pytest.raises(TypeError, match="is there already"):

        @selector("the same name")
        def critic(view: Blind):
            return np.zeros(view.count)


def test_registering_takes_the_view_from_the_annotation():
    @selector("few tokens")
    def fewest_tokens(view: CodeView):
        return -view.num_tokens.astype(float)

    added = SELECTORS.pop()
    assert isinstance(added, Selector)
    assert (added.name, added.sees, added.learned) == ("fewest_tokens", "code", False)
