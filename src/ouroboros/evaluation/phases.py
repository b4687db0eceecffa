"""What each phase of the curriculum was worth on a split: the critic as it stood after each.

The kept phase was chosen on dev; here every phase is judged on problems none of them has seen, so
that a curriculum that hurt shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ouroboros.errors import InputError
from ouroboros.estimators import paired_bootstrap
from ouroboros.evaluation.claims import difference_metrics, rounded
from ouroboros.evaluation.measure import choose_ks, measure
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.samples import Samples
from ouroboros.evaluation.selectors import SELECTORS
from ouroboros.evaluation.views import FloatArray
from ouroboros.evaluation.wording import RANDOM, VERIFIER


def phase_metrics(
    phases: Mapping[str, Sequence[Samples]], kept: str, params: EvaluateParams
) -> dict[str, Any]:
    """Pass rate of the pick after each phase, against random and against the kept phase.

    Args:
        phases: by phase, in order, the split's samples as scored by its critic; the same problems.
        kept: the phase the critic is of.

    Returns:
        by phase: `kept`, `pass_rate`, `minus_random` and, but for the kept one, `minus_kept`, at
        the largest k.

    Raises:
        InputError: `kept` is none of the phases.
    """
    if kept not in phases:
        raise InputError(f"the kept phase {kept!r} is none of {', '.join(phases)}")
    values: dict[str, FloatArray] = {}
    for name, samples in phases.items():
        ks = choose_ks(samples, params.k)[-1:]
        rules = [rule for rule in SELECTORS if rule.name in (RANDOM, VERIFIER)]
        measured = measure(samples, rules, ks, vote_resamples=1, seed=params.seed)
        table = measured.values([item.passed for item in samples])[:, :, 0]
        values[name] = table[:, measured.index(VERIFIER)]
        random = table[:, measured.index(RANDOM)]

    def minus(a: FloatArray, b: FloatArray) -> dict[str, Any]:
        return difference_metrics(
            paired_bootstrap(
                a,
                b,
                replicates=params.bootstrap_replicates,
                confidence=params.confidence,
                seed=params.seed,
            )
        )

    return {
        name: {
            "kept": name == kept,
            "pass_rate": rounded(float(column.mean())),
            "minus_random": minus(column, random),
            **({} if name == kept else {"minus_kept": minus(column, values[kept])}),
        }
        for name, column in values.items()
    }
