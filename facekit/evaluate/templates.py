"""Templates: one vector for several pictures of a person, as IJB and TinyFace compare them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.embeddings import VectorRows
from facekit.errors import ConfigError
from facekit.records.distinct import distinct

__all__ = ["AGGREGATIONS", "Templates", "aggregate"]

AT_ONCE = 4096
"""Pictures whose vectors are in memory at the same time, in double precision."""

Gather = Callable[[Iterable[NDArray[np.float32]], int], NDArray[np.float32]]

AGGREGATIONS = ("mean", "norm")


class Templates(NamedTuple):
    """Vectors of templates.

    Attributes
    ----------
    ids : (T,) int64, ascending
    vectors : (T, D) float32
        Unit norm.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


def aggregate(
    vectors: NDArray[np.floating] | VectorRows,
    templates: NDArray[np.int64],
    media: NDArray[np.int64],
    weights: NDArray[np.floating] | None = None,
    gather: Gather | None = None,
) -> Templates:
    """Pictures to templates: the mean over the pictures of a medium (a video's frames), then the sum over media.

    So does the public script for IJB (``image2template_feature``).

    Parameters
    ----------
    vectors : (N, D) floating, or VectorRows
        Unit norm; those of a few thousand pictures are looked at at once.
    templates, media : (N,) int64
        Of each picture; media are numbered over all templates or inside each.
    weights : (N,) floating, optional
        Norms before normalisation, for ``norm``: a face of high quality then counts more. None: ``mean``.
    gather : callable, optional
        Puts blocks of vectors together, (n, D) float32 each, given D as well; by default in memory.

    Returns
    -------
    Templates

    Raises
    ------
    ConfigError
        Shapes that do not belong together, or a template whose vectors cancel.
    """
    count = len(vectors)
    gather = _joined if gather is None else gather
    given = (templates, media) if weights is None else (templates, media, weights)
    if vectors.ndim != 2 or any(np.shape(one) != (count,) for one in given):
        raise ConfigError(f"vectors {vectors.shape} need as many templates, media and weights")
    order = np.argsort(templates, kind="stable")
    ids = distinct(templates)
    starts = np.append(templates.searchsorted(ids, sorter=order), count)

    def parts() -> Iterator[NDArray[np.float32]]:
        for first, stop in _some(starts):
            rows = order[starts[first] : starts[stop]]
            scaled = vectors[rows].astype(np.float64)
            if weights is not None:
                scaled *= weights[rows].astype(np.float64)[:, None]
            yield _units(scaled, templates[rows], media[rows])

    return Templates(ids, gather(parts(), vectors.shape[1]))


def _joined(parts: Iterable[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((0, width), np.float32), *parts])


def _some(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Templates that follow one another and have at most `AT_ONCE` pictures together, or are one."""
    first = 0
    while first < len(starts) - 1:
        stop = max(int(np.searchsorted(starts, starts[first] + AT_ONCE, side="right")) - 1, first + 1)
        yield first, stop
        first = stop


def _units(scaled: NDArray[np.float64], templates: NDArray[np.int64], media: NDArray[np.int64]) -> NDArray[np.float32]:
    """The vectors of some whole templates, in their order."""
    both, place = np.unique(np.stack([templates, media]), axis=1, return_inverse=True)
    sums, pictures = np.zeros((both.shape[1], scaled.shape[1])), np.zeros(both.shape[1])
    np.add.at(sums, place.reshape(-1), scaled)
    np.add.at(pictures, place.reshape(-1), 1)
    ids, of_medium = np.unique(both[0], return_inverse=True)
    total = np.zeros((len(ids), scaled.shape[1]))
    np.add.at(total, of_medium.reshape(-1), sums / pictures[:, None])
    norms = np.linalg.norm(total, axis=1)
    if not (norms > 0).all():
        raise ConfigError(f"template {ids[int((norms <= 0).argmax())]}: its vectors cancel, and have no direction")
    return (total / norms[:, None]).astype(np.float32)
