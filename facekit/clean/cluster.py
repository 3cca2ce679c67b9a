"""Clusters inside each identity: DBSCAN (numba over a matrix product) or HDBSCAN, by cosine distance."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from facekit.clean.folders import Chunk, Folders, Vectors, group_folders, iterate_chunks, map_in_order, read_rows
from facekit.errors import ConfigError, FacekitError

__all__ = ["Nodes", "cluster_identities", "find_nodes"]

SMALLEST_HDBSCAN = 2


class Nodes(NamedTuple):
    """The clusters of all identities, in the order of the folders and, inside one, of their numbers.

    A folder without a cluster has one node, its medoid (`fallback`); a folder whose rows are all without an embedding
    has none.
    """

    of_row: np.ndarray  # (N,) int64, -1: in no cluster
    folder: np.ndarray  # (M,) int64
    size: np.ndarray  # (M,) int64 members
    sums: np.ndarray  # (M, D) float32 sum of the unit vectors of the members
    fallback: np.ndarray  # (M,) bool
    norms: np.ndarray  # (N,) float32 length of each row as given


class _Found(NamedTuple):
    rows: np.ndarray | slice
    order: np.ndarray
    labels: np.ndarray
    norms: np.ndarray
    folder: np.ndarray
    size: np.ndarray
    sums: np.ndarray
    fallback: np.ndarray


class _Placed(NamedTuple):
    """The rows of a chunk at unit length, in the order asked for, and the number of each row's cluster in its
    folder."""

    rows: np.ndarray  # (n, D) float32
    norms: np.ndarray  # (n,) float32
    labels: np.ndarray  # (n,) int64, -1: noise

    @classmethod
    def empty(cls, rows: int, width: int) -> _Placed:
        return cls(np.empty((rows, width), np.float32), np.empty(rows, np.float32), np.full(rows, -1, np.int64))


_Cluster = Callable[[np.ndarray, np.ndarray, np.ndarray], _Placed]  # block, order, starts


def cluster_identities(
    vectors: Vectors,
    labels: np.ndarray,
    *,
    eps: float = 0.55,
    min_samples: int = 2,
    method: str = "dbscan",
    threads: int = 1,
) -> np.ndarray:
    """Cluster the embeddings of each identity by cosine distance.

    Parameters
    ----------
    vectors : (N, D) float32
        Embeddings; they need not have unit length.
    labels : (N,) int64
        The identity of each row, in any order and with any gaps.
    eps : float
        Largest cosine distance (1 - cosine) between neighbours.
    min_samples : int
        Neighbours, itself included, that make a row a core row.
    method : {"dbscan", "hdbscan"}
    threads : int

    Returns
    -------
    (N,) int64
        The number of the cluster inside its identity, from 0 in the order of the rows, -1 for noise: for ``"dbscan"``
        exactly what ``sklearn.cluster.DBSCAN(eps, min_samples=min_samples, metric="cosine")`` gives for the rows of
        that identity.
    """
    folders = group_folders(np.asarray(labels, np.int64))
    clusters = np.empty(len(folders.of_row), np.int64)
    cluster = _cluster_function(method, eps, min_samples)

    def work(chunk: Chunk) -> tuple[Chunk, np.ndarray]:
        block = read_rows(vectors, chunk.rows)
        placed = cluster(block, np.arange(len(block)), chunk.starts)
        _refuse_bad_rows(placed.norms, chunk.rows)
        return chunk, placed.labels

    for chunk, found in map_in_order(work, iterate_chunks(folders), threads):
        clusters[chunk.rows] = found
    return clusters


def find_nodes(
    vectors: Vectors,
    folders: Folders,
    *,
    eps: float = 0.55,
    min_samples: int = 2,
    method: str = "dbscan",
    usable: np.ndarray | None = None,
    threads: int = 1,
) -> Nodes:
    """Cluster every folder in one pass and sum each cluster's members.

    The rows of a folder are put into an order of their own content first, so the answer does not depend on the order of
    the input. `usable` (N,) bool: rows that may enter a cluster; the others, and rows of length zero, get node -1.
    """
    cluster = _cluster_function(method, eps, min_samples)
    total, width = vectors.shape
    of_row, norms = np.full(total, -1, np.int64), np.empty(total, np.float32)
    parts: list[_Found] = []
    made = 0
    work = _chunk_worker(vectors, usable, cluster)
    for chunk, found in map_in_order(lambda c: (c, work(c)), iterate_chunks(folders), threads):
        _refuse_bad_rows(found.norms, chunk.rows)
        where = np.arange(chunk.rows.start, chunk.rows.stop) if isinstance(chunk.rows, slice) else chunk.rows
        norms[where] = found.norms
        of_row[where[found.order]] = np.where(found.labels >= 0, found.labels + made, -1)
        parts.append(found)
        made += len(found.size)
    if not parts:
        empty = np.zeros(0, np.int64)
        return Nodes(of_row, empty, empty, np.zeros((0, width), np.float32), np.zeros(0, bool), norms)

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Nodes(of_row, column("folder"), column("size"), column("sums"), column("fallback"), norms)


def _chunk_worker(vectors: Vectors, usable: np.ndarray | None, cluster: _Cluster) -> Callable[[Chunk], _Found]:
    def work(chunk: Chunk) -> _Found:
        from facekit.clean.kernels import sum_nodes

        block = read_rows(vectors, chunk.rows)
        keep = np.ones(len(block), bool) if usable is None else usable[chunk.rows].copy()
        folder = np.repeat(np.arange(len(chunk.starts) - 1), np.diff(chunk.starts))
        lengths = _lengths(block)
        keep &= lengths > 0
        order = np.lexsort((_hashes(block), folder))
        order = order[keep[order]]
        starts = np.searchsorted(folder[order], np.arange(len(chunk.starts)))
        placed = cluster(block, order, starts)
        labels, node_folder, fallback = _name_nodes(placed.rows, starts, placed.labels)
        size = np.bincount(labels[labels >= 0], minlength=len(node_folder)).astype(np.int64)
        sums = np.zeros((len(node_folder), block.shape[1]), np.float32)
        sum_nodes(placed.rows, labels, sums)
        first = chunk.folders.start
        return _Found(chunk.rows, order, labels, lengths, node_folder + first, size, sums, fallback)

    return work


def _name_nodes(rows: np.ndarray, starts: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the clusters of a chunk through, and give every folder that has rows but no cluster its medoid."""
    folder = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    count = np.zeros(len(starts) - 1, np.int64)
    np.maximum.at(count, folder, numbers + 1)
    lonely = (count == 0) & (np.diff(starts) > 0)
    count[lonely] = 1
    offset = np.cumsum(count) - count
    labels = np.where(numbers >= 0, numbers + offset[folder], -1)
    for f in np.flatnonzero(lonely):
        inside = rows[starts[f] : starts[f + 1]]
        labels[starts[f] + _medoid(inside)] = offset[f]
    return labels, np.repeat(np.arange(len(count)), count), np.repeat(lonely, count)


