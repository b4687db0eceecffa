"""From an evaluation's files to the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from ouroboros.errors import UserError
from ouroboros.evaluation.wording import GREEDY, ORACLE, RANDOM
from ouroboros.jsonl import write_lines
from ouroboros.reporting import answers, figures
from ouroboros.reporting.charts import minus, signed
from ouroboros.reporting.provenance import Provenance, read_provenance
from ouroboros.reporting.reading import Fields, Row, metrics_fields, read_rows, visible

SPLITS = ("test", "transfer")
TITLES = {
    "test": "Test: problems of the training set's kind, never seen in training",
    "transfer": "Transfer: another set of problems, without retraining",
}
SEEDS = ("generate.seed", "split.seed", "critic.seed", "evaluate.seed")


def write_report(root: Path, out: Path) -> None:
    """Write the report of the last run as one HTML file that needs nothing else.

    The same files give the same bytes: no time stamp stands in it.

    Args:
        root: the project, with metrics/, plots/ and data/tables/ as the pipeline wrote them.
        out: the page.

    Raises:
        UserError: the pipeline has not run to its end, one of its files cannot be read or lacks
            what the page needs, or the page cannot be written.
    """
    write_lines(out, [render(root)])


def render(root: Path) -> str:
    """The page's text."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "pp": _pp, "percent": _percent, "words": figures.words,
        "visible": visible, "whole_percent": _whole_percent,
        "typeset": lambda text: text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"),
    }  # fmt: skip
    folder = files("ouroboros.reporting")
    splits = [_split(root, name) for name in SPLITS]
    provenance = read_provenance(root)
    template = environment.from_string(folder.joinpath("report.html.j2").read_text("utf-8"))
    page = template.render(
        style=folder.joinpath("report.css").read_text("utf-8"),
        splits=splits,
        training=_training(root),
        leakage=_leakage(root),
        setup=_setup(provenance),
        seeds={name: provenance.get(name) for name in SEEDS if provenance.get(name) is not None},
        provenance=provenance,
    )
    return page.rstrip("\n")


def _pp(value: float) -> str:
    """A difference of shares in percentage points, without the unit: +11.6."""
    return signed(100 * value, ".1f")


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _whole_percent(value: float) -> str:
    return minus(f"{100 * value:.0f}%")


def _split(root: Path, name: str) -> dict[str, Any]:
    metrics = metrics_fields(root, name)
    table = read_rows(
        root / "data" / "tables" / f"{name}.csv", numbers=("samples", "passing"),
        maybe_numbers=("critic_wrong_rank", "critic_p_pass"), texts=("problem_id",),
    )  # fmt: skip
    rows = answers.selectors(metrics)
    sizes, headline = metrics.part("sizes"), metrics.part("headline")
    return {
        "name": name,
        "title": TITLES[name],
        "confidence": f"{100 * metrics.number('confidence'):g}%",
        "k": sizes.whole("k"),
        "problems": sizes.whole("problems"),
        "samples": sizes.whole("samples"),
        "passing": sizes.whole("passing_samples"),
        "solved": sizes.whole("solved_problems"),
        "random": headline.number(RANDOM),
        "oracle": headline.number(ORACLE),
        "greedy": headline.maybe_number(GREEDY),
        "claims": answers.claims(metrics),
        "parts": answers.parts(metrics),
        "groups": [(sees, list(group)) for sees, group in groupby(rows, key=itemgetter("sees"))],
        "forest": figures.minus_random(name, metrics, rows),
        "charts": _charts(root, name, metrics),
        "scaling": answers.scaling(metrics),
        "quality": answers.quality(metrics),
        "top_pick": sorted(
            ((verdict, metrics.part("critic").part("top_pick").number(verdict))
             for verdict in metrics.part("critic").part("top_pick").value),
            key=lambda found: (-found[1], found[0]),
        ),
        "left_out": sorted(metrics.maybe_part("left_out").value.items()),
        "critic": metrics.text("critic_digest"),
        **_mistakes(root, name, table),
    }  # fmt: skip


