"""The page: what stands on it, that what it quotes stays text, and that nothing is fetched."""

from __future__ import annotations

import csv
import html.parser
import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ouroboros.cli import main
from ouroboros.errors import InputError, UserError
from ouroboros.reporting.page import render, write_report
from tests.reporting.conftest import HOSTILE


class Outline(html.parser.HTMLParser):
    """Tags, attributes and headings of a page whose tags are balanced."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def wrong_picks(root: Path) -> int:
    tables = [root / "data" / "tables" / f"{split}.csv" for split in ("test", "transfer")]
    return sum(bool(row["critic_wrong_rank"]) for t in tables for row in csv.DictReader(t.open()))


def metrics(root: Path, split: str = "test") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "metrics" / f"{split}.json").read_text())
    return found


def change(root: Path, split: str, edit: Callable[[dict[str, Any]], object]) -> str:
    """The page after one metrics file was edited."""
    found = metrics(root, split)
    edit(found)
    (root / "metrics" / f"{split}.json").write_text(json.dumps(found))
    return render(root)


def test_claims_tables_and_mistakes_stand_on_it(finished: Path) -> None:
    text = render(finished)
    found = metrics(finished)
    claim = found["claims"]["verifier_over_baseline"]
    assert f"verifier pass@1 &gt; baseline pass@1: {claim['answer']}</i>" in text
    assert f'<span class="answer">{claim["answer"].capitalize()}</span>' in text
    assert f"{100 * claim['minimum_detectable']:.1f} pp would be found in 80 of 100" in text
    for name, values in found["selectors"].items():
        row = f'<th scope="row">{name.replace("_", " ")}</th><td>{100 * values["pass_rate"]:.1f}%'
        assert row in text
    assert "Without problems that nearly repeat one of train or dev" in text
    assert "All tests and the stricter extra ones" in text
    assert "of the programs that pass the plain tests fail the extra ones" in text
    assert "tokens are generated per problem" in text
    assert "ab" * 32 in text
    assert "generate 7" in text
    assert wrong_picks(finished) >= 11
    assert text.count("<h4>What the critic picked</h4>") == wrong_picks(finished)
    assert text.count("<h4>What was asked</h4>") == wrong_picks(finished)


def test_what_programs_prompts_and_params_hold_stays_text(finished: Path) -> None:
    text = render(finished)
    outline = Outline(text)
    assert not {"script", "img", "iframe", "object", "link"} & set(outline.tags)
    assert "&lt;script&gt;document.title" in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 2, "a program and a prompt"
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold" not in text


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m["left_out"].update({HOSTILE: HOSTILE}),
        lambda m: m["selectors"].update({HOSTILE: {**m["selectors"]["critic"], "sees": HOSTILE}}),
        lambda m: m["claims"].update({HOSTILE: m["claims"]["verifier_over_baseline"]}),
        lambda m: m["claims"]["verifier_over_baseline"].update(answer=HOSTILE),
        lambda m: m["subsets"].update({HOSTILE: m["subsets"]["without_near_duplicates"]}),
        lambda m: m.update(critic_digest=HOSTILE),
        lambda m: m["critic"]["top_pick"].update({HOSTILE: 0.5}),
        lambda m: m["scaling"]["enough"].update({HOSTILE: 1}),
    ],
)
def test_names_in_metrics_stay_text(
    project: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    text = change(project, "test", edit)
    assert not {"script", "img"} & set(Outline(text).tags)
    assert not [name for _, name, _ in Outline(text).attributes if name.startswith("on")]


def test_names_in_plots_and_training_stay_text(finished: Path, project: Path) -> None:
    for path, old in (("plots/test/rewards.csv", "pass"), ("plots/training/curve.csv", "hard")):
        text = (project / path).read_text()
        (project / path).write_text(text.replace(f",{old},", f",{HOSTILE},"))
    training = project / "metrics" / "training.json"
    training.write_text(json.dumps({"data": {HOSTILE: HOSTILE}}))
    text = render(project)
    assert not {"script", "img"} & set(Outline(text).tags)
    assert text.count("&lt;script&gt;") >= render(finished).count("&lt;script&gt;") + 4


def test_nothing_is_fetched_and_nothing_runs(finished: Path) -> None:
    text = render(finished)
    outline = Outline(text)
    for tag, name, value in outline.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("src", "srcset", "data", "action", "xlink:href"), (tag, name, value)
    assert all(value.startswith("#") for value in outline.values("href"))
    assert set(outline.values("href")) <= {f"#{value}" for value in outline.values("id")}
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "default-src 'none'; style-src 'unsafe-inline'" in " ".join(outline.values("content"))


def test_its_structure_can_be_read_aloud(finished: Path) -> None:
    text = render(finished)
    outline = Outline(text)
    assert '<html lang="en">' in text
    levels = [int(tag[1]) for tag in outline.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels)), "a level is skipped"
    assert outline.tags.count("th") == len([v for t, n, v in outline.attributes
                                            if (t, n) == ("th", "scope")])  # fmt: skip
    charts = re.findall(r'<svg viewBox="[^"]*" role="img" class="chart[^"]*">(<title>)?', text)
    assert len(charts) == 4 + 2 * 5 + 2
    assert all(charts)
    assert len(set(outline.values("id"))) == len(outline.values("id"))


def test_equal_files_give_equal_bytes(finished: Path, tmp_path: Path) -> None:
    write_report(finished, tmp_path / "one.html")
    write_report(finished, tmp_path / "two.html")
    page = (tmp_path / "one.html").read_bytes()
    assert page == (tmp_path / "two.html").read_bytes()
    assert len(page) < 600_000
    assert str(finished).encode() not in page


def test_the_command_writes_the_page(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "page.html"
    with pytest.raises(SystemExit) as done:
        main(["report", "--root", str(finished), "--out", str(out)])
    assert done.value.code == 0
    assert "page.html: open it in a browser" in capsys.readouterr().out
    assert out.read_text().startswith("<!doctype html>")


def test_the_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["report", "--root", str(tmp_path), "--out", str(tmp_path / "page.html")])
    assert done.value.code == 2
    assert "test.json: no such file; run the pipeline first: make repro" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("metrics/test.json", "run the pipeline first: make repro"),
        ("metrics/leakage.json", "run the pipeline first: make repro"),
        ("plots/test/best_of_k.csv", "run the pipeline first: make repro, or dvc pull"),
        ("data/tables/transfer.csv", "run the pipeline first: make repro, or dvc pull"),
    ],
)
def test_a_missing_file_is_named_with_what_to_do(project: Path, missing: str, message: str) -> None:
    (project / missing).unlink()
    with pytest.raises(UserError, match=message) as caught:
        render(project)
    assert Path(missing).name in str(caught.value)


@pytest.mark.parametrize("key", ["selectors", "claims", "sizes", "headline", "critic"])
def test_metrics_without_what_the_page_needs_are_refused(project: Path, key: str) -> None:
    with pytest.raises(InputError, match=rf"test\.json: has no '{key}'"):
        change(project, "test", lambda found: found.pop(key))


def test_metrics_of_an_older_version_are_shown_as_far_as_they_go(project: Path) -> None:
    for split in ("test", "transfer"):
        text = change(project, split, lambda found: [found.pop("subsets"), found.pop("scaling")])
    assert "nearly repeat one of train or dev" not in text
    assert "tokens are generated" not in text
    assert "All tests and the stricter extra ones" in text


def test_what_was_not_measured_is_said(project: Path) -> None:
    def edit(found: dict[str, Any]) -> None:
        del found["claims"]["verifier_over_likelihood"]
        del found["selectors"]["mean_logprob"]
        found["left_out"]["mean_logprob"] = "a sample has no log-probabilities"

    text = change(project, "test", edit)
    assert '<span class="answer">Not measured</span>' in text
    assert "Left out: mean logprob (a sample has no log-probabilities)." in text


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"answer": "yes", "low": 0.01, "high": 0.2}, "The whole interval lies above 0."),
        ({"answer": "no", "low": -0.2, "high": -0.1}, "below 0: its picks pass less often."),
        ({"answer": "undecided", "low": -0.2, "high": 0.0}, "neither is shown to be better."),
        ({"answer": "undecided", "low": 0.1, "high": 0.2}, "too few problems stand behind it."),
        ({"problems_that_differ": 5}, "with fewer than 6: nothing could have been found here."),
    ],
)
def test_an_answer_is_read_in_words(project: Path, edit: dict[str, Any], words: str) -> None:
    assert words in change(
        project, "test", lambda found: found["claims"]["verifier_over_baseline"].update(edit)
    )


def test_without_problem_files_the_prompts_are_left_out_and_it_says_so(project: Path) -> None:
    shutil.rmtree(project / "data" / "problems")
    text = render(project)
    assert text.count("<h4>What the critic picked</h4>") == wrong_picks(project)
    assert "What was asked" not in text
    assert "Prompts are left out: data/problems/main.jsonl is not here" in text


def test_without_dvc_lock_the_page_says_what_the_params_are(finished: Path) -> None:
    text = render(finished)
    assert "these are the params files as they stand" in text
    assert "Left out: there is no dvc.lock" in text


def test_a_table_with_a_wrong_cell_is_refused_by_line(project: Path) -> None:
    path = project / "data" / "tables" / "test.csv"
    header, first = path.read_text().split("\n")[:2]
    place = header.split(",").index("critic_wrong_rank")
    cells = first.split(",")
    cells[place] = "first"
    path.write_text("\n".join([header, ",".join(cells), ""]))
    with pytest.raises(InputError, match=r"test\.csv:2: critic_wrong_rank: expected a number"):
        render(project)
