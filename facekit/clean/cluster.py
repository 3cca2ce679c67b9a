"""Clusters inside each identity: DBSCAN (numba over a matrix product) or HDBSCAN, by cosine distance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from facekit.clean.gathered_rows import gather_rows
from facekit.clean.identity_groups import Chunk, IdentityGroups, group_by_identity, iterate_chunks
from facekit.clean.settings import DEFAULTS, CleanSettings
from facekit.clean.vectors import Vectors, map_in_order, read_rows
from facekit.errors import ConfigError, FacekitError

__all__ = ["ChunkNodes", "Clustering", "Nodes", "cluster_chunks", "cluster_identities", "find_nodes"]

MIN_HDBSCAN = 2

TREE_ABOVE = 256
"""Faces of one label above which facekit looks for HDBSCAN's spanning tree itself: with 512 numbers a face 4,000 take
0.9 CPU seconds, 20,000 41 (48 and more than 500 by the package alone), in memory for a few numbers a face."""

SHORTEST = 1e-12
"""Distance of two faces with the same vector: a sparse matrix does not tell 0 from nothing."""

PLAUSIBLE_FACES = 5000
"""Of one person. The largest identity of MS1MV3 has some hundreds, that of VGGFace2 843, of MegaFace2 2,469."""


class Nodes(NamedTuple):
    """The clusters of all identities, in the order of the identities and, inside one, of their numbers.

    An identity without a cluster has one node, its medoid (`fallback`); one whose rows are all without an embedding has
    none.
    """

    of_row: np.ndarray  # (N,) int32, -1: in no cluster
    identity: np.ndarray  # (M,) int64
    size: np.ndarray  # (M,) int64 members
    sums: np.ndarray  # (M, D) float32 sum of the unit vectors of the members
    fallback: np.ndarray  # (M,) bool
    norms: np.ndarray  # (N,) float32 length of each row as given


class ChunkNodes(NamedTuple):
    """The nodes of a run of whole identities."""

    rows: np.ndarray | slice  # where its n rows are in the input
    order: np.ndarray  # (k,) which of them may enter a cluster
    labels: np.ndarray  # (k,) the node of each of those, from 0; -1: none
    norms: np.ndarray  # (n,) float32
    identity: np.ndarray  # (m,) int64 of all identities
    size: np.ndarray  # (m,) int64
    sums: np.ndarray  # (m, D) float32
    fallback: np.ndarray  # (m,) bool


class Clustering(Protocol):
    """Who finds the nodes of all identities: `cluster_chunks` here, or others."""

    def __call__(
        self, vectors: Vectors, identities: IdentityGroups, settings: CleanSettings, usable: np.ndarray | None
    ) -> Iterator[ChunkNodes]:
        """Yield the nodes of runs of identities, in order."""


class _Clustered(NamedTuple):
    """The rows of a chunk at unit length, in the order asked for, and the number of each row's cluster in its
    identity."""

    rows: np.ndarray  # (n, D) float32
    norms: np.ndarray  # (n,) float32
    labels: np.ndarray  # (n,) int64, -1: noise

    @classmethod
    def empty(cls, rows: int, width: int) -> _Clustered:
        return cls(np.empty((rows, width), np.float32), np.empty(rows, np.float32), np.full(rows, -1, np.int64))


_Cluster = Callable[[np.ndarray, np.ndarray, np.ndarray], _Clustered]  # block, order, starts


def cluster_identities(
    vectors: Vectors,
    labels: np.ndarray,
    *,
    eps: float = float(DEFAULTS.eps),
    min_samples: int = DEFAULTS.min_samples,
    method: str = DEFAULTS.cluster,
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
        that identity (Ester et al., A density-based algorithm for discovering clusters, KDD 1996).

    Raises
    ------
    ConfigError
        An unknown method, or one whose package is not installed.
    FacekitError
        A row is not finite.
    """
    identities = group_by_identity(np.asarray(labels, np.int64))
    clusters = np.empty(len(identities.of_row), np.int64)
    cluster = _cluster_function(method, eps, min_samples)

    def work(chunk: Chunk) -> tuple[Chunk, np.ndarray]:
        block = read_rows(vectors, chunk.rows)
        placed = cluster(block, np.arange(len(block)), chunk.starts)
        _refuse_bad_rows(placed.norms, chunk.rows)
        return chunk, placed.labels

    for chunk, found in map_in_order(work, iterate_chunks(identities), threads):
        clusters[chunk.rows] = found
    return clusters


