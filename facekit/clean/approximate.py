"""Approximate pairs for more centres than exact search on a processor is worth, with the recall that was reached.

faiss's inverted lists (IVF) look at a share of all centres for each one. Every pair that comes back is computed
exactly, so none is wrong; some may be missing, and how many is measured against exact search for a sample of the
centres.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from facekit.clean.pairs import BlockEngine, Pairs, _confirm, pairs_above, pairs_between, sorted_pairs
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

    Returns
    -------
    Pairs
        No wrong pair; `recall` says what share of the pairs of the sample was found.
    """
    rows = np.ascontiguousarray(rows, np.float32)
    index = _build(rows, threads, probed_share)
    parts = [_query(index, rows, first, threshold) for first in range(0, len(rows), QUERY_ROWS)]
    low, high = (np.concatenate(c) for c in zip(*parts))
    key = np.unique(low * len(rows) + high)
    i, j, similarity = _confirm(rows, rows, key // len(rows), key % len(rows), threshold)
    recall, known = _recall(rows, i, j, threshold, min(sample, len(rows)), threads)
    _LOG.info("approximate search of %d centres: recall %.4f on %d pairs of a sample", len(rows), recall, known)
    return sorted_pairs([i], [j], [similarity])._replace(recall=recall)


def _build(rows: np.ndarray, threads: int, probed_share: float) -> Any:
    try:
        import faiss
    except ImportError as error:
        rivals = rival_distributions("faiss")
        cure = f"{rivals}; " if rivals else ""
        raise ConfigError(
            f"approximate search of {len(rows)} centres needs faiss: {cure}pip install '.[clean]' in the checkout"
        ) from error
    faiss.omp_set_num_threads(threads)
    lists = int(np.clip(4 * np.sqrt(len(rows)), 1, len(rows) / 40 + 1))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(rows.shape[1]), rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = TRAINING_ROUNDS
    step = max(1, len(rows) // (64 * lists))
    index.train(np.ascontiguousarray(rows[::step]))
    index.add(rows)
    index.nprobe = max(1, int(np.ceil(lists * probed_share)))
    return index


def _query(index: Any, rows: np.ndarray, first: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    limits, _, found = index.range_search(rows[first : first + QUERY_ROWS], float(threshold) - 1e-4)
    asked = np.repeat(np.arange(first, first + len(limits) - 1), np.diff(limits).astype(np.int64))
    other = found.astype(np.int64)
    keep = asked != other
    return np.minimum(asked, other)[keep], np.maximum(asked, other)[keep]


def _recall(
    rows: np.ndarray, i: np.ndarray, j: np.ndarray, threshold: float, sample: int, threads: int
) -> tuple[float, int]:
    chosen = np.unique(np.linspace(0, len(rows) - 1, sample).astype(np.int64))
    exact = pairs_between(rows[chosen], rows, threshold, threads=threads)
    a, b = chosen[exact.left], exact.right
    true = np.unique((np.minimum(a, b) * len(rows) + np.maximum(a, b))[a != b])
    return float(np.isin(true, i * len(rows) + j).mean()) if len(true) else 1.0, len(true)
