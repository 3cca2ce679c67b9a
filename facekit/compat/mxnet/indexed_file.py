"""``mxnet.recordio.MXIndexedRecordIO``: a RecordIO file with an index, on facekit's own reader and writer."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from facekit.compat.mxnet.record_file import MXRecordIO
from facekit.errors import ConfigError, RecordError
from facekit.records import RecordReader, RecordWriter

__all__ = ["MXIndexedRecordIO"]

logger = logging.getLogger(__name__)


class MissingKey(RecordError, KeyError):
    """There is no such key; also a KeyError, which is what mxnet raises."""

    __str__ = Exception.__str__


class MXIndexedRecordIO(MXRecordIO):
    """A RecordIO file with an index: random access by key.

    Parameters
    ----------
    idx_path : path
        The ``.idx`` file; a reader rebuilds the index where it does not exist.
    uri : path
        The ``.rec`` file.
    flag : str
        ``"r"`` or ``"w"``. What is written appears under its name when it is closed.
    key_type : type
        ``int``; there are no other keys in packs of faces.

    Attributes
    ----------
    keys : list of int
        In the order of the index.
    idx : mapping
        From key to byte offset.
    """

    def __init__(
        self, idx_path: str | os.PathLike[str], uri: str | os.PathLike[str], flag: str, key_type: type = int
    ) -> None:
        if key_type is not int:
            raise ConfigError(f"key_type is {key_type!r}; facekit's stand-in for mxnet has whole numbers as keys only")
        self.idx_path, self.key_type = os.fspath(idx_path), key_type
        super().__init__(uri, flag)

    def open(self) -> None:
        self._keys: list[int] | None = None
        if self.writable:
            self._offsets: dict[int, int] = {}
            self._writer = RecordWriter(self.uri, self.idx_path, overwrite=True)
            # Scripts rely on the file being there at the end although they never close it.
            self._finish = weakref.finalize(self, _close_own, self._writer, self._pid)
            _WRITERS.add(self._writer)
        else:
            self._adopt(RecordReader(self.uri, self._known_index()))
            self._warn_of_partial_index()
        self._after: int | None = None
        self._position, self.is_open = 0, True

    def __del__(self) -> None:
        if getattr(self, "is_open", False) and self._pid == os.getpid():
            self.close()

    def _warn_of_partial_index(self) -> None:
        """mxnet says nothing, and a script trains on what the index has."""
        problem = self._reader.index_problem()
        if problem is not None:
            logger.warning("%s: %s; `facekit check %s` says what is missing", self.idx_path, problem, self.uri)

    def _adopt(self, reader: RecordReader) -> None:
        self._reader, self._after = reader, None

    def _known_index(self) -> str | None:
        if Path(self.idx_path).exists():
            return self.idx_path
        if Path(self.uri).with_suffix(".idx").exists() or not Path(self.uri).exists():
            raise RecordError("there is no such index", self.idx_path)
        logger.warning("%s does not exist: the index is rebuilt from %s", self.idx_path, self.uri)
        return None

    def close(self) -> None:
        if self.is_open and self.writable:
            self._finish.detach()
            self._writer.close()
        elif self.is_open:
            self._reader.close()
        self.is_open = False

    def reset(self) -> None:
        """Go back to the first record; a writer starts over with an empty file."""
        if not self.writable and self.is_open:
            self._position, self._after = 0, None
            return
        super().reset()

    def read_idx(self, idx: int) -> bytes:
        """The record buffer of a key; ``read`` goes on behind it.

        Parameters
        ----------
        idx : int
            The key.

        Returns
        -------
        bytes

        Raises
        ------
        KeyError
            There is no such key; it is a facekit.RecordError too.
        facekit.RecordError
            The record is truncated or corrupt.
        """
        self._require("r")
        key = self._key(idx)
        try:
            buffer = self._reader.read_bytes(key)
        except RecordError as error:
            if key in self._reader:
                raise
            raise self._missing(error, key) from None
        self._after = key
        return buffer

    def _key(self, idx: Any) -> int:
        """The whole number that a key is; 5.0 is one, as to a dict, and "5" is none."""
        try:
            key = int(idx)
            same = bool(key == idx)
        except (TypeError, ValueError, OverflowError):
            same = False
        if not same:
            raise MissingKey(f"there is no key {idx!r}: keys are whole numbers", self.uri)
        return key

    def read(self) -> bytes | None:
        """The record behind the one that was read last, in the order of the file; None at its end.

        Returns
        -------
        bytes or None
        """
        if self._after is not None:
            self.seek(self._after)
            self._after = None
            super().read()
        return super().read()

    def tell(self) -> int:
        """Offset of the next record.

        Returns
        -------
        int
            Bytes.
        """
        if not self.writable and self._after is not None:
            self.seek(self._after)
            super().read()
        return super().tell()

    def seek(self, idx: int) -> None:
        """Let ``read`` go on with the record of a key.

        Parameters
        ----------
        idx : int
            The key.

        Raises
        ------
        KeyError
            There is no such key.
        """
        self._require("r")
        self._position, self._after = self.idx[self._key(idx)], None

    def write_idx(self, idx: int, buf: bytes | bytearray | memoryview) -> None:
        """Append a record buffer under a key.

        Parameters
        ----------
        idx : int
            The key.
        buf : bytes-like
            What `pack` makes.
        """
        self._require("w")
        with self._lock:
            key = int(idx)
            self._offsets[key] = self._writer.write_bytes(key, buf)
            self.keys.append(key)
            self._position = self._writer.tell()

    def write(self, buf: bytes | bytearray | memoryview) -> None:
        """Not without a key: such a record could not be found again."""
        raise ConfigError("a record of an indexed file needs a key: call write_idx(key, buffer)")

    @property
    def keys(self) -> list[int]:
        if self._keys is None:
            self._keys = [] if self.writable else self._reader.keys.tolist()
        return self._keys

    @property
    def idx(self) -> Mapping[int, int]:
        return self._offsets if self.writable else _Offsets(self._reader)

    def _descriptor(self) -> int:
        return self._reader.fileno()

    def _missing(self, error: RecordError, key: int) -> MissingKey:
        problem = error.problem
        if key == 0:
            problem += (
                ". InsightFace code asks for key 0 first, the dataset header or the first image; "
                "`facekit convert SRC DST --layout insightface` writes a pack that has it"
            )
        return MissingKey(problem, error.path, key)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "idx_path": self.idx_path, "reader": self._reader}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.idx_path, self.key_type = state["idx_path"], int
        self.uri, self.flag, self.writable = state["uri"], state["flag"], False
        self._lock, self._keys, self._pid = threading.Lock(), None, os.getpid()
        self._adopt(state["reader"])
        self._position, self.is_open = state["position"], True


class _Offsets(Mapping[int, int]):
    """Key -> byte offset, looked up in the index of a reader."""

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader

    def __getitem__(self, key: int) -> int:
        offset = self._reader.index.offset(key)
        if offset < 0:
            raise KeyError(key)
        return offset

    def __iter__(self) -> Iterator[int]:
        return iter(self._reader.keys.tolist())

    def __len__(self) -> int:
        return len(self._reader)


def _close_own(writer: RecordWriter, pid: int) -> None:
    """A forked child must not finish its parent's files."""
    if os.getpid() == pid:
        writer.close()


_WRITERS: weakref.WeakSet[RecordWriter] = weakref.WeakSet()


def _flush_before_fork() -> None:
    """What is still buffered would be written twice, by the parent and by the child."""
    for writer in list(_WRITERS):
        writer.flush()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_flush_before_fork)
