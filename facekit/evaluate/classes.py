"""Closed-set accuracy by the classes of a classifier, for groups of classes with few, some and many training images."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, as_written

__all__ = ["GroupAccuracy", "accuracy_by_count", "closed_set"]

BLOCK = 1 << 23  # scores held at once: 32 MiB


class GroupAccuracy(NamedTuple):
    """The share of pictures whose class was found, in a group of classes.

    Attributes
    ----------
    accuracy : float
        Over pictures; with as many of each class it is also that over classes.
    pictures, classes : int
        Of the group; classes without a picture do not count.
    """

    accuracy: float
    pictures: int
    classes: int


def closed_set(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    rows: NDArray[np.float32],
    scale: float = 1.0,
    counts: NDArray[np.int64] | None = None,
    strength: float = 1.0,
) -> NDArray[np.bool_]:
    """Whether each picture's own class has the highest score: s cos(x, w_j) - strength log n_j.

    The second part is the logit adjustment of Menon et al. 2021 (equation 9): a classifier that was trained on
    unequal classes prefers the large ones, and loses that preference by it. A balanced loss adds log n in training
    (Balanced Softmax, BCL), so that its plain score is the adjusted one already. Equal scores count as not found.

    Parameters
    ----------
    vectors : (N, D) float32
        Embeddings of any length.
    labels : (N,) int64
        The row of each picture's class.
    rows : (C, D) float32
        The classifier's rows, or the centres of the classes; of any length, and zeros have cosine 0 to everything.
    scale : float
        s of the training; without counts it changes nothing.
    counts : (C,) int64 or None
        n, training images of each class; 0 counts as 1. None: no adjustment.
    strength : float
        tau of the paper.

    Returns
    -------
    found : (N,) bool

    Raises
    ------
    ConfigError
        Shapes that do not belong together, a label without a row, a scale that is not above 0, a count below 0.
    """
    _check(vectors, labels, rows, scale, counts)
    offset = np.zeros(len(rows), np.float32)
    if counts is not None:
        offset = (strength * np.log(np.maximum(counts, 1))).astype(np.float32)
    weight, found = scale * _unit(rows).T, np.zeros(len(vectors), np.bool_)
    step = max(1, BLOCK // len(rows))
    for start in range(0, len(vectors), step):
        part = slice(start, start + step)
        score = _unit(vectors[part]) @ weight - offset
        own = np.take_along_axis(score, labels[part, None], 1)[:, 0]
        np.put_along_axis(score, labels[part, None], -np.inf, 1)
        found[part] = own > score.max(1)
    return found


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, size, out=np.zeros(vectors.shape, np.float32), where=size > 0)


def _check(vectors: Any, labels: Any, rows: Any, scale: float, counts: Any) -> None:
    if vectors.ndim != 2 or rows.ndim != 2 or vectors.shape[1] != rows.shape[1] or not len(rows):
        raise ConfigError(f"vectors {vectors.shape} and rows {rows.shape}: they must be (N, D) and (C, D)")
    _check_labels(labels, len(rows), len(vectors))
    if not 0 < scale < np.inf:
        raise ConfigError(f"scale is {as_written(scale)}; it must be above 0: give the one of the training")
    if counts is not None:
        _check_counts(counts, len(rows))


def _check_labels(labels: Any, classes: int, pictures: int) -> None:
    if labels.shape != (pictures,):
        raise ConfigError(f"labels {labels.shape} of {pictures} pictures: there must be one of each")
    if pictures and not 0 <= labels.min() <= labels.max() < classes:
        raise ConfigError(f"labels from {labels.min()} to {labels.max()} for {classes} classes: number them from 0")


def _check_counts(counts: Any, classes: int) -> None:
    if counts.shape != (classes,) or counts.min(initial=0) < 0:
        raise ConfigError(f"counts {counts.shape} for {classes} classes: there must be one of each, and none below 0")


def accuracy_by_count(
    found: NDArray[np.bool_], labels: NDArray[np.int64], counts: NDArray[np.int64], few: int, many: int
) -> dict[str, GroupAccuracy]:
    """Accuracy of pictures by how many training images their class has.

    Parameters
    ----------
    found : (N,) bool
        From `closed_set`.
    labels : (N,) int64
    counts : (C,) int64
        Training images of each class.
    few, many : int
        ``tail``: classes of at most `few` images; ``head``: of more than `many`; ``mid``: the others.

    Returns
    -------
    dict from str to GroupAccuracy
        ``head``, ``mid``, ``tail``, those that have pictures, and ``all``.

    Raises
    ------
    ConfigError
        No pictures, shapes that do not belong together, a label without a count, `many` below `few`.
    """
    if not 0 <= few <= many:
        raise ConfigError(f"few is {few} and many {many}: few must be at least 0, and many no less than few")
    if not len(found):
        raise ConfigError("there are no pictures to score")
    _check_counts(counts, len(counts))
    _check_labels(labels, len(counts), len(found))
    size = counts[labels]
    inside = {"head": size > many, "mid": (size > few) & (size <= many), "tail": size <= few}
    groups = {name: part for name, part in inside.items() if part.any()} | {"all": np.ones(len(found), np.bool_)}
    return {
        name: GroupAccuracy(float(found[part].mean()), int(part.sum()), len(np.unique(labels[part])))
        for name, part in groups.items()
    }
