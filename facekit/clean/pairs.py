"""All pairs of centres whose similarity reaches a threshold: exact, in blocks, with most of the arithmetic left out.

The rows are rotated so that the first columns hold as much of their length as possible (principal axes, no centring).
For rows a, b split into a head of k columns and a tail, Cauchy-Schwarz gives
``a . b <= head(a) . head(b) + |tail(a)| |tail(b)|``; the tail's length is appended to the head as one more column, so a
block of this bound is one matrix product of k + 1 columns. What stays below the threshold cannot be a pair; what does
not is computed exactly. k is chosen for each call from a sample of the rows. See benchmarks/clean_speed.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from facekit.clean.gathered_rows import gather_rows
from facekit.clean.vectors import map_in_order
from facekit.errors import FacekitError

__all__ = [
    "BlockEngine",
    "Pairs",
    "Processor",
    "block_pairs",
    "pairs_above",
    "pairs_between",
    "prepare",
    "sorted_pairs",
    "too_many",
]

BLOCK_ROWS = 1024
SAMPLE_ROWS = 1024
ROTATION_ROWS = 20_000
STEP = 32
PRODUCT_SECONDS = 1.5e-11  # one multiplication and addition of a blocked float32 product, per core
RECHECK_SECONDS = 1e-7  # one candidate: gathered, and its full product
MAX_PAIRS = 100_000_000


class Pairs(NamedTuple):
    """Pairs in order of (left, right)."""

    left: np.ndarray  # (P,) int64
    right: np.ndarray  # (P,) int64
    similarity: np.ndarray  # (P,) float64
    recall: float = 1.0  # 1 where the search was exact, else measured on a sample


class BlockEngine(Protocol):
    """Where the blocks are multiplied: the processor, or whatever a job hands in (a graphics card)."""

    block_rows: int

    def load(self, rows: np.ndarray) -> Any:
        """Bring (n, k) float32 rows to where they are multiplied; the result is cut with ``[a:b]``."""

    def above(self, left: Any, right: Any, threshold: float, upper: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns, in row order, of the entries of ``left @ right.T`` of at least `threshold`.

        `upper` leaves out the diagonal and what is below it.
        """


