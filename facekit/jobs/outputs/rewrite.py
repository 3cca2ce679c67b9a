"""Chosen records of packs -> a new pack with its ledger: what convert, merge and split have in common."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.jobs.inputs.ledger import AlreadyMasked, already_masked
from facekit.jobs.inputs.source import refuse_shared_records
from facekit.jobs.outputs.copy_shards import Copying, GatheredRecords, Run, gather_records
from facekit.jobs.outputs.counts import check_counts, records_in
from facekit.jobs.outputs.ledger_rows import copied_rows, dropped_rows, hash_block, layout_keys, layout_rows
from facekit.output import FolderOutput
from facekit.records import Pack, PackWriter, open_pack
from facekit.records.distinct import ascends, blocks, count_distinct, distinct, places_in
from facekit.records.index_policy import IndexPolicy
from facekit.records.key_rows import rows_of
from facekit.records.rewrite import Extents, copy_records, extents
from facekit.run.ledger import LEDGER, LedgerWriter
from facekit.run.processors import processors
from facekit.run.progress import progress

__all__ = [
    "NO_LABEL",
    "Dropped",
    "PackSource",
    "RecordSource",
    "Selection",
    "Written",
    "contiguous",
    "grouped",
    "in_key_order",
    "open_packs",
    "refuse_nothing",
    "share_copying",
    "too_few",
    "write_selection",
]

NO_LABEL = "label_not_whole"
"""Why records with a label below 0 are left out: the word that check has for them."""


class RecordSource(Protocol):
    """What there is to copy from."""

    @property
    def name(self) -> str:
        """As it was given."""

    @property
    def rec(self) -> Path:
        """The ``.rec`` file."""

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """(N,) int64, -1 where unknown."""

    @property
    def where(self) -> Extents:
        """Where the N records lie."""

    @property
    def masks(self) -> AlreadyMasked | None:
        """What its ledger says of masked pictures."""


@dataclass(frozen=True)
class PackSource:
    """The images of a pack as arrays in physical order: 29 bytes a record beside its index."""

    pack: Pack
    name: str

    @property
    def rec(self) -> Path:
        """The ``.rec`` file."""
        return self.pack.paths.rec

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""
        return self.pack.keys

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""
        return self.pack.labels

    @cached_property
    def where(self) -> Extents:
        """Where the records lie."""
        return extents(self.pack, self.pack.keys)

    @cached_property
    def masks(self) -> AlreadyMasked | None:
        """What the pack's ledger says of masked pictures."""
        return already_masked(self.pack.paths.rec)


class Selection(NamedTuple):
    """Records in the order in which they are to stand.

    Attributes
    ----------
    pack : (n,) int32
        Number of the source.
    rows : (n,) int64
        Place in that source.
    labels : (n,) integer
        New label.
    """

    pack: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.integer]

    def take(self, order: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Selection:
        """Some of them, or all in another order."""
        return Selection(self.pack[order], self.rows[order], self.labels[order])


class Dropped(NamedTuple):
    """Keys (-1: unknown) of records of one source that are left out, and why."""

    pack: int
    keys: npt.NDArray[np.int64]
    reason: str


class Written(NamedTuple):
    """What was written."""

    images: int
    identities: int
    num_classes: int
    bytes: int


def open_packs(paths: Sequence[str], partial_index: IndexPolicy) -> tuple[PackSource, ...]:
    """Open packs.

    Raises
    ------
    RecordError
        One is missing or corrupt, its index gives several keys one record, or does not reach its end and is refused.
    """
    sources = tuple(PackSource(open_pack(path, partial_index=partial_index), path) for path in paths)
    for source in sources:
        refuse_shared_records(source.pack)
    return sources


def contiguous(labels: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int32], dict[int, int]]:
    """New labels from 0 on without a gap, in the order of the old ones, and the table from old to new."""
    old = distinct(labels)
    return places_in(old, labels), {label: place for place, label in enumerate(old.tolist())}


def grouped(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int64] | None:
    """The order that brings the images of each label together, stable; None where they are together already."""
    runs = np.count_nonzero(labels[1:] != labels[:-1]) + 1
    if not len(labels) or runs == len(distinct(labels)):
        return None
    return np.argsort(labels, kind="stable")


def too_few(labels: npt.NDArray[np.int64], stay: npt.NDArray[np.bool_], least: int) -> npt.NDArray[np.bool_]:
    """Which images, (N,) bool, have a label of which fewer than so many stay."""
    if least < 2:
        return np.zeros(len(labels), np.bool_)
    known = count_distinct(labels[part][stay[part]] for part in blocks(len(labels)))
    small = known.values[known.counts < least]
    return rows_of(small, labels, ascending=True) >= 0