def _charts(root: Path, name: str, metrics: Fields) -> list[dict[str, str]]:
    folder = root / "plots" / name
    curves = read_rows(
        folder / "best_of_k.csv", numbers=("k", "pass_rate", "low", "high"), texts=("selector",)
    )
    reliability = read_rows(
        folder / "reliability.csv", numbers=("p_pass_from", "predicted", "observed", "samples")
    )
    risk = read_rows(folder / "risk_coverage.csv", numbers=("coverage", "accuracy", "threshold"))
    rewards = read_rows(
        folder / "rewards.csv", numbers=("reward_from", "reward_to", "samples"), texts=("verdict",)
    )
    random = metrics.part("headline").number(RANDOM)
    confidence = f"{100 * metrics.number('confidence'):g}%"
    return [
        {
            "title": "What more samples bring",
            "svg": figures.best_of_k(name, curves).svg(),
            "note": "Pass rate of the pick from k samples. The oracle picks a passing sample "
            f"wherever there is one; the band is the critic's {confidence} interval.",
        },
        {
            "title": "Is p_pass a probability?",
            "svg": figures.reliability(name, reliability).svg(),
            "note": "Programs grouped by the critic's p_pass. A disc's area is its number of "
            "programs; above the dashed line the critic is too doubtful, below it too sure.",
        },
        {
            "title": "Answering only when sure",
            "svg": figures.risk_coverage(name, risk, random).svg(),
            "note": "Pass rate of the critic's picks when only the problems it is surest of are "
            "answered. At the left few problems stand behind the line.",
        },
        {
            "title": "Rewards by verdict",
            "svg": figures.rewards(name, rewards),
            "note": "How the critic's rewards spread over the programs of each verdict. Each row "
            "has its own height; a good critic moves the first row to the right.",
        },
    ]


def _mistakes(root: Path, name: str, table: list[Row]) -> dict[str, Any]:
    """The most confident wrong picks, in order, with what was asked."""
    where = str(root / "data" / "tables" / f"{name}.csv")
    wrong = [Fields(row, where) for row in table if row["critic_wrong_rank"] is not None]
    prompts = _prompts(root, name)
    found: list[dict[str, Any]] = [
        {
            "rank": row.number("critic_wrong_rank"),
            "problem_id": row.text("problem_id"),
            "p_pass": row.number("critic_p_pass"),
            "verdict": figures.words(row.text("critic_verdict")),
            "error": row.text("critic_error"),
            "passing": row.whole("passing"),
            "samples": row.whole("samples"),
            "prompt": prompts.get(row.text("problem_id")),
            "code": row.text("critic_wrong_code"),
        }
        for row in wrong
    ]
    found.sort(key=lambda mistake: mistake["rank"])
    missing = any(mistake["prompt"] is None for mistake in found)
    return {"mistakes": found, "prompts_missing": str(_problems(name)) if missing else ""}


def _problems(split: str) -> Path:
    return Path("data") / "problems" / ("main.jsonl" if split == "test" else f"{split}.jsonl")


def _prompts(root: Path, split: str) -> dict[str, str]:
    """Problem texts, where the problems are there (they are data under DVC, perhaps not pulled)."""
    path = root / _problems(split)
    if not path.is_file():
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream]
        return {row["problem_id"]: str(row["prompt_text"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as problems: {error}") from error


def _training(root: Path) -> dict[str, Any]:
    metrics = metrics_fields(root, "training")
    rows = read_rows(
        root / "plots" / "training" / "curve.csv", numbers=("step",),
        maybe_numbers=("loss", "dev_best_of_k"),
    )  # fmt: skip
    charts = []
    if any(row["loss"] is not None for row in rows):
        charts.append(
            {"title": "Training loss", "svg": figures.training_loss(rows).svg(),
             "note": "Over the optimizer's steps, phase after phase."}
        )  # fmt: skip
    if any(row["dev_best_of_k"] is not None for row in rows):
        charts.append(
            {"title": "Pass rate of the pick on dev",
             "svg": figures.training_dev(rows, metrics).svg(),
             "note": "Best-of-k on the dev problems, which chooses the checkpoint (the disc)."}
        )  # fmt: skip
    facts = [
        (f"{part}: {figures.words(key)}", value)
        for part in ("data", "kept", "calibration")
        for key, value in sorted(metrics.maybe_part(part).value.items())
        if isinstance(value, int | float | str)
    ]
    return {"charts": charts, "facts": facts}


def _leakage(root: Path) -> dict[str, Any]:
    metrics = metrics_fields(root, "leakage")
    rows = []
    for name in ("train", "dev", "test", "transfer"):
        if name in metrics.value:
            part = metrics.part(name)
            near = part.maybe_number("near_duplicates")
            rows.append((name, part.whole("problems"), None if near is None else int(near)))
    return {
        "rows": rows,
        "threshold": metrics.number("threshold"),
        "excluded": metrics.maybe_number("excluded"),
    }


def _setup(provenance: Provenance) -> Mapping[str, str]:
    """The run in a few words, as far as the params say."""
    get = provenance.get
    found = {
        "profile": get("profile") or next(
            (Path(file).stem for file in provenance.params if file.startswith("params/")), None
        ),
        "generator": _with(get("generate.model"), get("generate.revision")),
        "samples per problem": get("generate.n"),
        "temperature": get("generate.temperature"),
        "critic starts from": _with(get("critic.backbone"), get("critic.revision")),
        "problems": _with(get("problems.main.name"), get("problems.main.revision")),
        "transfer problems": _with(
            get("problems.transfer.name"), get("problems.transfer.revision")
        ),
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def _with(name: str | None, revision: str | None) -> str | None:
    return f"{name} at {revision}" if name and revision else name
