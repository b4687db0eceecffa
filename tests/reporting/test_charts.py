"""The SVG helper: axes, places, texts."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from ouroboros.reporting.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Bar,
    Chart,
    forest,
    interval_line,
    share_axis,
    signed,
    span_axis,
    strips,
)


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        (0.0, (0, 0.01, 0.02, 0.03, 0.04, 0.05)),
        (0.3, (0, 0.1, 0.2, 0.3)),
        (0.31, (0, 0.1, 0.2, 0.3, 0.4)),
        (1.0, (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    ],
)
def test_share_axes_end_on_round_shares(highest: float, ticks: tuple[float, ...]) -> None:
    assert share_axis("share", highest).ticks == pytest.approx(ticks)


@pytest.mark.parametrize("values", [[0.0], [-0.2593, 0.2153], [5, 5], [-1.4, -0.1], [0, 1234]])
def test_span_axes_hold_their_values_with_few_ticks(values: list[float]) -> None:
    axis = span_axis("x", values)
    assert axis.low <= min(values)
    assert axis.high >= max(values)
    assert 2 <= len(axis.ticks) <= 8


def test_a_log_axis_places_doublings_evenly() -> None:
    axis = Axis(label="k", low=1, high=8, ticks=(1, 2, 4, 8), log=True)
    assert [axis.place(k) for k in axis.ticks] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_signs() -> None:
    assert signed(11.57, ".1f") == "+11.6"
    assert signed(-13.0, ".1f") == "\N{MINUS SIGN}13.0"
    assert signed(-0.04, ".1f") == signed(0.0, ".1f") == "0.0"
    assert span_axis("d", [-0.2, 0.2], unit="pp").text(-0.2) == "\N{MINUS SIGN}20"


def chart() -> Chart:
    return Chart(title="A < B", description="a & b", x=share_axis("x"), y=share_axis("y > 0"))


def test_a_line_goes_from_corner_to_corner() -> None:
    drawn = chart()
    drawn.line([(0, 0), (1, 1)], 1, "both & all")
    root = parse(drawn.svg())
    corners = f"{LEFT}.0,{HEIGHT - BOTTOM}.0 {WIDTH - RIGHT}.0,{TOP}.0"
    assert root.find(".//polyline[@class='line s1']").get("points") == corners  # type: ignore[union-attr]
    assert "both & all" in "".join(root.itertext())


def test_tick_labels_that_would_overlap_are_left_out_but_never_the_last() -> None:
    ks = tuple(range(1, 41))
    x = Axis(label="k", low=1, high=40, ticks=ks, log=True)
    svg = parse(Chart(title="t", description="d", x=x, y=share_axis("y")).svg())
    ticks = [t for t in svg.iter("text") if t.get("class") == "tick middle"]
    assert ticks[0].text == "40"
    assert "1" in [tick.text for tick in ticks]
    places = sorted(float(tick.get("x", 0)) for tick in ticks)
    assert min(b - a for a, b in pairwise(places)) >= 11


def parse(text: str) -> ElementTree.Element:
    """Whatever a chart is, it is well-formed with everything escaped."""
    return ElementTree.fromstring(f"<div>{text}</div>")


def test_every_chart_has_a_title_a_description_and_escaped_text() -> None:
    bars = {"sees <all>": [Bar(words="a<b", difference=0.1, low=0.0, high=0.2, strong=True)]}
    axis = span_axis("d", [-0.1, 0.0, 0.2], unit="pp")
    drawn = [
        chart().svg(),
        forest("A < B", "a & b", bars, axis),
        strips("A < B", "a & b", {"<c>": [(0, 1, 3)]}, {"<c>": "3 < 4"}, span_axis("r", [0, 1])),
    ]
    for text in drawn:
        svg = parse(text)[0]
        assert svg.get("role") == "img"
        assert [child.text for child in svg[:2]] == ["A < B", "a & b"]
    assert parse(interval_line("A < B", bars["sees <all>"][0], axis))[0][0].text == "A < B"


def test_series_differ_without_colour() -> None:
    drawn = chart()
    for style in range(5):
        drawn.line([(0, 0), (1, 1)], style, f"series {style}")
    marks = re.findall(r"<li><svg.*?</svg>", drawn.svg())
    bare = {re.sub(r"s\d", "", mark) for mark in marks}
    assert len(bare) == 5


def test_the_forest_keeps_marks_inside_and_labels_apart() -> None:
    bars = [
        Bar(words=f"rule {n}", difference=0.1 * n, low=0.1 * n - 0.1, high=0.1 * n + 0.1)
        for n in range(-4, 5)
    ]
    groups = {"first": bars[:4], "second": bars[4:]}
    svg = parse(forest("t", "d", groups, span_axis("d", [-0.5, 0.5], unit="pp")))[0]
    for line in svg.iter("line"):
        assert 160 <= float(line.get("x1", 0)) <= float(line.get("x2", 0)) <= 318
    labels = [float(t.get("y", 0)) for t in svg.iter("text") if t.get("class") == "label"]
    assert min(b - a for a, b in pairwise(labels)) >= 14
    ticks = [t for t in svg.iter("text") if t.get("class") == "tick middle"]
    assert "0" in [tick.text for tick in ticks]
    places = [float(tick.get("x", 0)) for tick in ticks]
    assert min(b - a for a, b in pairwise(places)) >= 24
