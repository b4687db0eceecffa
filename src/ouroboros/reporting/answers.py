"""What an evaluation answers, from its metrics to the page's words and rows."""

from __future__ import annotations

from typing import Any

from ouroboros.evaluation.wording import CLAIMS, RANDOM, SIGHTS, VERIFIER, least_differing
from ouroboros.reporting import figures
from ouroboros.reporting.charts import interval_line, minus
from ouroboros.reporting.reading import Fields

QUESTIONS = {
    "verifier_over_baseline": "Does the critic's pick pass more often than a random sample?",
    "verifier_over_likelihood": "Does it pass more often than the sample the generator itself "
    "finds likeliest?",
}
PARTS = {
    "hidden_tests": "Only the tests the prompt does not show",
    "extra_tests": "All tests and the stricter extra ones",
    "without_near_duplicates": "Without problems that nearly repeat one of train or dev",
}


def claims(metrics: Fields) -> list[dict[str, Any]]:
    """The claims as questions with their answers, and those that could not be put."""
    headline = metrics.part("headline")
    found = dict(metrics.part("claims").parts())
    bars = {name: figures.difference(claim, name) for name, claim in found.items()}
    axis = figures.difference_axis(list(bars.values()), symmetric=True) if bars else None
    shown: list[dict[str, Any]] = []
    for name, claim in found.items():
        better, worse, line = CLAIMS.get(name, ("", "", figures.words(name)))
        rates = [headline.maybe_number(selector) for selector in (better, worse)]
        bar = bars[name]
        assert axis is not None  # there is a claim
        shown.append(
            {
                "question": QUESTIONS.get(name, line),
                "line": line,
                "answer": claim.text("answer"),
                "reading": _reading(claim),
                "difference": bar.difference,
                "low": bar.low,
                "high": bar.high,
                "rates": None if None in rates else rates,
                "power": _power(claim, metrics.number("confidence")),
                "svg": interval_line(f"{line}: the difference with its interval", bar, axis),
            }
        )
    for name, (_, _, line) in CLAIMS.items():
        if name not in found:
            shown.append({"question": QUESTIONS.get(name, line), "line": line, "answer": None})
    return shown


def _reading(claim: Fields) -> str:
    """What the interval means for the question, in a sentence."""
    answer, low, high = claim.text("answer"), claim.number("low"), claim.number("high")
    if answer == "yes":
        return "The whole interval lies above 0."
    if answer == "no":
        return "The whole interval lies below 0: its picks pass less often."
    if low <= 0 <= high:
        return "The interval reaches 0: neither is shown to be better."
    return "The interval lies on one side of 0, but too few problems stand behind it."


def _power(claim: Fields, confidence: float) -> str:
    """What a claim rests on, and what its experiment could have found."""
    differ, problems = claim.whole("problems_that_differ"), claim.whole("problems")
    rests = f"The two differ on {differ} of {problems} problems."
    needed = least_differing(confidence)
    if differ < needed:
        return (
            f"{rests} No test can tell at {100 * confidence:g}% with fewer than {needed}: nothing "
            "could have been found here."
        )
    found = 100 * claim.number("minimum_detectable")
    return (
        f"{rests} A true difference of {found:.1f} pp would be found in 80 of 100 such "
        "experiments; a smaller one would often be missed."
    )


def parts(metrics: Fields) -> list[dict[str, Any]]:
    """The claims under stricter labels and on parts of the split."""
    found = []
    for kind in ("labels", "subsets"):
        for name, part in sorted(metrics.maybe_part(kind).parts()):
            words = figures.words(name)
            words = f"Labels: {words}" if kind == "labels" else f"Only {words}"
            found.append(
                {
                    "title": PARTS.get(name, words),
                    "problems": part.whole("problems"),
                    "false_pass_rate": part.maybe_number("false_pass_rate"),
                    "critic": part.part("headline").maybe_number(VERIFIER),
                    "random": part.part("headline").maybe_number(RANDOM),
                    "claims": [
                        {
                            "line": CLAIMS[key][2] if key in CLAIMS else figures.words(key),
                            "answer": claim.text("answer"),
                            "difference": claim.number("difference"),
                            "low": claim.number("low"),
                            "high": claim.number("high"),
                        }
                        for key, claim in part.part("claims").parts()
                    ],
                }
            )  # fmt: skip
    return found


def _sight(sees: str) -> int:
    return SIGHTS.index(sees) if sees in SIGHTS else len(SIGHTS)


def selectors(metrics: Fields) -> list[dict[str, Any]]:
    """A row a selector: by what it sees, then from the worst to the best."""
    rows: list[dict[str, Any]] = []
    for name, values in metrics.part("selectors").parts():
        learned = "minus_best_unlearned" in values.value
        bar = None
        if "minus_random" in values.value:
            bar = figures.difference(
                values.part("minus_random"), figures.words(name),
                filled=learned, strong=name == VERIFIER,
            )  # fmt: skip
        rows.append(
            {
                "name": name,
                "sees": values.text("sees"),
                "learned": learned,
                "pass_rate": values.number("pass_rate"),
                "low": values.number("low"),
                "high": values.number("high"),
                "bar": bar,
                "gap_closed": values.maybe_number("gap_closed"),
            }
        )
    rows.sort(key=lambda row: (_sight(row["sees"]), row["sees"], row["pass_rate"], row["name"]))
    return rows


def scaling(metrics: Fields) -> dict[str, Any] | None:
    if "scaling" not in metrics.value:
        return None
    scaling, k = metrics.part("scaling"), metrics.part("sizes").whole("k")
    enough = scaling.part("enough")
    return {
        "enough": [(name, enough.whole(name)) for name in enough.value],
        "tokens": scaling.part("generated_tokens").number(str(k)),
    }


def quality(metrics: Fields) -> list[tuple[str, str, str]]:
    """(name, figure, what it says)."""
    critic = metrics.part("critic")
    return [
        (
            "AUC within problems", _figure(critic.maybe_number("auc_within_problems")),
            "how often a passing program outranks a failing one of the same problem; 0.5 is "
            f"chance. Problems that have both: {critic.whole('auc_within_problems_count')}.",
        ),
        (
            "AUC across problems", _figure(critic.maybe_number("auc_across_problems")),
            "the same over all programs: also rewards knowing which problems are easy.",
        ),
        (
            "Brier score", _figure(critic.number("brier")),
            "mean squared error of p_pass, lower is better. Always saying the split's pass rate "
            f"would score {critic.number('brier_of_base_rate'):.3f}.",
        ),
        (
            "Calibration error (ECE)", _figure(critic.number("ece")),
            "mean distance between p_pass and the share that passes, over ten equal bins.",
        ),
        (
            "Risk-coverage area", _figure(critic.number("risk_coverage_area")),
            "mean failure rate when problems are answered from the most confident down; lower is "
            "better.",
        ),
    ]  # fmt: skip


def _figure(value: float | None) -> str:
    return "not defined" if value is None else minus(f"{value:.3f}")
