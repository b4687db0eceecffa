"""The files one evaluated split is written to: metrics, four plots, a per-problem table."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ouroboros.evaluation.claims import rounded
from ouroboros.evaluation.evaluate import Evaluation
from ouroboros.evaluation.views import FloatArray
from ouroboros.evaluation.wording import ORACLE, RANDOM, VERIFIER
from ouroboros.jsonl import write_json, write_lines
from ouroboros.records import VERDICT_CLASSES

WORST = 10
"""How many confidently wrong picks the per-problem table shows with their code."""


def write_evaluation(evaluation: Evaluation, root: Path) -> None:
    """Write metrics/<split>.json, plots/<split>/*.csv and data/tables/<split>.csv under `root`."""
    split = evaluation.split
    write_json(root / "metrics" / f"{split}.json", evaluation.metrics)
    plots = root / "plots" / split
    _write_csv(plots / "best_of_k.csv", best_of_k_rows(evaluation))
    _write_csv(plots / "reliability.csv", reliability_rows(evaluation))
    _write_csv(plots / "risk_coverage.csv", risk_coverage_rows(evaluation))
    _write_csv(plots / "rewards.csv", rewards_rows(evaluation))
    write_table(root / "data" / "tables" / f"{split}.csv", evaluation)


def _write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    listed = list(rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    write_lines(path, stream.getvalue().splitlines())


def best_of_k_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row a selector (greedy and the oracle too) and k: its pass rate with its interval, and
    the tokens that k samples of a problem took to generate, on average."""
    comparison = evaluation.comparison
    tokens = evaluation.metrics["scaling"]["generated_tokens"]
    rows = []
    for name in comparison.names:
        for place, k in enumerate(comparison.ks):
            found = comparison.rate(name, place)
            rows.append(
                {
                    "k": k,
                    "selector": name,
                    "pass_rate": rounded(found.estimate),
                    "low": rounded(found.low),
                    "high": rounded(found.high),
                    "generated_tokens": tokens[str(k)],
                }
            )
    return rows


def reliability_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row a bin of p_pass that holds samples."""
    bins = evaluation.reliability
    return [
        {
            "p_pass_from": rounded(float(low)),
            "predicted": rounded(float(predicted)),
            "observed": rounded(float(observed)),
            "samples": int(count),
        }
        for low, predicted, observed, count in zip(
            bins.low, bins.predicted, bins.observed, bins.count, strict=True
        )
    ]


def risk_coverage_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row a threshold of p_pass, the most confident first."""
    curve = evaluation.risk_coverage
    return [
        {
            "coverage": rounded(float(coverage)),
            "accuracy": rounded(float(accuracy)),
            "threshold": rounded(float(threshold), 6),
        }
        for coverage, accuracy, threshold in zip(
            curve.coverage, curve.accuracy, curve.threshold, strict=True
        )
    ]


def rewards_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """A histogram of the critic's rewards, one row a bin and verdict class that holds samples."""
    reward = np.concatenate([item.view.reward for item in evaluation.measured.samples])
    verdicts = [a.verdict.verdict for item in evaluation.measured.samples for a in item.attempts]
    width = _bin_width(reward)
    counts = Counter(zip(np.floor(reward / width).astype(int).tolist(), verdicts, strict=True))
    return [
        {
            "reward_from": rounded(place * width, 6),
            "reward_to": rounded((place + 1) * width, 6),
            "verdict": verdict,
            "samples": counts[place, verdict],
        }
        for place, verdict in sorted(
            counts, key=lambda key: (key[0], VERDICT_CLASSES.index(key[1]))
        )
    ]


def _bin_width(values: FloatArray, bins: int = 20) -> float:
    """A round width (1, 2 or 5 times a power of ten) that gives about this many bins."""
    rough = float(np.ptp(values)) / bins
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= rough * 0.999999)


def table_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row a problem.

    `<selector>_pick` is the sample index a selector picks most often at the headline k (the lowest
    of equals), `<selector>_pass` the expected pass of its pick: 0 or 1 unless it ties. Columns
    that begin with critic_ describe the critic's pick; the `WORST` failing picks with the highest
    p_pass have a `critic_wrong_rank` and their code.
    """
    measured, comparison = evaluation.measured, evaluation.comparison
    names = [selector.name for selector in measured.selectors]
    rows = []
    for place, item in enumerate(measured.samples):
        row: dict[str, Any] = {
            "problem_id": item.problem_id,
            "samples": item.view.count,
            "passing": int(item.passed.sum()),
            "pass_at_1": rounded(float(item.passed.mean()), 6),
            "greedy_pass": "" if item.greedy_passed is None else int(item.greedy_passed),
            "oracle": rounded(float(comparison.column(ORACLE)[place]), 6),
        }
        picks = {
            name: int(weights.argmax())
            for name, weights in zip(names, measured.weights[place][:, -1], strict=True)
        }
        if VERIFIER in picks:
            pick = picks[VERIFIER]
            verdict = item.attempts[pick].verdict
            row |= {
                "critic_reward": float(item.view.reward[pick]),
                "critic_p_pass": float(item.view.p_pass[pick]),
                "critic_verdict": verdict.verdict,
                "critic_error": verdict.error_type or "",
                "critic_wrong_rank": "",
                "critic_wrong_code": "",
            }
        for name, pick in picks.items():
            if name == RANDOM:  # its pick is any sample, its pass is pass_at_1
                continue
            row[f"{name}_pick"] = item.attempts[pick].candidate.sample_index
            row[f"{name}_pass"] = rounded(float(comparison.column(name)[place]), 6)
        rows.append(row)
    if VERIFIER in names:
        _mark_worst(rows, evaluation)
    return rows


def _mark_worst(rows: Sequence[dict[str, Any]], evaluation: Evaluation) -> None:
    wrong = [place for place, row in enumerate(rows) if row["critic_verdict"] != "pass"]
    wrong.sort(key=lambda place: -rows[place]["critic_p_pass"])
    for rank, place in enumerate(wrong[:WORST], start=1):
        item = evaluation.measured.samples[place]
        index = rows[place][f"{VERIFIER}_pick"]
        picked = next(a for a in item.attempts if a.candidate.sample_index == index)
        rows[place]["critic_wrong_rank"] = rank
        rows[place]["critic_wrong_code"] = picked.candidate.code


def write_table(path: Path, evaluation: Evaluation) -> None:
    """Write the per-problem table as CSV (read it with `pandas.read_csv`)."""
    import pandas

    text = pandas.DataFrame(table_rows(evaluation)).to_csv(index=False, lineterminator="\n")
    write_lines(path, [text.removesuffix("\n")])
