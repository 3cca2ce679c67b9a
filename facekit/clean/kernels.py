"""Every compiled loop of cleaning but the spanning tree's, in one file: numba's cache does not see edits in another.

Similarities come out of a blocked matrix product, whose last bit depends on the shape of the block. Wherever a
similarity is compared with a threshold and lies within `MARGIN` of it, it is computed again by `exact_similarity`,
which adds in a fixed order: no decision depends on block sizes, threads or the order of the input.
"""

from __future__ import annotations

import numpy as np

from facekit.compiled import kernel

__all__ = [
    "MARGIN",
    "count_above",
    "dbscan_identities",
    "exact_similarity",
    "gather_above",
    "hash_rows",
    "measure_rows",
    "place_rows",
    "recheck_pairs",
    "score_rows",
    "sum_nodes",
]

MARGIN = 2e-5
"""A float32 dot product of unit vectors of 512 columns is a few 1e-6 from the truth; ten times that costs nothing."""

STRIP = 1024
"""Rows of one strip of the similarity matrix: an identity of any size needs `STRIP * n` floats and never n squared."""

PANEL = 64
"""Columns of the similarity matrix finished at a time: 64 embeddings of 512 columns fill an eighth of an L2 cache."""


@kernel()
def exact_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Return the dot product of two rows, added in order in float64: the same on every path.

    Parameters
    ----------
    a, b : (d,) float32
    """
    total = 0.0
    for k in range(a.shape[0]):
        total += np.float64(a[k]) * np.float64(b[k])
    return total


@kernel()
def hash_rows(bits: np.ndarray, odd: np.ndarray, hashes: np.ndarray) -> None:
    """Hash each row by its content.

    A multilinear hash: Lemire and Kaser, Strongly universal string hashing is fast, The Computer Journal, 2014.

    Parameters
    ----------
    bits : (n, d) uint32
        The rows, seen as words.
    odd : (d,) uint64
        Odd multipliers.
    hashes : (n,) uint64
        Filled.
    """
    for i in range(bits.shape[0]):
        total = np.uint64(0)
        for k in range(bits.shape[1]):
            total += np.uint64(bits[i, k]) * odd[k]
        total ^= total >> np.uint64(32)
        hashes[i] = total * np.uint64(0x9E3779B97F4A7C15)


@kernel(fastmath={"reassoc", "contract"})
def place_rows(rows: np.ndarray, order: np.ndarray, placed: np.ndarray, norms: np.ndarray) -> None:
    """Copy rows at unit length and in another order; zero rows stay zero.

    Parameters
    ----------
    rows : (N, d) float32
    order : (n,) int64
        Row `order[i]` goes to `placed[i]`.
    placed : (n, d) float32
        Filled.
    norms : (n,) float32
        Filled with the lengths.
    """
    for i in range(order.shape[0]):
        row = rows[order[i]]
        total = np.float32(0.0)
        for k in range(row.shape[0]):
            total += row[k] * row[k]
        norms[i] = np.sqrt(total)
        scale = np.float32(1.0) / norms[i] if norms[i] > 0 else np.float32(0.0)
        for k in range(row.shape[0]):
            placed[i, k] = row[k] * scale


@kernel(inner=True)
def _root(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel(inner=True)
def _is_near(similarity: float, threshold: float, a: np.ndarray, b: np.ndarray) -> bool:
    if abs(similarity - threshold) > MARGIN:
        return similarity > threshold
    return exact_similarity(a, b) >= threshold


@kernel(inner=True, fastmath={"reassoc", "contract"})
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    total = np.float32(0.0)
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@kernel(inner=True, fastmath={"reassoc", "contract"})
def _dot_4x4(rows: np.ndarray, i: int, j: int, out: np.ndarray, at: int) -> None:
    """Fill ``out[at:at + 4, j:j + 4]`` with products of four rows with four others: sixteen sums in registers."""
    a0, a1, a2, a3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
    b0, b1, b2, b3 = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = np.float32(0.0)
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = np.float32(0.0)
    for k in range(rows.shape[1]):
        x0, x1, x2, x3 = a0[k], a1[k], a2[k], a3[k]
        y0, y1, y2, y3 = b0[k], b1[k], b2[k], b3[k]
        s00 += x0 * y0
        s01 += x0 * y1
        s02 += x0 * y2
        s03 += x0 * y3
        s10 += x1 * y0
        s11 += x1 * y1
        s12 += x1 * y2
        s13 += x1 * y3
        s20 += x2 * y0
        s21 += x2 * y1
        s22 += x2 * y2
        s23 += x2 * y3
        s30 += x3 * y0
        s31 += x3 * y1
        s32 += x3 * y2
        s33 += x3 * y3
    out[at, j], out[at, j + 1], out[at, j + 2], out[at, j + 3] = s00, s01, s02, s03
    out[at + 1, j], out[at + 1, j + 1], out[at + 1, j + 2], out[at + 1, j + 3] = s10, s11, s12, s13
    out[at + 2, j], out[at + 2, j + 1], out[at + 2, j + 2], out[at + 2, j + 3] = s20, s21, s22, s23
    out[at + 3, j], out[at + 3, j + 1], out[at + 3, j + 2], out[at + 3, j + 3] = s30, s31, s32, s33


@kernel(inner=True)
def _fill_strip(rows: np.ndarray, first: int, last: int, strip: np.ndarray) -> None:
    """Fill ``strip[i, j]`` with the similarity of rows first + i and j, for j > first + i only."""
    n = rows.shape[0]
    tiled = last - (last - first) % 4
    columns = first + (n - first) // 4 * 4
    for left in range(first, columns, PANEL):
        right = min(left + PANEL, columns)
        for i in range(first, min(tiled, right), 4):
            for j in range(max(i, left), right, 4):
                _dot_4x4(rows, i, j, strip, i - first)
    for i in range(first, last):
        start = max(i + 1, columns) if i < tiled else i + 1
        for j in range(start, n):
            strip[i - first, j] = _dot(rows[i], rows[j])


@kernel(inner=True)
def _count_neighbours(
    strip: np.ndarray, first: int, last: int, rows: np.ndarray, threshold: float, degree: np.ndarray
) -> None:
    for i in range(first, last):
        for j in range(i + 1, rows.shape[0]):
            if _is_near(strip[i - first, j], threshold, rows[i], rows[j]):
                degree[i] += 1
                degree[j] += 1


@kernel(inner=True)
def _link_cores(
    strip: np.ndarray, first: int, last: int, rows: np.ndarray, threshold: float, core: np.ndarray, parent: np.ndarray
) -> None:
    for i in range(first, last):
        if not core[i]:
            continue
        mine = _root(parent, i)
        for j in range(i + 1, rows.shape[0]):
            if parent[j] == mine or not core[j]:
                continue
            if _is_near(strip[i - first, j], threshold, rows[i], rows[j]):
                other = _root(parent, j)
                # The smaller index stays the root, so a cluster is named by its first core row.
                low, high = min(mine, other), max(mine, other)
                parent[high] = low
                parent[j] = low
                mine = low


@kernel(inner=True, allocates=True)
def _name_cores(core: np.ndarray, parent: np.ndarray, smallest: int, labels: np.ndarray) -> int:
    """Number the components of core rows by their first row; those of fewer than `smallest` rows are noise."""
    n = core.shape[0]
    size = np.zeros(n, np.int64)
    for i in range(n):
        if core[i]:
            size[_root(parent, i)] += 1
    clusters = 0
    for i in range(n):
        labels[i] = -1
        if core[i] and parent[i] == i and size[i] >= smallest:
            labels[i] = clusters
            clusters += 1
        elif core[i]:
            labels[i] = labels[_root(parent, i)]
    return clusters


@kernel(inner=True)
def _adopt(core: np.ndarray, labels: np.ndarray, border: int, neighbour: int, adopted: np.ndarray) -> None:
    if not core[border] and core[neighbour] and (adopted[border] < 0 or labels[neighbour] < adopted[border]):
        adopted[border] = labels[neighbour]


@kernel(inner=True)
def _adopt_borders(
    strip: np.ndarray,
    first: int,
    last: int,
    rows: np.ndarray,
    threshold: float,
    core: np.ndarray,
    labels: np.ndarray,
    adopted: np.ndarray,
) -> None:
    for i in range(first, last):
        for j in range(i + 1, rows.shape[0]):
            if core[i] != core[j] and _is_near(strip[i - first, j], threshold, rows[i], rows[j]):
                _adopt(core, labels, i, j, adopted)
                _adopt(core, labels, j, i, adopted)


@kernel(inner=True)
def _cluster_pairs(
    rows: np.ndarray, threshold: float, strips: np.ndarray, parent: np.ndarray, core: np.ndarray
) -> None:
    """Link every near pair: all of DBSCAN with at most two samples, where a row with a neighbour is a core row."""
    n = rows.shape[0]
    for first in range(0, n, STRIP):
        last = min(first + STRIP, n)
        strip = strips[: (last - first) * n].reshape(last - first, n)
        _fill_strip(rows, first, last, strip)
        _link_cores(strip, first, last, rows, threshold, core, parent)


@kernel(inner=True, allocates=True)
def _cluster_dense(
    rows: np.ndarray,
    threshold: float,
    min_samples: int,
    strips: np.ndarray,
    parent: np.ndarray,
    core: np.ndarray,
    labels: np.ndarray,
) -> None:
    n = rows.shape[0]
    degree = np.ones(n, np.int64)
    adopted = np.full(n, -1, np.int64)
    for step in range(3):
        for first in range(0, n, STRIP):
            last = min(first + STRIP, n)
            strip = strips[: (last - first) * n].reshape(last - first, n)
            if step == 0 or n > STRIP:
                _fill_strip(rows, first, last, strip)
            if step == 0:
                _count_neighbours(strip, first, last, rows, threshold, degree)
            elif step == 1:
                _link_cores(strip, first, last, rows, threshold, core, parent)
            else:
                _adopt_borders(strip, first, last, rows, threshold, core, labels, adopted)
        if step == 0:
            for i in range(n):
                core[i] = degree[i] >= min_samples
        if step == 1:
            _name_cores(core, parent, 1, labels)
    for i in range(n):
        if not core[i]:
            labels[i] = adopted[i]


@kernel(allocates=True)
def dbscan_identities(
    block: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    threshold: float,
    min_samples: int,
    strips: np.ndarray,
    rows: np.ndarray,
    norms: np.ndarray,
    labels: np.ndarray,
) -> None:
    """DBSCAN in each identity, right after its rows of `block` are placed in `rows`, while they are still in the cache.

    Ester et al., A density-based algorithm for discovering clusters, KDD 1996; border rows go to the cluster with the
    smallest number, as in scikit-learn.

    Parameters
    ----------
    block : (N, d) float32
    order : (n,) int64
        The rows of `block` that take part, identity after identity.
    starts : (i + 1,) int64
        Where each identity starts in `order`.
    threshold : float
        Smallest cosine of neighbours.
    min_samples : int
        Neighbours, itself included, that make a row a core row.
    strips : (s,) float32
        Room for `STRIP` rows of similarities of the largest identity.
    rows : (n, d) float32
    norms : (n,) float32
        Filled as by `place_rows`.
    labels : (n,) int64
        Filled with scikit-learn's numbers, from 0 in each identity, -1 for noise.
    """
    for f in range(starts.shape[0] - 1):
        a, b = starts[f], starts[f + 1]
        place_rows(block, order[a:b], rows[a:b], norms[a:b])
        parent = np.arange(b - a)
        core = np.ones(b - a, np.bool_)
        if min_samples <= 2:
            _cluster_pairs(rows[a:b], threshold, strips, parent, core)
            _name_cores(core, parent, min_samples, labels[a:b])
        else:
            _cluster_dense(rows[a:b], threshold, min_samples, strips, parent, core, labels[a:b])


@kernel()
def sum_nodes(rows: np.ndarray, nodes: np.ndarray, sums: np.ndarray) -> None:
    """Add each row to the sum of its node, in the order of the rows.

    Parameters
    ----------
    rows : (n, d) float32
    nodes : (n,) int64
        -1 belongs nowhere.
    sums : (m, d) float32
        Added to.
    """
    for i in range(rows.shape[0]):
        node = nodes[i]
        if node >= 0:
            for k in range(rows.shape[1]):
                sums[node, k] += rows[i, k]


@kernel(fastmath={"reassoc", "contract"})
def score_rows(
    rows: np.ndarray, norms: np.ndarray, centres: np.ndarray, groups: np.ndarray, scores: np.ndarray
) -> None:
    """Fill `scores` with the cosine of each row and its centre.

    Parameters
    ----------
    rows : (n, d) float32
    norms : (n,) float32
        Their lengths.
    centres : (g, d) float32
        Unit length.
    groups : (n,) int64
        Which centre; -1 for none.
    scores : (n,) float32
        Filled; nan where there is no centre or the row is zero.
    """
    for i in range(rows.shape[0]):
        scores[i] = np.nan
        if groups[i] >= 0 and norms[i] > 0:
            scores[i] = _dot(rows[i], centres[groups[i]]) / norms[i]


@kernel(fastmath={"reassoc", "contract"})
def measure_rows(rows: np.ndarray, norms: np.ndarray) -> None:
    """Fill `norms`, (n,) float32, with the length of each of the `rows`, (n, d) float32."""
    for i in range(rows.shape[0]):
        norms[i] = np.sqrt(_dot(rows[i], rows[i]))


@kernel()
def count_above(block: np.ndarray, threshold: float, upper: bool, counts: np.ndarray) -> None:
    """Count the entries of each row of a block of similarities that reach a threshold.

    Parameters
    ----------
    block : (n, m) float32
    threshold : float
    upper : bool
        Count right of the diagonal only.
    counts : (n,) int64
        Filled.
    """
    floor = np.float32(threshold)
    for i in range(block.shape[0]):
        first = i + 1 if upper else 0
        row = block[i, first:]
        count = 0
        for j in range(row.shape[0]):
            count += row[j] >= floor
        counts[i] = count


@kernel()
def gather_above(
    block: np.ndarray, threshold: float, upper: bool, counts: np.ndarray, left: np.ndarray, right: np.ndarray
) -> None:
    """Write the row and column of every entry that `count_above` counted, row after row.

    Parameters
    ----------
    block, threshold, upper, counts
        As there.
    left, right : (p,) int64
        Filled; p is the sum of the counts.
    """
    floor = np.float32(threshold)
    at = 0
    for i in range(block.shape[0]):
        if counts[i] == 0:
            continue
        for j in range(i + 1 if upper else 0, block.shape[1]):
            if block[i, j] >= floor:
                left[at] = i
                right[at] = j
                at += 1


@kernel()
def recheck_pairs(
    rows: np.ndarray, others: np.ndarray, left: np.ndarray, right: np.ndarray, threshold: float, similarity: np.ndarray
) -> None:
    """Fill `similarity` with the exact product of each pair that may reach `threshold`, with -inf for the others.

    Parameters
    ----------
    rows : (n, d) float32
    others : (m, d) float32
    left, right : (p,) int64
        Rows of `rows` and of `others`.
    threshold : float
    similarity : (p,) float64
        Filled.
    """
    for p in range(left.shape[0]):
        a, b = rows[left[p]], others[right[p]]
        similarity[p] = -np.inf
        # 4 MARGIN of slack relative to the lengths: rows may be longer than 1.
        if _dot(a, b) >= threshold - 4 * MARGIN * (1 + np.sqrt(_dot(a, a) * _dot(b, b))):
            similarity[p] = exact_similarity(a, b)
