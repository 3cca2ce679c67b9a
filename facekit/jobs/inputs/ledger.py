"""What a job asks of the ledger beside a pack: which pictures are masked already, made from which, with which hash."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.jobs.inputs.mask_rows import MaskRows
from facekit.jobs.inputs.source import Source
from facekit.records.distinct import ascends, blocks, distinct
from facekit.records.key_rows import row_lookup, rows_of
from facekit.run.ledger import ledger_path, payload_hash
from facekit.run.ledger_reader import ledger_batches, read_ledger

if TYPE_CHECKING:
    import pyarrow as pa

    from facekit.records.bins import Bins

__all__ = [
    "AlreadyMasked",
    "MaskFlags",
    "PayloadHashes",
    "already_masked",
    "count_outcomes",
    "payload_hashes",
    "read_bins_flags",
    "read_flags",
]


class AlreadyMasked(NamedTuple):
    """What a pack's own ledger says about its masked pictures.

    Attributes
    ----------
    keys : (M,) int64, ascending
    bare : (M,) int64
        Key in the pack of the picture that each was made from; its own where that is not there.
    places : (M,) int64 or None
        Row of each in `rows`; None where they stand in the order of the keys.
    rows : pyarrow.Table
        type, params and score, in the order of the ledger (`facekit.jobs.inputs.mask_rows`).
    """

    keys: npt.NDArray[np.int64]
    bare: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64] | None
    rows: pa.Table

    def said(self, chosen: pa.Array | npt.NDArray[np.int64]) -> pa.Table:
        """Type, params and score of some of the M, (n,); of nulls, nulls."""
        import pyarrow as pa

        chosen = pa.array(chosen)
        return self.rows.take(chosen if self.places is None else pa.array(self.places).take(chosen))

    def bare_of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Key of the picture that each was made from; its own where it is not masked."""
        rows = rows_of(self.keys, keys, ascending=True)
        bare: npt.NDArray[np.int64] = np.where(rows >= 0, self.bare[rows], keys)
        return bare


def already_masked(rec: Path) -> AlreadyMasked | None:
    """Read of the ledger beside a ``.rec`` which pictures are masked; None where there is none, or it has none.

    Raises
    ------
    FacekitError
        It cannot be read.
    """
    import pyarrow.compute as pc

    path, rows = ledger_path(rec), MaskRows()
    if not path.exists():
        return None
    parts, origins = [], []
    for batch in ledger_batches(path, "key", "source_key", "action", "type", "params", "score"):
        found = batch.filter(pc.and_(pc.is_valid(batch["key"]), pc.equal(batch["action"], "mask")))
        if found.num_rows:
            rows.add(found)
            parts.append(found["key"].to_numpy())
            origins.append(pc.coalesce(found["source_key"], found["key"]).to_numpy())
    if not parts:
        return None
    keys, made_from, places = np.concatenate(parts), np.concatenate(origins), None
    parts.clear()
    origins.clear()
    if not ascends(keys):
        places = np.argsort(keys, kind="stable")
        keys, made_from = keys[places], made_from[places]
    return AlreadyMasked(keys, _copies_of(path, made_from, keys), places, rows.table())


