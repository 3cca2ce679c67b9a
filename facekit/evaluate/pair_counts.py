"""How many pairs there are to compare, without comparing any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facekit.evaluate.faces import FaceSet, comparable_sources

__all__ = ["pair_counts"]


def pair_counts(probe: FaceSet, gallery: FaceSet | None = None) -> tuple[int, int]:
    """Genuine and impostor pairs, as `facekit.evaluate.verify_all` counts them; time grows with the faces alone.

    Parameters
    ----------
    probe : FaceSet
    gallery : FaceSet, optional
        None: each pair of two different probes once.

    Returns
    -------
    genuine, impostor : int

    Examples
    --------
    >>> people = FaceSet(np.ones((4, 1), np.float32), np.array([0, 0, 1, 2]))
    >>> pair_counts(people)
    (1, 5)
    >>> pair_counts(people, people.take(np.array([0, 3])))
    (3, 5)
    """
    other, alone = probe if gallery is None else gallery, gallery is None
    left, right = comparable_sources(probe, other)
    people, source = _codes(probe.labels, other.labels), _codes(left, right)
    both = _codes(*(a * (max(map(int, (source[0].max(initial=0), source[1].max(initial=0)))) + 1) + b
                    for a, b in zip(people, source, strict=True)))  # fmt: skip
    whole = len(probe) * (len(probe) - 1) // 2 if alone else len(probe) * len(other)
    genuine = _equal(people, alone) - _equal(both, alone)
    return genuine, whole - _equal(source, alone) - genuine


Sides = tuple[NDArray[np.int64], NDArray[np.int64]]


def _codes(left: NDArray[np.int64], right: NDArray[np.int64]) -> Sides:
    """Values numbered through."""
    codes = np.unique(np.concatenate([left, right]), return_inverse=True)[1].reshape(-1)
    return codes[: len(left)], codes[len(left) :]


def _equal(sides: Sides, alone: bool) -> int:
    """Pairs of equal codes: of one side with the other, or within the first."""
    length = max(int(side.max(initial=-1)) for side in sides) + 1
    left, right = (np.bincount(side, minlength=length) for side in sides)
    return int((left * (left - 1)).sum()) // 2 if alone else int((left * right).sum())
