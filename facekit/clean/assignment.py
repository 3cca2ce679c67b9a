"""What the two modes of cleaning share: what they are given, what they come to, and the threshold of Intra-ID."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from facekit.clean.calibrate import Calibrated, calibrate_intra
from facekit.clean.identity_groups import IdentityGroups
from facekit.clean.pairs import BlockEngine, Pairs
from facekit.clean.settings import AUTO, DEFAULTS, CleanSettings
from facekit.clean.vectors import Vectors

__all__ = ["Assignment", "Faces", "intra_threshold", "settings_in_force"]

_LOG = logging.getLogger(__name__)


class Faces(NamedTuple):
    """What is cleaned."""

    vectors: Vectors  # (N, D)
    identities: IdentityGroups
    usable: np.ndarray  # (N,) bool: originals, the only ones that may shape a centre or a threshold
    engine: BlockEngine | None


class Assignment(NamedTuple):
    """One row for each face before new labels are counted; groups are identities after merging."""

    group: np.ndarray  # (N,) int32, -1: out
    action: np.ndarray  # (N,) int8 Action
    reason: np.ndarray  # (N,) int8 Reason
    similarity: np.ndarray  # (N,) float32
    decided_by: np.ndarray  # (N,) int32 group whose centre decided
    leader: np.ndarray  # (G,) int64 identity whose label the group has, -1: a new person
    group_of_identity: np.ndarray  # (I,) int64, -1: none
    pairs: Pairs  # of identities
    intra: float  # the threshold in force
    settings: dict[str, object]


def intra_threshold(
    faces: Faces, settings: CleanSettings, centres: np.ndarray, group: np.ndarray, scores: np.ndarray
) -> tuple[float, Calibrated | None]:
    """Find the threshold of Intra-ID, and what strangers look like where that was measured.

    Parameters
    ----------
    faces : Faces
    settings : CleanSettings
    centres : (G, D) float32
        Unit length.
    group : (N,) integer
    scores : (N,) float32
        Similarity of each face with the centre of its group.
    """
    calibrated = None
    if settings.intra == AUTO or settings.mode == "robust":
        usable = np.where(faces.usable, group, group.dtype.type(-1))
        calibrated = calibrate_intra(faces.vectors, centres, usable, scores, threads=settings.workers)
    if settings.intra != AUTO:
        return float(settings.intra), calibrated
    if calibrated is None:
        _LOG.warning("too few faces to calibrate intra: %.2f is taken", DEFAULTS.intra)
        return float(DEFAULTS.intra), None
    return calibrated.threshold, calibrated


def settings_in_force(
    settings: CleanSettings, intra: float, merge: float, null: Calibrated | None, recall: float
) -> dict[str, object]:
    """Return settings with what was calibrated and measured on the way, JSON-able.

    Parameters
    ----------
    settings : CleanSettings
    intra, merge : float
        Thresholds in force.
    null : Calibrated, optional
        What strangers look like.
    recall : float
        Of the search for pairs; 1 where it was exact.
    """
    found: dict[str, object] = settings.record() | {"intra": intra, "merge": merge, "intra_given": settings.intra}
    if recall < 1:
        found.update(pairs_recall=round(recall, 4))
    if null is not None:
        found.update(null_median=round(null.null_median, 4), null_deviation=round(null.null_deviation, 4))
    return found
