"""The protocol of the ICCV 2021 masked face recognition challenge (InsightFace track), and scores by group.

Deng et al., "Masked Face Recognition Challenge: The InsightFace Track Report", ICCV Workshops 2021: Mask is the TAR of
masked to bare faces at FAR 1e-4; MR-All the TAR over all pairs of BARE faces of the multi-racial set at 1e-6; Children
the same of the children's set at 1e-4, and each region's at 1e-6. Submissions are ranked by .25 Mask + .75 MR-All.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.evaluate.all_pairs import AllPairs, verify_all
from facekit.evaluate.faces import FaceSet

__all__ = ["BARE_FAR", "MASKED_FAR", "MaskedScores", "by_group", "combined_score", "group_far", "masked_protocol"]

MASKED_FAR, BARE_FAR, CHILDREN_FAR = 1e-4, 1e-6, 1e-4
MASKED_WEIGHT = 0.25


class MaskedScores(NamedTuple):
    """Scores of the challenge.

    Attributes
    ----------
    masked : AllPairs
        Every masked face against every bare one: Mask.
    bare : AllPairs
        All pairs of bare faces: MR-All.
    score : float
        .25 Mask + .75 MR-All, of the TARs.
    """

    masked: AllPairs
    bare: AllPairs
    score: float


def combined_score(masked_tar: float, bare_tar: float) -> float:
    """A quarter of Mask and three quarters of MR-All.

    Parameters
    ----------
    masked_tar, bare_tar : float
        TAR of masked to bare at `MASKED_FAR`, and of bare to bare at `BARE_FAR`.

    Returns
    -------
    float
    """
    return MASKED_WEIGHT * masked_tar + (1 - MASKED_WEIGHT) * bare_tar


def group_far(name: str) -> float:
    """The FAR at which the challenge reports a group.

    Parameters
    ----------
    name : str

    Returns
    -------
    float
        1e-4 for a group called children, however it is written; 1e-6 for a region.
    """
    return CHILDREN_FAR if name.strip().lower() in ("child", "children") else BARE_FAR


def masked_protocol(
    faces: FaceSet, masked: NDArray[np.bool_], masked_far: float = MASKED_FAR, bare_far: float = BARE_FAR
) -> MaskedScores:
    """Masked to bare at FAR 1e-4, bare to bare at 1e-6, and the sum of a quarter and three quarters of them.

    Parameters
    ----------
    faces : FaceSet
        With ``sources``, so that a masked copy is not compared with its original.
    masked : (N,) bool
        Which faces wear a mask.
    masked_far, bare_far : float

    Returns
    -------
    MaskedScores

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
    bare = faces.take(~masked)
    across, within = verify_all(faces.take(masked), bare, (masked_far,)), verify_all(bare, fars=(bare_far,))
    return MaskedScores(across, within, combined_score(across.points[0].tar, within.points[0].tar))


def by_group(
    faces: FaceSet, groups: NDArray[np.str_], fars: Sequence[float] | None = None
) -> dict[str, AllPairs | str]:
    """All pairs inside each group (children, a region), as the challenge's track reports them: of bare faces.

    Parameters
    ----------
    faces : FaceSet
        Bare faces, if the scores are to be the challenge's.
    groups : (N,) str
        The group of each face; empty: in none.
    fars : sequence of float, optional
        None: the challenge's, see `group_far`.

    Returns
    -------
    dict
        Scores by the groups' names, sorted; where a group is too small, the sentence that says so.

    Raises
    ------
    ConfigError
        ``groups`` are not N strings.
    """
    groups = np.asarray(groups)
    if groups.shape != (len(faces),) or groups.dtype.kind != "U":
        raise ConfigError(f"groups must be {len(faces)} strings, not {groups.shape} {groups.dtype}")
    names = [str(name) for name in np.unique(groups) if name]
    return {name: _scores(faces.take(groups == name), fars or (group_far(name),)) for name in names}


def _scores(faces: FaceSet, fars: Sequence[float]) -> AllPairs | str:
    try:
        return verify_all(faces, fars=fars)
    except ConfigError as error:
        return str(error)
