"""Whether a network finds different people so alike that the limit for identities finds pairs by chance."""

from __future__ import annotations

import numpy as np

from facekit.clean.vectors import read_unit_rows, unit
from facekit.jobs.overlap.side import Side
from facekit.records.distinct import distinct

__all__ = ["alike_share", "chance_warning"]

MOST = 500
"""Identities that are compared with one another."""


def alike_share(side: Side, threshold: float) -> float:
    """Share of the pairs of a side's own identities whose centres are as near as a pair of both sides must be.

    Parameters
    ----------
    side : Side
        With vectors.
    threshold : float
        Cosine.
    """
    assert side.vectors is not None
    names = distinct(side.labels)
    names = names[np.unique(np.linspace(0, len(names) - 1, min(MOST, len(names))).astype(np.int64))]
    rows = np.flatnonzero(np.isin(side.labels, names))
    sums = np.zeros((len(names), side.vectors.shape[1]), np.float32)
    np.add.at(sums, np.searchsorted(names, side.labels[rows]), read_unit_rows(side.vectors, rows))
    centres = unit(sums)
    cosines = (centres @ centres.T)[np.triu_indices(len(names), 1)]
    return float(np.mean(cosines >= threshold)) if len(cosines) else 0.0


def chance_warning(a: Side, b: Side, found: int, threshold: float) -> str | None:
    """A sentence where most of the pairs that were found are to be expected of two sets that share nobody.

    Parameters
    ----------
    a, b : Side
        With vectors.
    found : int
        Pairs of identities by their centres.
    threshold : float
    """
    if not found:
        return None
    share = min(alike_share(side, threshold) for side in (a, b))  # people under two labels make one side's larger
    expected = share * len(distinct(a.labels)) * len(distinct(b.labels))
    if expected < found / 2:
        return None
    return (
        f"within either set {share:.1%} of the pairs of identities are as alike as {threshold:g}, so about "
        f"{expected:,.0f} of the {found:,} pairs of both are to be expected by chance: choose a higher --identity, or "
        "a model that tells these people apart"
    )
