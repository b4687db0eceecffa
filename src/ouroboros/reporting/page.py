"""From an evaluation's files to the page."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError, UserError
from ouroboros.evaluation.summary import read_metrics
from ouroboros.evaluation.wording import (
    CLAIMS,
    GREEDY,
    LIKELIHOOD,
    MAJORITY,
    ORACLE,
    RANDOM,
    SIGHTS,
    VERIFIER,
    detail,
    sentence,
)
from ouroboros.jsonl import write_lines
from ouroboros.reporting.charts import Axis, Chart, interval_bar, share_axis, span_axis

SPLITS = ("test", "transfer")
TITLES = {
    "test": "Test: problems of the training set's kind, never seen",
    "transfer": "Transfer: another set, without retraining",
}
CURVES = (ORACLE, VERIFIER, LIKELIHOOD, MAJORITY, RANDOM)
STYLE = {VERIFIER: 0, RANDOM: 1, ORACLE: 2, LIKELIHOOD: 3, MAJORITY: 4, GREEDY: 5}


def write_report(root: Path, out: Path) -> None:
    """Write the report of the last run as one HTML file that needs nothing else.

    The same files give the same bytes: no time stamp stands in it.

    Args:
        root: the project, with metrics/, plots/ and data/tables/ as the pipeline wrote them.
        out: the page.

    Raises:
        UserError: the pipeline has not run to its end, or one of its files cannot be read.
    """
    write_lines(out, [render(root)])


def render(root: Path) -> str:
    """The page's text."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = files("ouroboros.reporting").joinpath("report.html.j2").read_text(encoding="utf-8")
    splits = [_split(root, name) for name in SPLITS]
    return environment.from_string(text).render(
        splits=splits,
        training=_training(root),
        leakage=read_metrics(root, "leakage"),
        params=_params(root),
        style=STYLE,
    )


def _split(root: Path, name: str) -> dict[str, Any]:
    metrics = read_metrics(root, name)
    try:
        return {
            "name": name,
            "title": TITLES[name],
            "metrics": metrics,
            "sizes": metrics["sizes"],
            "claims": _claims(metrics),
            "parts": _parts(metrics),
            "selectors": _selectors(metrics),
            "charts": _charts(root, name, metrics),
            "quality": _quality(metrics),
            "mistakes": _mistakes(root, name),
        }
    except KeyError as error:
        raise InputError(
            f"has no {error.args[0]!r}", where=str(root / "metrics" / f"{name}.json"),
            hint="it was written by another version: run the pipeline again (make repro)",
        ) from error  # fmt: skip


def _claims(metrics: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "answer": claim["answer"],
            "words": sentence(CLAIMS[name][2], claim, metrics["confidence"]),
            "detail": detail(claim),
        }
        for name, claim in metrics["claims"].items()
    ]


