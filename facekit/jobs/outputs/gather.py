"""Shard files of samples -> a pack whose records stand in another order: grouped by identity, shuffled, fewer.

33 bytes a record are in memory (key, label, offset, new key, whether the id follows the key), payloads a block at a
time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.jobs.outputs.counts import check_counts, records_in
from facekit.jobs.outputs.ledger_rows import layout_keys, layout_rows
from facekit.jobs.outputs.rewrite import Written
from facekit.records import PackWriter, Record, unframe, unpack_record
from facekit.records.framing import FramingError
from facekit.records.open_files import OpenFiles
from facekit.records.tar_shards import distinct_keys
from facekit.run.ledger import LEDGER, LedgerWriter, schema
from facekit.run.progress import progress
from facekit.run.shard_file import open_shard, read_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GatheredReader", "GatheredSamples", "LeftOut", "read_samples_of_shards", "write_gathered"]

BLOCK = 4 << 20
"""Bytes of records that are put into order at once."""

_WINDOW = 1 << 18


class GatheredSamples(NamedTuple):
    """The samples of finished shards, those without a record included.

    Attributes
    ----------
    paths : tuple of Path
    starts : (S + 1,) int64
        The first sample of each shard, and the number of all.
    keys : (N,) int64
        The sample's name where all are different whole numbers, else its place.
    labels : (N,) int64
    offsets : (N,) int64
        Of the framed record in its shard; -1 where there is none.
    stops : (S,) int64
        Bytes of records in each shard.
    follows : (N,) bool
        ``header.id`` is the key.
    """

    paths: tuple[Path, ...]
    starts: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    follows: npt.NDArray[np.bool_]

    def shard_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The shard that each of some rows lies in."""
        return self.starts.searchsorted(rows, side="right") - 1

    def sizes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Bytes of the framed records of some rows, all of which have one."""
        following = np.minimum(rows + 1, max(len(self.offsets) - 1, 0))
        last = (rows + 1 == self.starts[self.shard_of(rows) + 1]) | (self.offsets[following] < 0)
        stops = np.where(last, 0, self.offsets[following])
        for place in np.flatnonzero(last).tolist():  # the end of a shard, or refused pictures behind it
            stops[place] = self._stop(int(rows[place]))
        return stops - self.offsets[rows]

    def _stop(self, row: int) -> int:
        shard = int(self.shard_of(np.array([row]))[0])
        later = self.offsets[row + 1 : int(self.starts[shard + 1])]
        written = later >= 0
        return int(later[int(written.argmax())]) if written.any() else int(self.stops[shard])


class LeftOut(NamedTuple):
    """Records that are not in the pack although they could be: why, by a code for each sample (0: it is)."""

    codes: npt.NDArray[np.int8]
    reasons: Sequence[str]
    action: str = "drop"


def read_samples_of_shards(paths: Sequence[Path]) -> GatheredSamples:
    """Read what finished shards hold.

    Raises
    ------
    FacekitError
        One is not whole.
    """
    counts, stops = [0], []
    columns: dict[str, list[npt.NDArray[np.generic]]] = {
        name: [] for name in ("source_key", "label", "offset", "follows")
    }
    for path in paths:
        rows = read_rows(path).select(list(columns))
        counts.append(rows.num_rows)
        stops.append(open_shard(path).records)
        for name, parts in columns.items():
            parts.append(rows[name].to_numpy())
    kinds = (np.int64, np.int64, np.int64, np.bool_)
    keys, labels, offsets, follows = (_joined(columns.pop(name), kind) for name, kind in zip(list(columns), kinds))
    starts = np.cumsum(counts).astype(np.int64)
    found = np.array(stops, np.int64)
    return GatheredSamples(tuple(paths), starts, distinct_keys(keys), labels, offsets, found, follows)


def _joined(parts: list[npt.NDArray[np.generic]], kind: type[np.generic]) -> npt.NDArray:
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.empty(0, kind)


def write_gathered(
    samples: GatheredSamples,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    left_out: LeftOut,
    folder: Path,
    layout: str,
    title: str,
    hashes: bool = True,
) -> Written:
    """Write a pack and its ledger; a row of the ledger for each sample, in the order of the samples.

    Parameters
    ----------
    samples : GatheredSamples
    rows : (n,) int64
        Which samples, in the order in which they are to stand.
    labels : (n,) int64
        New label of each.
    left_out : LeftOut
    folder : Path
    layout : str
    title : str
        What the progress bar says.
    hashes : bool
        Write the hash of every payload into the ledger.

    Raises
    ------
    RecordError
        A shard file cannot be read, or the disk refuses.
    FacekitError
        The ledger does not add up.
    """
    new = np.full(len(samples.keys), -1, np.int64)
    aside = folder.with_name(folder.name + "." + LEDGER)
    with PackWriter(folder, layout, overwrite=True) as writer, LedgerWriter(aside) as ledger:
        with progress(title, len(rows)) as advance, OpenFiles(samples.paths) as files:
            for part in _blocks(samples, rows):
                chosen = rows[part]
                new[chosen] = _append(samples, chosen, labels[part], files, writer)
                advance(len(chosen))
        for shard in range(len(samples.paths)):
            ledger.append(_ledger_rows(samples, shard, new, left_out, hashes))
        groups = np.unique(labels)
        layout_records = layout_keys(layout, writer.next_key, len(groups))
        ledger.append(layout_rows(layout_records))
    check_counts(
        ("rows", ledger.rows, len(samples.keys) + len(layout_records)),
        ("records", ledger.written, len(rows) + len(layout_records)),
        ("records", ledger.written, records_in(folder)),
    )
    os.replace(aside, folder / LEDGER)
    return Written(len(rows), len(groups), int(groups[-1]) + 1, (folder / "train.rec").stat().st_size)


def _blocks(samples: GatheredSamples, rows: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Runs of rows whose records fill at most a block."""
    for window in range(0, len(rows), _WINDOW):
        ends = np.cumsum(samples.sizes(rows[window : window + _WINDOW]))
        first = 0
        while first < len(ends):
            before = int(ends[first - 1]) if first else 0
            stop = max(int(np.searchsorted(ends, before + BLOCK, side="right")), first + 1)
            yield slice(window + first, window + stop)
            first = stop


