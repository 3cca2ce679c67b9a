"""Error against reject rate: genuine pairs that are missed when the faces of least quality are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.evaluate.all_pairs import verify_all
from facekit.evaluate.faces import FaceSet, comparable_sources

__all__ = ["misses_after_rejecting"]

BLOCK = 1 << 21  # similarities held at once: 16 MiB
Rows = NDArray[np.int64]
Values = NDArray[np.float64]


def misses_after_rejecting(
    probe: FaceSet, gallery: FaceSet, quality: tuple[Values, Values], far: float, shares: Sequence[float]
) -> list[float]:
    """Share of the genuine pairs at or below the threshold of all pairs, for each share of faces rejected.

    The threshold takes two passes over all similarities in blocks; of the rest only pairs of one person are compared,
    one block of a person at a time.

    Parameters
    ----------
    probe, gallery : FaceSet
        N and M faces; pictures of one source are not compared.
    quality : ((N,) float64, (M,) float64)
        The lowest of each side go first.
    far : float
        Decides the threshold, once, over all pairs.
    shares : sequence of float
        From 0 to 1, of each side.

    Returns
    -------
    misses : list of float
        NaN where no genuine pair is left.

    Raises
    ------
    ConfigError
        Another number of qualities than of faces; and what `verify_all` says.
    """
    if (len(quality[0]), len(quality[1])) != (len(probe), len(gallery)):
        raise ConfigError(
            f"qualities of {len(quality[0])} and {len(quality[1])} faces for {len(probe)} and {len(gallery)}"
        )
    threshold = verify_all(probe, gallery, (far,)).points[0].threshold
    limits = [[np.quantile(side, share) for side in quality] for share in shares]
    missed, left = np.zeros(len(shares), np.int64), np.zeros(len(shares), np.int64)
    sources = comparable_sources(probe, gallery)
    for mine, others in _blocks(probe.labels, gallery.labels):
        score = probe.vectors[mine].astype(np.float64) @ gallery.vectors[others].T.astype(np.float64)
        counted = sources[0][mine, None] != sources[1][others]
        low = score <= threshold
        for number, (least, most) in enumerate(limits):
            kept = counted & (quality[0][mine, None] >= least) & (quality[1][others] >= most)
            missed[number] += (kept & low).sum()
            left[number] += kept.sum()
    return np.where(left > 0, missed / np.maximum(left, 1), np.nan).tolist()


def _blocks(probe: Rows, gallery: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Positions of the probes and of the gallery's faces of one person, at most `BLOCK` pairs at a time."""
    orders = [np.argsort(labels, kind="stable") for labels in (probe, gallery)]
    sides = [labels[order] for labels, order in zip((probe, gallery), orders, strict=True)]
    people = np.intersect1d(sides[0], sides[1])
    edges = [[np.searchsorted(side, people, where) for where in ("left", "right")] for side in sides]
    for first, stop, begin, end in zip(*edges[0], *edges[1], strict=True):
        others = orders[1][begin:end]
        step = max(1, BLOCK // len(others))
        for start in range(first, stop, step):
            yield orders[0][start : min(stop, start + step)], others
