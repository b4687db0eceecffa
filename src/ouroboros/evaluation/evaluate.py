"""Evaluating one split: labelled problems in; metrics, plots and a per-problem table out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ouroboros.estimators import best_of_k_weights
from ouroboros.evaluation.claims import (
    ALL_TESTS,
    STRICTER,
    Comparison,
    difference_metrics,
    rounded,
)
from ouroboros.evaluation.measure import Measured, choose_ks, measure
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.quality import (
    Reliability,
    RiskCoverage,
    auc,
    auc_within,
    brier,
    reliability,
    risk_coverage,
)
from ouroboros.evaluation.samples import Samples
from ouroboros.evaluation.selectors import Selector
from ouroboros.evaluation.views import VIEWS
from ouroboros.evaluation.wording import (
    GREEDY,
    LIKELIHOOD,
    MAJORITY,
    ORACLE,
    RANDOM,
    VERIFIER,
    WITHOUT_NEAR_DUPLICATES,
)
from ouroboros.records import VERDICT_CLASSES, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """All that is known about one split; `tables` turns it into files.

    Attributes:
        split: its name.
        measured: pick frequencies.
        comparison: selectors under the problems' own tests.
        stricter: the same under stricter labels, by labelling name, where any problem has them.
        reliability, risk_coverage: of the critic.
        metrics: what metrics/<split>.json holds.
    """

    split: str
    measured: Measured
    comparison: Comparison
    stricter: dict[str, Comparison]
    reliability: Reliability
    risk_coverage: RiskCoverage
    metrics: dict[str, Any]


def evaluate(
    split: str,
    samples: Sequence[Samples],
    selectors: Sequence[Selector],
    params: EvaluateParams,
    *,
    critic_digest: str,
    near_duplicates: Collection[str] = (),
    fitted: Mapping[str, float] | None = None,
    phases: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure all selectors on one split.

    Into the metrics also go the `critic_digest`, which says what critic gave the scores, `fitted`,
    numbers that were fitted on dev, and `phases`, what `phase_metrics` says. `near_duplicates` are
    the ids of problems that nearly repeat one the critic learned from.

    Raises:
        InputError: `params.k` asks for more samples than some problem has, or `params.subsets` for
            a subset that no problem of this split belongs to.
    """
    ks = choose_ks(samples, params.k)
    measured = measure(
        samples, selectors, ks, vote_resamples=params.vote_resamples, seed=params.seed
    )
    comparison = Comparison(measured, ALL_TESTS, params)
    stricter = {
        labelling.name: found
        for labelling in STRICTER
        if (found := Comparison(measured, labelling, params)).problems
    }
    p_pass = np.concatenate([item.view.p_pass for item in samples])
    passed = np.concatenate([item.passed for item in samples])
    bins = reliability(p_pass, passed)
    risk = risk_coverage(*_top_picks(samples))
    metrics: dict[str, Any] = {
        "split": split,
        "confidence": params.confidence,
        "critic_digest": critic_digest,
        "fitted_on_dev": dict(fitted or {}),
        "sizes": _sizes(samples, ks),
        "headline": _headline(comparison),
        "claims": {name: claim.as_metrics() for name, claim in comparison.claims().items()},
        "selectors": _selector_metrics(measured, comparison),
        "oracle": {
            str(k): rounded(comparison.rate(ORACLE, at).estimate) for at, k in enumerate(ks)
        },
        "critic": {
            **_quality(samples, bins, risk),
            "top_pick": _top_pick_verdicts(measured),
        },
        "phases": dict(phases or {}),
        "labels": {name: _part(found) for name, found in stricter.items()},
        "subsets": {
            name: _part(Comparison(measured, ALL_TESTS, params, subset))
            for name, subset in _subsets(samples, params, near_duplicates).items()
        },
        "scaling": _scaling(samples, comparison),
        "left_out": {**measured.left_out, **_no_greedy(samples)},
    }
    if "extra_tests" in stricter:
        metrics["labels"]["extra_tests"].update(_false_passes(samples))
    return Evaluation(
        split=split,
        measured=measured,
        comparison=comparison,
        stricter=stricter,
        reliability=bins,
        risk_coverage=risk,
        metrics=metrics,
    )


