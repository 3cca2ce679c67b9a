"""How many pairs there are to compare, without comparing any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facekit.evaluate.faces import FaceSet

__all__ = ["mate_counts", "pair_counts"]


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
    people = _codes(probe.labels, other.labels)
    whole, genuine = len(probe) * (len(probe) - 1) // 2 if alone else len(probe) * len(other), _equal(people, alone)
    if probe.sources is None or other.sources is None:
        return genuine, whole - genuine
    source = _codes(probe.sources, other.sources)
    both = _joined(people, source)
    genuine -= _equal(both, alone)
    return genuine, whole - _equal(source, alone) - genuine


def mate_counts(probe: FaceSet, gallery: FaceSet) -> NDArray[np.int64]:
    """Pictures of a gallery that show the person of each probe, but those of the probe's own photograph: (P,) int64.

    Parameters
    ----------
    probe, gallery : FaceSet

    Examples
    --------
    >>> people = FaceSet(np.ones((4, 1), np.float32), np.array([0, 0, 1, 2]))
    >>> mate_counts(people, people.take(np.array([0, 1, 3])))
    array([2, 2, 0, 1])
    """
    people = _codes(probe.labels, gallery.labels)
    if probe.sources is None or gallery.sources is None:
        return _each(people)
    return _each(people) - _each(_joined(people, _codes(probe.sources, gallery.sources)))


Sides = tuple[NDArray[np.int64], NDArray[np.int64]]


def _codes(left: NDArray[np.int64], right: NDArray[np.int64]) -> Sides:
    """Values numbered through."""
    codes = np.unique(np.concatenate([left, right]), return_inverse=True)[1].reshape(-1)
    return codes[: len(left)], codes[len(left) :]


def _joined(people: Sides, source: Sides) -> Sides:
    """Codes that are equal where both are."""
    count = max(int(side.max(initial=0)) for side in source) + 1
    return _codes(people[0] * count + source[0], people[1] * count + source[1])


def _each(sides: Sides) -> NDArray[np.int64]:
    """How often each code of the first side stands on the second."""
    length = max(int(side.max(initial=-1)) for side in sides) + 1
    found: NDArray[np.int64] = np.bincount(sides[1], minlength=length)[sides[0]]
    return found


def _equal(sides: Sides, alone: bool) -> int:
    """Pairs of equal codes: of one side with the other, or within the first."""
    length = max(int(side.max(initial=-1)) for side in sides) + 1
    left, right = (np.bincount(side, minlength=length) for side in sides)
    return int((left * (left - 1)).sum()) // 2 if alone else int((left * right).sum())
