"""The compiled loops of evaluation, in one file because numba's cache does not see edits in another.

A float32 similarity is counted under an unsigned 32-bit rank that orders as the numbers do: its first 20 bits are the
bin of the first pass, the rest the place inside the bin, which the second pass counts where a threshold lies.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BINS", "PLACES", "count_ahead", "count_bins", "count_places"]

LOW_BITS = 12
PLACES = 1 << LOW_BITS
BINS = 1 << (32 - LOW_BITS)


@njit(cache=True, nogil=True, inline="always")
def _rank(bits: np.uint32) -> np.uint32:
    """The place of a float32, given as its bits, in the order of all float32; -0 counts as 0."""
    if bits == np.uint32(0x80000000):
        return bits
    if bits & np.uint32(0x80000000):
        return ~bits
    return bits | np.uint32(0x80000000)


@njit(cache=True, nogil=True)
def count_bins(
    bits: NDArray[np.uint32],
    probe_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    probe_sources: NDArray[np.int64],
    gallery_sources: NDArray[np.int64],
    lead: int,
    genuine: NDArray[np.int64],
    impostor: NDArray[np.int64],
) -> None:
    """Add a block of similarities to two histograms.

    Parameters
    ----------
    bits : (P, G) uint32
        float32 similarities seen as integers.
    probe_labels, gallery_labels : (P,) and (G,) int64
    probe_sources, gallery_sources : (P,) and (G,) int64
        Only pairs of different sources count.
    lead : int
        Of row i only columns from ``lead + i`` on count (a triangle; a very negative lead: all).
    genuine, impostor : (BINS,) int64
        Added to.
    """
    for i in range(bits.shape[0]):
        label, source = probe_labels[i], probe_sources[i]
        for j in range(max(lead + i, 0), bits.shape[1]):
            if source != gallery_sources[j]:
                place = _rank(bits[i, j]) >> np.uint32(LOW_BITS)
                if label == gallery_labels[j]:
                    genuine[place] += 1
                else:
                    impostor[place] += 1


@njit(cache=True, nogil=True)
def count_places(
    bits: NDArray[np.uint32],
    probe_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    probe_sources: NDArray[np.int64],
    gallery_sources: NDArray[np.int64],
    lead: int,
    slots: NDArray[np.int32],
    genuine: NDArray[np.int64],
    impostor: NDArray[np.int64],
) -> None:
    """As `count_bins`, but only in some bins, and there by place.

    Parameters
    ----------
    bits, probe_labels, gallery_labels, probe_sources, gallery_sources, lead
        As in `count_bins`.
    slots : (BINS,) int32
        Row of each bin in the counts; -1: not counted.
    genuine, impostor : (S, PLACES) int64
        Added to.
    """
    for i in range(bits.shape[0]):
        label, source = probe_labels[i], probe_sources[i]
        for j in range(max(lead + i, 0), bits.shape[1]):
            rank = _rank(bits[i, j])
            slot = slots[rank >> np.uint32(LOW_BITS)]
            if slot >= 0 and source != gallery_sources[j]:
                place = rank & np.uint32(PLACES - 1)
                if label == gallery_labels[j]:
                    genuine[slot, place] += 1
                else:
                    impostor[slot, place] += 1


@njit(cache=True, nogil=True)
def count_ahead(
    similarity: NDArray[np.float32],
    probe_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    probe_sources: NDArray[np.int64],
    gallery_sources: NDArray[np.int64],
    ahead: NDArray[np.int64],
) -> None:
    """For each probe, how many pictures of others are at least as similar as the best one of its own person.

    Parameters
    ----------
    similarity : (P, G) float32
    probe_labels, gallery_labels : (P,) and (G,) int64
    probe_sources, gallery_sources : (P,) and (G,) int64
        Only pairs of different sources count.
    ahead : (P,) int64
        Written; -1 where the gallery has none of its own.
    """
    for i in range(similarity.shape[0]):
        label, source, best, found = probe_labels[i], probe_sources[i], np.float32(-np.inf), False
        for j in range(similarity.shape[1]):
            if gallery_labels[j] == label and gallery_sources[j] != source:
                found = True
                best = max(best, similarity[i, j])
        count = 0
        for j in range(similarity.shape[1]):
            if gallery_labels[j] != label and similarity[i, j] >= best and gallery_sources[j] != source:
                count += 1
        ahead[i] = count if found else -1
