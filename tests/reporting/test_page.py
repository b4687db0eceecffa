"""The report: what stands on it, that nothing on it runs or is fetched, and how it shows."""

from __future__ import annotations

import csv
import html.parser
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ouroboros.cli import main
from ouroboros.critic.scoring import Score
from ouroboros.errors import InputError, UserError
from ouroboros.evaluation.evaluate import evaluate
from ouroboros.evaluation.params import EvaluateParams
from ouroboros.evaluation.samples import ScoreFunction
from ouroboros.evaluation.selectors import SELECTORS
from ouroboros.evaluation.tables import write_evaluation
from ouroboros.jsonl import write_json, write_records
from ouroboros.records import LabelledProblem, Problem
from ouroboros.reporting.page import render, write_report
from tests.evaluation.synthetic import (
    critic_of_quality,
    make_attempt,
    make_problem,
    make_rows,
    read,
)

HOSTILE = "</pre></script><script>document.title='taken'</script><img src=x onerror=alert(1)>"


def fooled(score: ScoreFunction) -> ScoreFunction:
    """A critic that is surest of the hostile program."""

    def scores(pairs: Sequence[tuple[Problem, str]]) -> list[Any]:
        sure = Score(reward=99.0, p_pass=0.99)
        return [
            sure if HOSTILE in code else found
            for (_, code), found in zip(pairs, score(pairs), strict=True)
        ]

    return scores