def in_key_order(keys: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Some rows in the order of their keys, (n,); the same array where they are in it already."""
    if ascends(rows) and ascends(keys):
        return rows
    return rows[np.argsort(keys[rows], kind="stable")]


def write_selection(
    sources: Sequence[RecordSource],
    chosen: Selection,
    folder: Path,
    layout: str,
    dropped: Sequence[Dropped] = (),
    hashes: bool = True,
    title: str = "writing",
    gathered: GatheredRecords | None = None,
) -> Written:
    """Write a pack and its ledger; payloads are copied byte for byte.

    Parameters
    ----------
    sources : sequence of RecordSource
    chosen : Selection
    folder : Path
    layout : str
    dropped : sequence of Dropped
    hashes : bool
    title : str
    gathered : GatheredRecords, optional
        What `share_copying` gave; by default the records are read from the sources.

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or the disk refuses.
    FacekitError
        Nothing is chosen, or the ledger does not add up.
    """
    refuse_nothing(len(chosen.rows), dropped)
    aside = folder.with_name(folder.name + "." + LEDGER)
    with PackWriter(folder, layout, overwrite=True) as writer, LedgerWriter(aside) as ledger:
        _copy_chosen(sources, chosen, writer, ledger, title, hashes, gathered)
        left = _note_dropped(sources, dropped, ledger)
        groups = distinct(chosen.labels)
        others = layout_keys(layout, writer.next_key, len(groups))
        for span in blocks(len(others)):
            ledger.append(layout_rows(others[span]))
    check_counts(("rows", ledger.rows - ledger.written, left), ("records", ledger.written, records_in(folder)))
    os.replace(aside, folder / LEDGER)
    return Written(len(chosen.rows), len(groups), int(groups[-1]) + 1, (folder / "train.rec").stat().st_size)


def _copy_chosen(
    sources: Sequence[RecordSource],
    chosen: Selection,
    writer: PackWriter,
    ledger: LedgerWriter,
    title: str,
    hashes: bool,
    gathered: GatheredRecords | None,
) -> None:
    with ThreadPoolExecutor(min(4, processors())) as pool, progress(title, len(chosen.rows)) as advance:
        for number, part in _runs(chosen.pack):
            source, rows = sources[number], chosen.rows[part]
            params = _name_of_pack(source) if len(sources) > 1 else None
            read = None if gathered is None else _reader(gathered, part.start)
            for done in copy_records(source.rec, source.where, rows, chosen.labels[part], writer, read=read):
                digest: bytes | None = None
                if hashes and gathered is not None:
                    digest = gathered.digests(part.start + done.rows.start, part.start + done.rows.stop)
                elif hashes:
                    digest = hash_block(done.block, done.starts, pool)
                old = source.keys[rows[done.rows]]
                ledger.append(copied_rows(done.keys, old, digest, source.masks, params))
                advance(len(old))


def _note_dropped(sources: Sequence[RecordSource], dropped: Sequence[Dropped], ledger: LedgerWriter) -> int:
    """Rows for what is left out; how many there are."""
    for gone in dropped:
        params = _name_of_pack(sources[gone.pack]) if len(sources) > 1 else None
        for span in blocks(len(gone.keys)):
            ledger.append(dropped_rows(gone.keys[span], gone.reason, params))
    return sum(len(gone.keys) for gone in dropped)


def share_copying(
    output: FolderOutput,
    sources: Sequence[RecordSource],
    chosen: Selection,
    config: Copying,
    hashes: bool = True,
    title: str = "writing",
) -> GatheredRecords | None:
    """Have the records of a selection gathered by whom the config names, for `write_selection`.

    Returns
    -------
    GatheredRecords or None
        None: nobody but this process.

    Raises
    ------
    PartFinished
        The share of the part that was asked for is done.
    """

    def runs_of(first: int, stop: int) -> Iterator[Run]:
        for number, part in _runs(chosen.pack[first:stop]):
            rows = chosen.rows[first + part.start : first + part.stop]
            where = sources[number].where
            yield Run(sources[number].rec, Extents(where.offsets[rows], where.sizes[rows], where.id_is_key[rows]))

    return gather_records(output, len(chosen.rows), runs_of, config, hashes, title)


def _reader(gathered: GatheredRecords, start: int) -> Callable[[int, int, memoryview], None]:
    """Reads by places in a run that begins at ``start`` of the selection."""
    return lambda first, stop, buffer: gathered.read(start + first, start + stop, buffer)


def refuse_nothing(pictures: int, dropped: Sequence[Dropped]) -> None:
    """Refuse to write a pack without a picture, and say where the pictures went."""
    if pictures:
        return
    counts: Counter[str] = Counter()
    for gone in dropped:
        counts[gone.reason] += len(gone.keys)
    if not counts:
        raise FacekitError("the source holds no picture, there is nothing to write: name another")
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    cure = "give them labels from 0 on" if set(counts) == {NO_LABEL} else "choose fewer to drop"
    raise FacekitError(f"no picture is left to write, all are dropped ({reasons}): {cure}")


def _runs(numbers: npt.NDArray[np.int32]) -> Iterator[tuple[int, slice]]:
    """Stretches that come from one pack."""
    starts = np.append(0, np.flatnonzero(numbers[1:] != numbers[:-1]) + 1)
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)]):
        yield int(numbers[start]), slice(start, stop)


def _name_of_pack(source: RecordSource) -> str:
    import json

    return json.dumps({"pack": source.name})
