"""Small charts as SVG text: no script, no font, colours from the page's style sheet.

Every chart is drawn 360 units wide, so that its text stays readable on a phone, and scales up from
there. Series differ by dash and marker as well as by colour. Text goes through `escape`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 360, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 18, 12, 40
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        label: with its unit.
        low, high: its ends, in data units.
        ticks: where it is marked, rising.
        percent: ticks are shares, written as per cent.
        log: distances are of logarithms (base 2).
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    percent: bool = False
    log: bool = False

    def place(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        if self.log:
            low, high, value = (math.log2(v) for v in (self.low, self.high, value))
        else:
            low, high = self.low, self.high
        return 0.5 if high == low else (value - low) / (high - low)

    def text(self, value: float) -> str:
        return f"{100 * value:.0f}%" if self.percent else f"{value:g}"


def share_axis(label: str, highest: float = 1.0) -> Axis:
    """From 0% to the next round share above `highest`."""
    top = next((t for t in (0.05, 0.1, 0.2, 0.4, 0.6, 0.8) if highest <= t), 1.0)
    step = top / 4 if top in (0.2, 0.4, 0.8) else top / 5
    count = round(top / step)
    ticks = tuple(round(step * n, 6) for n in range(count + 1))
    return Axis(label=label, low=0.0, high=top, ticks=ticks, percent=True)


def span_axis(label: str, values: Sequence[float]) -> Axis:
    """Round ticks around the values."""
    low, high = min(values), max(values)
    rough = (high - low) / 5 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(round(n * step, 10) for n in range(first, last + 1))
    return Axis(label=label, low=ticks[0], high=ticks[-1], ticks=ticks)


@dataclass(kw_only=True, slots=True)
class Chart:
    """Marks on two axes; `svg` draws them.

    Attributes:
        title, description: read out by screen readers.
        x, y: the axes.
        marks: SVG elements, in drawing order.
        legend: (style number, words).
    """

    title: str
    description: str
    x: Axis
    y: Axis
    marks: list[str] = field(default_factory=list)
    legend: list[tuple[int, str]] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        return (
            LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM),
        )

    def line(self, points: Sequence[Point], style: int, words: str = "", dots: bool = True) -> None:
        """A line through data points; with `words` it gets a legend entry."""
        places = [self.at(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = f' stroke-dasharray="{DASHES[style % 5]}"' if DASHES[style % 5] else ""
        self.marks.append(f'<polyline class="line s{style}" points="{path}"{dash}/>')
        if dots:
            self.marks += [_marker(style, x, y) for x, y in places]
        if words:
            self.legend.append((style, words))

    def band(self, points: Sequence[tuple[float, float, float]], style: int) -> None:
        """The area between (x, low, high)."""
        ends = [self.at(x, high) for x, _, high in points]
        ends += [self.at(x, low) for x, low, _ in reversed(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in ends)
        self.marks.append(f'<polygon class="band s{style}" points="{path}"/>')

    def bar(self, start: float, end: float, low: float, high: float, style: int) -> None:
        """A filled rectangle from x `start` to `end`, y `low` to `high`."""
        x0, y0 = self.at(start, high)
        x1, y1 = self.at(end, low)
        self.marks.append(
            f'<rect class="fill s{style}" x="{x0:.1f}" y="{y0:.1f}" '
            f'width="{max(x1 - x0 - 0.6, 0.6):.1f}" height="{max(y1 - y0, 0):.1f}"/>'
        )

    def svg(self) -> str:
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" class="chart">',
            f"<title>{escape(self.title)}</title><desc>{escape(self.description)}</desc>",
        ]
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for tick in self.y.ticks:
            _, y = self.at(self.x.low, tick)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(
                f'<text class="tick end" x="{LEFT - 5}" y="{y + 4:.1f}">{self.y.text(tick)}</text>'
            )
        for tick in self.x.ticks:
            x, _ = self.at(tick, self.y.low)
            text = self.x.text(tick)
            parts.append(f'<text class="tick middle" x="{x:.1f}" y="{bottom + 14}">{text}</text>')
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        parts += self.marks
        middle = (LEFT + right) / 2
        parts.append(
            f'<text class="label middle" x="{middle:.0f}" y="{HEIGHT - 6}">'
            f"{escape(self.x.label)}</text>"
        )
        half = (TOP + bottom) / 2
        parts.append(
            f'<text class="label middle" transform="translate(11 {half:.0f}) rotate(-90)">'
            f"{escape(self.y.label)}</text>"
        )
        return "".join([*parts, "</svg>"]) + self._legend()

    def _legend(self) -> str:
        if not self.legend:
            return ""
        entries = []
        for style, words in self.legend:
            dash = f' stroke-dasharray="{DASHES[style % 5]}"' if DASHES[style % 5] else ""
            entries.append(
                f'<li><svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true">'
                f'<line class="line s{style}" x1="1" x2="27" y1="6" y2="6"{dash}/>'
                f"{_marker(style, 14, 6)}</svg>{escape(words)}</li>"
            )
        return f'<ul class="legend">{"".join(entries)}</ul>'


def _marker(style: int, x: float, y: float) -> str:
    """A mark of the series' own shape: they must be told apart without colour."""
    kind = style % 4
    if kind == 0:
        return f'<circle class="dot s{style}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    if kind == 1:
        place = f'x="{x - 2.8:.1f}" y="{y - 2.8:.1f}"'
        return f'<rect class="dot s{style}" {place} width="5.6" height="5.6"/>'
    triangle = ((0, -3.6), (3.4, 2.6), (-3.4, 2.6))
    diamond = ((0, -3.8), (3.8, 0), (0, 3.8), (-3.8, 0))
    corners = triangle if kind == 2 else diamond
    shape = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon class="dot s{style}" points="{shape}"/>'


def interval_bar(found: Mapping[str, float], reach: float, style: int) -> str:
    """A difference with its interval around a line at 0, for a table's cell.

    Args:
        found: `difference`, `low` and `high`, as shares.
        reach: the share at either end of the drawing.
    """

    def place(value: float) -> float:
        return 80 + 76 * max(-1.0, min(1.0, value / reach))

    low, at, high = (place(found[name]) for name in ("low", "difference", "high"))
    return (
        '<svg viewBox="0 0 160 16" width="160" height="16" aria-hidden="true" class="interval">'
        '<line class="axis" x1="80" x2="80" y1="0" y2="16"/>'
        f'<line class="whisker s{style}" x1="{low:.1f}" x2="{high:.1f}" y1="8" y2="8"/>'
        f'<circle class="dot s{style}" cx="{at:.1f}" cy="8" r="4"/></svg>'
    )
