"""The compiled loop of a spanning tree, which calls nothing of the other kernels."""

from __future__ import annotations

import numpy as np

from facekit.compiled import kernel

__all__ = ["spanning_tree"]


@kernel(inner=True, fastmath={"reassoc", "contract"})
def _square_distance(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for k in range(len(a)):
        difference = np.float64(a[k]) - np.float64(b[k])
        total += difference * difference
    return total


@kernel(allocates=True)
def spanning_tree(rows: np.ndarray, left: np.ndarray, right: np.ndarray, squares: np.ndarray) -> None:
    """Find a minimum spanning tree of rows by their Euclidean distance, in memory for one number a row.

    Prim, Shortest connection networks and some generalizations, Bell System Technical Journal, 1957: every distance is
    computed once, when one of its ends joins the tree.

    Parameters
    ----------
    rows : (n, D) float32
    left, right : (n - 1,) int64
        Written: the ends of each edge.
    squares : (n - 1,) float64
        Written: its square length.
    """
    count = len(rows)
    nearest = np.zeros(count, np.int64)
    best = np.full(count, np.inf)
    waiting = np.arange(1, count)
    newest = 0
    for edge in range(count - 1):
        closest = 0
        for place in range(len(waiting)):
            i = waiting[place]
            square = _square_distance(rows[newest], rows[i])
            if square < best[i]:
                best[i], nearest[i] = square, newest
            if best[i] < best[waiting[closest]]:
                closest = place
        newest = waiting[closest]
        left[edge], right[edge], squares[edge] = nearest[newest], newest, best[newest]
        waiting[closest] = waiting[-1]
        waiting = waiting[:-1]
