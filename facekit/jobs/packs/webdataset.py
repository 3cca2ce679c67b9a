"""Packs and samples -> shards (tar or parquet), and tar shards -> packs, one record at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.jobs.outputs.copy_shards import GatheredRecords
from facekit.jobs.outputs.counts import check_counts, records_in
from facekit.jobs.outputs.gather import GatheredReader, GatheredSamples
from facekit.jobs.outputs.ledger_rows import copied_rows, dropped_rows, layout_keys, layout_rows
from facekit.jobs.outputs.rewrite import Dropped, PackSource, Written, refuse_nothing
from facekit.jobs.packs.share_samples import shared_records
from facekit.records import Header, PackWriter, Record
from facekit.records.parquet_shards import ParquetWriter, parquet_name
from facekit.records.tar_shards import TarReader, TarSamples, TarWriter, tar_name
from facekit.run.ledger import LEDGER, LedgerWriter, payload_hash
from facekit.run.progress import progress
from facekit.run.shards import Shard

__all__ = ["Samples", "shard_name", "write_pack_of_shards", "write_shard", "write_shards"]

AT_ONCE = 1024

Samples = PackSource | TarSamples | GatheredSamples


def write_shards(
    source: Samples,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    dropped: Sequence[Dropped],
    folder: Path,
    records: int,
    hashes: bool,
    layout: str = "webdataset",
    finished: Callable[[Path], object] = Path.exists,
    gathered: GatheredRecords | None = None,
) -> Written:
    """Write records as shards of the layout ``webdataset`` or ``parquet``, with a ledger; they are numbered from 0 on.

    ``finished`` is called with the path of each shard that is whole. The records come from ``gathered`` where others
    have gathered them.

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or the disk refuses.
    """
    refuse_nothing(len(rows), dropped)
    shards: Any = TarWriter(folder, records) if layout == "webdataset" else ParquetWriter(folder, records, len(rows))
    with shards as writer, LedgerWriter(folder / LEDGER) as ledger:
        with progress("converting", len(rows)) as advance:
            for first, some in _batches(source, rows, gathered):
                keys = np.arange(first, first + len(some))
                for key, record in zip(keys.tolist(), some):
                    header = _renumbered(_relabelled(record.header, int(labels[key])), record.key, key)
                    writer.write(key, header, record.payload)
                    while writer.closed_shards:
                        finished(writer.closed_shards.pop(0))
                _note(source, ledger, keys, some, hashes)
                advance(len(some))
        _note_dropped(ledger, dropped)
        writer.close()
        while writer.closed_shards:
            finished(writer.closed_shards.pop(0))
    found = np.unique(labels)
    return Written(len(rows), len(found), int(found[-1]) + 1, writer.bytes)


def write_shard(
    source: Samples,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    folder: Path,
    shard: Shard,
    records: int,
    layout: str,
) -> Path:
    """Write one of the shards of `write_shards`, without a ledger, and return its path.

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or the disk refuses.
    """
    shards: Any = TarWriter(folder, records) if layout == "webdataset" else ParquetWriter(folder, records, len(rows))
    shards.shards, shards.records = shard.number, shard.first
    with shards as writer:
        for key, record in enumerate(_records(source, rows[shard.first : shard.stop]), shard.first):
            header = _renumbered(_relabelled(record.header, int(labels[key])), record.key, key)
            writer.write(key, header, record.payload)
    path: Path = writer.closed_shards.pop()
    return path


def shard_name(layout: str, shard: int, count: int) -> str:
    """The name that a shard of a layout has, of so many."""
    return tar_name(shard) if layout == "webdataset" else parquet_name(shard, count)


def write_pack_of_shards(
    samples: TarSamples,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    dropped: Sequence[Dropped],
    folder: Path,
    layout: str,
    hashes: bool,
    gathered: GatheredRecords | None = None,
) -> Written:
    """Write samples as a pack with a ledger; from ``gathered`` where others have gathered them.

    Raises
    ------
    RecordError
        A shard cannot be read, or the disk refuses.
    """
    refuse_nothing(len(rows), dropped)
    aside = folder.with_name(folder.name + "." + LEDGER)
    with PackWriter(folder, layout, overwrite=True) as writer, LedgerWriter(aside) as ledger:
        with progress("converting", len(rows)) as advance:
            for first, some in _batches(samples, rows, gathered):
                keys = np.empty(len(some), np.int64)
                for place, record in enumerate(some):
                    header = _relabelled(record.header, int(labels[first + place]))
                    keys[place] = writer.write(_renumbered(header, record.key, writer.next_key), record.payload)
                _note(samples, ledger, keys, some, hashes)
                advance(len(some))
        _note_dropped(ledger, dropped)
        found = np.unique(labels)
        ledger.append(layout_rows(layout_keys(layout, writer.next_key, len(found))))
    check_counts(("records", ledger.written, records_in(folder)))
    os.replace(aside, folder / LEDGER)
    return Written(len(rows), len(found), int(found[-1]) + 1, (folder / "train.rec").stat().st_size)


def _batches(
    source: Samples, rows: npt.NDArray[np.int64], gathered: GatheredRecords | None
) -> Iterator[tuple[int, list[Record]]]:
    records = _records(source, rows) if gathered is None else shared_records(gathered, source.keys[rows])
    for first in range(0, len(rows), AT_ONCE):
        yield first, list(islice(records, AT_ONCE))


def _records(source: Samples, rows: npt.NDArray[np.int64]) -> Iterator[Record]:
    if isinstance(source, PackSource):
        yield from (source.pack.read(int(key)) for key in source.keys[rows])
        return
    with TarReader(source) if isinstance(source, TarSamples) else GatheredReader(source) as reader:
        yield from (reader.read(int(row)) for row in rows)


def _relabelled(header: Header, label: int) -> Header:
    if not header.flag:
        return header._replace(label=float(label))
    vector = header.label.copy()
    vector[0] = label
    return header._replace(label=vector)


def _renumbered(header: Header, old: int, new: int) -> Header:
    """The id follows the key where it did."""
    return header._replace(id=new) if header.id == old else header


def _note(
    source: Samples,
    ledger: LedgerWriter,
    keys: npt.NDArray[np.int64],
    records: list[Record],
    hashes: bool,
) -> None:
    old = np.array([record.key for record in records], np.int64)
    digest = b"".join(payload_hash(record.payload) for record in records) if hashes else None
    ledger.append(copied_rows(keys, old, digest, source.masks if isinstance(source, PackSource) else None))


def _note_dropped(ledger: LedgerWriter, dropped: Sequence[Dropped]) -> None:
    for gone in dropped:
        ledger.append(dropped_rows(gone.keys, gone.reason))
