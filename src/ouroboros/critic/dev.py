"""The dev problems: what a checkpoint is chosen by, and what p_pass is calibrated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ouroboros.critic import calibration
from ouroboros.critic.calibration import Calibration
from ouroboros.critic.serialise import Encoded, Serialiser
from ouroboros.estimators import expected_best_of_k, pass_at_k
from ouroboros.records import LabelledProblem

Scorer = Callable[[Sequence[Encoded]], list[float]]
"""Rewards of encoded programs, by the model as it is now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DevSet:
    """Every sampled attempt on the dev problems, encoded. The greedy one takes no part.

    Attributes:
        encoded, passed: one list per problem.
        k: best-of-k is computed at this k, or at a problem's number of samples where that is less.
    """

    encoded: tuple[tuple[Encoded, ...], ...]
    passed: tuple[tuple[bool, ...], ...]
    k: int

    @classmethod
    def of(
        cls,
        rows: Sequence[LabelledProblem],
        serialiser: Serialiser,
        k: int,
        limit: int | None = None,
    ) -> DevSet:
        """Encode the samples, at most the first `limit`, of the rows that have any."""
        samples = [row.samples[:limit] for row in rows if row.samples]
        problems = [row.problem for row in rows if row.samples]
        flat = serialiser.encode(
            [
                (problem, attempt.candidate.code)
                for problem, attempts in zip(problems, samples, strict=True)
                for attempt in attempts
            ]
        )
        encoded, start = [], 0
        for attempts in samples:
            encoded.append(tuple(flat[start : start + len(attempts)]))
            start += len(attempts)
        return cls(
            encoded=tuple(encoded),
            passed=tuple(tuple(a.verdict.passed for a in attempts) for attempts in samples),
            k=k,
        )

    def items(self) -> list[Encoded]:
        """All samples' inputs."""
        return [item for items in self.encoded for item in items]

    def references(self) -> dict[str, float]:
        """What a selector on these problems lies between: random choice, and the oracle at k."""
        return {
            "random": _mean(np.mean(passed) for passed in self.passed),
            "oracle_at_k": _mean(
                pass_at_k(len(passed), sum(passed), self._k(passed)) for passed in self.passed
            ),
        }

    def evaluate(self, score: Scorer) -> dict[str, float]:
        """Best-of-k over all problems, and pair accuracy and AUC-like order within problems.

        Only problems with both passing and failing samples are scored: on the others every choice
        is the same.
        """
        mixed = [i for i, passed in enumerate(self.passed) if len(set(passed)) == 2]
        rewards = iter(score([item for i in mixed for item in self.encoded[i]]))
        best, accuracy = [], []
        for i, passed in enumerate(self.passed):
            if i not in mixed:
                best.append(float(passed[0]))
                continue
            scores = np.array([next(rewards) for _ in passed])
            labels = np.array(passed)
            best.append(float(expected_best_of_k(scores, labels, self._k(passed))))
            margins = scores[labels][:, None] - scores[~labels][None, :]
            accuracy.append(float(((margins > 0) + 0.5 * (margins == 0)).mean()))
        return {"best_of_k": _mean(best), "pair_accuracy": _mean(accuracy)}

    def calibrate(self, score: Scorer) -> tuple[Calibration, dict[str, Any]]:
        """Platt scaling on every sample, and cross-fitted figures of it (Brier, ECE).

        `reference_brier` is that of always saying the dev problems' pass rate.
        """
        rewards = score([item for items in self.encoded for item in items])
        passed = [p for row in self.passed for p in row]
        weights = [1 / len(row) for row in self.passed for _ in row]
        problems = [i for i, row in enumerate(self.passed) for _ in row]
        honest = calibration.cross_fitted(rewards, passed, weights, problems)
        base = np.full(len(passed), np.average(passed, weights=weights))
        return calibration.fit(rewards, passed, weights), {
            "brier": calibration.brier(honest, passed, weights),
            "reference_brier": calibration.brier(base, passed, weights),
            "expected_calibration_error": calibration.expected_calibration_error(
                honest, passed, weights
            ),
        }

    def counts(self) -> dict[str, int]:
        """How many problems and samples there are, and how many were cut to fit."""
        flat = self.items()
        return {
            "dev_problems": len(self.passed),
            "dev_problems_with_both": sum(len(set(passed)) == 2 for passed in self.passed),
            "dev_attempts": len(flat),
            "dev_prompts_cut": sum(item.prompt_cut for item in flat),
            "dev_programs_cut": sum(item.code_cut for item in flat),
        }

    def _k(self, passed: Sequence[bool]) -> int:
        return min(self.k, len(passed))


def _mean(values: Any) -> float:
    listed = [float(value) for value in values]
    return sum(listed) / len(listed) if listed else 0.0
