"""Two sets of faces -> the pictures and the identities that both have: by bytes, and by vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.pairs import pairs_between
from facekit.clean.vectors import read_unit_rows, unit
from facekit.jobs.overlap.side import Side
from facekit.records.distinct import distinct
from facekit.records.key_rows import rows_of

__all__ = ["PLACEHOLDER", "Identities", "Pictures", "identities_of", "near_centres", "near_pictures", "same_pictures"]

PLACEHOLDER = 100
"""Times that one picture stands on one side, from which it says nothing of who is shown: "image not available"."""

ROWS = 16384
Rows = npt.NDArray[np.int64]


class Pictures(NamedTuple):
    """Pairs of pictures, one of each side.

    Attributes
    ----------
    left, right : (P,) int64
        Rows.
    similarity : (P,) float64
        Cosine of their vectors; NaN where the bytes are the same.
    """

    left: Rows
    right: Rows
    similarity: npt.NDArray[np.float64]


class Identities(NamedTuple):
    """Pairs of identities, one of each side, in order.

    Attributes
    ----------
    left, right : (Q,) int64
        Labels.
    similarity : (Q,) float64
        Cosine of their centres, where it reached the limit; else NaN.
    same, near : (Q,) int64
        Pairs of pictures with the same bytes, and nearly the same by their vectors.
    """

    left: Rows
    right: Rows
    similarity: npt.NDArray[np.float64]
    same: Rows
    near: Rows


def same_pictures(a: Side, b: Side) -> tuple[Pictures, Rows, Rows, int]:
    """Pictures whose bytes both have.

    Parameters
    ----------
    a, b : Side
        With hashes.

    Returns
    -------
    Pictures
        Every pair of equal ones, but for placeholders.
    (n,) int64, (m,) int64
        All rows of a, and of b, that the other has, placeholders among them.
    int
        Rows of a that are placeholders.
    """
    assert a.hashes is not None
    assert b.hashes is not None
    order_a, order_b = np.argsort(a.hashes, kind="stable"), np.argsort(b.hashes, kind="stable")
    sorted_a, sorted_b = a.hashes[order_a], b.hashes[order_b]
    rows_a = np.flatnonzero(rows_of(sorted_b, a.hashes, ascending=True) >= 0)
    rows_b = np.flatnonzero(rows_of(sorted_a, b.hashes, ascending=True) >= 0)
    shared = a.hashes[rows_a]
    first, stop = np.searchsorted(sorted_b, shared), np.searchsorted(sorted_b, shared, "right")
    own = np.searchsorted(sorted_a, shared, "right") - np.searchsorted(sorted_a, shared)
    placeholder = (stop - first >= PLACEHOLDER) | (own >= PLACEHOLDER)
    rows, first = rows_a[~placeholder], first[~placeholder]
    counts = stop[~placeholder] - first
    inside = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    right = order_b[np.repeat(first, counts) + inside]
    pairs = Pictures(np.repeat(rows, counts), right, np.full(len(right), np.nan))
    return pairs, rows_a, rows_b, int(np.count_nonzero(placeholder))


def near_centres(a: Side, b: Side, threshold: float, threads: int = 1) -> Identities:
    """Identities whose centres are near one another, exactly.

    Parameters
    ----------
    a, b : Side
        With vectors.
    threshold : float
    threads : int
    """
    names_a, names_b = distinct(a.labels), distinct(b.labels)
    found = pairs_between(_centres(a, names_a), _centres(b, names_b), threshold, threads=threads)
    none = np.zeros(len(found.left), np.int64)
    return Identities(names_a[found.left], names_b[found.right], found.similarity, none, none)


def _centres(side: Side, names: Rows) -> npt.NDArray[np.float32]:
    """The mean direction of each identity, (I, D) float32, unit length; zeros where it has no vector."""
    assert side.vectors is not None
    order = np.argsort(side.labels, kind="stable")
    sums = np.zeros((len(names), side.vectors.shape[1]), np.float32)
    for first in range(0, len(order), ROWS):
        rows = order[first : first + ROWS]
        labels = side.labels[rows]
        starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
        sums[np.searchsorted(names, labels[starts])] += np.add.reduceat(read_unit_rows(side.vectors, rows), starts)
    return unit(sums)


def near_pictures(a: Side, b: Side, people: Identities, threshold: float) -> Pictures:
    """Pictures that are nearly the same, among identities that are one person, with other bytes.

    Parameters
    ----------
    a, b : Side
        With vectors.
    people : Identities
        The pairs whose pictures are compared.
    threshold : float
    """
    assert a.vectors is not None
    assert b.vectors is not None
    parts: list[Pictures] = []
    for one, two in _members(a.labels, b.labels, people):
        found = pairs_between(read_unit_rows(a.vectors, one), read_unit_rows(b.vectors, two), threshold)
        left, right = one[found.left], two[found.right]
        other = np.ones(len(left), np.bool_)
        if a.hashes is not None and b.hashes is not None:
            other = a.hashes[left] != b.hashes[right]
        parts.append(Pictures(left[other], right[other], found.similarity[other]))
    if not parts:
        return Pictures(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Pictures(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _members(labels_a: Rows, labels_b: Rows, people: Identities) -> Iterator[tuple[Rows, Rows]]:
    """The rows of both identities of each pair."""
    order_a, order_b = np.argsort(labels_a, kind="stable"), np.argsort(labels_b, kind="stable")
    ends = [
        np.searchsorted(labels[order], wanted, side=side)
        for labels, order, wanted in ((labels_a, order_a, people.left), (labels_b, order_b, people.right))
        for side in ("left", "right")
    ]
    for a, b, c, d in zip(*(end.tolist() for end in ends), strict=True):
        yield order_a[a:b], order_b[c:d]


def identities_of(a: Side, b: Side, near: Identities, same: Pictures, nearly: Pictures) -> Identities:
    """All pairs of identities that share something, with counts of what.

    Parameters
    ----------
    a, b : Side
    near : Identities
        By their centres.
    same, nearly : Pictures
    """
    columns = [(near.left, near.right)]
    columns += [(a.labels[pairs.left], b.labels[pairs.right]) for pairs in (same, nearly)]
    names_a, names_b = distinct(a.labels), distinct(b.labels)
    codes = [np.searchsorted(names_a, left) * len(names_b) + np.searchsorted(names_b, right) for left, right in columns]
    known = distinct(np.concatenate(codes))
    similarity = np.full(len(known), np.nan)
    similarity[np.searchsorted(known, codes[0])] = near.similarity
    counts = [np.bincount(np.searchsorted(known, some), minlength=len(known)) for some in codes[1:]]
    return Identities(names_a[known // len(names_b)], names_b[known % len(names_b)], similarity, *counts)
