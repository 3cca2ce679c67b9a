"""Approximate pairs for more centres than exact search on a processor is worth, with the recall that was reached.

Inverted lists (Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, 2011, section IV) look at a
share of all centres for each one: faiss finds the lists, and those of each centre. Its index would be a copy of all
centres in memory; here they lie list after list in a mapped file and are multiplied in blocks. Every pair that comes
back is computed exactly, so none is wrong; some may be missing, and how many is measured against exact search for a
sample of the centres.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from facekit.clean.gathered_rows import gather_rows
from facekit.clean.pairs import (
    BLOCK_ROWS,
    MAX_PAIRS,
    BlockEngine,
    Pairs,
    Processor,
    _confirm,
    pairs_above,
    pairs_between,
    sorted_pairs,
    too_many,
)
from facekit.clean.vectors import map_in_order
from facekit.errors import ConfigError
from facekit.run.installed import rival_distributions

__all__ = ["APPROXIMATE_ABOVE", "approximate_pairs", "find_pairs"]

_LOG = logging.getLogger(__name__)

APPROXIMATE_ABOVE = 1_000_000
"""Centres; exact search takes half an hour of one core there and grows with the square (benchmarks/clean_speed.py)."""

QUERY_ROWS = 4096
SAMPLE_CENTRES = 2000
PROBED_SHARE = 1 / 64
"""Of the lists. On 40,000 random directions 1/64 finds all pairs above .75, 1/128 .999 and 1/256 .992 of them."""

TRAINING_ROUNDS = 10


def find_pairs(
    rows: np.ndarray,
    threshold: float,
    *,
    engine: BlockEngine | None = None,
    threads: int = 1,
    approximate_above: int = APPROXIMATE_ABOVE,
) -> Pairs:
    """Find pairs exactly; approximately above `approximate_above` rows without an `engine` to multiply them.

    Parameters
    ----------
    rows : (K, D) float32
    threshold : float
    engine : BlockEngine, optional
    threads : int
    approximate_above : int
        Rows.

    Returns
    -------
    Pairs

    Raises
    ------
    ConfigError
        Approximate search needs faiss, which is not installed.
    FacekitError
        Too many pairs, or a row is not finite.
    """
    if engine is None and len(rows) > approximate_above:
        return approximate_pairs(rows, threshold, threads=threads)
    return pairs_above(rows, threshold, engine=engine, threads=threads)


def approximate_pairs(
    rows: np.ndarray,
    threshold: float,
    *,
    threads: int = 1,
    probed_share: float = PROBED_SHARE,
    sample: int = SAMPLE_CENTRES,
    max_pairs: int = MAX_PAIRS,
) -> Pairs:
    """Find most pairs i < j with ``rows[i] . rows[j] >= threshold``.

    Parameters
    ----------
    rows : (K, D) float32
    threshold : float
    threads : int
    probed_share : float
        Share of the inverted lists that is searched for each row.
    sample : int
        Rows whose pairs are also searched exactly, evenly over all.
    max_pairs : int
        More than this many pairs are refused, before the memory is full.

    Returns
    -------
    Pairs
        No wrong pair; `recall` says what share of the pairs of the sample was found.

    Raises
    ------
    ConfigError
        faiss is not installed.
    FacekitError
        There are more than `max_pairs`.
    """
    rows = np.ascontiguousarray(rows, np.float32)
    key = np.unique(_found(rows, threshold, threads, probed_share, max_pairs))
    if len(key) > max_pairs:
        raise too_many(max_pairs, threshold)
    i, j, similarity = _confirm(rows, rows, key // len(rows), key % len(rows), threshold)
    recall, known = _recall(rows, i, j, threshold, min(sample, len(rows)), threads)
    _LOG.info("approximate search of %d centres: recall %.4f on %d pairs of a sample", len(rows), recall, known)
    return sorted_pairs([i], [j], [similarity])._replace(recall=recall)


class _Lists(NamedTuple):
    """All rows, list after list."""

    index: Any  # faiss's, without rows: only its lists are asked
    probed: int  # lists that are searched for each row
    order: np.ndarray  # (K,) int64 rows
    starts: np.ndarray  # (L + 1,) int64 places in `order`
    rows: np.ndarray  # (K, D) float32 in that order


def _found(rows: np.ndarray, threshold: float, threads: int, probed_share: float, max_pairs: int) -> np.ndarray:
    """``low * K + high`` of pairs of rows, (P,) int64; most of them twice, some below the threshold."""
    lists, engine = _build(rows, threads, probed_share), Processor()
    longest = float(np.einsum("ij,ij->i", rows, rows).max(initial=1.0))
    floor, parts, found = threshold - 1e-4 * max(longest, 1.0), [np.zeros(0, np.int64)], 0

    def work(first: int) -> np.ndarray:
        return _query(lists, engine, first, floor)

    for part in map_in_order(work, iter(range(0, len(rows), QUERY_ROWS)), threads, blas=True):
        found += len(part)
        if found > 2 * max_pairs:
            raise too_many(max_pairs, threshold)
        parts.append(part)
    return np.concatenate(parts)


def _build(rows: np.ndarray, threads: int, probed_share: float) -> _Lists:
    try:
        import faiss
    except ImportError as error:
        rivals = rival_distributions("faiss")
        cure = f"{rivals}; " if rivals else ""
        raise ConfigError(
            f"approximate search of {len(rows)} centres needs faiss: {cure}pip install '.[clean]' in the checkout"
        ) from error
    faiss.omp_set_num_threads(threads)
    count, width = int(np.clip(4 * np.sqrt(len(rows)), 1, len(rows) / 40 + 1)), rows.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, count, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = TRAINING_ROUNDS
    step = max(1, len(rows) // (64 * count))
    index.train(gather_rows((some[::step] for some in _blocks(rows, QUERY_ROWS * step)), width))
    of_row = np.concatenate([index.quantizer.search(some, 1)[1][:, 0] for some in _blocks(rows, QUERY_ROWS)])
    order = np.argsort(of_row, kind="stable")
    starts = np.searchsorted(of_row, np.arange(count + 1), sorter=order)
    inside = gather_rows((rows[some] for some in _blocks(order, QUERY_ROWS)), width)
    return _Lists(index, max(1, int(np.ceil(count * probed_share))), order, starts, inside)


def _blocks(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _query(lists: _Lists, engine: Processor, first: int, floor: float) -> np.ndarray:
    """Search the lists of some rows, which are neighbours: they look at the same ones."""
    asking = lists.rows[first : first + QUERY_ROWS]
    probed = lists.index.quantizer.search(asking, lists.probed)[1]
    by_list = np.argsort(probed, axis=None, kind="stable")
    numbers = probed.reshape(-1)[by_list]
    firsts = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1]))
    parts = [np.zeros(0, np.int64)]
    for start, stop in zip(firsts.tolist(), [*firsts[1:].tolist(), len(numbers)], strict=True):
        number = int(numbers[start])
        if number >= 0:
            span = int(lists.starts[number]), int(lists.starts[number + 1])
            parts.append(_in_list(lists, engine, first + by_list[start:stop] // lists.probed, span, floor))
    return np.concatenate(parts)


def _in_list(lists: _Lists, engine: Processor, asking: np.ndarray, span: tuple[int, int], floor: float) -> np.ndarray:
    """``low * K + high`` of the pairs of some rows, by their places, with those of one list."""
    parts = [np.zeros(0, np.int64)]
    for some in _blocks(asking, BLOCK_ROWS):
        left = lists.rows[some]
        for first in range(*span, BLOCK_ROWS):
            i, j = engine.above(left, lists.rows[first : min(first + BLOCK_ROWS, span[1])], floor, False)
            one, two = lists.order[some[i]], lists.order[first + j]
            keep = one != two
            parts.append(np.minimum(one, two)[keep] * len(lists.rows) + np.maximum(one, two)[keep])
    return np.concatenate(parts)


def _recall(
    rows: np.ndarray, i: np.ndarray, j: np.ndarray, threshold: float, sample: int, threads: int
) -> tuple[float, int]:
    chosen = np.unique(np.linspace(0, len(rows) - 1, sample).astype(np.int64))
    exact = pairs_between(rows[chosen], rows, threshold, threads=threads)
    a, b = chosen[exact.left], exact.right
    true = np.unique((np.minimum(a, b) * len(rows) + np.maximum(a, b))[a != b])
    return float(np.isin(true, i * len(rows) + j).mean()) if len(true) else 1.0, len(true)