def cluster_chunks(
    vectors: Vectors, identities: IdentityGroups, settings: CleanSettings, usable: np.ndarray | None = None
) -> Iterator[ChunkNodes]:
    """Cluster every identity by the threads of this process; see `find_nodes`.

    Yields
    ------
    ChunkNodes
        Of all identities, in order.

    Raises
    ------
    ConfigError
        The chosen clustering needs a package that is not installed.
    """
    cluster = _cluster_function(settings.cluster, float(settings.eps), settings.min_samples)
    work = _chunk_worker(vectors, usable, cluster)
    yield from map_in_order(work, iterate_chunks(identities), settings.workers)


def find_nodes(
    vectors: Vectors,
    identities: IdentityGroups,
    settings: CleanSettings,
    usable: np.ndarray | None = None,
    clustering: Clustering = cluster_chunks,
) -> Nodes:
    """Cluster every identity in one pass and sum each cluster's members.

    The rows of an identity are put into an order of their own content first, so the answer does not depend on the order
    of the input.

    Parameters
    ----------
    vectors : (N, D) float32
    identities : IdentityGroups
    settings : CleanSettings
        `cluster`, `eps` (a number), `min_samples` and `workers` are read.
    usable : (N,) bool, optional
        Rows that may enter a cluster; the others, and rows of length zero, get node -1.
    clustering : callable
        Who clusters.

    Returns
    -------
    Nodes

    Raises
    ------
    FacekitError
        A row is not finite.
    """
    total, width = vectors.shape
    of_row, norms = np.full(total, -1, np.int32), np.empty(total, np.float32)
    empty = np.zeros(0, np.int64)
    parts: list[tuple[np.ndarray, ...]] = [(empty, empty, np.zeros(0, bool))]  # identity, size, fallback of each chunk

    def sums_of_chunks() -> Iterator[np.ndarray]:
        count = 0
        for found in clustering(vectors, identities, settings, usable):
            rows = found.rows
            _refuse_bad_rows(found.norms, rows)
            where = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            norms[where] = found.norms
            of_row[where[found.order]] = np.where(found.labels >= 0, found.labels + count, -1)
            parts.append((found.identity, found.size, found.fallback))
            count += len(found.size)
            yield found.sums

    sums = gather_rows(sums_of_chunks(), width)
    identity, size, fallback = (np.concatenate(column) for column in zip(*parts))
    return Nodes(of_row, identity, size, sums, fallback, norms)


def _chunk_worker(vectors: Vectors, usable: np.ndarray | None, cluster: _Cluster) -> Callable[[Chunk], ChunkNodes]:
    def work(chunk: Chunk) -> ChunkNodes:
        from facekit.clean.kernels import sum_nodes

        block = read_rows(vectors, chunk.rows)
        keep = np.ones(len(block), bool) if usable is None else usable[chunk.rows].copy()
        identity = np.repeat(np.arange(len(chunk.starts) - 1), np.diff(chunk.starts))
        lengths = _lengths(block)
        keep &= lengths > 0
        order = np.lexsort((_hashes(block), identity))
        order = order[keep[order]]
        starts = np.searchsorted(identity[order], np.arange(len(chunk.starts)))
        placed = cluster(block, order, starts)
        labels, node_identity, fallback = _number_nodes(placed.rows, starts, placed.labels)
        size = np.bincount(labels[labels >= 0], minlength=len(node_identity)).astype(np.int64)
        sums = np.zeros((len(node_identity), block.shape[1]), np.float32)
        sum_nodes(placed.rows, labels, sums)
        first = chunk.identities.start
        return ChunkNodes(chunk.rows, order, labels, lengths, node_identity + first, size, sums, fallback)

    return work


