"""Small charts as SVG text: no script, no font, colours from the page's style sheet.

A chart is `WIDTH` units wide, so that its text stays readable on a phone, and scales up from there.
Series differ by dash and marker as well as by colour. Every text goes through `escape`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 360, 243
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 26, 41
DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 4", "14 4")
"""By style: 0 the critic, 1 random, 2 the oracle, 3 likelihood, 4 majority, 5 anything else."""

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        label: with its unit.
        low, high: its ends, in data units.
        ticks: where it is marked, rising.
        unit: how ticks are written: "" as they are, "%" a share as per cent, "pp" a difference of
            shares in percentage points, signed.
        log: distances are of logarithms (base 2).
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str = ""
    log: bool = False

    def place(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        if self.log:
            low, high, value = (math.log2(v) for v in (self.low, self.high, value))
        else:
            low, high = self.low, self.high
        return 0.5 if high == low else (value - low) / (high - low)

    def text(self, value: float) -> str:
        """A tick's text."""
        if self.unit == "%":
            return f"{100 * value:g}%"
        return signed(100 * value, "g") if self.unit == "pp" else minus(f"{value:g}")


def minus(text: str) -> str:
    """A number's text with the minus sign that is as wide as the plus."""
    return text.replace("-", "\N{MINUS SIGN}")


def signed(value: float, form: str) -> str:
    """A number with its sign, zero without one."""
    text = format(value, form)
    return minus(format(value, f"+{form}")) if float(text) else text.removeprefix("-")


def share_axis(label: str, highest: float = 1.0) -> Axis:
    """From 0% to the next round share above `highest`."""
    tops = ((0.05, 5), (0.1, 5), (0.2, 4), (0.3, 3), (0.4, 4), (0.5, 5), (0.6, 3), (0.8, 4))
    top, count = next((found for found in tops if highest <= found[0]), (1.0, 5))
    ticks = tuple(round(top * n / count, 6) for n in range(count + 1))
    return Axis(label=label, low=0.0, high=top, ticks=ticks, unit="%")


def span_axis(label: str, values: Sequence[float], *, unit: str = "", count: int = 5) -> Axis:
    """About `count` round steps around the values."""
    low, high = min(values), max(values)
    rough = (high - low) / count or 0.01
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(round(n * step, 10) for n in range(first, last + 1))
    return Axis(label=label, low=ticks[0], high=ticks[-1], ticks=ticks, unit=unit)


