"""Verification over all pairs of two sets, or of one with itself, in memory that does not grow with the pairs.

Two passes over the same blocks of similarities: the first counts them in 2^20 bins, the second counts the 4096 float32
numbers of the bins in which a threshold lies. TAR, thresholds and counts are exact for the float32 similarities; the
curve is exact at the bins' edges (at most 1/2048 of a similarity's size apart).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, FacekitError
from facekit.evaluate.faces import FaceSet, comparable_sources
from facekit.evaluate.operating_points import (
    OperatingPoint,
    Roc,
    allowed_accepts,
    check_genuine,
    measurable_fars,
    roc_from_counts,
)

__all__ = ["AllPairs", "blocks_of", "placed_blocks", "verify_all"]

BLOCK = 2048  # similarities of a block: 16 MiB of float32
EVERYTHING = -(1 << 62)


class AllPairs(NamedTuple):
    """Verification scores over all pairs.

    Attributes
    ----------
    genuine, impostor : int
        Pairs of one person, and of two.
    points : tuple of OperatingPoint
    roc : Roc
    """

    genuine: int
    impostor: int
    points: tuple[OperatingPoint, ...]
    roc: Roc


class Block(NamedTuple):
    """Similarities of P probes to G pictures of the gallery, with what a kernel needs to know about them.

    Attributes
    ----------
    bits : (P, G) uint32
        float32 similarities seen as integers.
    probe_labels, gallery_labels : (P,) and (G,) int64
    probe_sources, gallery_sources : (P,) and (G,) int64
        Pairs of equal numbers are not counted.
    lead : int
        Of row i only columns from ``lead + i`` on count.
    """

    bits: NDArray[np.uint32]
    probe_labels: NDArray[np.int64]
    gallery_labels: NDArray[np.int64]
    probe_sources: NDArray[np.int64]
    gallery_sources: NDArray[np.int64]
    lead: int


def verify_all(
    probe: FaceSet,
    gallery: FaceSet | None = None,
    fars: Sequence[float] | None = None,
    advance: Callable[[int], None] | None = None,
) -> AllPairs:
    """TAR@FAR over all pairs.

    Parameters
    ----------
    probe : FaceSet
    gallery : FaceSet, optional
        Every probe is compared with every one of these; a photograph that is in both, by ``sources``, not with itself.
        None: each pair of two different probes once.
    fars : sequence of float, optional
        None: the powers of ten that can be measured.
    advance : callable, optional
        Called with the number of similarities finished; there are two passes.

    Returns
    -------
    AllPairs

    Raises
    ------
    ConfigError
        No genuine pair, a FAR outside (0, 1] or below 1 over the impostor pairs, sets of different dimensions.
    """
    other = probe if gallery is None else gallery
    if other.vectors.shape[1] != probe.vectors.shape[1]:
        raise ConfigError(f"probes have {probe.vectors.shape[1]} dimensions and the gallery {other.vectors.shape[1]}")
    genuine, impostor = _first_pass(probe, gallery, advance)
    total = int(impostor.sum())
    check_genuine(int(genuine.sum()))
    fars = measurable_fars(total) if fars is None else fars
    allowed = [allowed_accepts(far, total) for far in fars]
    bins = [_bin_of(impostor, count) for count in allowed]
    places = _second_pass(probe, gallery, sorted({b for b in bins if b >= 0}), (genuine, impostor), advance)
    points = [_point(far, k, b, (genuine, impostor), places) for far, k, b in zip(fars, allowed, bins, strict=True)]
    return AllPairs(int(genuine.sum()), total, tuple(points), roc_from_counts(genuine, impostor))


def _first_pass(
    probe: FaceSet, gallery: FaceSet | None, advance: Callable[[int], None] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from facekit.evaluate.kernels import BINS, count_bins

    genuine, impostor = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for block in blocks_of(probe, gallery, advance):
        count_bins(*block, genuine, impostor)
    return genuine, impostor


def _second_pass(
    probe: FaceSet,
    gallery: FaceSet | None,
    bins: list[int],
    coarse: tuple[NDArray[np.int64], NDArray[np.int64]],
    advance: Callable[[int], None] | None,
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each bin, the counts of genuine and impostor pairs at its places."""
    from facekit.evaluate.kernels import BINS, PLACES, count_places

    slots = np.full(BINS, -1, np.int32)
    slots[bins] = np.arange(len(bins))
    genuine, impostor = (np.zeros((len(bins), PLACES), np.int64) for _ in range(2))
    for block in blocks_of(probe, gallery, advance) if bins else ():
        count_places(*block, slots, genuine, impostor)
    if not all(np.array_equal(c[bins], f.sum(1)) for c, f in zip(coarse, (genuine, impostor), strict=True)):
        raise FacekitError("two passes over the same pairs differed: the matrix product is not repeatable here;"
                           " try OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1")  # fmt: skip
    return {b: (genuine[slot], impostor[slot]) for slot, b in enumerate(bins)}


