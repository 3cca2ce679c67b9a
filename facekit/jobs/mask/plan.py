"""Which pictures get a mask, decided before the first is opened.

The plan holds 27 bytes a record (key, label, offset, copies, whether it is a picture); measured with the index and the
ledger the parent takes 50 bytes a record (benchmarks/scale.py), and no worker holds any of it but its shard's part.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError
from facekit.jobs.inputs.ledger import AlreadyMasked, already_masked
from facekit.jobs.inputs.source import Source, open_source
from facekit.jobs.mask.config import MaskConfig
from facekit.records.distinct import blocks
from facekit.records.index_policy import index_policy
from facekit.records.key_rows import rows_of
from facekit.run.shards import Shard, cut, shard_size

__all__ = ["MaskPlan", "copies_of", "hash_keys", "make_plan", "smallest"]


class MaskPlan(NamedTuple):
    """What a masking job will do.

    Attributes
    ----------
    source : Source
        Records in the order in which they will be written.
    copies : (N,) uint16
        Masked pictures that each record is to give; with mode ``replace`` 0 or 1.
    shards : list of Shard
    layout : str
        Of the output.
    adds : bool
        Masked pictures are added; else they take the place of their originals.
    verbatim : bool
        Keys, order, header and identity records stay as they are; else the pack is numbered anew.
    masks : AlreadyMasked or None
        What the source's ledger says of pictures that wear a mask already: they are left alone, and go on saying so.
    already_masked : int
        How many of the source's pictures those are.
    """

    source: Source
    copies: npt.NDArray[np.uint16]
    shards: list[Shard]
    layout: str
    adds: bool
    verbatim: bool
    masks: AlreadyMasked | None = None
    already_masked: int = 0

    @property
    def wanted(self) -> int:
        """Masked pictures asked for."""
        return int(self.copies.sum(dtype=np.int64))

    @property
    def pictures(self) -> int:
        """Pictures in the source."""
        return int(np.count_nonzero(self.source.pictures))


def make_plan(config: MaskConfig) -> MaskPlan:
    """Look at the source and choose.

    Raises
    ------
    RecordError
        The source is missing or corrupt.
    FacekitError
        It holds no pictures.
    """
    taken = index_policy(config.partial_index)
    source, verbatim = open_source(config.source, config.layout, config.limit, config.mode == "replace", taken)
    pictures = source.pictures
    if not pictures.any():
        raise FacekitError(f"{config.source} holds no pictures")
    masks = already_masked(Path(source.path)) if source.kind == "pack" else None
    bare = pictures if masks is None else pictures & ~_among(masks.keys, source.keys)
    count = int(np.count_nonzero(pictures)) - int(np.count_nonzero(bare))
    copies = np.zeros(len(source), np.uint16)
    copies[bare] = copies_of(source.keys[bare], config.seed, config.ratio, config.mode, count)
    groups = source.labels if source.layout == "insightface" else None
    shards = cut(len(source), shard_size(len(source)), groups)
    layout = source.layout if config.layout == "same" else config.layout
    return MaskPlan(source, copies, shards, layout, config.mode == "add", verbatim, masks if count else None, count)


def _among(known: npt.NDArray[np.int64], keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which keys, (N,) bool, are among known ones, that ascend."""
    found = np.empty(len(keys), np.bool_)
    for part in blocks(len(keys)):
        found[part] = rows_of(known, keys[part], ascending=True) >= 0
    return found


def copies_of(
    keys: npt.NDArray[np.int64], seed: int, ratio: float, mode: str, already_masked: int = 0
) -> npt.NDArray[np.uint16]:
    """Choose exactly as many as the ratio asks for: those with the smallest hash of seed and key.

    Parameters
    ----------
    keys : (N,) int64
        Keys of the bare pictures, in any order; the choice does not depend on it.
    seed : int
    ratio : float
        ``replace``: of N pictures ``round(ratio N)`` are masked. ``add``: ``round(ratio N / (1 - ratio))`` masked
        copies are added to N pictures, which makes them ``ratio`` of all; above N each gives one or more.
    mode : str
        ``add`` or ``replace``.
    already_masked : int
        Pictures that wear a mask already: they count among all and among the masked. Where they are more than the ratio
        asks for, none is chosen.

    Returns
    -------
    (N,) uint16
        Masked pictures that each is to give.
    """
    count = len(keys)
    missing = ratio * (count + already_masked) - already_masked
    wanted = max(round(missing if mode == "replace" else missing / (1 - ratio)), 0)
    each, rest = divmod(wanted, count) if count else (0, 0)
    if each >= 1 << 16:
        raise ConfigError(f"ratio {ratio} asks for {each:,} masks of every picture; choose one not so near to 1")
    copies = np.full(count, each, np.uint16)
    copies[smallest(keys, seed, rest)] += 1
    return copies


def smallest(keys: npt.NDArray[np.int64], seed: int, count: int) -> npt.NDArray[np.intp]:
    """Positions of the ``count`` keys with the smallest hashes (equal hashes: the smaller key), ascending."""
    if count == 0:
        return np.empty(0, np.intp)
    hashes = hash_keys(keys, seed)
    limit = np.partition(hashes, count - 1)[count - 1]
    below = np.flatnonzero(hashes < limit)
    ties = np.flatnonzero(hashes == limit)
    ties = ties[np.argsort(keys[ties], kind="stable")][: count - below.size]
    return np.sort(np.concatenate([below, ties]))


def hash_keys(keys: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea and Flood 2014) of the keys, started from that of the seed."""
    start = _mix(np.array([seed], np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    hashes = np.empty(len(keys), np.uint64)
    for part in blocks(len(keys)):
        hashes[part] = _mix(keys[part].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start)
    return hashes


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
