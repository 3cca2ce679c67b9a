"""Which records of a pack are images, which is the dataset header, and which are identities.

Layout ``insightface``: record 0 is the dataset header (flag 2, label [N + 1, N + 1 + M], no payload), keys 1..N are
images, keys N + 1..N + M identity records (flag 2, label [first image key, last + 1), no payload). Layout ``flat``:
every record is an image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import RecordError
from facekit.records.columns import header_columns
from facekit.records.distinct import ascends, distinct
from facekit.records.header import Header

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EXACT_FLOAT32", "LAYOUTS", "first_identity_key", "is_dataset_header", "rebuilt_keys", "whole_labels"]

LAYOUTS = ("insightface", "flat")

EXACT_FLOAT32 = 1 << 24
"""Whole numbers above this are rounded in a float32 label."""


def is_dataset_header(header: Header, payload: bytes) -> bool:
    """Whether a record with key 0 is the dataset header of the layout ``insightface``.

    The usual test, ``flag > 0``, takes an image with a vector label at key 0 for it; this one also wants the payload
    empty and two ascending, finite numbers.

    Parameters
    ----------
    header : Header
    payload : bytes

    Returns
    -------
    bool
    """
    if header.flag != 2 or len(payload):
        return False
    return bool(np.isfinite(header.label).all() and header.label[0] > 1 and header.label[1] >= header.label[0])


def whole_labels(labels: NDArray[np.floating] | np.floating) -> NDArray[np.bool_]:
    """Which labels are whole numbers that an int64 holds with room to spare.

    Parameters
    ----------
    labels : (...) floating

    Returns
    -------
    (...) bool
    """
    return np.asarray(np.isfinite(labels) & (np.rint(labels) == labels) & (np.abs(labels) < 2.0**62))


def first_identity_key(
    claimed: int, keys: NDArray[np.int64], are_identities: Callable[[NDArray[np.int64]], Iterable[bool]]
) -> int:
    """Key of the first identity record: what record 0 says, looked up where float32 has rounded it.

    Parameters
    ----------
    claimed : int
        The dataset header's first number.
    keys : (n,) int64
        Of all records.
    are_identities : callable
        From some keys to whether each one's record is an identity's; asked for as many as rounding leaves open, and
        read no further than it has to be.

    Returns
    -------
    int
    """
    if claimed <= EXACT_FLOAT32:
        return claimed
    rounding = claimed // EXACT_FLOAT32 + 1
    near = np.sort(keys[(keys >= claimed - rounding) & (keys <= claimed + rounding)])
    if not len(near):
        return claimed
    for key, is_identity in zip(near.tolist(), are_identities(near), strict=False):
        if is_identity:
            return int(key)
    return int(near[-1]) + 1


def rebuilt_keys(path: str | os.PathLike[str], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keys where only offsets are known; the rule stands at :func:`facekit.records.scan.rebuild_index`.

    Parameters
    ----------
    path : path
        The ``.rec``.
    offsets : (n,) int64
        Bytes, ascending.

    Returns
    -------
    (n,) int64
    """
    count = len(offsets)
    ranges, ids = np.empty(count, np.bool_), np.empty(count, np.uint64)
    label, second = np.empty(count, np.float32), np.empty(count, np.float32)
    try:
        for part, columns in header_columns(path, offsets):
            ranges[part] = (columns.flag == 2) & columns.empty
            label[part], second[part], ids[part] = columns.label, columns.second, columns.id
    except RecordError:
        # Records without an IRHeader: any RecordIO file may hold them.
        return np.arange(count, dtype=np.int64)
    keys = _insightface_keys(ranges, label, second, ids)
    if keys is not None:
        return keys
    own = ids.view(np.int64)
    if own.min(initial=0) < 0 or not (ascends(own, strictly=True) or len(distinct(own)) == count):
        return np.arange(count, dtype=np.int64)
    return own


def _insightface_keys(
    ranges: NDArray[np.bool_], label: NDArray[np.float32], second: NDArray[np.float32], ids: NDArray[np.uint64]
) -> NDArray[np.int64] | None:
    """Keys of the layout ``insightface``, or None where no record is a dataset header that agrees with the others."""
    others = int(ranges.sum()) - 1
    images = len(ranges) - others - 1
    expected = np.float32(images + 1), np.float32(images + 1 + others)
    headers = np.flatnonzero(ranges & (label == expected[0]) & (second == expected[1]))
    if images < 1 or others < 0 or not len(headers):
        return None
    # An identity record can carry the same two numbers only if its range lies beyond every image.
    header = headers[0]
    keys = np.empty(len(ranges), np.int64)
    keys[header] = 0
    identity = ranges.copy()
    identity[header] = False
    keys[identity] = np.arange(images + 1, images + 1 + others)
    own = ids[~ranges].view(np.int64)
    ordered = own if ascends(own) else np.sort(own)
    if ordered[0] != 1 or ordered[-1] != images or not ascends(ordered, strictly=True):
        own = np.arange(1, images + 1)
    keys[~ranges] = own
    return keys
