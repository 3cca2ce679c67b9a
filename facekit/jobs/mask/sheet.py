"""Which pictures the contact sheet of a masking job shows."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.images import decode
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import read_records
from facekit.records import unframe, unpack_record
from facekit.run.shard_blocks import read_span
from facekit.run.shard_file import open_shard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SheetSample", "draw_sheet"]

PAIRS_A_TYPE = 8


class Candidate(NamedTuple):
    """A masked picture that may be shown; the smallest hashes are. Where its record lies in which finished shard."""

    hash: bytes
    key: int
    source_key: int
    shard: Path
    start: int
    stop: int


class SheetSample:
    """For each type the masked pictures with the smallest payload hashes: a fair choice, and always the same one."""

    def __init__(self) -> None:
        self.types: dict[str, list[Candidate]] = {}

    def take(self, entries: pa.Table, offsets: npt.NDArray[np.int64], shard: Path) -> None:
        """Consider the entries of a shard, and where in its file their records start; -1 where there is none."""
        columns = (entries[name].to_pylist() for name in ("payload_hash", "type", "key", "source_key"))
        places = offsets.tolist(), _stops(offsets, open_shard(shard).records).tolist()
        for hash, type, key, source_key, start, stop in zip(*columns, *places, strict=True):
            if type is None:
                continue
            shown = self.types.setdefault(type, [])
            if len(shown) < PAIRS_A_TYPE or hash < shown[-1].hash:
                candidate = Candidate(hash, key, source_key, shard, start, stop)
                shown[:] = heapq.nsmallest(PAIRS_A_TYPE, [*shown, candidate])


def _stops(offsets: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Where records end that start at ascending offsets, (n,) int64; rows with the offset -1 have none."""
    stops, written = np.full(len(offsets), -1, np.int64), offsets >= 0
    stops[written] = np.append(offsets[written][1:], size)
    return stops


def draw_sheet(source: Source, sample: SheetSample, path: Path) -> None:
    """Draw what was sampled, each beside the picture it was made from; nothing where nothing was masked."""
    from facekit.report.contact import Pair, contact_sheet

    groups = {
        type: [Pair(original(source, c.source_key), shown_picture(c), f"key {c.key}") for c in shown]
        for type, shown in sorted(sample.types.items())
    }
    if groups:
        path.write_bytes(contact_sheet(groups))


def shown_picture(candidate: Candidate) -> npt.NDArray[np.uint8]:
    """The masked picture of a candidate."""
    framed = read_span(candidate.shard, candidate.start, candidate.stop)
    return decode(unpack_record(unframe(framed)[0])[1])


def original(source: Source, key: int) -> npt.NDArray[np.uint8]:
    """The picture of a source key."""
    position = int(np.flatnonzero(source.keys == key)[0])
    return decode(next(iter(read_records(source.slice(position, position + 1)))).record.payload)
