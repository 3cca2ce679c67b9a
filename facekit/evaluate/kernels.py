"""The compiled loops of evaluation, in one file because numba's cache does not see edits in another.

A float32 similarity is counted under an unsigned 32-bit rank that orders as the numbers do: its first 20 bits are the
bin of the first pass, the rest the place inside the bin, which the second pass counts where a threshold lies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["BINS", "PLACES", "best_scores", "count_ahead", "count_bins", "count_places", "list_pairs"]

LOW_BITS = 12
PLACES = 1 << LOW_BITS
BINS = 1 << (32 - LOW_BITS)


@kernel(inline="always")
def _rank(bits: np.uint32) -> np.uint32:
    """The place of a float32, given as its bits, in the order of all float32; -0 counts as 0."""
    if bits == np.uint32(0x80000000):
        return bits
    if bits & np.uint32(0x80000000):
        return ~bits
    return bits | np.uint32(0x80000000)


@kernel()
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


@kernel()
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


@kernel()
def best_scores(
    similarity: NDArray[np.float32],
    probe_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    probe_sources: NDArray[np.int64],
    gallery_sources: NDArray[np.int64],
    own: NDArray[np.float32],
    other: NDArray[np.float32],
) -> None:
    """Each probe's largest similarity to its own person, and to others, so far.

    Parameters
    ----------
    similarity : (P, G) float32
        A block of them.
    probe_labels, gallery_labels : (P,) and (G,) int64
    probe_sources, gallery_sources : (P,) and (G,) int64
        Only pairs of different sources count.
    own, other : (P,) float32
        Raised; -inf where there was nobody yet.
    """
    for i in range(similarity.shape[0]):
        label, source = probe_labels[i], probe_sources[i]
        for j in range(similarity.shape[1]):
            if gallery_sources[j] != source:
                if gallery_labels[j] == label:
                    own[i] = max(own[i], similarity[i, j])
                else:
                    other[i] = max(other[i], similarity[i, j])


@kernel()
def count_ahead(
    similarity: NDArray[np.float32],
    probe_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    probe_sources: NDArray[np.int64],
    gallery_sources: NDArray[np.int64],
    own: NDArray[np.float32],
    ahead: NDArray[np.int64],
) -> None:
    """For each probe, how many more pictures of others are at least as similar as the best one of its own person.

    Parameters
    ----------
    similarity, probe_labels, gallery_labels, probe_sources, gallery_sources
        As in `best_scores`.
    own : (P,) float32
        From all blocks.
    ahead : (P,) int64
        Added to.
    """
    for i in range(similarity.shape[0]):
        label, source, best = probe_labels[i], probe_sources[i], own[i]
        for j in range(similarity.shape[1]):
            if similarity[i, j] >= best and gallery_labels[j] != label and gallery_sources[j] != source:
                ahead[i] += 1


@kernel()
def list_pairs(
    similarity: NDArray[np.float32],
    probe_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    probe_sources: NDArray[np.int64],
    gallery_sources: NDArray[np.int64],
    lead: int,
    floor: float,
    genuine: NDArray[np.float32],
    own: NDArray[np.int64],
    impostor: NDArray[np.float32],
    others: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """List all genuine pairs of a block, and the impostor pairs above a similarity.

    Parameters
    ----------
    similarity : (P, G) float32
    probe_labels, gallery_labels, probe_sources, gallery_sources, lead
        As in `count_bins`.
    floor : float
    genuine, own : (A,) float32, (A,) int64
        Similarity and label of each genuine pair; written from ``counts[0]`` on.
    impostor, others : (B,) float32, (B, 2) int64
        Similarity and labels of impostor pairs; written from ``counts[1]`` on.
    counts : (2,) int64
        How many there are; raised.
    """
    for i in range(similarity.shape[0]):
        label, source = probe_labels[i], probe_sources[i]
        for j in range(max(lead + i, 0), similarity.shape[1]):
            if source != gallery_sources[j]:
                if label == gallery_labels[j]:
                    genuine[counts[0]] = similarity[i, j]
                    own[counts[0]] = label
                    counts[0] += 1
                elif similarity[i, j] > floor:
                    impostor[counts[1]] = similarity[i, j]
                    others[counts[1], 0] = label
                    others[counts[1], 1] = gallery_labels[j]
                    counts[1] += 1
