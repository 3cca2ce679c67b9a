"""Charts as SVG text, without a plotting library: axes with ticks and names, lines, bars, limits and a legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NEUTRAL", "PAGE_SIZE", "PAGE_STYLE", "Axis", "Bars", "Limit", "Line", "as_percent", "chart_svg", "linear_axis",
    "log_axis",
]  # fmt: skip

Array = NDArray[np.floating[Any]]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito, "Color Universal Design", 2008: told apart by people with any colour vision."""
NEUTRAL = "#8a9299"
LIMIT_COLOUR = "#c0392b"
LEFT, TOP, BOTTOM, RIGHT = 64, 44, 46, 16
LEGEND_ROW, CHARACTER = 18, 7.0
LONGEST_NAME = 34
PAGE_SIZE = (400, 260)
"""Of a chart in a page: its words stay legible where the window is as narrow as a phone's."""
PAGE_STYLE = (
    "@media (prefers-color-scheme: dark) {"
    + "".join(
        f" svg [{what}='{dark}'] {{ {what}: {light} }}"
        for dark, light in ((COLOURS[0], "#4a90e2"), (LIMIT_COLOUR, "#e8857f"))
        for what in ("fill", "stroke")
    )
    + " }\n"
)
"""Style of a page with charts: colours that are too dark on a dark ground give way to lighter ones."""


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes
    ----------
    name : str
        With its unit, where it has one.
    low, high : float
        Values at its ends, low < high; values beyond are drawn at the ends.
    ticks : tuple of (float, str)
        Values with their labels.
    log : bool
        Whether distances are ratios; low must then be above 0.
    """

    name: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def share(self, values: Array | Sequence[float]) -> Array:
        """Where values lie between the ends, (N,) in [0, 1]."""
        given = np.asarray(values, np.float64).clip(self.low, self.high)
        if self.log:
            return np.asarray(np.log(given / self.low) / math.log(self.high / self.low))
        return np.asarray((given - self.low) / (self.high - self.low))


@dataclass(frozen=True)
class Line:
    """A polyline.

    Attributes
    ----------
    name : str
    x, y : (N,) floating
    dots : bool
        Whether each point is marked.
    colour : str or None
        A CSS colour; None: the next one that can be told apart.
    """

    name: str
    x: Array | Sequence[float]
    y: Array | Sequence[float]
    dots: bool = False
    colour: str | None = None


@dataclass(frozen=True)
class Bars:
    """A histogram that stands on the lower end of the axis.

    Attributes
    ----------
    name : str
    edges : (N + 1,) floating
    heights : (N,) floating
    colour : str or None
        A CSS colour; None: the next one that can be told apart.
    """

    name: str
    edges: Array | Sequence[float]
    heights: Array | Sequence[float]
    colour: str | None = None


@dataclass(frozen=True)
class Limit:
    """A dashed vertical line.

    Attributes
    ----------
    name : str
    value : float
        On the horizontal axis; beyond its ends nothing is drawn.
    """

    name: str
    value: float


def as_percent(value: float) -> str:
    """A share as a percentage without needless digits.

    Parameters
    ----------
    value : float

    Returns
    -------
    str
    """
    return f"{100 * value:.6g}%"


def _general(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e4 else f"{value:,.0f}"


def linear_axis(
    name: str, low: float, high: float, label: Callable[[float], str] = _general, count: int = 5, round_out: bool = True
) -> Axis:
    """An axis with ticks at 1, 2 or 5 times a power of ten.

    Parameters
    ----------
    name : str
    low, high : float
        Finite; values that are equal, or as good as, get a range around them.
    label : callable
        Text of a tick.
    count : int
        About how many ticks there are to be.
    round_out : bool
        Whether the ends are moved outward to ticks.
    """
    if not high - low > 1e-9 * max(abs(low), abs(high), 1e-9):
        low, high = low - 0.5 * max(1.0, abs(low)), low + 0.5 * max(1.0, abs(low))
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9) if round_out else math.ceil(low / step - 1e-9)
    last = math.ceil(high / step - 1e-9) if round_out else math.floor(high / step + 1e-9)
    places = [float(f"{k * step:.12g}") for k in range(first, last + 1)]
    if round_out:
        low, high = places[0], places[-1]
    return Axis(name, low, high, tuple((place, label(place)) for place in places))


def log_axis(
    name: str, low: float, high: float, base: int = 10, label: Callable[[float], str] = _general, most: int = 9
) -> Axis:
    """A logarithmic axis from one power of ``base`` to another, with at most ``most`` ticks, both ends among them.

    Parameters
    ----------
    low, high : float
        Above 0; the ends are moved outward to powers.
    """
    first = math.floor(math.log(low, base) + 1e-9)
    last = max(first + 1, math.ceil(math.log(high, base) - 1e-9))
    step = -(-(last - first) // (most - 1))
    powers = sorted({*range(last, first - 1, -step)})
    ticks = tuple((float(base) ** k, label(float(base) ** k)) for k in powers)
    return Axis(name, float(base) ** first, float(base) ** last, ticks, log=True)


def chart_svg(
    title: str,
    x: Axis,
    y: Axis,
    series: Sequence[Line | Bars],
    limits: Sequence[Limit] = (),
    size: tuple[int, int] = (640, 400),
    page: bool = False,
) -> str:
    """Draw a chart.

    Parameters
    ----------
    title : str
    x, y : Axis
    series : sequence of Line or Bars
        Drawn in this order; those without a colour of their own take the next one that can be told apart.
    limits : sequence of Limit
    size : (int, int)
        Width and height in pixels; a legend of more names than fit makes the picture higher.
    page : bool
        Whether it will stand in an HTML page: text then takes the page's colour and the ground is the page's.

    Returns
    -------
    str
        An ``<svg>`` element with its namespace, so that it is also a file; all names are escaped.
    """
    colours = [one.colour or COLOURS[k % len(COLOURS)] for k, one in enumerate(series)]
    names = list(zip([one.name for one in series], colours, strict=True))
    names += [(one.name, LIMIT_COLOUR) for one in limits]
    legend, rows = _legend(names, size[0])
    width, height = size[0], size[1] + LEGEND_ROW * max(0, rows - 1)
    plot = _Plot(x, y, LEFT, TOP + LEGEND_ROW * rows, width - RIGHT, height - BOTTOM)
    indent = 4 if page else LEFT
    parts = [_text(indent, 20, title, "start", 15), legend, *plot.axes()]
    parts += [plot.series(one, colour) for one, colour in zip(series, colours, strict=True)]
    parts += [plot.limit(one) for one in limits]
    ground = "" if page else '<rect width="100%" height="100%" fill="#ffffff"/>'
    colour = "" if page else ' color="#222222"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12"{colour}>'
    )
    return head + ground + "".join(parts) + "</svg>\n"


@dataclass(frozen=True)
class _Plot:
    """The rectangle between the axes, in pixels."""

    x: Axis
    y: Axis
    left: float
    top: float
    right: float
    bottom: float

    def across(self, values: Array | Sequence[float]) -> Array:
        """Pixels from the left."""
        return self.left + self.x.share(values) * (self.right - self.left)

    def down(self, values: Array | Sequence[float]) -> Array:
        """Pixels from the top."""
        return self.bottom - self.y.share(values) * (self.bottom - self.top)

    def axes(self) -> Iterable[str]:
        """Grid lines with their labels, the two axes and their names."""
        for place, label in self.y.ticks:
            at = float(self.down([place])[0])
            yield _rule(self.left, at, self.right, at, 0.14) + _text(self.left - 7, at + 4, label, "end")
        for place, label in self.x.ticks:
            at = float(self.across([place])[0])
            yield _rule(at, self.bottom, at, self.bottom + 5, 0.6) + _text(at, self.bottom + 18, label, "middle")
        yield _rule(self.left, self.bottom, self.right, self.bottom, 0.6)
        yield _rule(self.left, self.top, self.left, self.bottom, 0.6)
        middle = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        yield _text(middle[0], self.bottom + 38, self.x.name, "middle")
        turned = f'transform="rotate(-90 14 {middle[1]:.1f})"'
        yield _text(14, middle[1], self.y.name, "middle", extra=turned)

    def series(self, one: Line | Bars, colour: str) -> str:
        """A line or a histogram."""
        return self._bars(one, colour) if isinstance(one, Bars) else self._line(one, colour)

    def limit(self, one: Limit) -> str:
        """A vertical line; nothing where its value is outside the axis."""
        if not self.x.low <= one.value <= self.x.high:
            return ""
        at = float(self.across([one.value])[0])
        dashed = f'stroke="{LIMIT_COLOUR}" stroke-width="1.5" stroke-dasharray="4 3"'
        return f'<line x1="{at:.1f}" y1="{self.top:.1f}" x2="{at:.1f}" y2="{self.bottom:.1f}" {dashed}/>'

    def _line(self, one: Line, colour: str) -> str:
        places = np.stack([self.across(one.x), self.down(one.y)], 1).tolist()
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn = f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        if one.dots:
            drawn += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
        return drawn

    def _bars(self, one: Bars, colour: str) -> str:
        edges, tops = self.across(one.edges), self.down(one.heights)
        found = []
        for left, right, top in zip(edges[:-1].tolist(), edges[1:].tolist(), tops.tolist(), strict=True):
            if top < self.bottom:
                shape = f'x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 0.6, 0.6):.1f}"'
                found.append(f'<rect {shape} height="{self.bottom - top:.1f}"/>')
        return f'<g fill="{colour}" fill-opacity="0.6">{"".join(found)}</g>'


def _legend(names: Sequence[tuple[str, str]], width: int) -> tuple[str, int]:
    """The legend under the title, and how many rows it takes."""
    parts, row, at = [], 0, float(LEFT)
    for name, colour in names:
        shown = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
        wide = 32 + CHARACTER * len(shown)
        if at > LEFT and at + wide > width:
            row, at = row + 1, float(LEFT)
        y = TOP - 4 + LEGEND_ROW * row
        parts.append(f'<rect x="{at:.1f}" y="{y - 9}" width="12" height="10" rx="2" fill="{colour}"/>')
        parts.append(_text(at + 17, y, shown, "start"))
        at += wide
    return "".join(parts), row + 1 if names else 0


def _rule(x1: float, y1: float, x2: float, y2: float, opacity: float) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="currentColor" stroke-opacity="{opacity}"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12, extra: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="currentColor" {extra}'
    return f"<text {place.strip()}>{escape(text)}</text>"
