"""Where a job over a pack is cut: contiguous runs of positions, at identity boundaries where there are any."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Shard", "cut", "shard_size"]

SMALLEST, LARGEST, AIM = 64, 4096, 64


class Shard(NamedTuple):
    """Positions ``first`` to ``stop`` (excluded) of a pack, in the order in which they will be written."""

    number: int
    first: int
    stop: int


def shard_size(count: int) -> int:
    """Records a shard should hold: enough shards for any number of workers, and at most 4096 records (about 30 MB).

    It depends on nothing but ``count``, so that the same pack is cut the same way on every machine.
    """
    return min(LARGEST, max(SMALLEST, -(-count // AIM)))


def cut(count: int, size: int, groups: npt.NDArray[np.int64] | None = None) -> list[Shard]:
    """Cut ``count`` positions into shards of at most ``size``.

    Parameters
    ----------
    count : int
        Number of positions.
    size : int
        Most positions a shard may hold.
    groups : (count,) int64, optional
        The identity at each position. A shard ends where the identity changes, as late as ``size`` allows; an
        identity larger than ``size`` is cut inside, so that memory stays bounded whatever the labels say.

    Returns
    -------
    list of Shard
        They follow each other without a gap from 0 to ``count``.
    """
    if size < 1:
        raise ValueError(f"a shard holds at least one record, not {size}")
    shards: list[Shard] = []
    first = 0
    while first < count:
        stop = min(first + size, count)
        if groups is not None and stop < count:
            stop = _last_boundary(groups[first : stop + 1], first) or stop
        shards.append(Shard(len(shards), first, stop))
        first = stop
    return shards


def _last_boundary(groups: npt.NDArray[np.int64], first: int) -> int:
    """The last position at which a new identity begins in this stretch, or 0 when it holds only one."""
    changes = np.flatnonzero(groups[1:] != groups[:-1])
    return first + int(changes[-1]) + 1 if changes.size else 0
