"""The names in tables and metrics, and the claims in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

GREEDY, ORACLE = "greedy", "oracle"
RANDOM, VERIFIER, LIKELIHOOD = "random", "critic", "mean_logprob"
"""The names the claims are about: selectors of `selectors`, and two that are no selectors."""

MAJORITY = "majority"
"""Beside the oracle where more samples are looked at."""

WITHOUT_NEAR_DUPLICATES = "without_near_duplicates"
"""The subset without problems that nearly repeat one of train or dev."""

SIGHTS = ("nothing", "code", "visible inputs", "visible tests")
"""What a selector may see (`views`), from the least to the most."""

CLAIMS = {
    "verifier_over_baseline": (VERIFIER, RANDOM, "verifier pass@1 > baseline pass@1"),
    "verifier_over_likelihood": (VERIFIER, LIKELIHOOD, "verifier pass@1 > likelihood pass@1"),
}
"""claim -> (better, worse, its words). Baseline: the generator's own pass@1. Likelihood: picking
by its log-probability per token."""


def sentence(words: str, claim: Mapping[str, Any], confidence: float) -> str:
    """A claim's line, from its metrics."""
    return (
        f"{words}: {claim['answer']} ({100 * claim['difference']:+.1f} pp, "
        f"{100 * confidence:g}% interval [{100 * claim['low']:+.1f}, {100 * claim['high']:+.1f}])"
    )


def least_differing(confidence: float) -> int:
    """The fewest problems on which two selectors must differ for a two-sided sign test to reach
    this confidence even if all of them favour one: 6 at 95%."""
    return math.ceil(1 + math.log2(1 / (1 - confidence)) - 1e-9)


def detail(claim: Mapping[str, Any], confidence: float) -> str:
    """What a claim rests on, and what its experiment could have found."""
    differ = f"the two differ on {claim['problems_that_differ']} of {claim['problems']} problems"
    least = least_differing(confidence)
    if claim["problems_that_differ"] < least:
        return f"{differ}; fewer than {least} decide nothing, whatever the difference"
    return (
        f"{differ}; a true difference of {100 * claim['minimum_detectable']:.1f} pp would be found "
        "in 80 of 100 such experiments"
    )
