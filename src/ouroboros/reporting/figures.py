"""The report's figures, from the rows of plots/*.csv and the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ouroboros.evaluation.wording import (
    LIKELIHOOD,
    MAJORITY,
    ORACLE,
    RANDOM,
    VERIFIER,
)
from ouroboros.records import VERDICT_CLASSES
from ouroboros.reporting.charts import (
    Axis,
    Bar,
    Chart,
    forest,
    share_axis,
    span_axis,
    strips,
)
from ouroboros.reporting.reading import Fields, Row

CURVES = (ORACLE, LIKELIHOOD, VERIFIER, MAJORITY, RANDOM)
STYLE = {VERIFIER: 0, RANDOM: 1, ORACLE: 2, LIKELIHOOD: 3, MAJORITY: 4}


def words(name: str) -> str:
    """A name of the metrics as text."""
    return name.replace("_", " ")


def difference(found: Fields, label: str, *, filled: bool = False, strong: bool = False) -> Bar:
    """A difference of the metrics with its interval."""
    return Bar(
        words=label,
        difference=found.number("difference"),
        low=found.number("low"),
        high=found.number("high"),
        filled=filled,
        strong=strong,
    )


def difference_axis(bars: Sequence[Bar], *, symmetric: bool = False) -> Axis:
    """Percentage points that hold 0 and every interval."""
    ends = [end for bar in bars for end in (bar.low, bar.high, bar.difference) if end is not None]
    ends += [0.0, *(-end for end in ends if symmetric)]
    return span_axis("difference", ends, unit="pp", count=6)


def minus_random(split: str, metrics: Fields, rows: Sequence[Mapping[str, Any]]) -> str:
    """Every selector's difference to random, in the table's order, and the oracle's."""
    groups: dict[str, list[Bar]] = {}
    for row in rows:
        if row["bar"] is not None:
            groups.setdefault(f"sees {row['sees']}", []).append(row["bar"])
    headline = metrics.part("headline")
    gap = headline.number(ORACLE) - headline.number(RANDOM)
    oracle = Bar(words=f"oracle (pass@{metrics.part('sizes').whole('k')})", difference=gap,
                 low=None, high=None)  # fmt: skip
    groups["sees all tests"] = [oracle]
    bars = [bar for group in groups.values() for bar in group]
    return forest(
        f"{split}: pass rate of each selector minus that of a random sample",
        "; ".join(f"{bar.words} {100 * bar.difference:+.1f} pp" for bar in bars),
        groups,
        difference_axis(bars),
    )


def best_of_k(split: str, rows: Sequence[Row]) -> Chart:
    """Pass rate of the pick over k, for the selectors the claims are about."""
    ks = sorted({int(row["k"]) for row in rows})
    chosen: dict[str, list[Row]] = {}
    for name in CURVES:
        mine = sorted((row for row in rows if row["selector"] == name), key=lambda row: row["k"])
        if mine:
            chosen[name] = mine
    last = {name: mine[-1]["pass_rate"] for name, mine in chosen.items()}
    band = [(row["k"], row["low"], row["high"]) for row in chosen.get(VERIFIER, ())]
    drawn = [row["pass_rate"] for mine in chosen.values() for row in mine]
    highest = max([*drawn, *(high for *_, high in band)])
    chart = Chart(
        title=f"{split}: pass rate of the pick from k samples",
        description=f"At k = {ks[-1]}: "
        + ", ".join(f"{words(name)} {100 * rate:.1f}%" for name, rate in last.items()),
        x=Axis(
            label="k, samples to pick from (doubling)", low=ks[0], high=max(ks[-1], ks[0] + 1),
            ticks=tuple(ks), log=True,
        ),
        y=share_axis("pass rate", highest),
    )  # fmt: skip
    if band:
        chart.band(band, STYLE[VERIFIER])
    for name in sorted(chosen, key=lambda name: -last[name]):
        points = [(row["k"], row["pass_rate"]) for row in chosen[name]]
        chart.line(points, STYLE[name], f"{words(name)} {100 * last[name]:.1f}%")
    return chart


def reliability(split: str, rows: Sequence[Row]) -> Chart:
    """Observed over predicted pass rate; a disc's area is its number of programs."""
    most = max(row["samples"] for row in rows)
    top = share_axis("", max(row[name] for row in rows for name in ("predicted", "observed")))
    chart = Chart(
        title=f"{split}: observed against predicted pass rate",
        description="; ".join(
            f"{row['samples']:.0f} programs predicted {100 * row['predicted']:.0f}%, "
            f"observed {100 * row['observed']:.0f}%"
            for row in rows
        ),
        x=share_axis("predicted: mean p_pass", top.high),
        y=share_axis("observed: share that passes", top.high),
    )
    chart.line([(0, 0), (top.high, top.high)], 5, "p_pass is right", dots=False)
    chart.line([(row["predicted"], row["observed"]) for row in rows], 0, dots=False)
    for row in rows:
        chart.bubble(row["predicted"], row["observed"], row["samples"] / most, 0)
    return chart