def mistakes(project: Path) -> int:
    tables = [project / "data" / "tables" / f"{split}.csv" for split in ("test", "transfer")]
    return sum(
        bool(row["critic_wrong_rank"]) for table in tables for row in csv.DictReader(table.open())
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's files, with programs and prompts that try to become part of the page."""
    root = tmp_path_factory.mktemp("project")
    params = EvaluateParams(bootstrap_replicates=300, vote_resamples=10)
    for split, count in (("test", 40), ("transfer", 6)):
        rows = make_rows(count, 8, extra=2)
        problem = make_problem(990)
        object.__setattr__(problem, "prompt_text", HOSTILE)
        attempts = tuple(
            make_attempt(problem, n, passed=False, code=f"def f(x): return '{HOSTILE}', {n}")
            for n in range(-1, 8)
        )
        rows.append(LabelledProblem(problem=problem, attempts=attempts))
        samples = read(rows, fooled(critic_of_quality(rows, 0.5)))
        found = evaluate(
            split, samples, SELECTORS, params, critic_digest="ab" * 32,
            near_duplicates={rows[0].problem_id},
        )  # fmt: skip
        write_evaluation(found, root)
        table = root / "data" / "tables" / f"{split}.csv"
        assert HOSTILE[:12] in table.read_text()
        name = "main" if split == "test" else split
        write_records(root / "data" / "problems" / f"{name}.jsonl", [row.problem for row in rows])
    write_json(
        root / "metrics" / "training.json", {"data": {"train_problems": 9}, "kept": {"step": 5}}
    )
    write_json(
        root / "metrics" / "leakage.json",
        {"test": {"near_duplicates": 1, "problems": 41}, "threshold": 0.8},
    )
    (root / "plots" / "training").mkdir(parents=True)
    (root / "plots" / "training" / "curve.csv").write_text(
        "step,loss,dev_best_of_k\n1,0.7,0.2\n2,0.5,\n3,0.4,0.35\n"
    )
    (root / "params").mkdir()
    (root / "params.yaml").write_text("profile: cpu # <b>bold</b>\n")
    (root / "params" / "cpu.yaml").write_text("critic: {steps: 3}\n")
    return root


class Outline(html.parser.HTMLParser):
    """Tags and attributes of a page, and whether its tags are balanced."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_claims_the_tables_and_the_mistakes_stand_on_it(project: Path) -> None:
    text = render(project)
    metrics = json.loads((project / "metrics" / "test.json").read_text())
    claim = metrics["claims"]["verifier_over_baseline"]
    assert f"verifier pass@1 &gt; baseline pass@1: {claim['answer']} (" in text
    for name in metrics["selectors"]:
        assert f'<th scope="row">{name.replace("_", " ")}</th>' in text
    assert "on without near duplicates</b> (40 problems" in text
    assert "under extra tests</b> (40 problems" in text
    assert mistakes(project) >= 11
    assert text.count("<details>") == mistakes(project) + 2  # and two params files
    assert "ab" * 32 in text


def test_what_programs_and_prompts_hold_stays_text(project: Path) -> None:
    outline = Outline(render(project))
    assert "script" not in outline.tags
    assert "img" not in outline.tags
    assert "b" in outline.tags
    assert "&lt;b&gt;bold&lt;/b&gt;" in render(project)
    assert "&lt;script&gt;document.title" in render(project)


def test_nothing_is_fetched_and_no_handler_runs(project: Path) -> None:
    text = render(project)
    for tag, name, value in Outline(text).attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("src", "href", "srcset", "data", "action"), (tag, name, value)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_equal_files_give_equal_bytes(project: Path, tmp_path: Path) -> None:
    write_report(project, tmp_path / "one.html")
    write_report(project, tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert len((tmp_path / "one.html").read_bytes()) < 600_000


def test_the_command_writes_the_page(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as done:
        main(["report", "--out", "page.html"])
    assert done.value.code == 0
    assert "page.html: open it in a browser" in capsys.readouterr().out
    assert (project / "page.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("metrics/test.json", "run the pipeline first: make repro"),
        ("plots/test/best_of_k.csv", "run the pipeline first: make repro, or dvc pull"),
        ("data/tables/transfer.csv", "run the pipeline first: make repro, or dvc pull"),
    ],
)
def test_a_missing_file_is_named_with_what_to_do(
    project: Path, tmp_path: Path, missing: str, message: str
) -> None:
    shutil.copytree(project, tmp_path / "copy")
    (tmp_path / "copy" / missing).unlink()
    with pytest.raises(UserError, match=message) as caught:
        render(tmp_path / "copy")
    assert Path(missing).name in str(caught.value)


def test_metrics_of_another_version_are_refused(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "copy")
    path = tmp_path / "copy" / "metrics" / "test.json"
    metrics = json.loads(path.read_text())
    del metrics["selectors"]
    path.write_text(json.dumps(metrics))
    with pytest.raises(InputError, match=r"test\.json: has no 'selectors'"):
        render(tmp_path / "copy")


def test_without_problem_files_the_mistakes_stand_without_their_prompts(
    project: Path, tmp_path: Path
) -> None:
    shutil.copytree(project, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "data" / "problems")
    text = render(tmp_path / "copy")
    assert text.count("<details>") == mistakes(project) + 2


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--allow-file-access-from-files",
)  # fmt: skip
# The page in a frame of a phone's width, measured from outside: it holds no script of its own.
PROBE = """<!doctype html><body style="margin:0"><iframe id="f" src="page.html"
style="border:0;width:{width}px;height:4000px"></iframe><pre id="out">not measured</pre><script>
const f = document.getElementById('f');
f.addEventListener('load', () => {{
  const d = f.contentDocument, root = d.scrollingElement;
  const small = [...d.querySelectorAll('.chart text')]
    .map(t => 11 * t.ownerSVGElement.getBoundingClientRect().width / 360);
  document.getElementById('out').textContent = JSON.stringify({{
    scroll: root.scrollWidth, width: f.clientWidth, height: root.scrollHeight,
    title: d.title, charts: d.querySelectorAll('.chart').length, text: Math.min(...small),
    external: d.defaultView.performance.getEntriesByType('resource').map(e => e.name),
    ink: d.defaultView.getComputedStyle(d.body).color,
    paper: d.defaultView.getComputedStyle(d.body).backgroundColor,
  }});
}});
</script>"""


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_shows_in_a_browser_on_a_phone_and_on_a_screen(
    project: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    if BROWSER is None:
        message = "no chromium here: apt-get install chromium"
        if os.environ.get("OUROBOROS_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    write_report(project, tmp_path / "page.html")
    (tmp_path / "probe.html").write_text(PROBE.format(width=width))
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    done = subprocess.run(
        [BROWSER, *FLAGS, *dark, f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "probe.html").as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = re.search(r'<pre id="out">(\{.*?\})</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-500:] + done.stderr[-1500:]
    seen = json.loads(found[1].replace("&gt;", ">").replace("&amp;", "&"))
    assert seen["title"] == "Does the verifier beat the baseline?"
    assert seen["scroll"] <= width, "the page scrolls sideways"
    assert seen["charts"] == 10
    assert seen["text"] >= 8, "the charts' text is too small to read"
    assert seen["external"] == []
    bright = [sum(map(int, re.findall(r"\d+", seen[name])[:3])) for name in ("ink", "paper")]
    assert (bright[0] > bright[1]) == (scheme == "dark")
