"""The final table: did the verifier beat the baseline, by how much, how sure?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError, UserError
from ouroboros.evaluation.wording import (
    CLAIMS,
    GREEDY,
    ORACLE,
    SIGHTS,
    VERIFIER,
    detail,
    sentence,
)

SUMMARY = "summary"
HEADLINE = "headline"


def read_metrics(root: Path, name: str) -> dict[str, Any]:
    """Read metrics/<name>.json.

    Raises:
        UserError: no such file, or it is not a JSON object.
    """
    path = root / "metrics" / f"{name}.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run the pipeline first: make repro, or dvc repro"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError("expected a JSON object", where=str(path))
    return value


def summarize(evaluations: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What metrics/summary.json holds, from the metrics of each split, in order.

    Per split the headline rates, and per claim its numbers and its line in words.
    """
    return {
        split: {
            "k": metrics["sizes"]["k"],
            "problems": metrics["sizes"]["problems"],
            "pass_rate": metrics["headline"],
            **{
                name: {**claim, "words": sentence(CLAIMS[name][2], claim, metrics["confidence"])}
                for name, claim in metrics["claims"].items()
            },
        }
        for split, metrics in evaluations.items()
    }


def headline(summary: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What metrics/headline.json holds: per split the figures worth a column where experiments are
    compared.

    `random` and `critic` are pass rates, `difference` is theirs with its interval `low` to `high`,
    `gap_closed` the share of the way from random to the oracle.
    """
    found = {}
    for split, values in summary.items():
        rates, claim = values["pass_rate"], values["verifier_over_baseline"]
        found[split] = {
            **{name: rates[name] for name in ("random", "critic", "gap_closed")},
            **{name: claim[name] for name in ("difference", "low", "high")},
        }
    return found


def print_summary(root: Path) -> None:
    """Print the table of the last run, from metrics/summary.json and the metrics it names.

    Raises:
        UserError: the pipeline has not run to its end here.
    """
    splits = list(read_metrics(root, SUMMARY))
    # The set the critic's training problems came from first.
    splits.sort(key=lambda split: (split != "test", split))
    print(render({split: read_metrics(root, split) for split in splits}))


def render(evaluations: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of every split, then its claims in words."""
    return "\n\n".join(_render_split(metrics) for metrics in evaluations.values())


def _render_split(metrics: Mapping[str, Any]) -> str:
    sizes, confidence = metrics["sizes"], metrics["confidence"]
    k = sizes["k"]
    interval = f"{100 * confidence:g}% interval"
    rows: list[tuple[str, ...]] = [
        (f"pick one of {k}", "sees", "pass@1", interval, "minus random", interval, "gap closed")
    ]
    found = metrics["selectors"]
    # By what they see, then from the worst to the best.
    for name in sorted(
        found, key=lambda name: (SIGHTS.index(found[name]["sees"]), found[name]["pass_rate"], name)
    ):
        rows.append(_selector_row(name, found[name]))
    if GREEDY in metrics["headline"]:
        rows.insert(
            2,  # after random, the only one that sees nothing
            (GREEDY, "", _percent(metrics["headline"][GREEDY]), "", "", "", ""),
        )
    oracle = f"oracle (pass@{k})"
    rows.append((oracle, "all tests", _percent(metrics["headline"][ORACLE]), "", "", "", "100%"))
    title = (
        f"{metrics['split']}: {sizes['problems']} problems, {sizes['samples']} samples, "
        f"{sizes['solved_problems']} problems with a sample that passes"
    )
    lines = [title, *_columns(rows)]
    for name, reason in sorted(metrics["left_out"].items()):
        lines.append(f"  left out: {name} ({reason})")
    for name, (_, _, words) in CLAIMS.items():
        if name in metrics["claims"]:
            claim = metrics["claims"][name]
            lines += ["", sentence(words, claim, confidence), f"  {detail(claim, confidence)}"]
    lines += _part_lines(metrics, "labels", "under")
    lines += _part_lines(metrics, "subsets", "on")
    lines += _phase_lines(metrics)
    enough = metrics["scaling"]["enough"]
    lines.append(
        "  samples from which more are not shown to help: "
        + ", ".join(f"{name} {number}" for name, number in enough.items())
        + f"; {metrics['scaling']['generated_tokens'][str(k)]:.0f} tokens generated per problem"
        + f" at k={k}"
    )
    return "\n".join(lines)


def _selector_row(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    difference = values.get("minus_random")
    closed = values["gap_closed"]
    return (
        ("* " if name == VERIFIER else "") + name,
        values["sees"],
        _percent(values["pass_rate"]),
        f"[{100 * values['low']:.1f}, {100 * values['high']:.1f}]",
        "" if difference is None else f"{100 * difference['difference']:+.1f} pp",
        ""
        if difference is None
        else f"[{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]",
        "" if closed is None or difference is None else f"{100 * closed:.0f}%",
    )


def _part_lines(metrics: Mapping[str, Any], kind: str, preposition: str) -> list[str]:
    """The claims again under stricter labels or on a subset, a line each."""
    lines = []
    for part, found in sorted(metrics[kind].items()):
        title = f"{preposition} {part.replace('_', ' ')} ({found['problems']} problems)"
        for name, claim in found["claims"].items():
            lines.append(f"  {title}: {sentence(CLAIMS[name][2], claim, metrics['confidence'])}")
    return lines


def _phase_lines(metrics: Mapping[str, Any]) -> list[str]:
    """The critic as each phase of the curriculum left it, where there are several."""
    if len(metrics["phases"]) < 2:
        return []
    parts = []
    for name, found in metrics["phases"].items():
        against = found.get("minus_kept")
        parts.append(
            f"{name} {_percent(found['pass_rate'])} "
            + (
                "(kept, chosen on dev)"
                if against is None
                else f"({100 * against['difference']:+.1f} pp, {100 * metrics['confidence']:g}% "
                f"interval [{100 * against['low']:+.1f}, {100 * against['high']:+.1f}])"
            )
        )
    return ["  critic after each phase: " + ", ".join(parts)]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Text columns: the first two to the left, numbers to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def flatten(evaluations: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The numbers to compare critics by, named like `test/claims.verifier_over_baseline.low`.

    For MLflow's table: words and nulls are left out, and of each selector all but its pass rate.
    """
    found: dict[str, float] = {}

    def add(prefix: str, value: object) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                add(f"{prefix}.{key}", inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[prefix] = float(value)

    for split, metrics in evaluations.items():
        for name in (
            "headline",
            "claims",
            "oracle",
            "critic",
            "sizes",
            "labels",
            "subsets",
            "scaling",
            "fitted_on_dev",
            "phases",
        ):
            add(f"{split}/{name}", metrics[name])
        for name, values in metrics["selectors"].items():
            add(f"{split}/selectors.{name}", values["pass_rate"])
    return found