@dataclass(kw_only=True, slots=True)
class Chart:
    """Marks on two axes; `svg` draws them.

    Attributes:
        title, description: read out by screen readers.
        x, y: the axes.
        marks: SVG elements, in drawing order.
        legend: (style number, words, whether the series has markers).
    """

    title: str
    description: str
    x: Axis
    y: Axis
    marks: list[str] = field(default_factory=list)
    legend: list[tuple[int, str, bool]] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Data to drawing units."""
        return (
            LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM),
        )

    def line(
        self, points: Sequence[Point], style: int, words: str = "", *, dots: bool = True
    ) -> None:
        """A line through data points; with `words` it gets a legend entry."""
        places = [self.at(*point) for point in points]
        self.marks.append(_polyline(places, style))
        if dots:
            self.marks += [_marker(style, x, y) for x, y in places]
        if words:
            self.legend.append((style, words, dots))

    def band(self, points: Sequence[tuple[float, float, float]], style: int) -> None:
        """The area between (x, low, high)."""
        ends = [self.at(x, high) for x, _, high in points]
        ends += [self.at(x, low) for x, low, _ in reversed(points)]
        self.marks.append(f'<polygon class="band s{style}" points="{_path(ends)}"/>')

    def bubble(self, x: float, y: float, size: float, style: int) -> None:
        """A disc whose area is `size` (0 to 1) of the largest one's."""
        cx, cy = self.at(x, y)
        radius = 2.5 + 8 * math.sqrt(size)
        self.marks.append(
            f'<circle class="bubble s{style}" cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:.1f}"/>'
        )

    def divider(self, x: float, words: str) -> None:
        """A vertical line with words at its right, just above the x axis."""
        at, _ = self.at(x, self.y.low)
        self.marks.append(
            f'<line class="level" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        )
        self.marks.append(_text(at + 4, HEIGHT - BOTTOM - 5, words, "tick"))

    def svg(self) -> str:
        """The drawing, with its legend below as a list."""
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = [_open(self.title, self.description, HEIGHT)]
        for tick in self.y.ticks:
            _, y = self.at(self.x.low, tick)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(_text(LEFT - 5, y + 4, self.y.text(tick), "tick end"))
        free = math.inf  # from the last on: the largest k is the headline
        for tick in reversed(self.x.ticks):
            x, _ = self.at(tick, self.y.low)
            half = 3.5 * len(self.x.text(tick))
            if x + half > free:
                continue
            free = x - half - 4
            parts.append(_text(x, bottom + 17, self.x.text(tick), "tick middle"))
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        parts += self.marks
        parts.append(_text(right, HEIGHT - 7, self.x.label, "label end"))
        parts.append(_text(0, 11, self.y.label, "label"))
        return "".join([*parts, "</svg>", self._legend()])

    def _legend(self) -> str:
        entries = []
        for style, words, dots in self.legend:
            mark = _polyline([(1, 6), (27, 6)], style) + (_marker(style, 14, 6) if dots else "")
            entries.append(
                '<li><svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true">'
                f"{mark}</svg>{escape(words)}</li>"
            )
        return f'<ul class="legend">{"".join(entries)}</ul>' if entries else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One line of a `forest`: a difference with its interval.

    Attributes:
        words: what it is the difference of.
        difference, low, high: shares; low and high None where there is no interval.
        filled: the marker is a filled diamond instead of an open circle.
        strong: bold.
    """

    words: str
    difference: float
    low: float | None
    high: float | None
    filled: bool = False
    strong: bool = False


def forest(title: str, description: str, groups: Mapping[str, Sequence[Bar]], axis: Axis) -> str:
    """Differences with their intervals, one a line, under the headings of their groups."""
    start, end, step, head = 160, 318, 18, 22
    height = 26 + sum(head + step * len(bars) for bars in groups.values()) + 4

    def place(value: float) -> float:
        return start + max(0.0, min(1.0, axis.place(value))) * (end - start)

    parts = [_open(title, description, height)]
    for tick in axis.ticks:
        x = f"{place(tick):.1f}"
        kind = "axis" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="20" y2="{height - 2}"/>')
    # A label takes about 28 units: as many ticks as fit, 0 always among them.
    every = 1 + math.floor(28 * (len(axis.ticks) - 1) / (end - start))
    at_zero = axis.ticks.index(0.0)
    for number, tick in enumerate(axis.ticks):
        if (number - at_zero) % every == 0:
            parts.append(_text(place(tick), 13, axis.text(tick), "tick middle"))
    parts.append(_text(WIDTH, 13, "pp", "tick end"))
    y = 20
    for group, bars in groups.items():
        y += head
        parts.append(_text(0, y - 5, group, "group"))
        for bar in bars:
            middle = y + step / 2 - 1
            strong = " strong" if bar.strong else ""
            style = 0 if bar.strong else 5
            parts.append(_text(6, middle + 4, bar.words, f"label{strong}"))
            if bar.low is not None and bar.high is not None:
                low, high = place(bar.low), place(bar.high)
                parts.append(
                    f'<line class="whisker s{style}" x1="{low:.1f}" x2="{high:.1f}" '
                    f'y1="{middle:.1f}" y2="{middle:.1f}"/>'
                )
            kind = "diamond" if bar.filled else "open"
            parts.append(_shape(kind, style, place(bar.difference), middle))
            number_text = signed(100 * bar.difference, ".1f")
            parts.append(_text(WIDTH, middle + 4, number_text, f"label end{strong}"))
            y += step
    return "".join([*parts, "</svg>"])


def strips(
    title: str,
    description: str,
    groups: Mapping[str, Sequence[tuple[float, float, float]]],
    notes: Mapping[str, str],
    axis: Axis,
) -> str:
    """Histograms below each other on one x axis, each to its own height.

    Args:
        title: read out by screen readers.
        description: read out too.
        groups: by name (start, end, count) of each bar.
        notes: by name a second line of text.
        axis: of the bars' ends.
    """
    start, end, step = 112, WIDTH - RIGHT, 38
    height = 6 + step * len(groups) + 36

    def place(value: float) -> float:
        return start + axis.place(value) * (end - start)

    parts = [_open(title, description, height)]
    bottom = 6 + step * len(groups)
    for tick in axis.ticks:
        x = f"{place(tick):.1f}"
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="6" y2="{bottom}"/>')
        parts.append(_text(place(tick), bottom + 14, axis.text(tick), "tick middle"))
    for number, (name, bars) in enumerate(groups.items()):
        base = 6 + step * (number + 1)
        most = max(count for *_, count in bars)
        parts.append(_text(0, base - 17, name, "label"))
        parts.append(_text(0, base - 4, notes[name], "tick"))
        style = 0 if number == 0 else 5
        for low, high, count in bars:
            left, tall = place(low), (step - 8) * count / most
            wide = max(place(high) - left - 0.6, 0.6)
            parts.append(
                f'<rect class="fill s{style}" x="{left:.1f}" y="{base - tall:.1f}" '
                f'width="{wide:.1f}" height="{tall:.1f}"/>'
            )
        parts.append(f'<line class="axis" x1="{start}" x2="{end}" y1="{base}" y2="{base}"/>')
    parts.append(_text(end, height - 6, axis.label, "label end"))
    return "".join([*parts, "</svg>"])


def interval_line(title: str, bar: Bar, axis: Axis) -> str:
    """One difference with its interval around a line at 0, its ends written out."""
    start, end = 20, WIDTH - 20

    def place(value: float) -> float:
        return start + max(0.0, min(1.0, axis.place(value))) * (end - start)

    at, zero = place(bar.difference), place(0)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} 44" role="img" class="chart short"><title>{escape(title)}'
        "</title>",
        f'<line class="grid" x1="{start}" x2="{end}" y1="16" y2="16"/>',
        f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="4" y2="28"/>',
    ]
    for tick in (axis.ticks[0], 0.0, axis.ticks[-1]):
        words = "0" if tick == 0 else f"{axis.text(tick)} pp"
        parts.append(_text(place(tick), 41, words, "tick middle"))
    if bar.low is not None and bar.high is not None:
        low, high = place(bar.low), place(bar.high)
        parts.append(f'<line class="whisker s0" x1="{low:.1f}" x2="{high:.1f}" y1="16" y2="16"/>')
    return "".join([*parts, _shape("diamond", 0, at, 16, 1.4), "</svg>"])


def _open(title: str, description: str, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" class="chart">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    )


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _path(places: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _polyline(places: Sequence[Point], style: int) -> str:
    dash = f' stroke-dasharray="{DASHES[style]}"' if DASHES[style] else ""
    return f'<polyline class="line s{style}" points="{_path(places)}"{dash}/>'


def _marker(style: int, x: float, y: float) -> str:
    """A mark of the series' own shape: they must be told apart without colour."""
    return _shape(("diamond", "square", "triangle", "circle", "open", "open")[style], style, x, y)


def _shape(kind: str, style: int, x: float, y: float, scale: float = 1.0) -> str:
    if kind in ("circle", "open"):
        look = "dot" if kind == "circle" else "open"
        return f'<circle class="{look} s{style}" cx="{x:.1f}" cy="{y:.1f}" r="{3.2 * scale:.1f}"/>'
    corners = {
        "diamond": ((0, -4.6), (4.6, 0), (0, 4.6), (-4.6, 0)),
        "square": ((-2.8, -2.8), (2.8, -2.8), (2.8, 2.8), (-2.8, 2.8)),
        "triangle": ((0, -4), (3.8, 2.9), (-3.8, 2.9)),
    }[kind]
    path = _path([(x + scale * dx, y + scale * dy) for dx, dy in corners])
    return f'<polygon class="dot s{style}" points="{path}"/>'
