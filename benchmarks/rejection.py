"""Error against reject rate: how many genuine pairs are missed when the faces of least quality are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facekit.embeddings import Embedded
from facekit.evaluate import FaceSet, verify_all

__all__ = ["SHARES", "misses_after_rejecting", "qualities"]

SHARES = (0.0, 0.1, 0.3, 0.5)
Values = NDArray[np.float64]


def qualities(embedded: Embedded) -> dict[str, Values]:
    """What rejects: the length of mu, and minus that of sigma where a network has one."""
    found = {"|mu|": np.asarray(embedded.norms, np.float64)}
    if embedded.uncertainty is not None:
        found["|sigma|"] = -np.asarray(embedded.uncertainty, np.float64)
    return found


def misses_after_rejecting(
    worn: FaceSet, bare: FaceSet, quality: tuple[Values, Values], far: float, shares: Sequence[float] = SHARES
) -> list[float]:
    """Share of the genuine masked-to-bare pairs below the threshold of all pairs, for each share of faces rejected.

    Parameters
    ----------
    worn, bare : FaceSet
        N and M faces.
    quality : ((N,) float64, (M,) float64)
        The lowest of each side go first.
    far : float
        Decides the threshold, once, over all pairs.
    shares : sequence of float

    Returns
    -------
    misses : list of float
        NaN where no genuine pair is left.
    """
    threshold = verify_all(worn, bare, (far,)).points[0].threshold
    scores = worn.vectors.astype(np.float64) @ bare.vectors.T.astype(np.float64)
    genuine = worn.labels[:, None] == bare.labels[None, :]
    if worn.sources is not None and bare.sources is not None:
        genuine &= worn.sources[:, None] != bare.sources[None, :]
    found = []
    for share in shares:
        kept = [side >= np.quantile(side, share) for side in quality]
        left = genuine & kept[0][:, None] & kept[1][None, :]
        found.append(float((scores[left] <= threshold).mean()) if left.any() else float("nan"))
    return found
