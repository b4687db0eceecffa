"""Several critics, trained with other seeds, as a second source of chance.

The intervals of one evaluation say how a number would vary with other problems. A critic is also
one draw of its training: initial weights of its head, order of the pairs. With the per-problem
tables of several critics (data/tables/<split>.csv), both are resampled: replicates draw critics
with replacement, then problems (a two-way bootstrap; Owen 2007, "The pigeonhole bootstrap",
arXiv 0711.4007).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ouroboros.errors import InputError, UserError
from ouroboros.estimators import Interval, interval
from ouroboros.evaluation.claims import Claim, decide
from ouroboros.evaluation.views import FloatArray
from ouroboros.evaluation.wording import CLAIMS, LIKELIHOOD, RANDOM, VERIFIER, detail, sentence

COLUMNS = {RANDOM: "pass_at_1", VERIFIER: "critic_pass", LIKELIHOOD: "mean_logprob_pass"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """The same problems under several critics.

    Attributes:
        sources: where each critic's table came from.
        problem_ids: the problems, in the first table's order.
        columns: name -> (critics, problems) expected pass of the pick.
    """

    sources: tuple[str, ...]
    problem_ids: tuple[str, ...]
    columns: dict[str, FloatArray]


def read_tables(paths: Sequence[Path]) -> Tables:
    """Read per-problem tables, one per critic.

    Raises:
        UserError: fewer than two tables, or one that cannot be read.
        InputError: a table without the columns, or with other problems than the first.
    """
    if len(paths) < 2:
        raise UserError("training seeds are compared from two tables on; one was given")
    read = [_read_table(path) for path in paths]
    first = list(read[0])
    for path, rows in zip(paths, read, strict=True):
        if set(rows) != set(first):
            odd = min(set(rows) ^ set(first))
            raise InputError(
                f"holds other problems than {paths[0]}, for one {odd!r}", where=str(path),
                hint="give tables of the same split of the same data",
            )  # fmt: skip
    names = [
        name for name, column in COLUMNS.items()
        if all(column in row for rows in read for row in rows.values())
    ]  # fmt: skip
    return Tables(
        sources=tuple(map(str, paths)),
        problem_ids=tuple(first),
        columns={
            name: np.array(
                [[_number(rows[key], COLUMNS[name], path) for key in first]
                 for path, rows in zip(paths, read, strict=True)]
            )
            for name in names
        },
    )  # fmt: skip


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a per-problem table: {error}") from error
    needed = ("problem_id", COLUMNS[RANDOM], COLUMNS[VERIFIER])
    missing = [name for name in needed if not rows or name not in rows[0]]
    if missing:
        raise InputError(
            f"no column {missing[0]!r}", where=str(path),
            hint="expected data/tables/<split>.csv as the evaluate stage writes it",
        )  # fmt: skip
    return {row["problem_id"]: row for row in rows}


def _number(row: dict[str, str], column: str, path: Path) -> float:
    try:
        return float(row[column])
    except ValueError:
        raise InputError(
            f"column {column!r} of problem {row['problem_id']!r} is no number: {row[column]!r}",
            where=str(path),
        ) from None


def two_way_interval(
    values: FloatArray, *, replicates: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """The mean of (critics, problems) values, with critics and problems both resampled.

    `differing` of the result counts problems on which any critic's value is not 0.
    """
    critics, problems = values.shape
    generator = np.random.default_rng(seed)
    means = np.empty(replicates)
    for start in range(0, replicates, 500):
        size = min(500, replicates - start)
        chosen = generator.multinomial(critics, np.full(critics, 1 / critics), size=size)
        counts = generator.multinomial(problems, np.full(problems, 1 / problems), size=size)
        weighted = (chosen / critics) @ values
        means[start : start + size] = (weighted * counts).sum(axis=1) / problems
    found = interval(values.mean(axis=0), means, confidence=confidence)
    differing = int((np.abs(values) > 1e-12).any(axis=0).sum())
    return Interval(
        estimate=found.estimate, low=found.low, high=found.high,
        standard_error=found.standard_error, problems=problems, differing=differing,
    )  # fmt: skip


def claims(tables: Tables, *, confidence: float = 0.95) -> dict[str, Claim]:
    """Both claims over problems and training seeds, as far as the tables hold their columns."""
    return {
        key: decide(
            two_way_interval(tables.columns[better] - tables.columns[worse], confidence=confidence),
            words, confidence,
        )
        for key, (better, worse, words) in CLAIMS.items()
        if better in tables.columns and worse in tables.columns
    }  # fmt: skip


def report(tables: Tables, *, confidence: float = 0.95) -> str:
    """Each critic's pass rate, their spread, and the claims with both sources of chance."""
    rates = tables.columns[VERIFIER].mean(axis=1)
    spread = float(rates.std(ddof=1))
    lines = [
        f"{len(rates)} critics on {len(tables.problem_ids)} problems; random pass@1 "
        f"{100 * float(tables.columns[RANDOM].mean()):.1f}%"
    ]
    lines += [
        f"  {100 * rate:5.1f}%  {source}"
        for rate, source in zip(rates, tables.sources, strict=True)
    ]
    lines.append(
        f"  mean {100 * float(rates.mean()):.1f}%, standard deviation between critics "
        f"{100 * spread:.1f} pp"
    )
    for claim in claims(tables, confidence=confidence).values():
        metrics = claim.as_metrics()
        lines += [
            "",
            sentence(claim.words, metrics, confidence),
            f"  {detail(metrics, confidence)}",
        ]
    lines.append("(intervals over problems and critics)")
    return "\n".join(lines)