def _part(found: Comparison) -> dict[str, Any]:
    """The short form of a comparison on a part of the problems or under other labels."""
    return {
        "problems": found.problems,
        "headline": _headline(found),
        "claims": {key: claim.as_metrics() for key, claim in found.claims().items()},
    }


def _subsets(
    samples: Sequence[Samples], params: EvaluateParams, near_duplicates: Collection[str]
) -> dict[str, Callable[[Problem], bool]]:
    """The parts of the split to repeat the claims on, by name."""
    names = sorted({name for item in samples for name in item.row.problem.subsets})
    found: dict[str, Callable[[Problem], bool]] = {
        name: lambda problem, name=name: name in problem.subsets  # type: ignore[misc]
        for name in names
    }
    ids = {item.problem_id for item in samples}
    if ids & set(near_duplicates) and ids - set(near_duplicates):
        found[WITHOUT_NEAR_DUPLICATES] = lambda problem: problem.problem_id not in near_duplicates
    if params.subsets is None:
        return found
    # What is asked for must be known somewhere; a split may well hold none of it.
    return {name: found[name] for name in params.subsets if name in found}


def _scaling(samples: Sequence[Samples], comparison: Comparison) -> dict[str, Any]:
    """What more samples cost and bring.

    `enough` is, per selector, the least k from which the step to the largest k is not shown to
    help (the paired difference's interval reaches 0).
    """
    tokens = float(np.mean([item.view.num_tokens.mean() for item in samples]))
    last = len(comparison.ks) - 1
    enough = {}
    for name in (VERIFIER, LIKELIHOOD, MAJORITY, ORACLE):
        if name not in comparison:
            continue
        enough[name] = next(
            k
            for place, k in enumerate(comparison.ks)
            if place == last or comparison.gain(name, place, last).low <= 0
        )
    return {
        "enough": enough,
        "generated_tokens": {str(k): round(k * tokens, 1) for k in comparison.ks},
    }


def _sizes(samples: Sequence[Samples], ks: Sequence[int]) -> dict[str, Any]:
    counts = [item.view.count for item in samples]
    return {
        "problems": len(samples),
        "samples": sum(counts),
        "fewest_samples": min(counts),
        "most_samples": max(counts),
        "passing_samples": int(sum(item.passed.sum() for item in samples)),
        "solved_problems": sum(bool(item.passed.any()) for item in samples),
        "problems_with_visible_tests": sum(bool(i.row.problem.visible_tests) for i in samples),
        "k": ks[-1],
    }


def _by_k(comparison: Comparison, name: str) -> dict[str, Any]:
    return {
        str(k): rounded(comparison.rate(name, place).estimate)
        for place, k in enumerate(comparison.ks)
    }


def _headline(comparison: Comparison) -> dict[str, Any]:
    """Pass rates at the headline k of the names the claims are about."""
    names = (RANDOM, GREEDY, LIKELIHOOD, VERIFIER, ORACLE)
    values: dict[str, Any] = {
        name: rounded(comparison.rate(name).estimate) for name in names if name in comparison
    }
    if VERIFIER in comparison:
        values["gap_closed"] = rounded(comparison.gap_closed(VERIFIER))
    return values


