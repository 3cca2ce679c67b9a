"""Charts of an evaluation: TAR over FAR, and densities of what is measured on each picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.report.charts import Axis, Line, as_percent, chart_svg, linear_axis, log_axis

__all__ = ["density_svg", "det_svg", "roc_svg"]

Array = NDArray[np.floating[Any]]
POINTS = 400


def roc_svg(curves: Mapping[str, tuple[Array, Array]]) -> str:
    """TAR over FAR, the FAR on a logarithmic axis.

    Parameters
    ----------
    curves : mapping from str to ((K,) floating, (K,) floating)
        FAR and TAR of falling thresholds (as `facekit.evaluate.Roc` has them), by their names in the legend.

    Returns
    -------
    str
        An SVG file. A point with a FAR of 0 stands at the left edge.
    """
    across = log_axis("false accept rate (FAR)", _least(far for far, _ in curves.values()), 1.0, label=_power_of_ten)
    lines = [Line(name, *_thinned(far, tar, across.low)) for name, (far, tar) in curves.items()]
    return chart_svg("True accepts over false accepts", across, _shares("true accept rate (TAR)", 1.0), lines)


def det_svg(curves: Mapping[str, tuple[Array, Array]]) -> str:
    """The detection error tradeoff (Martin et al. 1997): false rejects over false accepts, both logarithmic.

    Parameters
    ----------
    curves : mapping from str to ((K,) floating, (K,) floating)
        As `roc_svg`'s.

    Returns
    -------
    str
        An SVG file. Points at which nothing is rejected, or nothing accepted, stand at the edges.
    """
    rejects = {name: 1 - tar for name, (_, tar) in curves.items()}
    across = log_axis("false accept rate (FAR)", _least(far for far, _ in curves.values()), 1.0, label=_power_of_ten)
    up = log_axis("false reject rate (1 - TAR)", _least(rejects.values()), 1.0, label=_power_of_ten)
    lines = []
    for name, (far, _) in curves.items():
        some, rejected = _thinned(far, rejects[name], across.low)
        lines.append(Line(name, some, np.maximum(rejected, up.low)))
    return chart_svg("Detection error tradeoff", across, up, lines)


def _least(rates: Iterable[Array]) -> float:
    """The smallest rate above 0."""
    return min((float(rate[rate > 0].min(initial=1)) for rate in rates), default=1.0)


def density_svg(samples: Mapping[str, Array], title: str, unit: str, bins: int = 60) -> str:
    """Histograms over one another, each as shares of its own samples.

    Parameters
    ----------
    samples : mapping from str to (N,) floating
        Finite values by their names in the legend.
    title, unit : str
        Of the chart, and of the horizontal axis.
    bins : int

    Returns
    -------
    str
        An SVG file.
    """
    values = np.concatenate(list(samples.values())) if samples else np.zeros(1)
    across = linear_axis(unit, float(values.min()), float(values.max()), count=8)
    edges = np.linspace(across.low, across.high, bins + 1)
    shares = [
        np.histogram(sample.clip(edges[0], edges[-1]), edges)[0] / max(len(sample), 1) for sample in samples.values()
    ]
    most = max((float(share.max()) for share in shares), default=1.0) or 1.0
    lines = [Line(name, *_outline(edges, share)) for name, share in zip(samples, shares, strict=True)]
    return chart_svg(title, across, _shares("share of pictures", most), lines)


def _shares(name: str, most: float) -> Axis:
    return linear_axis(name, 0.0, most, as_percent)


def _power_of_ten(value: float) -> str:
    return "1" if value == 1 else f"1e{round(math.log10(value))}"


def _thinned(far: Array, tar: Array, least: float) -> tuple[Array, Array]:
    """Some hundred points, evenly over the decades, and the ends."""
    if len(far) <= POINTS:
        return far, tar
    places = np.log10(np.maximum(far, 0.1 * least))
    wanted = np.searchsorted(places, np.linspace(places[0], 0, POINTS), side="right") - 1
    keep = np.unique(np.concatenate([[0, len(far) - 1], np.maximum(wanted, 0)]))
    return far[keep], tar[keep]


def _outline(edges: Array, heights: Array) -> tuple[Array, Array]:
    """The upper outline of a histogram, down to the axis at both ends."""
    return np.repeat(edges, 2), np.concatenate([[0], np.repeat(heights, 2), [0]])
