"""Open-set identification: is a probe whose person may not be in the gallery found, and nobody else?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, as_written
from facekit.evaluate.faces import FaceSet
from facekit.evaluate.identification import best_of
from facekit.evaluate.operating_points import smallest_rate

__all__ = ["OpenSet", "OpenSetPoint", "identify_open_set"]


class OpenSetPoint(NamedTuple):
    """TPIR at one FPIR.

    Attributes
    ----------
    fpir : float
        Asked for.
    tpir : float
        Share of the probes with a mate that are found: the most similar picture of the gallery is of their person, and
        above the threshold.
    threshold : float
        The lowest at which no more than floor(FPIR n) of the n probes without a mate have anybody above it.
    """

    fpir: float
    tpir: float
    threshold: float


class OpenSet(NamedTuple):
    """Scores over all probes.

    Attributes
    ----------
    points : tuple of OpenSetPoint
    mated, nonmated : int
        Probes whose person is in the gallery, and others.
    """

    points: tuple[OpenSetPoint, ...]
    mated: int
    nonmated: int


def identify_open_set(probe: FaceSet, gallery: FaceSet, fpirs: Sequence[float] = (0.01, 0.1)) -> OpenSet:
    """TPIR@FPIR of rank 1 (ISO/IEC 19795-1; IJB's 1:N protocol). Equal similarities count against the probe.

    Parameters
    ----------
    probe, gallery : FaceSet
        Pictures of one source are not compared.
    fpirs : sequence of float

    Raises
    ------
    ConfigError
        No probe of one of the two kinds, an FPIR outside (0, 1] or below one over the probes without a mate.
    """
    if probe.vectors.shape[1] != gallery.vectors.shape[1]:
        raise ConfigError(f"probes have {probe.vectors.shape[1]} dimensions and the gallery {gallery.vectors.shape[1]}")
    own, other = best_of(probe, gallery)
    mated = np.isfinite(own)
    strangers = np.sort(other[~mated])
    refuse_one_kind(len(probe), int(mated.sum()))
    found = np.sort(own[mated & (own > other)])
    for fpir in fpirs:
        refuse_fpir(fpir, len(strangers))
    points = [_point(far, found, strangers, int(mated.sum())) for far in fpirs]
    return OpenSet(tuple(points), int(mated.sum()), len(strangers))


def refuse_one_kind(probes: int, mated: int) -> None:
    """Refuse an open set whose probes all have a mate, or none.

    Raises
    ------
    ConfigError
    """
    if mated in (0, probes):
        kind = "without" if mated else "with"
        raise ConfigError(f"none of {probes} probes is {kind} a mate in the gallery: an open set needs both kinds")


def refuse_fpir(fpir: float, strangers: int) -> None:
    """Refuse an FPIR that so many probes without a mate cannot show.

    Raises
    ------
    ConfigError
    """
    if not 0 < fpir <= 1:
        raise ConfigError(f"FPIR {as_written(fpir)} is outside (0, 1]")
    if int(fpir * strangers * (1 + 1e-12)) < 1:
        needed = int(np.ceil(1 / (fpir * (1 + 1e-12))))
        raise ConfigError(
            f"FPIR {as_written(fpir)} needs at least {needed:,} probes without a mate and there are "
            f"{strangers:,}: ask for {smallest_rate(strangers)} or more, or add probes"
        )


def _point(fpir: float, found: NDArray[np.float32], strangers: NDArray[np.float32], mated: int) -> OpenSetPoint:
    allowed = int(fpir * len(strangers) * (1 + 1e-12))
    threshold = float(strangers[-allowed - 1]) if allowed < len(strangers) else -np.inf
    accepted = len(found) - int(np.searchsorted(found, threshold, side="right"))
    return OpenSetPoint(fpir, accepted / mated, threshold)
