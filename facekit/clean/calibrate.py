"""Thresholds taken from the data itself, never from a truth.

What two different people look like can be observed in any number: a face and the centre of somebody else's identity, or
two faces of different identities. A threshold is set where few enough of those would pass, as a verification threshold
is set at a false accept rate. Which rates serve best was measured on planted noise: benchmarks/clean_quality.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facekit.clean.identity_groups import IdentityGroups
from facekit.clean.outliers import score_faces
from facekit.clean.vectors import Vectors, read_unit_rows
from facekit.records.distinct import blocks

__all__ = ["Calibrated", "calibrate_eps", "calibrate_intra"]

FALSE_ACCEPT_RATE = 0.01
"""Share of other people's faces that may pass Intra-ID. Half or twice of it changes F1 by .008 on planted data."""

EPS_DEVIATIONS = 3.5
"""Standard deviations above the typical similarity of two strangers: 2e-4 of normal pairs, one false link in every
fourth identity of 50. Three lose as much on weak embeddings as four do on drawn faces."""

MIN_SIMILARITIES = 200
"""With fewer similarities than this a tail cannot be seen, and the default is taken."""


class Calibrated(NamedTuple):
    """A threshold on the cosine similarity and the similarities between different people that it came from."""

    threshold: float
    null_median: float
    null_deviation: float
    samples: int


def calibrate_intra(
    vectors: Vectors,
    centres: np.ndarray,
    groups: np.ndarray,
    scores: np.ndarray,
    *,
    rate: float = FALSE_ACCEPT_RATE,
    threads: int = 1,
) -> Calibrated | None:
    """Return the threshold of Intra-ID that a share of `rate` of faces would pass at another identity's centre.

    Parameters
    ----------
    vectors : (N, D) float32
    centres : (G, D) float32
        Unit length.
    groups : (N,) int64
        The identity of each face; -1 for none.
    scores : (N,) float32
        Similarity of each face with its own centre.

    Returns
    -------
    Calibrated or None
        None with fewer than two identities or too few faces to tell.
    """
    if len(centres) < 2:
        return None
    others = np.full(len(groups), -1, np.int32)
    for part in blocks(len(groups)):
        shift = 1 + _scatter(scores[part]) % (len(centres) - 1)
        others[part] = np.where(groups[part] >= 0, (groups[part] + shift) % len(centres), -1)
    null = score_faces(vectors, centres, others, threads=threads)
    del others
    null = null[np.isfinite(null)]
    if len(null) < MIN_SIMILARITIES:
        return None
    return Calibrated(round(float(np.quantile(null, 1 - rate)), 4), *_spread(null), len(null))


def calibrate_eps(
    vectors: Vectors,
    identities: IdentityGroups,
    *,
    usable: np.ndarray | None = None,
    sample: int = 2000,
    each: int = 12,
    deviations: float = EPS_DEVIATIONS,
) -> Calibrated | None:
    """Return the similarity ``1 - eps`` of DBSCAN from faces of different identities.

    The deviation is read off between the median and the 84th percentile, where the few pairs that are one person under
    two labels do not reach. The identities are taken evenly over all, their rows by content: the order of the input
    does not matter.

    Parameters
    ----------
    vectors : (N, D) float32
    identities : IdentityGroups
    usable : (N,) bool, optional
        Faces that may be looked at; all by default.
    sample : int
        Identities that are looked at.
    each : int
        Faces of each.
    deviations : float
        How far above the median the threshold lies.

    Returns
    -------
    Calibrated or None
        None with too few faces to tell.
    """
    chosen = np.arange(identities.identity_count)[:: max(1, -(-identities.identity_count // sample))]
    rows = [_some_rows(vectors, identities.rows_of(int(i)), each, usable) for i in chosen]
    rows = [r for r in rows if len(r)]
    if len(rows) < 2:
        return None
    across = np.concatenate([(a @ b.T).ravel() for a, b in zip(rows, rows[1:] + rows[:1])])
    if len(across) < MIN_SIMILARITIES:
        return None
    middle, deviation = _spread(across)
    return Calibrated(round(min(middle + deviations * deviation, 0.95), 3), middle, deviation, len(across))


def _spread(null: np.ndarray) -> tuple[float, float]:
    middle, above = np.quantile(null, [0.5, 0.8413])
    return float(middle), float(above - middle)


def _scatter(scores: np.ndarray) -> np.ndarray:
    """Return a whole number for each face that depends on its similarity alone, so on no order of the input."""
    bits = np.nan_to_num(scores).astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(33)).astype(np.int64)


def _some_rows(vectors: Vectors, where: np.ndarray, each: int, usable: np.ndarray | None) -> np.ndarray:
    where = where if usable is None else where[usable[where]]
    rows = read_unit_rows(vectors, where)
    rows = rows[np.any(rows != 0, axis=1)]
    return rows[np.lexsort(rows[:, :4].T)][:each]
