"""A RecordIO pack in a store: its small files are kept beside, its records are read by byte ranges.

Index, ``property``, ledger and labels are fetched once into a folder of the user's cache that is named by address,
size and stamp; ``train.rec`` stays where it is. Labels come from ``train.labels.bin`` where the store has it (facekit
leaves it beside every long pack), else the whole ``.rec`` is read once for its headers.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.errors import RecordError
from facekit.output import replacing
from facekit.records import Header, PartialIndex, RecordIndex, unpack_record
from facekit.records.framing import FramingError, join_parts, padded, record_parts
from facekit.records.index import read_index
from facekit.records.index_end import index_problem, require_records
from facekit.records.index_policy import IndexPolicy
from facekit.records.label_sidecar import stored_labels
from facekit.records.layout import first_identity_key, is_dataset_header, whole_labels
from facekit.records.pack_files import PackPaths
from facekit.stores import Stored, StoreError, find_stored
from facekit.stores.reading import StoredFile

__all__ = ["RangeReader", "StoredPack", "fetch_file", "open_stored_pack", "opened"]

logger = logging.getLogger(__name__)

LARGEST_RANGE = 64 << 20
"""Bytes asked for at once: a shard of 4096 aligned crops has 30 MB."""

GAP = 1 << 18
"""Bytes between two records from which on they are asked for separately."""

TAIL = 1 << 16
"""Bytes asked for behind the offset of the last record of a range, whose end nobody knows."""

HEAD = 40
CHECKED = 16
"""Labels that are compared with their records before a label file is believed."""


class RangeReader:
    """Bytes of an object at offsets that are known beforehand: neighbours come in one range.

    Parameters
    ----------
    stored : Stored
    offsets : (n,) int64
        Of the records that will be read.
    """

    def __init__(self, stored: Stored, offsets: npt.NDArray[np.int64]) -> None:
        self.size, self._planned = stored.size, np.unique(offsets)
        self._file = StoredFile(stored, ahead=False)
        self._start, self._held = 0, b""

    def pread(self, length: int, offset: int) -> bytes:
        """So many bytes at an offset; fewer where the object ends.

        Raises
        ------
        StoreError
            They did not come.
        """
        stop = min(offset + length, self.size)
        if not self._start <= offset or stop > self._start + len(self._held):
            self._start = offset
            self._held = self._file.read_range(offset, max(length, self._reach(offset) - offset))
        return self._held[offset - self._start : offset - self._start + length]

    def _reach(self, offset: int) -> int:
        """Where the range that begins at an offset should end."""
        first = int(self._planned.searchsorted(offset, side="right"))
        near = self._planned[first : int(self._planned.searchsorted(offset + LARGEST_RANGE))]
        gaps = np.flatnonzero(np.diff(np.append(offset, near)) > GAP)
        last = near[: int(gaps[0])] if len(gaps) else near
        return (int(last[-1]) if len(last) else offset) + TAIL

    def close(self) -> None:
        """Close it."""
        self._file.close()


@dataclass(frozen=True)
class StoredPack:
    """What `facekit.records.Pack` knows of a pack, of one in a store.

    Attributes
    ----------
    address : str
        Of the ``.rec``.
    rec, idx : Stored
    paths : PackPaths
        In the cache; there is no ``.rec`` there.
    index : RecordIndex
    dataset_header : Header or None
    """

    address: str
    rec: Stored
    idx: Stored
    paths: PackPaths
    index: RecordIndex
    dataset_header: Header | None

    @property
    def reader(self) -> StoredPack:
        """Itself: it has the index."""
        return self

    @property
    def layout(self) -> str:
        """``insightface`` or ``flat``."""
        return "flat" if self.dataset_header is None else "insightface"

    @property
    def physical_keys(self) -> npt.NDArray[np.int64]:
        """(N,) int64, keys of all records in the order of the file."""
        return self.index.physical_keys

    @cached_property
    def keys(self) -> npt.NDArray[np.int64]:
        """(N,) int64, keys of the image records, in physical order."""
        keys = self.physical_keys
        if self.dataset_header is None:
            return keys
        claimed = int(self.dataset_header.label[0])
        return keys[(keys > 0) & (keys < first_identity_key(claimed, keys, self._are_identities))]

    def _are_identities(self, keys: npt.NDArray[np.int64]) -> Iterator[bool]:
        offsets = self.index.offsets[self.index.positions(keys)]
        with opened(self.rec, offsets) as ranges:
            for key, offset in zip(keys.tolist(), offsets.tolist(), strict=True):
                header, payload = unpack_record(_buffer(ranges, self.address, key, offset), path=self.address, key=key)
                yield header.flag == 2 and not payload

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) int64, label of each image record.

        Raises
        ------
        RecordError
            A record is truncated or corrupt, or its label is not a whole number.
        """
        kept = self.paths.folder / "read-labels.npy"
        if kept.exists():
            return np.asarray(np.load(kept, allow_pickle=False), np.int64)
        labels = self._labels_beside()
        if labels is None:
            logger.warning(
                "%s has no train.labels.bin beside it, so all its %.1f GB are read once for their labels; "
                "facekit reindex --sidecar makes one", self.address, self.rec.size / 1e9,
            )  # fmt: skip
            labels = self._read_labels(self.keys)
        with replacing(kept) as file:
            np.save(file, labels)
        return labels

    def _labels_beside(self) -> npt.NDArray[np.int64] | None:
        """Those of the label file, where it is of a pack of these sizes and right about some of the records."""
        labels = stored_labels(self.paths.rec.with_suffix(".labels.bin"), self.rec.size, self.idx.size)
        if labels is None or len(labels) != len(self.keys):
            return None
        some = np.unique(np.linspace(0, len(labels) - 1, CHECKED).astype(np.int64)) if len(labels) else labels
        return labels if np.array_equal(self._read_labels(self.keys[some]), labels[some]) else None

    def _read_labels(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        offsets = self.index.offsets[self.index.positions(keys)]
        labels = np.empty(len(keys), np.int64)
        with opened(self.rec, offsets) as ranges:
            for place, (key, offset) in enumerate(zip(keys.tolist(), offsets.tolist(), strict=True)):
                labels[place] = _label(ranges, self.address, key, offset)
        return labels

    def problem_of_index(self) -> str | None:
        """What is wrong with the end of the index; None where it reaches the end of the file."""
        with opened(self.rec, self.index.offsets[self.index.furthest :][:1]) as ranges:
            problem = index_problem(self.index, self.rec.size, partial(ranges.pread, 8))
            if problem is not None:
                require_records(self.rec.size, partial(ranges.pread, 8), self.rec.address)
        return problem


@contextmanager
def opened(stored: Stored, offsets: npt.NDArray[np.int64]) -> Iterator[RangeReader]:
    """A `RangeReader` that is closed at the end."""
    ranges = RangeReader(stored, offsets)
    try:
        yield ranges
    finally:
        ranges.close()


def open_stored_pack(named: str, policy: IndexPolicy) -> StoredPack:
    """Open a pack in a store.

    Parameters
    ----------
    named : str
        The address of a ``.rec`` or ``.idx``, of their prefix, or of what holds ``train.rec``.
    policy : {"warn", "refuse", "take"}
        What is to be done where the index does not reach the end.

    Raises
    ------
    StoreError
        There is no such pack, or the store does not answer.
    RecordError
        Index or record 0 cannot be read, or the index does not reach the end and that is to be refused.
    """
    rec, idx = _files_of(named)
    folder = _cache_folder(rec, idx)
    local = folder / "train.rec"
    paths = PackPaths(folder, local, local.with_suffix(".idx"), local.with_name("property"))
    _keep_beside(idx, paths.idx)
    stem = rec.address.removesuffix(".rec")
    beside = {f"{stem}{s}": local.with_suffix(s) for s in (".ledger.parquet", ".labels.bin", ".meta")}
    beside[f"{rec.address.rpartition('/')[0]}/property"] = paths.property
    for address, path in beside.items():
        _keep_if_there(address, path)
    index = read_index(paths.idx)
    pack = StoredPack(rec.address, rec, idx, paths, index, _dataset_header(rec, index))
    problem = None if policy == "take" else pack.problem_of_index()
    if problem is not None:
        error = PartialIndex(f"{problem}: fetch the pack and let facekit check look at it", idx.address)
        if policy == "refuse":
            raise PartialIndex(f"{error.problem}; --partial-index takes what it names", idx.address)
        logger.warning("%s", error)
    return pack


def _files_of(named: str) -> tuple[Stored, Stored]:
    """The ``.rec`` and the ``.idx``."""
    plain = named.rstrip("/")
    if plain.endswith((".rec", ".idx")):
        names = [plain[:-4]]
    else:
        names = [f"{plain}/train", plain]
    for stem in names:
        try:
            rec, idx = find_stored(f"{stem}.rec", (".rec",)), find_stored(f"{stem}.idx", (".idx",))
            return rec[0], idx[0]
        except StoreError as error:
            if stem == names[-1] or not isinstance(error.__cause__, FileNotFoundError):
                raise StoreError(f"no pack with .rec and .idx lies there: {error.problem}", named) from error
    raise AssertionError


def _cache_folder(rec: Stored, idx: Stored) -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = hashlib.blake2b(repr((rec, idx)).encode(), digest_size=16).hexdigest()
    folder = Path(root, "facekit", "packs", name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"the cache cannot be made: {error.strerror}; set XDG_CACHE_HOME", folder) from error
    return folder


def _keep_beside(stored: Stored, path: Path) -> None:
    if not path.exists():
        fetch_file(stored, path)


def fetch_file(stored: Stored, path: Path) -> None:
    """Copy an object to the disk, where it appears whole.

    Raises
    ------
    StoreError
        It does not come.
    """
    source = StoredFile(stored)
    try:
        with replacing(path) as file:
            while block := source.read(1 << 20):
                file.write(block)
    finally:
        source.close()


def _keep_if_there(address: str, path: Path) -> None:
    """A copy of a file beside the pack, as it is now; none where there is none."""
    told = path.with_name(path.name + ".stamp")
    try:
        found = find_stored(address, (path.suffix or path.name,))[0]
    except StoreError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        path.unlink(missing_ok=True)
        return
    if not (path.exists() and told.exists() and told.read_text("utf-8") == repr(found)):
        path.unlink(missing_ok=True)
        _keep_beside(found, path)
        told.write_text(repr(found), "utf-8")


def _dataset_header(rec: Stored, index: RecordIndex) -> Header | None:
    offset = index.offset(0)
    if offset < 0:
        return None
    with opened(rec, np.array([offset])) as ranges:
        buffer = _buffer(ranges, rec.address, 0, offset)
    header, payload = unpack_record(buffer, path=rec.address, key=0, offset=offset)
    return header if is_dataset_header(header, payload) else None


def _buffer(ranges: RangeReader, address: str, key: int, offset: int) -> bytes:
    try:
        parts = list(record_parts(lambda at: ranges.pread(8, at), offset, ranges.size))
    except FramingError as error:
        raise error.at(address, key, offset) from None
    framed = ranges.pread(parts[-1].start + padded(parts[-1].length) - offset, offset)
    return join_parts(framed, parts, offset)


def _label(ranges: RangeReader, address: str, key: int, offset: int) -> int:
    """The label of a record, from its first bytes where it is of one part."""
    head = ranges.pread(HEAD, offset)
    if len(head) < HEAD or head[7] >> 5:
        header = unpack_record(_buffer(ranges, address, key, offset), path=address, key=key, offset=offset)[0]
        label = float(np.atleast_1d(header.label)[0])
    else:
        flag, scalar = struct.unpack_from("<If", head, 8)
        label = struct.unpack_from("<f", head, 32)[0] if flag else scalar
    if not whole_labels(np.float64(label)):
        raise RecordError(f"the label {label} is not a whole number", address, key, offset)
    return int(label)
