"""TAR@FAR: how many genuine pairs are accepted where a given share of impostor pairs is.

The threshold of a FAR over n impostor pairs is the (k + 1)-th largest impostor similarity, k = floor(FAR n), and a pair
is accepted above it: the lowest threshold at which no more than k impostors are. Pairs equal to it are rejected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, as_written

__all__ = [
    "OperatingPoint",
    "Roc",
    "allowed_accepts",
    "measurable_fars",
    "operating_points",
    "roc_from_counts",
]


ROUNDING = 1 + 1e-12


class OperatingPoint(NamedTuple):
    """One TAR@FAR with what it was counted from.

    Attributes
    ----------
    far : float
        The FAR asked for.
    tar : float
    threshold : float
        Pairs with a similarity above it are accepted.
    true_accepts, false_accepts : int
    genuine, impostor : int
        Pairs.
    """

    far: float
    tar: float
    threshold: float
    true_accepts: int
    false_accepts: int
    genuine: int
    impostor: int


class Roc(NamedTuple):
    """FAR and TAR of falling thresholds, from (0, 0) to (1, 1).

    Attributes
    ----------
    far, tar : (K,) float64
    """

    far: NDArray[np.float64]
    tar: NDArray[np.float64]


def measurable_fars(impostor: int) -> tuple[float, ...]:
    """The powers of ten, from 0.1 down to 1e-8, that can be measured.

    Parameters
    ----------
    impostor : int
        Impostor pairs.

    Returns
    -------
    tuple of float
    """
    return tuple(far for far in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8) if far * impostor * ROUNDING >= 1)


def allowed_accepts(far: float, impostor: int) -> int:
    """How many impostor pairs may be accepted at a FAR: floor(FAR n).

    A FAR is taken up by 1e-12 of itself: 1 / 3 of 3 pairs and 0.29 of 100 are whole numbers.

    Parameters
    ----------
    far : float
    impostor : int
        Impostor pairs.

    Returns
    -------
    int

    Raises
    ------
    ConfigError
        A FAR outside (0, 1], or below 1 / n.
    """
    if not 0 < far <= 1:
        raise ConfigError(f"FAR {as_written(far)} is outside (0, 1]")
    allowed = min(int(far * impostor * ROUNDING), impostor)
    if allowed < 1:
        needed = math.ceil(1 / (far * ROUNDING))
        cure = f"ask for {smallest_rate(impostor)} or more" if impostor else "add pictures of other people"
        raise ConfigError(
            f"FAR {as_written(far)} needs at least {needed:,} impostor pairs and there are {impostor:,}: {cure}"
        )
    return allowed


def operating_points(
    genuine: NDArray[np.floating], impostor: NDArray[np.floating], fars: Sequence[float]
) -> tuple[OperatingPoint, ...]:
    """TAR at each FAR, exactly, from similarities that fit into memory.

    Parameters
    ----------
    genuine, impostor : (G,) and (I,) floating
        Similarities of pairs of one person and of two.
    fars : sequence of float

    Returns
    -------
    tuple of OperatingPoint
        In the order of ``fars``.

    Raises
    ------
    ConfigError
        No genuine pair, a similarity that is not finite, a FAR outside (0, 1] or below 1 / I.
    """
    check_genuine(len(genuine))
    if not (np.isfinite(genuine).all() and np.isfinite(impostor).all()):
        raise ConfigError("similarities must be finite")
    rising, own = np.sort(impostor), np.sort(genuine)
    return tuple(_point(far, allowed_accepts(far, len(rising)), own, rising) for far in fars)


def check_genuine(count: int) -> None:
    """Refuse to score where there is no genuine pair.

    Parameters
    ----------
    count : int
        Genuine pairs.

    Raises
    ------
    ConfigError
        There is none.
    """
    if not count:
        raise ConfigError("no genuine pair: every person has one picture only, so there is no TAR")


def _point(far: float, allowed: int, own: NDArray[np.floating], rising: NDArray[np.floating]) -> OperatingPoint:
    threshold = rising[-allowed - 1] if allowed < len(rising) else -np.inf
    true, false = (len(values) - int(np.searchsorted(values, threshold, side="right")) for values in (own, rising))
    return OperatingPoint(far, true / len(own), float(threshold), true, false, len(own), len(rising))


def roc_from_counts(genuine: NDArray[np.int64], impostor: NDArray[np.int64]) -> Roc:
    """The curve of two histograms, exact at the bins' edges.

    Parameters
    ----------
    genuine, impostor : (B,) int64
        Counts over the same bins of rising similarity.

    Returns
    -------
    Roc
    """
    some = np.flatnonzero((genuine > 0) | (impostor > 0))[::-1]
    sums = [np.concatenate([[0], np.cumsum(counts[some])]) for counts in (impostor, genuine)]
    far, tar = (counts / max(int(counts[-1]), 1) for counts in sums)
    return Roc(far, tar)


def smallest_rate(impostor: int) -> str:
    """1 / n, rounded up so that what is printed can be asked for."""
    exponent = math.floor(math.log10(impostor)) + 3
    digits = math.ceil(10**exponent / impostor)  # three of them, or 1000
    return as_written(digits / 10**exponent)