def _parts(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims under stricter labels and on subsets."""
    found = []
    for kind, preposition in (("labels", "under"), ("subsets", "on")):
        for name, part in sorted(metrics[kind].items()):
            found.append(
                {
                    "title": f"{preposition} {name.replace('_', ' ')}",
                    "problems": part["problems"],
                    "false_pass_rate": part.get("false_pass_rate"),
                    "lines": [
                        sentence(CLAIMS[key][2], claim, metrics["confidence"])
                        for key, claim in part["claims"].items()
                    ],
                }
            )
    return found


def _selectors(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    found = metrics["selectors"]
    differences = [v["minus_random"] for v in found.values() if "minus_random" in v]
    reach = max((abs(d[key]) for d in differences for key in ("low", "high")), default=0) or 0.01
    rows = []
    for name in sorted(
        found, key=lambda n: (SIGHTS.index(found[n]["sees"]), found[n]["pass_rate"])
    ):
        values = found[name]
        difference = values.get("minus_random")
        rows.append(
            {
                "name": name,
                "sees": values["sees"],
                "learned": "minus_best_unlearned" in values,
                "pass_rate": values["pass_rate"],
                "low": values["low"],
                "high": values["high"],
                "difference": difference,
                "bar": interval_bar(difference, reach, STYLE.get(name, 5)) if difference else "",
                "gap_closed": values["gap_closed"],
            }
        )
    return rows


def _charts(root: Path, name: str, metrics: dict[str, Any]) -> list[dict[str, str]]:
    folder = root / "plots" / name
    curves = _read(folder / "best_of_k.csv")
    reliability = _read(folder / "reliability.csv")
    risk = _read(folder / "risk_coverage.csv")
    rewards = _read(folder / "rewards.csv")
    return [
        {
            "title": "More samples",
            "svg": _best_of_k(name, curves).svg(),
            "note": "The pass rate of the pick from k samples. The oracle picks a passing one "
            "wherever there is one; the band is the critic's interval.",
        },
        {
            "title": "Is p_pass a probability?",
            "svg": _reliability(name, reliability).svg(),
            "note": "Programs grouped by what the critic says. On the dotted line it is right "
            f"(ECE {metrics['critic']['ece']:.3f}); bars show how many programs each group has.",
        },
        {
            "title": "Answering only when sure",
            "svg": _risk_coverage(name, risk).svg(),
            "note": "The pass rate of the critic's picks when only the problems it is surest of "
            "are answered.",
        },
        {
            "title": "Rewards by verdict",
            "svg": _rewards(name, rewards).svg(),
            "note": "How many programs got which reward, passing above the line and failing below.",
        },
    ]


def _best_of_k(split: str, rows: Sequence[dict[str, str]]) -> Chart:
    ks = sorted({int(row["k"]) for row in rows})
    names = [name for name in CURVES if any(row["selector"] == name for row in rows)]
    chosen = {
        name: [
            (float(row["k"]), *(float(row[key]) for key in ("pass_rate", "low", "high")))
            for row in rows
            if row["selector"] == name
        ]
        for name in names
    }
    chart = Chart(
        title=f"{split}: pass rate of the pick from k samples",
        description=", ".join(
            f"{n} {100 * p[-1][1]:.1f}% at k={ks[-1]}" for n, p in chosen.items()
        ),
        x=Axis(
            label="k samples", low=ks[0], high=max(ks[-1], ks[0] + 1), ticks=tuple(ks), log=True
        ),
        y=share_axis("pass rate", max(row[1] for points in chosen.values() for row in points)),
    )
    if VERIFIER in chosen:
        top = chart.y.high
        chart.band([(k, low, min(high, top)) for k, _, low, high in chosen[VERIFIER]], 0)
    for name, points in chosen.items():
        chart.line([(k, rate) for k, rate, _, _ in points], STYLE[name], name.replace("_", " "))
    return chart


def _reliability(split: str, rows: Sequence[dict[str, str]]) -> Chart:
    chart = Chart(
        title=f"{split}: observed against predicted pass rate",
        description="; ".join(
            f"predicted {float(row['predicted']):.2f}: observed {float(row['observed']):.2f}"
            for row in rows
        ),
        x=share_axis("predicted (p_pass)"),
        y=share_axis("observed"),
    )
    most = max(int(row["samples"]) for row in rows)
    for row in rows:
        start = float(row["p_pass_from"])
        chart.bar(start, start + 0.1, 0, 0.25 * int(row["samples"]) / most, 5)
    chart.line([(0, 0), (1, 1)], 4, dots=False)
    chart.line([(float(row["predicted"]), float(row["observed"])) for row in rows], 0)
    return chart


def _risk_coverage(split: str, rows: Sequence[dict[str, str]]) -> Chart:
    points = [(float(row["coverage"]), float(row["accuracy"])) for row in rows]
    chart = Chart(
        title=f"{split}: pass rate of the answers by share of problems answered",
        description=f"all problems answered: {100 * points[-1][1]:.1f}% pass",
        x=share_axis("problems answered"),
        y=share_axis("pass rate"),
    )
    chart.line(points, 0, dots=len(points) <= 12)
    return chart


def _rewards(split: str, rows: Sequence[dict[str, str]]) -> Chart:
    bins: dict[tuple[float, float], list[int]] = {}
    for row in rows:
        key = (float(row["reward_from"]), float(row["reward_to"]))
        counts = bins.setdefault(key, [0, 0])
        counts[row["verdict"] != "pass"] += int(row["samples"])
    passing = max(counts[0] for counts in bins.values())
    failing = max(counts[1] for counts in bins.values())
    ends = [end for key in bins for end in key]
    chart = Chart(
        title=f"{split}: rewards of passing and failing programs",
        description=f"{sum(c[0] for c in bins.values())} passing and "
        f"{sum(c[1] for c in bins.values())} failing programs, "
        f"rewards {min(ends):g} to {max(ends):g}",
        x=span_axis("reward", ends),
        y=span_axis("programs: failing below 0", [-failing, passing, 0]),
    )
    for (start, end), (good, bad) in sorted(bins.items()):
        if good:
            chart.bar(start, end, 0, good, 0)
        if bad:
            chart.bar(start, end, -bad, 0, 5)
    return chart


def _quality(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(name, figure, what it says)."""
    critic = metrics["critic"]
    return [
        (
            "AUC within problems", _figure(critic["auc_within_problems"]),
            "a passing program outranks a failing one of the same problem this often; 0.5 is "
            f"chance ({critic['auc_within_problems_count']} problems with both)",
        ),
        (
            "AUC across problems", _figure(critic["auc_across_problems"]),
            "the same over all programs: also rewards knowing which problems are easy",
        ),
        (
            "Brier score", _figure(critic["brier"]),
            "lower is better; always saying the pass rate scores "
            f"{critic['brier_of_base_rate']:.3f}",
        ),
        (
            "Calibration error (ECE)", _figure(critic["ece"]),
            "mean distance between p_pass and what passes",
        ),
        (
            "Failure rate, most confident first", _figure(critic["risk_coverage_area"]),
            "mean over all shares of problems answered",
        ),
    ]  # fmt: skip


def _figure(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _mistakes(root: Path, name: str) -> list[dict[str, Any]]:
    """The most confident wrong picks, in order, with what was asked."""
    rows = [row for row in _read(root / "data" / "tables" / f"{name}.csv") if _is_wrong(row)]
    rows.sort(key=lambda row: float(row["critic_wrong_rank"]))
    prompts = _prompts(root, name)
    return [
        {
            "problem_id": row["problem_id"],
            "p_pass": float(row["critic_p_pass"]),
            "verdict": row["critic_verdict"].replace("_", " "),
            "error": row["critic_error"],
            "passing": row["passing"],
            "samples": row["samples"],
            "prompt": prompts.get(row["problem_id"]),
            "code": row["critic_wrong_code"],
        }
        for row in rows
    ]


def _is_wrong(row: dict[str, str]) -> bool:
    return row.get("critic_wrong_rank", "") not in ("", None)


def _prompts(root: Path, name: str) -> dict[str, str]:
    """Problem texts, where the problems are there (they are data under DVC, perhaps not pulled)."""
    path = root / "data" / "problems" / ("main.jsonl" if name == "test" else f"{name}.jsonl")
    if not path.is_file():
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream]
        return {row["problem_id"]: row["prompt_text"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as problems: {error}") from error


def _training(root: Path) -> dict[str, Any]:
    metrics = read_metrics(root, "training")
    rows = _read(root / "plots" / "training" / "curve.csv")
    steps = [float(row["step"]) for row in rows]
    charts = []
    for key, title, label in (
        ("loss", "training loss", "loss"),
        ("dev_best_of_k", "best-of-k on dev", "pass rate"),
    ):
        points = [(float(row["step"]), float(row[key])) for row in rows if row.get(key)]
        if not points:
            continue
        values = [value for _, value in points]
        chart = Chart(
            title=title,
            description=f"from {values[0]:.3f} to {values[-1]:.3f} over {steps[-1]:g} steps",
            x=span_axis("optimizer step", steps),
            y=span_axis(label, [*values, min(values)]),
        )
        chart.line(points, 0, dots=False)
        charts.append({"title": title.capitalize(), "svg": chart.svg(), "note": ""})
    return {"metrics": metrics, "charts": charts}


def _params(root: Path) -> list[tuple[str, str]]:
    """The params files as they stand, for reading."""
    found = []
    for path in (root / "params.yaml", *sorted((root / "params").glob("*.yaml"))):
        try:
            found.append((path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")))
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error}") from error
    return found


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run the pipeline first: make repro, or dvc pull"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}") from error
    if not rows:
        raise UserError(f"{path}: is empty; run the pipeline again: make repro")
    return rows
