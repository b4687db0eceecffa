"""The figures of an evaluated split, as PNG files, drawn from its plot data."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ouroboros.errors import UserError
from ouroboros.evaluation.wording import GREEDY, LIKELIHOOD, ORACLE, RANDOM, VERIFIER
from ouroboros.records import VERDICT_CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STRONG = {
    ORACLE: "#6b7280",
    VERIFIER: "#c2410c",
    LIKELIHOOD: "#1d4ed8",
    GREEDY: "#7c3aed",
    RANDOM: "#111827",
}
"""The selectors the claims are about, drawn strongly; all others are thin."""


def draw_figures(root: Path, split: str, folder: Path) -> list[Path]:
    """Draw plots/<split>/*.csv under `root` into `folder`/<split>_<figure>.png; return the files.

    Raises:
        UserError: plot data is missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, draw in FIGURES.items():
        rows = _read(root / "plots" / split / f"{name}.csv")
        figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(axes, rows)
        axes.set_title(f"{split}: {TITLES[name]}")
        axes.spines[["top", "right"]].set_visible(False)
        path = folder / f"{split}_{name}.png"
        # No Software entry: equal data give equal bytes.
        figure.savefig(path, metadata={"Software": None})
        files.append(path)
    return files


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _numbers(rows: Sequence[dict[str, str]], column: str) -> list[float]:
    return [float(row[column]) for row in rows]


def _draw_best_of_k(axes: Axes, rows: Sequence[dict[str, str]]) -> None:
    names = list(dict.fromkeys(row["selector"] for row in rows))
    weak = [name for name in names if name not in STRONG]
    colors = {name: f"C{place % 10}" for place, name in enumerate(weak)} | STRONG
    for name in names:
        mine = [row for row in rows if row["selector"] == name]
        k, rate = _numbers(mine, "k"), _numbers(mine, "pass_rate")
        strong = name in STRONG
        style: dict[str, Any] = {"color": colors[name], "lw": 2 if strong else 0.8}
        if name in weak[10:]:
            style["ls"] = "--"  # the colours begin again
        style |= {"alpha": 1, "zorder": 3} if strong else {"alpha": 0.6}
        axes.plot(k, rate, label=name, marker="o", ms=3, **style)
        if name == VERIFIER:
            band = (_numbers(mine, "low"), _numbers(mine, "high"))
            axes.fill_between(k, *band, color=STRONG[name], alpha=0.15, lw=0)
    ks = sorted({int(row["k"]) for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("k, samples to pick from")
    axes.set_ylabel("pass rate of the pick")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _draw_reliability(axes: Axes, rows: Sequence[dict[str, str]]) -> None:
    counts = _numbers(rows, "samples")
    sizes = [15 + 300 * count / max(counts) for count in counts]
    axes.plot([0, 1], [0, 1], color="#9ca3af", lw=1, ls="--")
    axes.plot(_numbers(rows, "predicted"), _numbers(rows, "observed"), color=STRONG[VERIFIER])
    axes.scatter(
        _numbers(rows, "predicted"), _numbers(rows, "observed"), s=sizes, color=STRONG[VERIFIER]
    )
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("predicted p_pass (bins; area: samples)")
    axes.set_ylabel("observed pass rate")


def _draw_risk_coverage(axes: Axes, rows: Sequence[dict[str, str]]) -> None:
    axes.step(
        _numbers(rows, "coverage"),
        _numbers(rows, "accuracy"),
        where="post",
        color=STRONG[VERIFIER],
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("share of problems answered (most confident first)")
    axes.set_ylabel("pass rate of the answers")


def _draw_rewards(axes: Axes, rows: Sequence[dict[str, str]]) -> None:
    base: dict[float, float] = {}
    for verdict in VERDICT_CLASSES:
        mine = [row for row in rows if row["verdict"] == verdict]
        if not mine:
            continue
        left, counts = _numbers(mine, "reward_from"), _numbers(mine, "samples")
        width = float(mine[0]["reward_to"]) - left[0]
        bottom = [base.get(place, 0.0) for place in left]
        color = "#15803d" if verdict == "pass" else None
        axes.bar(left, counts, width, bottom=bottom, align="edge", label=verdict, color=color)
        base.update((x, b + n) for x, b, n in zip(left, bottom, counts, strict=True))
    axes.set_xlabel("reward")
    axes.set_ylabel("samples")
    axes.legend(fontsize=8, frameon=False)


FIGURES = {
    "best_of_k": _draw_best_of_k,
    "reliability": _draw_reliability,
    "risk_coverage": _draw_risk_coverage,
    "rewards": _draw_rewards,
}
TITLES = {
    "best_of_k": "pass rate of the picked sample",
    "reliability": "does p_pass mean what it says?",
    "risk_coverage": "answering only when sure",
    "rewards": "rewards by verdict",
}
