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

NARROW = "td small{color:inherit;opacity:.75;white-space:nowrap}td:first-child{white-space:nowrap}"
SAW_DRAWN = "probably, by that cosine, unless a mean was subtracted from its vectors: it ranks too high"
SAW_NONE = "not told by that cosine, nor would it be of one that was trained on photographs too"


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
    parts = [HEAD, f"<title>{title}</title><style>{STYLE}{NARROW}</style>", "<main>", f"<h1>{title}</h1>"]
    parts += [f"<p>{words}: <strong>{score}</strong>.</p>", f"<p>{WORTH}</p>", "<h2>Scores</h2>", _scores(summary)]
    parts += ["<h2>Other looks</h2>", _gaps(summary), "<h2>What was scored</h2>", _about(summary), "</main></html>"]
    return "\n".join(parts) + "\n"


def _scores(summary: Any) -> str:
    """All pairs, and lists of pairs, which have other FARs and an accuracy, in a table of their own."""
    listed = [score for score in summary.scores if score.accuracy is not None]
    others = [score for score in summary.scores if score.accuracy is None]
    return "\n<h2>Listed pairs</h2>\n".join(_scores_of(some) for some in (others, listed) if some)


def _scores_of(scores: Sequence[Any]) -> str:
    fars = sorted({point.far for score in scores for point in score.points}, reverse=True)
    accuracies = ["accuracy"] * (scores[0].accuracy is not None)
    rows = []
    for score in scores:
        if score.refused is not None:
            rows.append([score.name, score.refused, *[""] * len(fars)])
            continue
        cells = dict.fromkeys(fars, "")
        for point, interval in zip_longest(score.points, score.intervals):
            cells[point.far] = _share(point.tar, interval)
        accuracy = [_share(score.accuracy, score.accuracy_interval) for _ in accuracies]
        rows.append([score.name, f"{score.genuine:,} / {score.impostor:,}", *cells.values(), *accuracy])
    head = ["protocol", "genuine / impostor pairs", *(f"TAR at FAR {far:g}" for far in fars), *accuracies]
    return _table(head, rows)


def _share(value: float, interval: tuple[float, float] | None) -> str:
    between = "" if interval is None else f"\n95%: {100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
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
        ["trained on drawn people", SAW_DRAWN if summary.saw_drawn else SAW_NONE],
        ["pictures with a vector", f"{summary.pictures:,}"],
        ["pictures without one", f"{summary.missing:,}"],
    ]
    return _table(["what", ""], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells; what follows the first line of one is said below it, smaller."""
    first = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    table = f"<table><tr>{first}</tr>\n{body}</table>"
    return f"<div class=wide tabindex=0 role=region aria-label='{escape(head[0])}s'>{table}</div>"


def _cell(text: str) -> str:
    value, *more = map(escape, text.split("\n"))
    return f"<td>{value}" + "".join(f"<br><small>{line}</small>" for line in more) + "</td>"
