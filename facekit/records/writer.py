"""Record buffers -> ``.rec`` + ``.idx``, byte for byte as mxnet 1.9.1 writes them for the same calls."""

from __future__ import annotations

import logging
import operator
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from facekit.errors import ConfigError, DestinationExists, RecordError
from facekit.output.aside import aside_file
from facekit.records.framing import frame
from facekit.records.index import format_index, sidecar_path
from facekit.records.patch import patch_headers

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RecordWriter"]

logger = logging.getLogger(__name__)

_BUFFERED = 1 << 20


class RecordWriter:
    """Writes a RecordIO file and its index.

    Both are written aside (``.NAME.*.partial``, names that nobody else has) and appear under their own when
    :meth:`close` succeeds, the index last. As a context manager it closes at the end and removes what it wrote when an
    exception passes. A writer that is forgotten leaves its ``*.partial`` files, with a warning in the log: nothing is
    lost, and nothing unfinished is taken for whole.

    Parameters
    ----------
    rec : path
    idx : path, optional
        By default the name of ``rec`` with the suffix ``.idx``.
    overwrite : bool
        Replace existing files at the end.

    Raises
    ------
    DestinationExists
        A file exists and ``overwrite`` is not set.
    RecordError
        The files cannot be written.
    """

    def __init__(
        self, rec: str | os.PathLike[str], idx: str | os.PathLike[str] | None = None, *, overwrite: bool = False
    ) -> None:
        self._open = False
        self.path = Path(rec)
        self.idx_path = self.path.with_suffix(".idx") if idx is None else Path(idx)
        for path in (self.path, self.idx_path):
            if path.exists() and not overwrite:
                raise DestinationExists(f"{path} exists: choose another name or ask to overwrite it")
        self._rec, rec_partial = _create(self.path)
        try:
            self._idx, idx_partial = _create(self.idx_path)
        except BaseException:
            self._rec.close()
            rec_partial.unlink(missing_ok=True)
            raise
        self._partial = rec_partial, idx_partial
        self._open, self._write_failed, self._position = True, False, 0

    def tell(self) -> int:
        """Offset at which the next record will start.

        Returns
        -------
        int
            Bytes.
        """
        return self._position

    def write_bytes(self, key: int, buffer: bytes | bytearray | memoryview) -> int:
        """Append a record buffer (see :func:`facekit.records.pack_record`) under a key.

        Keys may come in any order; mxnet writes duplicates, of which a reader sees the last, and so does this.

        Parameters
        ----------
        key : int
        buffer : bytes-like

        Returns
        -------
        int
            Offset of the record.

        Raises
        ------
        ConfigError
            The key is no whole number, or the record has 2**29 bytes or more.
        RecordError
            The disk refuses.
        """
        number = _integer_key(key)
        return self._append(frame(buffer), f"{number}\t{self._position}\n".encode())

    def append_framed(
        self, block: bytes | bytearray | memoryview, keys: NDArray[np.integer], offsets_in_block: NDArray[np.integer]
    ) -> int:
        """Append records that are framed already, in one write.

        Parameters
        ----------
        block : bytes-like
            Framed records, one after another.
        keys : (n,) integer
        offsets_in_block : (n,) integer
            Where each starts in the block, ascending.

        Returns
        -------
        int
            Offset of the block.

        Raises
        ------
        ConfigError
            No record starts at one of the offsets, or there are not as many keys as offsets.
        RecordError
            The disk refuses.
        """
        _, offsets = patch_headers(block, np.asarray(offsets_in_block, np.int64))
        if len(keys) != len(offsets):
            raise ConfigError(f"{len(offsets)} records want as many keys, {len(keys)} were given")
        return self._append(block, format_index(np.asarray(keys), offsets + self._position).encode())

    def _append(self, block: bytes | bytearray | memoryview, lines: bytes) -> int:
        if not self._open:
            raise ConfigError(f"the writer of {self.path} is closed")
        start = self._position
        try:
            self._rec.write(block)
            self._idx.write(lines)
        except BaseException as error:
            self._write_failed = True
            if isinstance(error, OSError):
                raise RecordError(f"writing failed: {error.strerror}", self._partial[0], None, start) from error
            raise
        self._position += len(block)
        return start

    def flush(self) -> None:
        """Hand what is buffered to the system; harmless when closed already."""
        if self._open:
            self._rec.flush()
            self._idx.flush()

    def close(self) -> None:
        """Finish both files and give them their names; harmless when closed already.

        Raises
        ------
        RecordError
            The disk refuses, or an earlier write failed; then nothing appears.
        """
        if not self._open:
            return
        if self._write_failed:
            self.abort()
            raise RecordError("an earlier write failed: the files were given up", self.path)
        try:
            for file in (self._rec, self._idx):
                file.flush()
                os.fsync(file.fileno())
                file.close()
            self._publish()
        except OSError as error:
            self.abort()
            raise RecordError(f"writing failed: {error.strerror}", self.path) from error
        self._open = False

    def _publish(self) -> None:
        """The record file first: one without an index can be read, an index to another file cannot."""
        sidecar_path(self.idx_path).unlink(missing_ok=True)
        self.idx_path.unlink(missing_ok=True)
        os.replace(self._partial[0], self.path)
        os.replace(self._partial[1], self.idx_path)

    def abort(self) -> None:
        """Give up: remove what was written; harmless when closed already."""
        if not self._open:
            return
        self._open = False
        for file, path in zip((self._rec, self._idx), self._partial, strict=True):
            _close_quietly(file)
            path.unlink(missing_ok=True)

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            logger.warning("%s was never closed: what was written lies in %s", self.path, self._partial[0])
            _close_quietly(self._rec)
            _close_quietly(self._idx)


def _create(path: Path) -> tuple[IO[bytes], Path]:
    try:
        return aside_file(path, _BUFFERED)
    except OSError as error:
        raise RecordError(f"the file cannot be written: {error.strerror}", path) from error


def _close_quietly(file: IO[Any]) -> None:
    try:
        file.close()
    except OSError:
        logger.debug("closing %s failed", file.name, exc_info=True)


def _integer_key(key: int) -> int:
    try:
        return operator.index(key)
    except TypeError:
        raise ConfigError(f"a key is a whole number, {key!r} was given") from None