def risk_coverage(split: str, rows: Sequence[Row], random: float) -> Chart:
    """Pass rate of the answers, when only the problems with the most confident picks are answered.

    Between two thresholds the last one holds: a staircase.
    """
    points: list[tuple[float, float]] = []
    for row in sorted(rows, key=lambda row: row["coverage"]):
        if points:
            points.append((row["coverage"], points[-1][1]))
        points.append((row["coverage"], row["accuracy"]))
    rate = points[-1][1]
    chart = Chart(
        title=f"{split}: pass rate of the answers by share of problems answered",
        description=f"All problems answered: {100 * rate:.1f}% pass. Most confident first.",
        x=share_axis("problems answered, the most confident first"),
        y=share_axis("pass rate of the answers", max(random, *(rate for _, rate in points), 0.05)),
    )
    overall = [(0.0, rate), (1.0, rate)]
    chart.line(overall, 5, f"every problem answered {100 * rate:.1f}%", dots=False)
    chart.line(
        [(0.0, random), (1.0, random)], STYLE[RANDOM], f"random {100 * random:.1f}%", dots=False
    )
    chart.line(points, 0, "critic", dots=False)
    return chart


def rewards(split: str, rows: Sequence[Row]) -> str:
    """A histogram of the critic's rewards per verdict, passing programs first."""
    order = [name for name in VERDICT_CLASSES if any(row["verdict"] == name for row in rows)]
    order += sorted({row["verdict"] for row in rows} - set(order))
    total = sum(row["samples"] for row in rows)
    groups, notes = {}, {}
    for name in order:
        mine = [row for row in rows if row["verdict"] == name]
        count = sum(row["samples"] for row in mine)
        groups[words(name)] = [
            (row["reward_from"], row["reward_to"], row["samples"])
            for row in sorted(mine, key=lambda row: row["reward_from"])
        ]
        notes[words(name)] = f"{count:.0f} ({100 * count / total:.1f}%)"
    ends = [end for row in rows for end in (row["reward_from"], row["reward_to"])]
    return strips(
        f"{split}: the critic's rewards by verdict",
        "; ".join(f"{name}: {note} programs" for name, note in notes.items()),
        groups,
        notes,
        span_axis("reward", ends),
    )


def training_loss(rows: Sequence[Row]) -> Chart:
    """Training loss by step."""
    points = [(row["step"], row["loss"]) for row in rows if row["loss"] is not None]
    chart = Chart(
        title="training loss by optimizer step",
        description=f"from {points[0][1]:.3f} to {points[-1][1]:.3f} in {points[-1][0]:g} steps",
        x=span_axis("optimizer step", [0.0, *(step for step, _ in points)]),
        y=span_axis("loss", [0.0, *(loss for _, loss in points)]),
    )
    chart.line(points, 0, dots=False)
    _phases(chart, rows)
    return chart


def training_dev(rows: Sequence[Row], metrics: Fields) -> Chart:
    """Best-of-k on dev by step, with what random picks and the oracle reach there."""
    points = [
        (row["step"], row["dev_best_of_k"]) for row in rows if row["dev_best_of_k"] is not None
    ]
    baseline, kept = metrics.maybe_part("baseline"), metrics.maybe_part("kept")
    oracle, random = baseline.maybe_number("dev_oracle_at_k"), baseline.maybe_number("dev_random")
    rates = [rate for _, rate in points]
    chart = Chart(
        title="best-of-k on dev by optimizer step",
        description=f"from {100 * rates[0]:.1f}% to {100 * rates[-1]:.1f}%",
        x=span_axis("optimizer step", [0.0, *(step for step, _ in points)]),
        y=share_axis("dev pass rate of the pick", max(*rates, oracle or 0, random or 0)),
    )
    for value, name in ((oracle, ORACLE), (random, RANDOM)):
        if value is not None:
            chart.line([(chart.x.low, value), (chart.x.high, value)], STYLE[name],
                       f"{name} {100 * value:.1f}%", dots=False)  # fmt: skip
    chart.line(points, 0, "critic", dots=False)
    if kept.maybe_number("step") is not None and kept.maybe_number("dev_best_of_k") is not None:
        chart.bubble(kept.number("step"), kept.number("dev_best_of_k"), 0.1, 0)
    _phases(chart, rows)
    return chart


def _phases(chart: Chart, rows: Sequence[Row]) -> None:
    """Mark where a phase begins, where the curve names phases."""
    before = None
    for row in rows:
        phase = row.get("phase")
        if phase and phase != before:
            chart.divider(row["step"] if before else chart.x.low, phase)
            before = phase