def _medoid(rows: np.ndarray) -> int:
    """Return the row with the largest summed similarity to the others; the first of equals."""
    if len(rows) < 3:
        return 0
    total = rows.astype(np.float64).sum(0)
    return int(np.argmax(np.round(rows @ total, 9)))


def _cluster_function(method: str, eps: float, min_samples: int) -> _Cluster:
    if method == "dbscan":
        return lambda block, order, starts: _dbscan(block, order, starts, 1.0 - eps, min_samples)
    if method == "hdbscan":
        return lambda block, order, starts: _hdbscan(block, order, starts, min_samples)
    raise ConfigError(f"cluster method {method!r}: choose 'dbscan' or 'hdbscan'")


def _dbscan(block: np.ndarray, order: np.ndarray, starts: np.ndarray, threshold: float, min_samples: int) -> _Placed:
    from facekit.clean.kernels import STRIP, cluster_folders

    largest = int(np.diff(starts).max(initial=0))
    strips = np.empty(largest * min(largest, STRIP), np.float32)
    placed = _Placed.empty(len(order), block.shape[1])
    starts = np.ascontiguousarray(starts, np.int64)
    cluster_folders(block, order, starts, threshold, min_samples, strips, *placed)
    return placed


def _hdbscan(block: np.ndarray, order: np.ndarray, starts: np.ndarray, min_samples: int) -> _Placed:
    """HDBSCAN of each folder; on unit vectors the Euclidean distance orders pairs as the cosine does."""
    try:
        from hdbscan import HDBSCAN
    except ImportError as error:
        raise ConfigError("--cluster hdbscan needs the hdbscan package: pip install 'facekit-mfr[clean]'") from error
    from facekit.clean.kernels import place_rows

    rows, norms, labels = placed = _Placed.empty(len(order), block.shape[1])
    place_rows(block, order, rows, norms)
    for a, b in np.stack([starts[:-1], starts[1:]], axis=1):
        if b - a > max(min_samples, SMALLEST_HDBSCAN) and np.isfinite(norms[a:b]).all():
            model = HDBSCAN(min_cluster_size=max(min_samples, SMALLEST_HDBSCAN), min_samples=1, core_dist_n_jobs=1)
            labels[a:b] = model.fit_predict(rows[a:b].astype(np.float64))
    return placed


@cache
def _multipliers(width: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 2**63, width, np.uint64) * np.uint64(2) + np.uint64(1)


def _hashes(block: np.ndarray) -> np.ndarray:
    from facekit.clean.kernels import hash_rows

    hashes = np.empty(len(block), np.uint64)
    # Hashing wraps around on purpose; without the compiler numpy would warn of it.
    with np.errstate(over="ignore"):
        hash_rows(block.view(np.uint32), _multipliers(block.shape[1]), hashes)
    return hashes


def _lengths(block: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", block, block))


def _refuse_bad_rows(norms: np.ndarray, rows: np.ndarray | slice) -> None:
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        row = rows.start + int(bad[0]) if isinstance(rows, slice) else int(rows[bad[0]])
        raise FacekitError(
            f"embedding in row {row} is not finite ({len(bad)} such rows in this part): embed those pictures again, "
            "or set the rows to zero, which means 'no embedding'"
        )
