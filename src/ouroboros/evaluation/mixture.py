"""Two scores in one: the critic's p_pass and the generator's log-probability per token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ouroboros.estimators import expected_best_of_k
from ouroboros.evaluation.samples import Samples
from ouroboros.evaluation.selectors import Selector
from ouroboros.evaluation.views import CodeView, FloatArray, LeftOut

WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""The weights of the log-probability tried on dev."""


def mixed_score(view: CodeView, weight: float) -> FloatArray:
    """log p_pass + weight x mean log-probability.

    Raises:
        LeftOut: some candidate has no log-probability.
    """
    # A p_pass rounded to 0 must not outweigh everything.
    return np.log(np.maximum(view.p_pass, 1e-6)) + weight * view.mean_logprobs()


def fit_weight(dev: Sequence[Samples]) -> float:
    """The weight whose picks pass most often on dev problems; of equals, the smallest.

    Each problem's pick is among all its samples. 0 (the critic alone) where dev has no
    log-probabilities.
    """
    try:
        rates = [
            np.mean(
                [
                    expected_best_of_k(mixed_score(i.view, weight), i.passed, i.view.count)
                    for i in dev
                ]
            )
            for weight in WEIGHTS
        ]
    except LeftOut:
        return 0.0
    return WEIGHTS[int(np.argmax(rates))]


def critic_and_logprob(weight: float) -> Selector:
    """The selector with a weight fitted on dev."""

    def rule(view: CodeView) -> FloatArray:
        return mixed_score(view, weight)

    return Selector(
        name="critic_and_logprob",
        description=f"log p_pass + {weight:g} x log-probability per token (weight from dev)",
        view=CodeView,
        learned=True,
        rule=rule,
    )
