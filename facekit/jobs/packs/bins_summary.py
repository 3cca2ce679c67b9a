"""What is in a verification ``.bin``, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from facekit.errors import PictureError
from facekit.images import picture_size
from facekit.records import Bins

__all__ = ["BinsSummary", "summarise"]


@dataclass(frozen=True)
class BinsSummary:
    """What is in a .bin.

    Attributes
    ----------
    path : str
    pairs, same, pictures : int
        ``pictures`` counts different ones: lists of pairs use one several times.
    sizes : dict from str to int
        Width x height of the 2 ``pairs`` payloads.
    bytes : int
    unpacked, sheet : str or None
    """

    path: str
    pairs: int
    same: int
    pictures: int
    sizes: dict[str, int]
    bytes: int
    unpacked: str | None = None
    sheet: str | None = None


def summarise(path: str, bins: Bins, size: int, unpacked: str | None = None, sheet: str | None = None) -> BinsSummary:
    """Count what is in it."""
    sizes: Counter[str] = Counter(size_of(payload) for payload in bins.payloads)
    same, pictures = int(bins.same.sum()), len(set(bins.payloads))
    return BinsSummary(path, len(bins.same), same, pictures, dict(sizes.most_common()), size, unpacked, sheet)


def size_of(payload: bytes) -> str:
    """Width x height, in words."""
    try:
        height, width = picture_size(payload)
    except PictureError:
        return "unreadable"
    return f"{width} x {height}"