def _copies_of(path: Path, made_from: npt.NDArray[np.int64], instead: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The key in the pack of the picture that each masked one was made from; another where it was not copied."""
    import pyarrow.compute as pc

    origins = distinct(made_from)
    copies = np.full(len(origins), -1, np.int64)
    for batch in ledger_batches(path, "key", "source_key", "action"):
        said = pc.and_(pc.is_valid(batch["key"]), pc.is_valid(batch["source_key"]))
        copied = batch.filter(pc.and_(pc.equal(batch["action"], "copy"), said))
        rows = rows_of(origins, copied["source_key"].to_numpy(), ascending=True)
        fresh = np.flatnonzero((rows >= 0) & (copies[rows] < 0))[::-1]  # of equal ones the first stands
        copies[rows[fresh]] = copied["key"].to_numpy()[fresh]
    bare = instead.copy()
    for part in blocks(len(bare)):
        found = copies[np.searchsorted(origins, made_from[part])]
        bare[part] = np.where(found >= 0, found, instead[part])
    return bare


@dataclass(frozen=True)
class MaskFlags:
    """What a ledger says about the records of a source.

    Attributes
    ----------
    masked : (N,) bool
        Which wear a drawn mask.
    sources : (N,) int64
        Key of the photograph that each was made from.
    """

    masked: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.int64]

    def slice(self, first: int, stop: int) -> MaskFlags:
        """Those of the records from one position to another."""
        return MaskFlags(self.masked[first:stop], self.sources[first:stop])

    def select_rows(self, rows: npt.NDArray[np.int64]) -> MaskFlags:
        """Those of the records at some positions."""
        return MaskFlags(self.masked[rows], self.sources[rows])


def read_flags(source: Source) -> MaskFlags:
    """Read what the ledger beside a pack says about its records; without one each is bare and its own source.

    Raises
    ------
    FacekitError
        It cannot be read, or lacks a record of the source.
    """
    import pyarrow.compute as pc

    path = ledger_path(Path(source.path))
    if source.kind != "pack" or not path.exists():
        return MaskFlags(np.zeros(len(source), np.bool_), source.keys)
    masked, known = np.zeros(len(source), np.bool_), np.zeros(len(source), np.bool_)
    origins, find = np.empty(len(source), np.int64), row_lookup(source.keys)
    for batch in ledger_batches(path, "key", "source_key", "action"):
        batch = batch.filter(pc.is_valid(batch["key"]))  # not what was refused
        rows = find(batch["key"].to_numpy())
        there = rows >= 0
        rows = rows[there]
        known[rows] = True
        origins[rows] = pc.coalesce(batch["source_key"], batch["key"]).to_numpy()[there]  # drawn pictures have no other
        masked[rows] = pc.equal(batch["action"], "mask").fill_null(False).to_numpy(zero_copy_only=False)[there]
    if not known.all():
        raise FacekitError(f"{path} does not know every record of {source.path}: it belongs to another pack")
    return MaskFlags(masked, origins)


def read_bins_flags(path: Path, bins: Bins) -> npt.NDArray[np.bool_]:
    """Which pictures of a verification ``.bin`` wear a mask, by the ledger that ``facekit mask`` wrote beside it.

    Parameters
    ----------
    path : Path
        The ``.bin``.
    bins : Bins
        What is in it.

    Returns
    -------
    masked : (2 P,) bool
        All False without a ledger, or where the ledger of that name is a pack's.

    Raises
    ------
    FacekitError
        It cannot be read, or a payload is another than the ledger says.
    """
    import pyarrow.compute as pc

    ledger, masked = ledger_path(path), np.zeros(len(bins.payloads), np.bool_)
    if not ledger.exists() or path.with_suffix(".rec").exists():
        return masked
    table = read_ledger(ledger, "key", "action")
    table = table.filter(table["key"].is_valid())
    places = np.arange(len(bins.payloads))
    known = payload_hashes(path).of(places)
    wrong = [place for place, payload in enumerate(bins.payloads) if known[place] != payload_hash(payload)]
    if wrong:
        raise FacekitError(
            f"{ledger} does not know picture {wrong[0]} of {path}: it belongs to another file; mask the pairs again, "
            "or move the ledger away"
        )
    rows = rows_of(table["key"].to_numpy(), places)
    masked[:] = pc.equal(table["action"], "mask").fill_null(False).to_numpy()[rows]
    return masked


class PayloadHashes(NamedTuple):
    """The payload hashes of a ledger.

    Attributes
    ----------
    keys : (M,) int64, ascending
    hashes : (M, 16) uint8
    """

    keys: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint8]

    def of(self, keys: npt.NDArray[np.int64]) -> list[bytes | None]:
        """The hash of each key's payload; None where the ledger has none."""
        rows = rows_of(self.keys, keys, ascending=True).tolist()
        return [self.hashes[row].tobytes() if row >= 0 else None for row in rows]


def payload_hashes(rec: Path | None) -> PayloadHashes:
    """Read the hashes of the ledger beside a ``.rec``; none where there is no ledger, or it is not to be asked.

    Raises
    ------
    FacekitError
        It cannot be read.
    """
    import pyarrow.compute as pc

    path = None if rec is None else ledger_path(rec)
    keys, hashes = [np.empty(0, np.int64)], [np.empty((0, 16), np.uint8)]
    for batch in ledger_batches(path, "key", "payload_hash") if path and path.exists() else ():
        batch = batch.filter(pc.and_(pc.is_valid(batch["key"]), pc.is_valid(batch["payload_hash"])))
        keys.append(batch["key"].to_numpy())
        hashes.append(_hash_bytes(batch["payload_hash"]))
    joined, together = np.concatenate(keys), np.concatenate(hashes)
    keys.clear()
    hashes.clear()
    if ascends(joined):
        return PayloadHashes(joined, together)
    order = np.argsort(joined, kind="stable")
    return PayloadHashes(joined[order], together[order])


def _hash_bytes(column: pa.Array) -> npt.NDArray[np.uint8]:
    """(n, 16) uint8 of a column without nulls."""
    values = np.frombuffer(column.buffers()[1], np.uint8) if len(column) else np.empty(0, np.uint8)
    return values[16 * column.offset : 16 * (column.offset + len(column))].reshape(-1, 16)


def count_outcomes(path: Path, *names: str) -> Counter[tuple[str | None, ...]]:
    """How often each combination of values stands in some text columns of a ledger, and whether it wrote a record.

    Parameters
    ----------
    path : Path
        The ledger.
    *names : str
        Columns of text, such as ``action`` and ``type``.

    Returns
    -------
    Counter
        By the values of the columns, then ``"written"`` or ``None`` where the row has no key.

    Raises
    ------
    FacekitError
        It cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    counts: Counter[tuple[str | None, ...]] = Counter()
    for batch in ledger_batches(path, "key", *names):
        written = pc.if_else(pc.is_valid(batch["key"]), "written", pa.scalar(None, pa.string()))
        table = pa.table([*(batch[name] for name in names), written], [*names, "written"])
        found = table.group_by([*names, "written"], use_threads=False).aggregate([([], "count_all")]).to_pydict()
        for *values, count in zip(*(found[name] for name in (*names, "written")), found["count_all"], strict=True):
            counts[tuple(values)] += count
    return counts
