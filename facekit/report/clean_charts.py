"""The charts of the cleaning page, from what `facekit.report.clean_content` counted."""

from __future__ import annotations

from typing import Any

from facekit.report.charts import COLOURS, NEUTRAL, PAGE_SIZE, Axis, Bars, Limit, Line, chart_svg, linear_axis, log_axis

__all__ = ["clean_charts"]


def clean_charts(content: dict[str, Any]) -> list[str]:
    """Draw the charts of the overview.

    Parameters
    ----------
    content : dict
        From `facekit.report.clean_content.build_content`.

    Returns
    -------
    list of str
        ``<svg>`` elements for the page: similarities to centres, similarities of identities, sizes, and the sweep of
        Intra-ID where there is one.
    """
    charts = [_similarities(content["histogram"]), _pairs(content["histogram"]), _sizes(content["sizes"])]
    sweep = content["sweep"]
    return [*charts, _sweep(sweep, content["histogram"]["intra"])] if len(sweep) > 1 else charts


def _before_after(edges: list[float], counts: dict[str, list[int]]) -> list[Bars]:
    return [Bars("before", edges, counts["before"], NEUTRAL), Bars("after", edges, counts["after"], COLOURS[0])]


def _counts(name: str, *counts: list[int]) -> Axis:
    return linear_axis(name, 0.0, float(max(4, *(max(each, default=0) for each in counts))), _whole)


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _cosines(edges: list[float], name: str = "cosine similarity") -> Axis:
    return linear_axis(name, edges[0], edges[-1], count=6)


def _limits(value: float | None) -> list[Limit]:
    return [] if value is None else [Limit(f"threshold {value:.3f}", value)]


def _similarities(found: dict[str, Any]) -> str:
    bars = _before_after(found["edges"], found)
    y = _counts("images", found["before"], found["after"])
    title = "Similarity of faces to the centre of their identity"
    return chart_svg(title, _cosines(found["edges"]), y, bars, _limits(found["intra"]), PAGE_SIZE, page=True)


def _pairs(found: dict[str, Any]) -> str:
    bars = [Bars("pairs of identities", found["edges"], found["pairs"], NEUTRAL)]
    title = "Similarity of identities that are near each other"
    y = _counts("pairs", found["pairs"])
    x = _cosines(found["edges"], "similarity, corrected for sizes" if found.get("corrected") else "cosine similarity")
    return chart_svg(title, x, y, bars, _limits(found["merge"]), PAGE_SIZE, page=True)


def _sizes(found: dict[str, Any]) -> str:
    x = log_axis("images of an identity", found["edges"][0], found["edges"][-1], base=2, label=_whole)
    y = _counts("identities", found["before"], found["after"])
    return chart_svg("Size of identities", x, y, _before_after(found["edges"], found), (), PAGE_SIZE, page=True)


def _sweep(rows: list[dict[str, float]], intra: float | None) -> str:
    threshold, images = [row["threshold"] for row in rows], [row["images"] for row in rows]
    x = linear_axis("threshold of Intra-ID", threshold[0], threshold[-1])
    line = Line("images kept", threshold, images, colour=COLOURS[0])
    y = linear_axis("images", 0.0, max(4.0, *images), _whole)
    return chart_svg("Images kept at every threshold", x, y, [line], _limits(intra), PAGE_SIZE, page=True)
