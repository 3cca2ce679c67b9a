"""The protocol of the ICCV 2021 masked face recognition challenge (InsightFace track), and scores by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.evaluate.all_pairs import AllPairs, verify_all
from facekit.evaluate.faces import FaceSet

__all__ = ["MaskedScores", "by_group", "masked_protocol"]

MASKED_WEIGHT = 0.25


class MaskedScores(NamedTuple):
    """Scores of the challenge."""

    masked: AllPairs
    """Every masked face against every bare one."""
    everything: AllPairs
    """All pairs of all faces."""
    score: float
    """.25 masked + .75 everything, of the TARs."""


def masked_protocol(
    faces: FaceSet, masked: NDArray[np.bool_], masked_far: float = 1e-4, all_far: float = 1e-6
) -> MaskedScores:
    """Masked to bare at FAR 1e-4, all to all at 1e-6, and the sum of a quarter and three quarters of them.

    Parameters
    ----------
    faces : FaceSet
        With ``sources``, so that a masked copy is not compared with its original.
    masked : (N,) bool
        Which faces wear a mask.
    masked_far, all_far : float

    Raises
    ------
    ConfigError
        No masked or no bare face, or what `verify_all` raises.
    """
    masked = np.asarray(masked)
    if masked.shape != (len(faces),) or masked.dtype != np.bool_:
        raise ConfigError(f"masked must be {len(faces)} booleans, not {masked.shape} {masked.dtype}")
    if masked.all() or not masked.any():
        raise ConfigError(f"{int(masked.sum())} of {len(faces)} faces are masked: the protocol needs both kinds")
    across = verify_all(faces.take(masked), faces.take(~masked), (masked_far,))
    everything = verify_all(faces, fars=(all_far,))
    parts = across.points[0].tar, everything.points[0].tar
    return MaskedScores(across, everything, MASKED_WEIGHT * parts[0] + (1 - MASKED_WEIGHT) * parts[1])


def by_group(
    faces: FaceSet, groups: NDArray[np.str_], fars: Sequence[float] | None = None
) -> dict[str, AllPairs | str]:
    """All pairs inside each group (children, a region), as the challenge's track reports them.

    Parameters
    ----------
    faces : FaceSet
    groups : (N,) str
        The group of each face; empty: in none.
    fars : sequence of float, optional
        None: the powers of ten that can be measured.

    Returns
    -------
    dict
        Scores by the groups' names, sorted; where a group is too small, the sentence that says so.
    """
    groups = np.asarray(groups)
    if groups.shape != (len(faces),) or groups.dtype.kind != "U":
        raise ConfigError(f"groups must be {len(faces)} strings, not {groups.shape} {groups.dtype}")
    return {str(name): _scores(faces.take(groups == name), fars) for name in np.unique(groups) if name}


def _scores(faces: FaceSet, fars: Sequence[float] | None) -> AllPairs | str:
    try:
        return verify_all(faces, fars=fars)
    except ConfigError as error:
        return str(error)
