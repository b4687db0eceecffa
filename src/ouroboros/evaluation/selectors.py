"""The selectors: rules that pick one of k samples.

A rule is a small pure function of a view (`views`), which fixes what it may see. It returns either

- one number per sample: the highest is picked, ties are shared evenly (its expectation over all
  subsets of k samples is exact); or
- `Votes`: samples vote for their group, so the pick depends on which others are in the subset (its
  expectation is estimated by drawing subsets).

To add one, write the function, decorate it with `@selector("what it does in a few words")` and it
is measured: see docs/evaluation.md.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ouroboros.evaluation.views import (
    Blind,
    CodeView,
    FloatArray,
    IntArray,
    View,
    VisibleInputsView,
    VisibleTestsView,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Votes:
    """Each sample gives its weight to its group; a sample of the strongest group is picked.

    Attributes:
        groups: (n,) group numbers; -1 belongs to no group and loses against any.
        weights: (n,) what each sample's vote counts, not negative.
        within: (n,) scores that decide inside the strongest group; None picks any of it.
    """

    groups: IntArray
    weights: FloatArray
    within: FloatArray | None = None


Rule = Callable[[View], FloatArray | Votes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selector:
    """A rule with its name and what it may see.

    Attributes:
        name: in tables and metrics.
        description: one short phrase.
        view: what the rule receives.
        learned: it uses the critic.
        rule: the function.
    """

    name: str
    description: str
    view: type[Blind]
    learned: bool
    rule: Rule[Any]

    @property
    def sees(self) -> str:
        return self.view.sees


SELECTORS: list[Selector] = []


def selector(description: str, *, learned: bool = False) -> Callable[[Rule[View]], Rule[View]]:
    """Register the decorated rule; what it may see is the type of its one argument.

    Raises:
        TypeError: the argument is not annotated with a view.
    """

    def register(rule: Rule[View]) -> Rule[View]:
        name: str = getattr(rule, "__name__", "")
        (argument,) = inspect.signature(rule).parameters
        view = typing.get_type_hints(rule).get(argument)
        if not (isinstance(view, type) and issubclass(view, Blind)):
            raise TypeError(f"selector {name}: annotate its argument with a view")
        if any(known.name == name for known in SELECTORS):
            raise TypeError(f"selector {name} is there already")
        SELECTORS.append(
            Selector(name=name, description=description, view=view, learned=learned, rule=rule)
        )
        return rule

    return register


def then(*keys: FloatArray) -> FloatArray:
    """Scores that order by the first key, ties by the second, and so on; full ties stay ties."""
    _, ranks = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    return ranks.reshape(-1).astype(np.float64)


@selector("any sample")
def random(view: Blind) -> FloatArray:
    return np.zeros(view.count)


@selector("the shortest program")
def shortest(view: CodeView) -> FloatArray:
    return np.array([-float(len(code)) for code in view.codes])


@selector("highest total log-probability")
def sum_logprob(view: CodeView) -> FloatArray:
    return view.sum_logprobs()


@selector("highest log-probability per token")
def mean_logprob(view: CodeView) -> FloatArray:
    return view.mean_logprobs()


@selector("highest log p(task | program) under the generator")
def reviewer(view: CodeView) -> FloatArray:
    return view.review_logprobs()


@selector("highest log p(program | task) + log p(task | program)")
def coder_reviewer(view: CodeView) -> FloatArray:
    return view.sum_logprobs() + view.review_logprobs()


@selector("is valid Python")
def parses(view: CodeView) -> FloatArray:
    return view.parses.astype(np.float64)


@selector("most static rules hold")
def static_rules(view: CodeView) -> FloatArray:
    return view.static_score


@selector("most common program")
def majority(view: CodeView) -> Votes:
    return Votes(groups=view.same_program, weights=np.ones(view.count))


@selector("runs on the visible tests' inputs")
def runs(view: VisibleInputsView) -> FloatArray:
    return view.runs.astype(np.float64)


@selector("most common outputs on the visible tests' inputs")
def agreement(view: VisibleInputsView) -> Votes:
    return Votes(groups=view.outputs(), weights=np.ones(view.count))


@selector("passes the visible tests")
def visible_tests(view: VisibleTestsView) -> FloatArray:
    return view.passes_visible.astype(np.float64)


@selector("passes the visible tests, then log-probability per token")
def visible_tests_then_logprob(view: VisibleTestsView) -> FloatArray:
    return then(view.passes_visible.astype(np.float64), view.mean_logprobs())


@selector("highest reward", learned=True)
def critic(view: CodeView) -> FloatArray:
    return view.reward


@selector("most static rules hold, then reward", learned=True)
def static_rules_then_critic(view: CodeView) -> FloatArray:
    return then(view.static_score, view.reward)


@selector("runs on the visible tests' inputs, then reward", learned=True)
def runs_then_critic(view: VisibleInputsView) -> FloatArray:
    return then(view.runs.astype(np.float64), view.reward)


@selector("outputs with the highest total p_pass, then reward", learned=True)
def agreement_by_critic(view: VisibleInputsView) -> Votes:
    return Votes(groups=view.outputs(), weights=view.p_pass, within=view.reward)


@selector("passes the visible tests, then reward", learned=True)
def visible_tests_then_critic(view: VisibleTestsView) -> FloatArray:
    return then(view.passes_visible.astype(np.float64), view.reward)
