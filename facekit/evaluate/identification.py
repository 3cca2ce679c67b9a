"""Closed-set identification: is the most similar picture of the gallery one of the same person?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.evaluate.faces import FaceSet, comparable_sources

__all__ = ["Identification", "identify"]

BLOCK = 1 << 24  # similarities held at once: 64 MiB


class Identification(NamedTuple):
    """Rank scores.

    Attributes
    ----------
    accuracy : dict from int to float
        For each rank k, the share of probes with a picture of their own person among the k most similar.
    probes : int
        Probes whose person is in the gallery.
    without_mate : int
        Probes whose person is not; they do not count in ``accuracy``.
    gallery : int
    """

    accuracy: dict[int, float]
    probes: int
    without_mate: int
    gallery: int


def identify(probe: FaceSet, gallery: FaceSet, ranks: Sequence[int] = (1, 5)) -> Identification:
    """Rank-k identification by picture. Equal similarities count against the probe.

    Parameters
    ----------
    probe, gallery : FaceSet
        Pictures of one source are not compared; a gallery that holds the probes themselves needs ``sources``.
    ranks : sequence of int

    Returns
    -------
    Identification

    Raises
    ------
    ConfigError
        No probe has a mate in the gallery, a rank below 1, sets of different dimensions.
    """
    if not ranks or min(ranks) < 1:
        raise ConfigError(f"ranks {tuple(ranks)}: each must be 1 or more")
    if probe.vectors.shape[1] != gallery.vectors.shape[1]:
        raise ConfigError(f"probes have {probe.vectors.shape[1]} dimensions and the gallery {gallery.vectors.shape[1]}")
    ahead = _ahead(probe, gallery)
    known = ahead[ahead >= 0]
    if not len(known):
        raise ConfigError(f"none of {len(probe)} probes has another picture of its person in the gallery")
    accuracy = {int(rank): float((known < rank).mean()) for rank in ranks}
    return Identification(accuracy, len(known), len(ahead) - len(known), len(gallery))


def _ahead(probe: FaceSet, gallery: FaceSet) -> NDArray[np.int64]:
    from facekit.evaluate.kernels import count_ahead

    ahead = np.full(len(probe), -1, np.int64)
    probe_sources, gallery_sources = comparable_sources(probe, gallery)
    step = max(1, BLOCK // max(1, len(gallery)))
    for start in range(0, len(probe), step):
        rows = slice(start, start + step)
        similarity = probe.vectors[rows] @ gallery.vectors.T
        labels = probe.labels[rows], gallery.labels
        count_ahead(similarity, *labels, probe_sources[rows], gallery_sources, ahead[rows])
    return ahead