def blocks_of(probe: FaceSet, gallery: FaceSet | None, advance: Callable[[int], None] | None) -> Iterator[Block]:
    """Every similarity once, block by block; the next block is written over the last.

    Parameters
    ----------
    probe : FaceSet
    gallery : FaceSet or None
        None: the pairs of ``probe`` with itself.
    advance : callable or None
        See `verify_all`.

    Yields
    ------
    Block
    """
    for _, block in placed_blocks(probe, gallery):
        yield block
        if advance:
            advance(block.bits.size)


def placed_blocks(probe: FaceSet, gallery: FaceSet | None, mates_only: bool = False) -> Iterator[tuple[slice, Block]]:
    """As `blocks_of`, with the probes that each block is of; on request only blocks in which somebody meets himself."""
    other = probe if gallery is None else gallery
    probe_sources, gallery_sources = comparable_sources(probe, other)
    out = np.empty(BLOCK * BLOCK, np.float32)
    for row in range(0, len(probe), BLOCK):
        rows = slice(row, row + BLOCK)
        left = probe.vectors[rows]
        for column in range(row if gallery is None else 0, len(other), BLOCK):
            columns = slice(column, column + BLOCK)
            if mates_only and not np.isin(probe.labels[rows], other.labels[columns]).any():
                continue
            right = other.vectors[columns]
            similarity = np.matmul(left, right.T, out=out[: len(left) * len(right)].reshape(len(left), len(right)))
            lead = EVERYTHING if gallery is not None else row - column + 1
            sources = (probe_sources[rows], gallery_sources[columns])
            yield rows, Block(similarity.view(np.uint32), probe.labels[rows], other.labels[columns], *sources, lead)


def _bin_of(impostor: NDArray[np.int64], allowed: int) -> int:
    """The bin of the (allowed + 1)-th largest similarity; -1 where there are no more than ``allowed``."""
    from_top = np.cumsum(impostor[::-1])
    place = int(np.searchsorted(from_top, allowed, side="right"))
    return len(impostor) - 1 - place if place < len(impostor) else -1


def _point(
    far: float,
    allowed: int,
    bin_: int,
    coarse: tuple[NDArray[np.int64], NDArray[np.int64]],
    places: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> OperatingPoint:
    totals = [int(counts.sum()) for counts in coarse]
    accepted, threshold = totals, -np.inf
    if bin_ >= 0:
        above = [int(counts[bin_ + 1 :].sum()) for counts in coarse]
        fine = places[bin_]
        place = _bin_of(fine[1], allowed - above[1])
        accepted = [a + int(counts[place + 1 :].sum()) for a, counts in zip(above, fine, strict=True)]
        threshold = _value(bin_ * len(fine[0]) + place)
    return OperatingPoint(far, accepted[0] / totals[0], float(threshold), accepted[0], accepted[1], *totals)


def _value(rank: int) -> float:
    """The float32 at a place in the order of all float32."""
    bits = rank ^ 0x80000000 if rank >= 0x80000000 else ~rank & 0xFFFFFFFF
    return float(np.array([bits], np.uint32).view(np.float32)[0])