def _append(
    samples: GatheredSamples,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    files: OpenFiles,
    writer: PackWriter,
) -> npt.NDArray[np.int64]:
    """Append the records of a block; the keys they got."""
    sizes = samples.sizes(rows)
    stops = np.cumsum(sizes)
    starts = stops - sizes
    block = memoryview(bytearray(int(stops[-1])))
    places = zip(samples.shard_of(rows).tolist(), samples.offsets[rows].tolist(), starts.tolist(), stops.tolist())
    for shard, offset, start, stop in places:
        files.read_into(shard, offset, block[start:stop])
    new = np.arange(writer.next_key, writer.next_key + len(rows))
    ids = np.where(samples.follows[rows], new.astype(np.uint64), _ids(block, starts))
    return writer.append_block(block, starts, labels, new_ids=ids, relabel=True, in_place=True)


def _ids(block: memoryview, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """``header.id`` of framed records."""
    words, at = np.frombuffer(block, "<u4"), starts >> 2
    ids = words[at + 4].astype(np.uint64) | words[at + 5].astype(np.uint64) << np.uint64(32)
    for row in np.flatnonzero(words[at + 1] >= 1 << 29).tolist():  # of several parts
        ids[row] = unpack_record(unframe(block, int(starts[row]))[0])[0].id
    return ids


def _ledger_rows(
    samples: GatheredSamples, shard: int, new: npt.NDArray[np.int64], left_out: LeftOut, hashes: bool
) -> pa.Table:
    """The rows of a shard with what became of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    part = slice(int(samples.starts[shard]), int(samples.starts[shard + 1]))
    rows = read_rows(samples.paths[shard]).select(schema().names)
    keys, codes = new[part], left_out.codes[part]
    rows = rows.set_column(0, schema().field(0), pa.array(keys, mask=keys < 0))
    rows = rows.set_column(1, schema().field(1), pa.array(samples.keys[part]))
    if not hashes:
        column = schema().get_field_index("payload_hash")
        rows = rows.set_column(column, schema().field(column), pa.nulls(len(rows), schema().field(column).type))
    gone = pa.array(codes > 0)
    why = pa.DictionaryArray.from_arrays(pa.array(np.maximum(codes - 1, 0)), list(left_out.reasons) or [""])
    for name, words in (("action", left_out.action), ("reason", why.cast(pa.string()))):
        column = schema().get_field_index(name)
        rows = rows.set_column(column, schema().field(column), pc.if_else(gone, words, rows[name]))
    return rows


class GatheredReader:
    """Reads the records of samples by place."""

    def __init__(self, samples: GatheredSamples) -> None:
        self._samples, self._files = samples, OpenFiles(samples.paths)

    def read(self, place: int) -> Record:
        """The record of a sample.

        Raises
        ------
        RecordError
            Its shard file cannot be read.
        """
        samples, rows = self._samples, np.array([place])
        shard, offset = int(samples.shard_of(rows)[0]), int(samples.offsets[place])
        block, key = bytearray(int(samples.sizes(rows)[0])), int(samples.keys[place])
        self._files.read_into(shard, offset, memoryview(block))
        try:
            header, payload = unpack_record(unframe(block)[0])
        except FramingError as error:
            raise error.at(samples.paths[shard], key, offset) from None
        return Record(key, header._replace(id=key) if samples.follows[place] else header, payload)

    def __enter__(self) -> GatheredReader:
        self._files.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.__exit__()
