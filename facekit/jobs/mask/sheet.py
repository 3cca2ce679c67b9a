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

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SheetSample", "draw_sheet"]

PAIRS_A_TYPE = 8


class Candidate(NamedTuple):
    """A masked picture that may be shown; the smallest hashes are."""

    hash: bytes
    key: int
    source_key: int
    framed: bytes


class SheetSample:
    """For each type the masked pictures with the smallest payload hashes: a fair choice, and always the same one."""

    def __init__(self) -> None:
        self.types: dict[str, list[Candidate]] = {}

    def take(self, entries: pa.Table, offsets: npt.NDArray[np.int64], block: bytes) -> None:
        """Consider the entries of a shard."""
        columns = (entries[name].to_pylist() for name in ("payload_hash", "type", "key", "source_key"))
        for hash, type, key, source_key, offset in zip(*columns, offsets.tolist(), strict=True):
            if type is None:
                continue
            shown = self.types.setdefault(type, [])
            if len(shown) < PAIRS_A_TYPE or hash < shown[-1].hash:
                framed = unframe(block, offset)[0]
                shown[:] = heapq.nsmallest(PAIRS_A_TYPE, [*shown, Candidate(hash, key, source_key, framed)])


def draw_sheet(source: Source, sample: SheetSample, path: Path) -> None:
    """Draw what was sampled, each beside the picture it was made from; nothing where nothing was masked."""
    from facekit.report.contact import Pair, contact_sheet

    groups = {
        type: [Pair(original(source, c.source_key), decode(unpack_record(c.framed)[1]), f"key {c.key}") for c in shown]
        for type, shown in sorted(sample.types.items())
    }
    if groups:
        path.write_bytes(contact_sheet(groups))


def original(source: Source, key: int) -> npt.NDArray[np.uint8]:
    """The picture of a source key."""
    position = int(np.flatnonzero(source.keys == key)[0])
    return decode(next(iter(read_records(source.slice(position, position + 1)))).record.payload)