def _selector_metrics(measured: Measured, comparison: Comparison) -> dict[str, Any]:
    found: dict[str, Any] = {}
    errors = measured.spread
    for place, selector in enumerate(measured.selectors):
        name = selector.name
        rate = comparison.rate(name)
        values: dict[str, Any] = {
            "sees": selector.sees,
            "pass_rate": rounded(rate.estimate),
            "low": rounded(rate.low),
            "high": rounded(rate.high),
            "gap_closed": rounded(comparison.gap_closed(name)),
        }
        if name != RANDOM:
            values["minus_random"] = difference_metrics(comparison.difference(name, RANDOM))
            if GREEDY in comparison:
                values["minus_greedy"] = difference_metrics(comparison.difference(name, GREEDY))
        rival = _best_unlearned(selector, measured, comparison)
        if selector.learned and rival is not None:
            values["minus_best_unlearned"] = {
                "selector": rival,
                **difference_metrics(comparison.difference(name, rival)),
            }
        # Problems are independent, so the error of their mean is theirs added in quadrature.
        resampling = np.sqrt((errors[:, place] ** 2).sum(axis=0)) / len(errors)
        if resampling.any():
            values["resampling_error"] = rounded(float(resampling.max()))
        found[name] = values
    return found


def _best_unlearned(selector: Selector, measured: Measured, comparison: Comparison) -> str | None:
    """The best rule without the critic that sees no more than `selector` does."""
    rank = VIEWS.index(selector.view)
    rivals = [
        other.name
        for other in measured.selectors
        if not other.learned and VIEWS.index(other.view) <= rank
    ]
    return max(rivals, key=lambda name: comparison.rate(name).estimate, default=None)


def _top_picks(samples: Sequence[Samples]) -> tuple[list[float], list[float]]:
    """p_pass and expected pass of the critic's pick among all samples, per problem."""
    confidence, passed = [], []
    for item in samples:
        weights = best_of_k_weights(item.view.reward, [item.view.count])[0]
        confidence.append(float(weights @ item.view.p_pass))
        passed.append(float(weights @ item.passed))
    return confidence, passed


def _quality(samples: Sequence[Samples], bins: Reliability, risk: RiskCoverage) -> dict[str, Any]:
    reward = np.concatenate([item.view.reward for item in samples])
    p_pass = np.concatenate([item.view.p_pass for item in samples])
    passed = np.concatenate([item.passed for item in samples])
    within, mixed = auc_within([(item.view.reward, item.passed) for item in samples])
    rate = float(passed.mean())
    return {
        "auc_within_problems": rounded(within),
        "auc_within_problems_count": mixed,
        "auc_across_problems": rounded(auc(reward, passed)),
        "brier": rounded(brier(p_pass, passed)),
        # What always saying the split's pass rate would score.
        "brier_of_base_rate": rounded(rate * (1 - rate)),
        "ece": rounded(bins.ece),
        "risk_coverage_area": rounded(risk.area),
    }


def _top_pick_verdicts(measured: Measured) -> dict[str, Any]:
    """Share of the critic's picks at the headline k in each verdict class that occurs."""
    if VERIFIER not in [selector.name for selector in measured.selectors]:
        return {}
    place = measured.index(VERIFIER)
    shares: dict[str, float] = defaultdict(float)
    for item, weights in zip(measured.samples, measured.weights, strict=True):
        for attempt, weight in zip(item.attempts, weights[place, -1], strict=True):
            shares[attempt.verdict.verdict] += float(weight) / len(measured.samples)
    return {
        name: rounded(shares[name])
        for name in VERDICT_CLASSES
        if name in shares and shares[name] > 0
    }


def _false_passes(samples: Sequence[Samples]) -> dict[str, Any]:
    """Of the samples that pass the plain tests, how many fail the stricter ones."""
    passing = [
        attempt.verdict
        for item in samples
        if item.row.problem.extra_tests
        for attempt in item.attempts
        if attempt.verdict.passed
    ]
    wrong = sum(any(r != "pass" for r in verdict.extra_tests) for verdict in passing)
    return {
        "passing_samples": len(passing),
        "false_pass_rate": rounded(wrong / len(passing)) if passing else None,
    }


def _no_greedy(samples: Sequence[Samples]) -> dict[str, str]:
    missing = sum(item.greedy_passed is None for item in samples)
    if not missing:
        return {}
    return {GREEDY: f"{missing} of {len(samples)} problems have no greedy candidate"}
