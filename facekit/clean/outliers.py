"""How similar each face is to a centre, streamed at the speed of memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from facekit.clean.vectors import Vectors, map_in_order, read_rows

__all__ = ["score_faces"]

SCORE_ROWS = 8192


def score_faces(
    vectors: Vectors,
    centres: np.ndarray,
    groups: np.ndarray,
    *,
    norms: np.ndarray | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Return the cosine of each face with the centre it is assigned to.

    Parameters
    ----------
    vectors : (N, D) float32
        Of any length; an array, a memory map or a store.
    centres : (G, D) float32
        Unit length.
    groups : (N,) integer
        Which centre; -1 for none.
    norms : (N,) float32, optional
        Length of each vector, where it is known already.
    threads : int

    Returns
    -------
    (N,) float32
        nan where `groups` is -1 or the vector is zero.
    """
    from facekit.clean.kernels import measure_rows, score_rows

    scores = np.empty(len(groups), np.float32)
    centres = np.ascontiguousarray(centres, np.float32)

    def work(rows: slice) -> None:
        block = read_rows(vectors, rows)
        if norms is None:
            lengths = np.empty(len(block), np.float32)
            measure_rows(block, lengths)
        else:
            lengths = norms[rows]
        score_rows(block, lengths, centres, groups[rows].astype(np.int64, copy=False), scores[rows])

    for _ in map_in_order(work, _runs(len(groups), SCORE_ROWS), threads):
        pass
    return scores


def _runs(count: int, step: int) -> Iterator[slice]:
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))
