"""What every threshold of Intra-ID would do, from the similarities of one pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facekit.errors import ConfigError
from facekit.records.distinct import blocks, distinct

__all__ = ["Sweep", "sweep_thresholds"]

THRESHOLDS = np.round(np.arange(0.05, 0.501, 0.05), 2)


class Sweep(NamedTuple):
    """One row for each threshold; precision, recall and F1 of dropping are nan where no truth was given."""

    threshold: np.ndarray  # (T,) float64
    images: np.ndarray  # (T,) int64 kept
    identities: np.ndarray  # (T,) int64 with at least one image
    precision: np.ndarray  # (T,) float64
    recall: np.ndarray  # (T,) float64
    f1: np.ndarray  # (T,) float64


def sweep_thresholds(
    similarity: np.ndarray,
    groups: np.ndarray,
    *,
    thresholds: np.ndarray = THRESHOLDS,
    wrong: np.ndarray | None = None,
    scored: np.ndarray | None = None,
) -> Sweep:
    """Evaluate Intra-ID at many thresholds: the centres do not depend on it, so one pass of similarities is enough.

    Parameters
    ----------
    similarity : (N,) float32
        Cosine of each face with the centre of its merged identity; nan is never kept.
    groups : (N,) int64
        The merged identity of each face.
    thresholds : (T,) float
    wrong : (N,) bool, optional
        The truth: which faces should be dropped.
    scored : (N,) bool, optional
        Faces that count in precision and recall; all by default.

    Returns
    -------
    Sweep
    """
    thresholds = np.asarray(thresholds, np.float64)
    if len(thresholds) == 0 or np.any(np.abs(thresholds) > 1):
        raise ConfigError(f"thresholds {thresholds.tolist()}: give at least one, from -1 to 1")
    best = _best_of_groups(similarity, groups)
    rows = [_one(similarity, best, t, wrong, scored) for t in thresholds]
    columns = [np.array(column) for column in zip(*rows)]
    return Sweep(thresholds, *columns)


def _best_of_groups(similarity: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The largest similarity in each group, (G,); those that are nan do not count."""
    known = distinct(groups)
    best = np.full(len(known), -np.inf, similarity.dtype)
    for part in blocks(len(groups)):
        np.fmax.at(best, np.searchsorted(known, groups[part]), similarity[part])
    return best


def _one(
    similarity: np.ndarray, best: np.ndarray, threshold: float, wrong: np.ndarray | None, scored: np.ndarray | None
) -> tuple[int, int, float, float, float]:
    keep = similarity >= threshold
    images, identities = int(keep.sum()), int((best >= threshold).sum())
    if wrong is None:
        return images, identities, float("nan"), float("nan"), float("nan")
    counted = np.ones(len(keep), bool) if scored is None else scored
    dropped, bad = ~keep[counted], wrong[counted]
    hit, given, there = int((dropped & bad).sum()), int(dropped.sum()), int(bad.sum())
    precision, recall = hit / given if given else float("nan"), hit / there if there else float("nan")
    return images, identities, precision, recall, 2 * hit / (given + there) if given + there else float("nan")