def _number_nodes(
    rows: np.ndarray, starts: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the clusters of a chunk through, and give every identity that has rows but no cluster its medoid."""
    identity = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    count = np.zeros(len(starts) - 1, np.int64)
    np.maximum.at(count, identity, numbers + 1)
    without = (count == 0) & (np.diff(starts) > 0)
    count[without] = 1
    offset = np.cumsum(count) - count
    labels = np.where(numbers >= 0, numbers + offset[identity], -1)
    for f in np.flatnonzero(without):
        inside = rows[starts[f] : starts[f + 1]]
        labels[starts[f] + _medoid(inside)] = offset[f]
    return labels, np.repeat(np.arange(len(count)), count), np.repeat(without, count)


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


def _dbscan(block: np.ndarray, order: np.ndarray, starts: np.ndarray, threshold: float, min_samples: int) -> _Clustered:
    from facekit.clean.kernels import STRIP, dbscan_identities

    largest = int(np.diff(starts).max(initial=0))
    strips = np.empty(largest * min(largest, STRIP), np.float32)
    placed = _Clustered.empty(len(order), block.shape[1])
    starts = np.ascontiguousarray(starts, np.int64)
    dbscan_identities(block, order, starts, threshold, min_samples, strips, *placed)
    return placed


def _hdbscan(block: np.ndarray, order: np.ndarray, starts: np.ndarray, min_samples: int) -> _Clustered:
    """HDBSCAN of each identity; on unit vectors the Euclidean distance orders pairs as the cosine does."""
    try:
        from hdbscan import HDBSCAN
    except ImportError as error:
        raise ConfigError("--cluster hdbscan needs hdbscan: pip install '.[clean]' in the checkout") from error
    from facekit.clean.kernels import place_rows

    rows, norms, labels = placed = _Clustered.empty(len(order), block.shape[1])
    place_rows(block, order, rows, norms)
    least = max(min_samples, MIN_HDBSCAN)
    for a, b in np.stack([starts[:-1], starts[1:]], axis=1):
        if b - a > least and np.isfinite(norms[a:b]).all():
            tree = b - a > TREE_ABOVE
            given = _spanning_tree(rows[a:b]) if tree else rows[a:b].astype(np.float64)
            metric = "precomputed" if tree else "euclidean"
            model = HDBSCAN(metric=metric, min_cluster_size=least, min_samples=1, core_dist_n_jobs=1)
            labels[a:b] = _in_order_of_rows(model.fit_predict(given))
    return placed


def _in_order_of_rows(labels: np.ndarray) -> np.ndarray:
    """The same clusters, numbered in the order of their first rows; -1 stays."""
    names, first, which = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(np.where(names < 0, -1, first))] = np.arange(len(names)) - int(names[0] < 0)
    return rank[which.reshape(-1)]


def _spanning_tree(rows: np.ndarray) -> Any:
    """The distances along a minimum spanning tree of (n, D) rows, as a sparse (n, n) matrix.

    With ``min_samples=1`` the mutual reachability of two points is their distance, so HDBSCAN sees nothing of the
    distances but this tree (Campello, Moulavi and Sander, Density-based clustering based on hierarchical density
    estimates, PAKDD 2013).
    """
    from scipy.sparse import coo_matrix

    from facekit.clean.tree_kernels import spanning_tree

    count = len(rows)
    left, right, squares = np.empty(count - 1, np.int64), np.empty(count - 1, np.int64), np.empty(count - 1)
    spanning_tree(rows, left, right, squares)
    lengths = np.maximum(np.sqrt(squares), SHORTEST)
    ends = np.concatenate([left, right]), np.concatenate([right, left])
    return coo_matrix((np.concatenate([lengths, lengths]), ends), (count, count)).tocsr()


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
