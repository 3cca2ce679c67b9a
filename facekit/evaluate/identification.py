"""Closed-set identification: is the most similar picture of the gallery one of the same person?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.evaluate.all_pairs import placed_blocks
from facekit.evaluate.faces import FaceSet

__all__ = ["Identification", "best_of", "identify"]


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


def best_of(
    probe: FaceSet, gallery: FaceSet, mates_only: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each probe's largest similarity to its own person and to others, (P,) float32; -inf where there is nobody.

    Parameters
    ----------
    probe, gallery : FaceSet
        Pictures of one source are not compared.
    mates_only : bool
        Others are not asked for: blocks in which nobody meets himself are passed by, nearly all of a sorted gallery.
    """
    from facekit.evaluate.kernels import best_scores

    own, other = (np.full(len(probe), -np.inf, np.float32) for _ in range(2))
    for rows, block in placed_blocks(probe, gallery, mates_only):
        best_scores(block.bits.view(np.float32), *block[1:5], own[rows], other[rows])
    return own, other


def _ahead(probe: FaceSet, gallery: FaceSet) -> NDArray[np.int64]:
    """For each probe, how many pictures of others are at least as similar as its best mate; -1 without a mate."""
    from facekit.evaluate.kernels import count_ahead

    own, _ = best_of(probe, gallery, mates_only=True)
    ahead = np.where(np.isfinite(own), 0, -1)
    own[ahead < 0] = np.inf
    # The same blocks as before, and so the same numbers: a mate is as similar as it was.
    for rows, block in placed_blocks(probe, gallery):
        count_ahead(block.bits.view(np.float32), *block[1:5], own[rows], ahead[rows])
    return ahead