class Processor:
    """numpy's matrix product and a compiled scan of it; one buffer for each thread."""

    def __init__(self, block_rows: int = BLOCK_ROWS) -> None:
        self.block_rows = block_rows
        self._local = threading.local()

    def load(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def above(
        self, left: np.ndarray, right: np.ndarray, threshold: float, upper: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        from facekit.clean.kernels import count_above, gather_above

        if not hasattr(self._local, "buffer"):
            self._local.buffer = np.empty(self.block_rows**2, np.float32)
        block = self._local.buffer[: len(left) * len(right)].reshape(len(left), len(right))
        np.matmul(left, right.T, out=block)
        counts = np.empty(len(left), np.int64)
        count_above(block, threshold, upper, counts)
        i, j = np.empty(int(counts.sum()), np.int64), np.empty(int(counts.sum()), np.int64)
        gather_above(block, threshold, upper, counts, i, j)
        return i, j


def pairs_above(
    rows: np.ndarray,
    threshold: float,
    *,
    engine: BlockEngine | None = None,
    threads: int = 1,
    max_pairs: int = MAX_PAIRS,
) -> Pairs:
    """Find every pair i < j with ``rows[i] . rows[j] >= threshold``.

    Parameters
    ----------
    rows : (K, D) float32
        Usually centres at unit length, so that the product is the cosine; any length is allowed.
    threshold : float
    engine : BlockEngine, optional
        Where blocks are multiplied; the processor by default.
    threads : int
        Threads of the processor.
    max_pairs : int
        More than this many pairs are refused, before the memory is full.

    Returns
    -------
    Pairs
        The same pairs as a full product in float64, whatever the engine, the blocks and the threads.

    Raises
    ------
    FacekitError
        Where there are more than `max_pairs`, or a row is not finite.
    """
    rows = _checked(rows)
    return _search(rows, rows, threshold, True, engine, threads, max_pairs)


def pairs_between(
    left: np.ndarray,
    right: np.ndarray,
    threshold: float,
    *,
    engine: BlockEngine | None = None,
    threads: int = 1,
    max_pairs: int = MAX_PAIRS,
) -> Pairs:
    """Find every (i, j) with ``left[i] . right[j] >= threshold``, as `pairs_above` does inside one set.

    Parameters
    ----------
    left : (K, D) float32
    right : (L, D) float32
    threshold, engine, threads, max_pairs
        As of `pairs_above`.

    Returns
    -------
    Pairs

    Raises
    ------
    FacekitError
        Where there are more than `max_pairs`, or a row is not finite.
    """
    return _search(_checked(left), _checked(right), threshold, False, engine, threads, max_pairs)


def _checked(rows: np.ndarray) -> np.ndarray:
    rows = np.ascontiguousarray(rows, np.float32)
    if not all(np.isfinite(rows[first : first + BLOCK_ROWS]).all() for first in range(0, len(rows), BLOCK_ROWS)):
        raise FacekitError("a centre is not finite: the embeddings hold values that are not numbers")
    return rows


def _search(
    left: np.ndarray,
    right: np.ndarray,
    threshold: float,
    upper: bool,
    engine: BlockEngine | None,
    threads: int,
    max_pairs: int,
) -> Pairs:
    if len(left) == 0 or len(right) == 0:
        return sorted_pairs([], [], [])
    engine = engine or Processor()
    shared = getattr(engine, "search", None)
    if shared is not None:
        pairs: Pairs = shared(left, right, threshold, upper, max_pairs)
        return pairs
    ready = prepare(left, right, threshold, upper)
    loaded = [engine.load(head) for head in ready.heads]
    step, found = engine.block_rows, 0
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def work(corner: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b = corner
        return block_pairs(engine, (left, right), (loaded[0][a : a + step], loaded[1][b : b + step]), corner, ready)

    for part in map_in_order(work, _corners(len(left), len(right), step, upper), threads, blas=True):
        found += len(part[0])
        if found > max_pairs:
            raise too_many(max_pairs, threshold)
        parts.append(part)
    return sorted_pairs(*(list(column) for column in zip(*parts)))


class Wanted(Protocol):
    """What a search looks for.

    Attributes
    ----------
    floor : float
        What a bound must reach for its pair to be looked at.
    threshold : float
    upper : bool
    """

    @property
    def floor(self) -> float: ...

    @property
    def threshold(self) -> float: ...

    @property
    def upper(self) -> bool: ...


class Prepared(NamedTuple):
    """A search before its first block: the columns that are multiplied, and what is looked for."""

    heads: tuple[np.ndarray, np.ndarray]
    floor: float
    threshold: float
    upper: bool


def prepare(left: np.ndarray, right: np.ndarray, threshold: float, upper: bool) -> Prepared:
    """Choose how many columns are multiplied, and rotate (K, D) and (L, D) float32 rows for it."""
    longest = max(float(np.einsum("ij,ij->i", x, x).max()) for x in (left, right))
    floor = threshold - 1e-4 * max(longest, 1.0)
    return Prepared(_heads(left, right, floor, upper), floor, threshold, upper)


def block_pairs(
    engine: BlockEngine,
    rows: tuple[np.ndarray, np.ndarray],
    heads: tuple[Any, Any],
    corner: tuple[int, int],
    wanted: Wanted,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of one block: left, right (in all rows) and similarity.

    Parameters
    ----------
    engine : BlockEngine
    rows : (K, D) and (L, D) float32
        All of them.
    heads : two of what the engine loaded
        Of the rows of this block.
    corner : (int, int)
        Where it begins.
    wanted : Wanted
    """
    a, b = corner
    i, j = engine.above(*heads, wanted.floor, wanted.upper and a == b)
    return _confirm(*rows, np.asarray(i, np.int64) + a, np.asarray(j, np.int64) + b, wanted.threshold)


def too_many(max_pairs: int, threshold: float) -> FacekitError:
    """The error of a search with more pairs than memory is meant to hold."""
    return FacekitError(f"more than {max_pairs} pairs of centres reach {threshold}: give a higher threshold")


def _corners(rows: int, columns: int, step: int, upper: bool) -> Iterator[tuple[int, int]]:
    for a in range(0, rows, step):
        for b in range(a if upper else 0, columns, step):
            yield a, b


def _confirm(
    left: np.ndarray, right: np.ndarray, i: np.ndarray, j: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from facekit.clean.kernels import recheck_pairs

    similarity = np.empty(len(i), np.float64)
    recheck_pairs(left, right, i, j, threshold, similarity)
    keep = similarity >= threshold
    return i[keep], j[keep], similarity[keep]


def sorted_pairs(i: list[np.ndarray], j: list[np.ndarray], similarity: list[np.ndarray]) -> Pairs:
    """Parts of a search as one, in order of (left, right)."""
    if not i:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    left, right, value = np.concatenate(i), np.concatenate(j), np.concatenate(similarity)
    order = np.lexsort((right, left))
    return Pairs(left[order], right[order], value[order])


def _heads(left: np.ndarray, right: np.ndarray, floor: float, upper: bool) -> tuple[np.ndarray, np.ndarray]:
    width = left.shape[1]
    if width <= STEP or len(left) * len(right) < 4 * SAMPLE_ROWS**2:
        return left, right
    axes = _principal_axes(right)
    rng = np.random.default_rng(0)
    sample = [x[np.sort(rng.choice(len(x), min(SAMPLE_ROWS, len(x)), replace=False))] @ axes for x in (left, right)]
    k = _best_head(sample[0], sample[1], floor, same=upper)
    if k >= width:
        return left, right
    first = _head(left, axes, k)
    return first, first if upper else _head(right, axes, k)


def _principal_axes(rows: np.ndarray) -> np.ndarray:
    some = rows if len(rows) <= ROTATION_ROWS else rows[:: -(-len(rows) // ROTATION_ROWS)]
    _, axes = np.linalg.eigh((some.T @ some).astype(np.float64))
    return np.ascontiguousarray(axes[:, ::-1], np.float32)


def _best_head(left: np.ndarray, right: np.ndarray, floor: float, same: bool) -> int:
    """Return the number of columns with the least expected time for a pair; all of them where nothing is saved."""
    width = left.shape[1]
    best, least = width, width * PRODUCT_SECONDS
    product = np.zeros((len(left), len(right)), np.float32)
    for k in range(STEP, width, STEP):
        product += left[:, k - STEP : k] @ right[:, k - STEP : k].T
        bound = product + np.outer(np.linalg.norm(left[:, k:], axis=1), np.linalg.norm(right[:, k:], axis=1))
        passed = int((bound >= floor).sum()) - (len(left) if same else 0)
        seconds = k * PRODUCT_SECONDS + max(passed, 1) / bound.size * RECHECK_SECONDS
        if seconds < least:
            best, least = k, seconds
    return best


def _head(rows: np.ndarray, axes: np.ndarray, k: int) -> np.ndarray:
    def heads() -> Iterator[np.ndarray]:
        for first in range(0, len(rows), BLOCK_ROWS):
            some = rows[first : first + BLOCK_ROWS]
            head = np.empty((len(some), k + 1), np.float32)
            np.matmul(some, axes[:, :k], out=head[:, :k])
            rest = np.einsum("ij,ij->i", some, some) - np.einsum("ij,ij->i", head[:, :k], head[:, :k])
            head[:, k] = np.sqrt(np.maximum(rest, 0) + 1e-6)
            yield head

    return gather_rows(heads(), k + 1)
