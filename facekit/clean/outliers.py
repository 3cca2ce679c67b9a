"""How similar each face is to a centre, streamed at the speed of memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from facekit.clean.folders import Vectors, map_in_order, read_rows

__all__ = ["nearest_centres", "score_faces"]

SCORE_ROWS = 8192
NEAREST_ROWS = 512
NEAREST_CENTRES = 4096


def score_faces(vectors: Vectors, centres: np.ndarray, groups: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """Return the cosine of each face with the centre it is assigned to.

    Parameters
    ----------
    vectors : (N, D) float32
        Of any length; an array, a memory map or a store.
    centres : (G, D) float32
        Unit length.
    groups : (N,) int64
        Which centre; -1 for none.
    threads : int

    Returns
    -------
    (N,) float32
        nan where `groups` is -1 or the vector is zero.
    """
    from facekit.clean.kernels import score_rows

    scores = np.empty(len(groups), np.float32)
    centres = np.ascontiguousarray(centres, np.float32)

    def work(rows: slice) -> None:
        score_rows(read_rows(vectors, rows), centres, groups[rows], scores[rows])

    for _ in map_in_order(work, _runs(len(groups), SCORE_ROWS), threads):
        pass
    return scores


def nearest_centres(
    rows: np.ndarray, centres: np.ndarray, *, count: int = 2, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `count` most similar centres of each row, best first, and the similarities.

    Parameters
    ----------
    rows : (n, D) float32
        Unit length.
    centres : (G, D) float32
        Unit length.

    Returns
    -------
    (n, count) int64, (n, count) float32
        -1 and -inf where there are fewer centres.
    """
    index = np.full((len(rows), count), -1, np.int64)
    best = np.full((len(rows), count), -np.inf, np.float32)

    def work(part: slice) -> None:
        for first in range(0, len(centres), NEAREST_CENTRES):
            block = rows[part] @ centres[first : first + NEAREST_CENTRES].T
            some = np.argpartition(-block, min(count, block.shape[1]) - 1, axis=1)[:, :count]
            values = np.concatenate([best[part], np.take_along_axis(block, some, 1)], axis=1)
            names = np.concatenate([index[part], some + first], axis=1)
            order = np.lexsort((names, -values), axis=1)[:, :count]
            best[part], index[part] = np.take_along_axis(values, order, 1), np.take_along_axis(names, order, 1)

    for _ in map_in_order(work, _runs(len(rows), NEAREST_ROWS), threads):
        pass
    return index, best


def _runs(count: int, step: int) -> Iterator[slice]:
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))
