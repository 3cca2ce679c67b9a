"""Curves and histograms as SVG, without a plotting library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from facekit.evaluate.operating_points import Roc

__all__ = ["histogram_svg", "roc_svg"]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 420, 60, 50, 40, 20
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: told apart by everybody
POINTS = 400


def roc_svg(curves: Mapping[str, Roc]) -> str:
    """TAR over FAR on a logarithmic axis.

    Parameters
    ----------
    curves : mapping from str to Roc
        By their names in the legend.
    """
    least = min((float(roc.far[roc.far > 0].min(initial=1)) for roc in curves.values()), default=1.0)
    decades = max(1, int(np.ceil(-np.log10(least))))
    across = [(i / decades, f"1e-{decades - i}" if i < decades else "1") for i in range(decades + 1)]
    axes = _axes("TAR over FAR", across, [(i / 5, f"{i / 5:.1f}") for i in range(6)], "FAR", "TAR")
    lines = [_curve(_thinned(roc), decades) for roc in curves.values()]
    return _document([axes, *map(_coloured, lines, range(len(lines))), _legend(curves)])


def histogram_svg(samples: Mapping[str, NDArray[np.floating]], title: str, unit: str, bins: int = 60) -> str:
    """Histograms over one another, each as a density.

    Parameters
    ----------
    samples : mapping from str to (N,) floating
        Finite values by their names in the legend.
    title, unit : str
        Of the picture, and of the horizontal axis.
    bins : int
    """
    values = np.concatenate(list(samples.values())) if samples else np.zeros(1)
    low, high = float(values.min()), float(values.max())
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(low, high, bins + 1)
    counts = [np.histogram(sample, edges)[0] / max(len(sample), 1) for sample in samples.values()]
    most = max((float(count.max()) for count in counts), default=1.0) or 1.0
    ticks = [(i / 5, f"{low + i / 5 * (high - low):.3g}") for i in range(6)]
    axes = _axes(title, ticks, [(i / 4, f"{i / 4 * most:.2g}") for i in range(5)], unit, "share of pictures")
    lines = [np.stack([(edges[:-1] - low) / (high - low), count / most], 1).repeat(2, 0) for count in counts]
    for line in lines:
        line[:-1, 0], line[-1, 0] = line[1:, 0], 1
    return _document([axes, *map(_coloured, lines, range(len(lines))), _legend(samples)])


def _thinned(roc: Roc) -> Roc:
    """Some hundred points, evenly over the decades, and the ends."""
    if len(roc.far) <= POINTS:
        return roc
    positions = np.log10(np.maximum(roc.far, 1e-12))
    wanted = np.searchsorted(positions, np.linspace(positions[0], 0, POINTS), side="right") - 1
    keep = np.unique(np.concatenate([[0, len(roc.far) - 1], np.maximum(wanted, 0)]))
    return Roc(roc.far[keep], roc.tar[keep])


def _curve(roc: Roc, decades: int) -> NDArray[np.float64]:
    """Points in the unit square; what has a FAR of 0 stands at the left edge."""
    across = 1 + np.log10(np.maximum(roc.far, 10.0**-decades)) / decades
    return np.stack([across, roc.tar], 1)


def _coloured(points: NDArray[np.float64], number: int) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(*point) for point in points.tolist()))
    return f'<polyline points="{places}" fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="1.8"/>'


def _place(x: float, y: float) -> tuple[float, float]:
    return LEFT + x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - TOP)


def _axes(
    title: str, across: Iterable[tuple[float, str]], up: Iterable[tuple[float, str]], x_name: str, y_name: str
) -> str:
    parts = [_text(WIDTH / 2, 22, title, "middle", 15)]
    for place, name in across:
        x, y = _place(place, 0)
        parts += [_rule(x, y, x, TOP), _text(x, y + 18, name, "middle")]
    for place, name in up:
        x, y = _place(0, place)
        parts += [_rule(x, y, WIDTH - RIGHT, y), _text(x - 8, y + 4, name, "end")]
    parts += [_text(WIDTH / 2, HEIGHT - 10, x_name, "middle"), _text(8, TOP - 14, y_name, "start")]
    return "".join(parts)


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _legend(names: Iterable[str]) -> str:
    parts = []
    for number, name in enumerate(names):
        y = TOP + 16 + 18 * number
        parts.append(
            f'<rect x="{LEFT + 12}" y="{y - 9}" width="12" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>'
        )
        parts.append(_text(LEFT + 30, y, name, "start"))
    return "".join(parts)


def _document(parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    return head + '<rect width="100%" height="100%" fill="white"/>' + "".join(parts) + "</svg>\n"
