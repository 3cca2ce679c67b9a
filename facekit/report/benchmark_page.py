"""A recognizer's scores on a drawn benchmark -> one HTML page: the table, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

from facekit.report.rounds_page import HEAD, STYLE, html_table

__all__ = ["build_benchmark_page"]

SAW_DRAWN = "probably, by that cosine: it ranks too high"
SAW_NONE = "not told by that cosine, nor would it be of one that was trained on photographs too"
WORTH = (
    "These people are drawn. The order of recognizers that never saw a drawn face is about their order on real faces; "
    "the figures themselves are not those of real faces, and a recognizer that was trained on drawn people ranks too "
    "high. Compare only figures of the same benchmark name."
)
COMPARABLE = 0.1
"""Levels that pictures may be away from the published ones: ``facekit.jobs.benchmark.sketch.ALIKE_TO``."""


def build_benchmark_page(subject: str, summary: Any) -> str:
    """Build the page.

    Parameters
    ----------
    subject : str
        Path to what was scored; the page is for others too, and says its name alone.
    summary : facekit.jobs.benchmark.run.RunSummary

    Returns
    -------
    str
        HTML that refers to nothing else.
    """
    title = f"{escape(Path(subject).name)} on {escape(summary.benchmark)}"
    score = "not measured" if summary.score is None else f"{summary.score:.2%}"
    words = f"A quarter of masked to bare and three quarters of bare to bare at FAR {summary.far:g}"
    parts = [HEAD, f"<title>{title}</title><style>{STYLE}</style>", "<main>", f"<h1>{title}</h1>"]
    parts += [
        f"<p>{words}: <strong>{score}</strong>.</p>",
        *(f"<p><strong>{why}</strong></p>" for why in _doubts(summary)),
    ]
    folds = [one for one in summary.scores if one.accuracy is not None]
    parts += [f"<p>{WORTH}</p>", "<h2>Scores</h2>", _scores([one for one in summary.scores if one not in folds])]
    parts += ["<p>In brackets: 95% intervals, for which people are drawn again.</p>"]
    parts += ["<h2>Verification pairs</h2>", _pairs(folds)] if folds else []
    parts += ["<h2>Other looks</h2>", _gaps(summary), "<h2>What was scored</h2>", _about(summary), "</main></html>"]
    return "\n".join(parts) + "\n"


def _doubts(summary: Any) -> list[str]:
    """What makes the figures worth less than they look."""
    doubts = []
    if not summary.published and summary.apart is not None and summary.apart > COMPARABLE:
        doubts.append("The pictures are not the published ones: these figures cannot be compared with others'.")
    if summary.saw_drawn:
        doubts.append("This recognizer was probably trained on drawn people: it ranks too high.")
    return doubts


def _scores(scores: Sequence[Any]) -> str:
    fars = sorted({point.far for score in scores for point in score.points}, reverse=True)
    rows = []
    for score in scores:
        if score.refused is not None:
            rows.append([escape(score.name), escape(score.refused), *[""] * len(fars)])
            continue
        cells = dict.fromkeys(fars, "")
        for point, interval in zip_longest(score.points, score.intervals):
            cells[point.far] = _share(point.tar, interval)
        rows.append([escape(score.name), f"{score.genuine:,}<br>{score.impostor:,}", *cells.values()])
    return html_table(
        "scores", ["protocol", "genuine and impostor pairs", *(f"TAR at FAR {far:g}" for far in fars)], rows
    )


def _pairs(scores: Sequence[Any]) -> str:
    """Scores by the folds of pairs: an accuracy, and the TAR at what FARs there are."""
    rows = []
    for score in scores:
        rows.append([escape(score.name), f"{score.genuine:,} genuine, {score.impostor:,} impostor"])
        rows.append(["accuracy", _share(score.accuracy, score.accuracy_interval)])
        rows += [
            [f"TAR at FAR {point.far:g}", _share(point.tar, interval)]
            for point, interval in zip_longest(score.points, score.intervals)
        ]
    return html_table("verification pairs", ["what", "value"], rows)


def _share(value: float, interval: tuple[float, float] | None) -> str:
    between = "" if interval is None else f"<br><small>[{interval[0]:.2%}, {interval[1]:.2%}]</small>"
    return f"{value:.2%}{between}"


def _gaps(summary: Any) -> str:
    rows = [[escape(name), f"{gap:.1%}"] for name, gap in summary.style_gap.items()]
    return html_table("other looks", ["look", "share of the TAR that is lost"], rows)


def _about(summary: Any) -> str:
    same = {None: "none is published", True: "yes", False: "no"}[summary.published]
    if not summary.published and summary.apart is not None:
        same = f"no, {summary.apart:.3f} levels away (another processor makes .02; above .1 figures cannot be compared)"
    rows = [
        ["benchmark", summary.benchmark],
        ["pictures, as drawn here", summary.content],
        ["the published pictures, byte for byte", same],
        ["model", summary.model],
        ["mean cosine of two drawn people", "" if summary.alike is None else f"{summary.alike:.3f}"],
        ["trained on drawn people", SAW_DRAWN if summary.saw_drawn else SAW_NONE],
        ["pictures with a vector", f"{summary.pictures:,}"],
        ["pictures without one", f"{summary.missing:,}"],
    ]
    return html_table("what was scored", ["what", "value"], [list(map(escape, row)) for row in rows], "words")
