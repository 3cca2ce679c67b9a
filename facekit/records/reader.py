"""``.rec`` + ``.idx`` -> record buffers, by positional reads."""

from __future__ import annotations

import logging
import mmap
import os
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import RecordError
from facekit.records.framing import (
    MAGIC,
    MAX_RECORD,
    WORDS,
    FramingError,
    Part,
    join_parts,
    padded,
    record_parts,
)
from facekit.records.header import HEADER_BYTES, Header, Record, unpack_record
from facekit.records.index import RecordIndex, has_sidecar, read_index, save_sidecar
from facekit.records.index_end import index_problem, require_records
from facekit.records.read_at import READ_ONLY, read_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RecordReader"]

logger = logging.getLogger(__name__)

_GUESS_RANGE = (1 << 12, 1 << 16)

_WHOLE = struct.Struct("@IIIfQQ" if sys.byteorder == "little" else "<IIIfQQ")
"""What a whole record begins with: magic word, length, and the header. The machine's own order, which lies the same
where it is little-endian, is read in two thirds of the time."""

_new = tuple.__new__
"""Makes a named tuple of a tuple in half the time that its own constructor takes."""

_LEAST_RECORD = WORDS.size
"""Bytes of the shortest record: a part header and nothing behind it."""

_FEW = 100_000
"""Keys with which every file opens, so that what is left of a short one can be read."""

_REPARSE_BELOW = 50_000
"""Lines of an index that parse in about 5 ms: a longer one is not parsed again where a reader is unpickled."""


