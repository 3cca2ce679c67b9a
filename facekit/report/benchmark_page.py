"""A recognizer's scores on a drawn benchmark -> one HTML page: the table, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

from facekit.report.rounds_page import HEAD, STYLE

__all__ = ["build_benchmark_page"]

WORTH = (
    "These people are drawn. The order of recognizers that never saw a drawn face is about their order on real faces; "
    "the figures themselves are not those of real faces, and a recognizer that was trained on drawn people ranks too "
    "high. Compare only figures of the same benchmark name."
)


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
    parts += [f"<p>{words}: <strong>{score}</strong>.</p>", f"<p>{WORTH}</p>", "<h2>Scores</h2>", _scores(summary)]
    parts += ["<h2>Other looks</h2>", _gaps(summary), "<h2>What was scored</h2>", _about(summary), "</main></html>"]
    return "\n".join(parts) + "\n"


def _scores(summary: Any) -> str:
    fars = sorted({point.far for score in summary.scores for point in score.points}, reverse=True)
    rows = []
    for score in summary.scores:
        if score.refused is not None:
            rows.append([score.name, score.refused, *[""] * (len(fars) + 1)])
            continue
        cells = dict.fromkeys(fars, "")
        for point, interval in zip_longest(score.points, score.intervals):
            cells[point.far] = _share(point.tar, interval)
        accuracy = "" if score.accuracy is None else _share(score.accuracy, score.accuracy_interval)
        rows.append([score.name, f"{score.genuine:,} / {score.impostor:,}", *cells.values(), accuracy])
    return _table(["protocol", "genuine / impostor pairs", *(f"TAR at FAR {far:g}" for far in fars), "accuracy"], rows)


def _share(value: float, interval: tuple[float, float] | None) -> str:
    between = "" if interval is None else f" [{interval[0]:.2%}, {interval[1]:.2%}]"
    return f"{value:.2%}{between}"


def _gaps(summary: Any) -> str:
    rows = [[name, f"{gap:.1%}"] for name, gap in summary.style_gap.items()]
    return _table(["look", "share of the TAR that is lost"], rows)


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
        ["probably trained on drawn people", "yes: it ranks too high" if summary.saw_drawn else "no"],
        ["pictures with a vector", f"{summary.pictures:,}"],
        ["pictures without one", f"{summary.missing:,}"],
    ]
    return _table(["what", "value"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table><tr>{first}</tr>\n{body}</table>"
    return f"<div class=wide tabindex=0 role=region aria-label='{escape(head[0])}s'>{table}</div>"
