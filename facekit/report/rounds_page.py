"""The rounds of self-learning -> one HTML page: purity, images kept and scores by round, and what changed between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from facekit.report.charts import PAGE_SIZE, PAGE_STYLE, Axis, Line, as_percent, chart_svg, linear_axis

__all__ = ["HEAD", "STYLE", "build_rounds_page", "html_table"]

HEAD = """<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content='width=device-width, initial-scale=1'>"""
STYLE = (
    """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } small { white-space: nowrap }
.words td, .words th { text-align: left; overflow-wrap: anywhere; vertical-align: top }
.words td:first-child { min-width: 9em }
@media (max-width: 700px) { th, td { padding: .25rem .35rem; font-size: 13px } }
svg { display: block; margin: 1rem 0; max-width: 36rem; width: 100%; height: auto }
:root { color-scheme: light dark } a { color: #0059b3 } .wide { overflow-x: auto }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } th, td { border-color: #444 }
a { color: #8ab8f0 } }
"""
    + PAGE_STYLE
)


def build_rounds_page(source: str, plugin: str, first: Mapping[str, float], rounds: Sequence[Mapping[str, Any]]) -> str:
    """Build the page.

    Parameters
    ----------
    source, plugin : str
    first : mapping
        Scores of model 0.
    rounds : sequence of mapping
        The fields of `facekit.jobs.selflearn.round.Round`.

    Returns
    -------
    str
        HTML; it refers only to the reports of the rounds, beside it.
    """
    title = f"Self-learning on {escape(source)} with {escape(plugin)}"
    parts = [HEAD, f"<title>{title}</title><style>{STYLE}</style>"]
    parts += ["<main>", f"<h1>{title}</h1>", "<h2>Rounds</h2>", _table(first, rounds), _chart(first, rounds)]
    parts += ["<h2>Images by reason</h2>", _reasons(rounds), "</main></html>"]
    return "\n".join(parts) + "\n"


def _table(first: Mapping[str, float], rounds: Sequence[Mapping[str, Any]]) -> str:
    names = list(rounds[0]["scores"])
    known = rounds[0]["purity"] is not None
    head = ["round", "images", "identities", *["purity"] * known, "newly kept", "newly dropped", *names]
    start = rounds[0]
    rows = [["initial pack", f"{start['images']:,}", f"{start['identities']:,}", *_share(start["purity_before"], known),
             "", "", *(_percent(first.get(name)) for name in names)]]  # fmt: skip
    for one in rounds:
        link = f"<a href='round-{one['number']}/clean/report/index.html'>round {one['number']}</a>"
        rows.append([link, f"{one['kept']:,}", f"{one['identities_kept']:,}", *_share(one["purity"], known),
                     f"{one['newly_kept']:,}", f"{one['newly_dropped']:,}",
                     *(_percent(one["scores"].get(name)) for name in names)])  # fmt: skip
    return html_table("rounds", head, rows)


def _share(value: float | None, known: bool) -> list[str]:
    return [_percent(value)] if known else []


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}%"


def _reasons(rounds: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({name for one in rounds for name in one["reasons"]})
    rows = [[f"round {one['number']}", *(f"{one['reasons'].get(name, 0):,}" for name in names)] for one in rounds]
    return html_table("reasons", ["round", *names], rows)


def html_table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "numbers") -> str:
    """A table that is scrolled in its own place where it is wider than the window.

    Parameters
    ----------
    name : str
        For screen readers; one of its own for each table of a page.
    head : sequence of str
    rows : sequence of sequence of str
        Cells, HTML already.
    kind : str
        ``"numbers"``: all cells but the first of a row stand to the right; ``"words"``: all to the left, and break.

    Returns
    -------
    str
        HTML.
    """
    first = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table class={kind}><tr>{first}</tr>\n{body}</table>"
    return f"<div class=wide tabindex=0 role=region aria-label='{escape(name)}'>{table}</div>"


def _chart(first: Mapping[str, float], rounds: Sequence[Mapping[str, Any]]) -> str:
    """Shares by round: images kept, purity where it is known, and each score."""
    shares: dict[str, list[float | None]] = {"images kept": [1.0, *(one["kept"] / one["images"] for one in rounds)]}
    if rounds[0]["purity"] is not None:
        shares["purity"] = [rounds[0]["purity_before"], *(one["purity"] for one in rounds)]
    for name in rounds[0]["scores"]:
        shares[name] = [first.get(name), *(one["scores"].get(name) for one in rounds)]
    lines = []
    for name, line in shares.items():
        at = np.array([k for k, value in enumerate(line) if value is not None], np.float64)
        if len(at):
            lines.append(Line(name, at, np.array([value for value in line if value is not None]), dots=True))
    least = min(float(np.min(line.y)) for line in lines)
    numbers = tuple((float(at), "initial" if at == 0 else str(at)) for at in range(len(rounds) + 1))
    across = Axis("round", 0.0, float(len(rounds)), _thinned(numbers))
    return chart_svg("By round", across, linear_axis("share", least, 1.0, as_percent), lines, size=PAGE_SIZE, page=True)


def _thinned(ticks: tuple[tuple[float, str], ...], most: int = 12) -> tuple[tuple[float, str], ...]:
    return ticks[:: -(-len(ticks) // most)]