class RecordReader:
    """Random access to a RecordIO file.

    Reads are positional: one reader may be shared by any number of threads and survives a fork; pickled, it is
    reopened where it is unpickled, which takes milliseconds: a long index is found there by way of its sidecar (see
    :func:`facekit.records.index.save_sidecar`), which pickling writes where it is missing.

    Parameters
    ----------
    rec : path
        The ``.rec`` file.
    idx : path, optional
        The ``.idx`` file; by default the one beside ``rec``. Where that does not exist the index is rebuilt from
        ``rec`` (see :func:`facekit.records.scan.rebuild_index`).
    index : RecordIndex, optional
        What ``idx`` says, where that is known already.
    mapped : bool
        Map the file instead of reading from it: `read` is about 1.7 times as fast (benchmarks/records_speed.py). For
        packs that lie in memory or on a quick disk: a page that has to be fetched first holds up all threads, and
        the process dies (SIGBUS) when the file is shortened meanwhile, where a reader that reads raises an error.

    Attributes
    ----------
    path : pathlib.Path
    idx_path : pathlib.Path or None
        None where the index was rebuilt.
    index : RecordIndex
    size : int
        Bytes of the file.

    Raises
    ------
    RecordError
        A file is missing or the index is not one.
    """

    def __init__(
        self,
        rec: str | os.PathLike[str],
        idx: str | os.PathLike[str] | None = None,
        *,
        index: RecordIndex | None = None,
        mapped: bool = False,
    ) -> None:
        self._descriptor = -1
        self._map: mmap.mmap | None = None
        self.path = Path(rec)
        try:
            self._descriptor = os.open(self.path, READ_ONLY)
            self.size = os.fstat(self._descriptor).st_size
            read_at(self._descriptor, 1, 0)
        except OSError as error:
            self.close()
            raise RecordError(f"the record file cannot be read: {error.strerror}", rec) from error
        try:
            if index is None:
                self.idx_path, self.index = self._open_index(idx)
            else:
                self.idx_path, self.index = None if idx is None else Path(idx), index
        except BaseException:
            self.close()
            raise
        typical = self.size // max(len(self.index), 1) * 3 // 2
        self._guess = min(max(padded(typical), _GUESS_RANGE[0]), _GUESS_RANGE[1])
        self._offsets = np.ascontiguousarray(self.index.offsets).data
        self._keys = np.ascontiguousarray(self.index.keys).data
        # Packs number their images from the first line of the index on without a gap: `read` looks there first.
        self._first, self._count = (self._keys[0] if len(self._keys) else 0), len(self._keys)
        if mapped and self.size:
            self._map = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
            # A closure over this reader replaces the method: looking up self costs a fifth of the time.
            self.read = _mapped_read(self, self._map)  # type: ignore[assignment,method-assign]  # as said above

    def _open_index(self, idx: str | os.PathLike[str] | None) -> tuple[Path | None, RecordIndex]:
        path = Path(idx) if idx is not None else self.path.with_suffix(".idx")
        if idx is not None or path.exists():
            return path, self._require_room(read_index(path), path)
        from facekit.records.scan import rebuild_index

        return None, rebuild_index(self.path)

    def _require_room(self, index: RecordIndex, path: Path) -> RecordIndex:
        """An index of millions of keys that all name one record would keep every job busy for as many records."""
        if len(index) > max(self.size // _LEAST_RECORD, _FEW):
            problem = (
                f"the index has {len(index):,} keys, and {self.path.name} of {self.size:,} bytes has room for "
                f"{self.size // _LEAST_RECORD:,} records at most: they do not belong together. "
                f"facekit reindex {self.path} --overwrite rebuilds the index"
            )
            raise RecordError(problem, path)
        return index

    def index_problem(self) -> str | None:
        """What is wrong with the end of the index: the record that it has furthest back must end where the file ends.

        Reads that record's part headers and nothing else; see `facekit.records.index_end.index_problem` for what it can
        and cannot notice.

        Returns
        -------
        str or None
            None where it ends there.

        Raises
        ------
        RecordError
            The reader is closed, or reading fails.
        """
        return index_problem(self.index, self.size, self.read_words)

    def require_record_file(self) -> None:
        """Refuse a file that begins as no record does: none of what an index says of it counts.

        Raises
        ------
        RecordError
        """
        require_records(self.size, self.read_words, self.path)

    @property
    def keys(self) -> NDArray[np.int64]:
        """(N,) int64, in the order of the ``.idx`` lines, each once."""
        return self.index.keys

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, key: object) -> bool:
        return key in self.index

    def read(self, key: int) -> Record:
        """The record of a key, split into header and payload.

        Parameters
        ----------
        key : int

        Returns
        -------
        Record

        Raises
        ------
        RecordError
            There is no such key, or its record is truncated or corrupt.
        """
        rank = key - self._first
        if 0 <= rank < self._count and self._keys[rank] == key:
            try:
                # Everything is written out here: a call of a function would cost a tenth of the whole.
                block = read_at(self._descriptor, self._guess, self._offsets[rank])
            except OSError:
                return self._read_carefully(key)
            if len(block) >= _WHOLE.size:
                magic, coded, flag, label, id_, id2 = _WHOLE.unpack_from(block)
                # Up to 2**29 - 1 the coded word is the length of a whole record; flag 0 is a label of one number.
                whole = magic == MAGIC and flag == 0 and HEADER_BYTES <= coded <= MAX_RECORD
                if whole and coded + 11 <= len(block):
                    return _new(Record, (int(key), _new(Header, (0, label, id_, id2)), block[_WHOLE.size : 8 + coded]))
        return self._read_carefully(key)

    def _read_carefully(self, key: int) -> Record:
        """`read` for keys with gaps, several parts, vector labels, and damage."""
        buffer = self.read_bytes(key)
        return Record(int(key), *unpack_record(buffer, path=self.path, key=int(key), offset=self.offset(key)))

    def read_bytes(self, key: int) -> bytes:
        """The record buffer of a key (header, label vector and payload).

        Parameters
        ----------
        key : int

        Returns
        -------
        bytes

        Raises
        ------
        RecordError
            There is no such key, or its record is truncated or corrupt.
        """
        offset = self.offset(key)
        block = self._pread(self._guess, offset) if offset >= 0 else b""
        if len(block) >= 8:
            magic, coded = WORDS.unpack_from(block)
            # Below 2**29 the coded word is the length of a whole record: flag 0.
            if magic == MAGIC and coded >> 29 == 0 and 8 + padded(coded) <= len(block):
                return block[8 : 8 + coded]
        parts = self._parts(key, offset)
        return join_parts(self._extent(parts, key, offset), parts, offset)

    read_idx = read_bytes
    """mxnet's name for it."""

    def read_framed(self, key: int) -> bytes:
        """The framed bytes of a key's record, padding included: what to append to copy it byte for byte.

        Parameters
        ----------
        key : int

        Returns
        -------
        bytes

        Raises
        ------
        RecordError
            There is no such key, or its record is truncated or corrupt.
        """
        offset = self.offset(key)
        return self._extent(self._parts(key, offset), key, offset)

    def offset(self, key: int) -> int:
        """Byte offset of a key's record.

        Parameters
        ----------
        key : int

        Returns
        -------
        int

        Raises
        ------
        RecordError
            There is no such key.
        """
        position = self.index.position(key)
        if position < 0:
            raise self._no_such(key)
        return self._offsets[position]

    def _no_such(self, key: int) -> RecordError:
        return RecordError(f"the index has no such key; it has {len(self.index)} others", self.path, int(key))

    def fileno(self) -> int:
        """The file's descriptor, for positional reads.

        Returns
        -------
        int
            -1 once the reader is closed.
        """
        return self._descriptor

    def read_span(self, start: int, stop: int) -> bytes:
        """The raw bytes from one offset to another.

        Parameters
        ----------
        start, stop : int
            Byte offsets.

        Returns
        -------
        bytes

        Raises
        ------
        RecordError
            The span does not lie in the file.
        """
        if not 0 <= start <= stop <= self.size:
            raise RecordError(f"bytes {start} to {stop} do not lie in the file of {self.size}", self.path, None, start)
        pieces = []
        at = start
        while at < stop:
            piece = self._pread(stop - at, at)
            if not piece:
                raise RecordError("the file became shorter while it was read", self.path, None, at)
            pieces.append(piece)
            at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_words(self, offset: int) -> bytes:
        """The eight bytes that a part of a record begins with, fewer where the file ends.

        Raises
        ------
        RecordError
            The disk refuses.
        """
        return self._pread(8, offset)

    def _pread(self, count: int, offset: int) -> bytes:
        if self._descriptor < 0:
            raise RecordError("the reader is closed", self.path)
        try:
            return read_at(self._descriptor, count, offset)
        except OSError as error:
            raise RecordError(f"reading failed: {error.strerror}", self.path, None, offset) from error

    def _parts(self, key: int, offset: int) -> list[Part]:
        try:
            return list(record_parts(self.read_words, offset, self.size))
        except FramingError as error:
            raise error.at(self.path, int(key), offset) from None

    def _extent(self, parts: list[Part], key: int, offset: int) -> bytes:
        stop = parts[-1].start + padded(parts[-1].length)
        try:
            return self.read_span(offset, stop)
        except RecordError as error:
            raise RecordError(error.problem, self.path, int(key), offset) from error

    def close(self) -> None:
        """Close the file; harmless when closed already."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        # Not unmapped here: another thread may be reading.
        self._map = None
        self.__dict__.pop("read", None)

    def __enter__(self) -> RecordReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()

    def __reduce__(self) -> tuple[partial[RecordReader], tuple[Path, Path | None]]:
        if self._descriptor < 0:
            raise RecordError("the reader is closed: a copy of it would open the file again", self.path)
        opened = partial(type(self), index=self._index_to_send(), mapped=self._map is not None)
        return opened, (self.path, self.idx_path)

    def _index_to_send(self) -> RecordIndex | None:
        """The index itself where parsing it again would take long and no sidecar can be written."""
        if self.idx_path is None:
            return self.index
        if len(self.index) <= _REPARSE_BELOW or has_sidecar(self.idx_path):
            return None
        try:
            save_sidecar(self.idx_path, self.index)
        except OSError as error:
            logger.info("%s gets no sidecar (%s): its index is sent to every process", self.idx_path, error)
            return self.index
        return None

    def __repr__(self) -> str:
        return f"RecordReader({str(self.path)!r}, {len(self)} records)"


def _mapped_read(reader: RecordReader, mapped: mmap.mmap) -> Callable[[int], Record]:
    """`RecordReader.read` for a mapped file: a closure over what it needs saves a fifth of the time.

    What is unusual (keys with gaps, several parts, vector labels, damage) goes the usual way.
    """
    keys, offsets, first, count = reader._keys, reader._offsets, reader._first, reader._count
    limit, last = reader.size - 3, reader.size - _WHOLE.size  # 3: padding
    unpack, new = _WHOLE.unpack_from, _new

    def read(key: int) -> Record:
        rank = key - first
        if 0 <= rank < count and keys[rank] == key:
            at = offsets[rank]
            if 0 <= at <= last:
                magic, coded, flag, label, id_, id2 = unpack(mapped, at)
                stop = at + 8 + coded
                if magic == MAGIC and flag == 0 and HEADER_BYTES <= coded <= MAX_RECORD and stop <= limit:
                    key = key if key.__class__ is int else int(key)
                    return new(Record, (key, new(Header, (0, label, id_, id2)), mapped[at + 32 : stop]))
        return RecordReader.read(reader, key)

    return read
