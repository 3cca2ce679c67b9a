"""``mxnet.recordio.MXRecordIO``: a RecordIO file from beginning to end."""

from __future__ import annotations

import os
import threading
from typing import IO, Any

from facekit.errors import ConfigError, RecordError
from facekit.records import frame
from facekit.records.framing import FramingError, join_parts, padded, record_parts
from facekit.records.read_at import read_at

__all__ = ["MXRecordIO"]


class MXRecordIO:
    """A RecordIO file read or written from beginning to end.

    Parameters
    ----------
    uri : path
        The ``.rec`` file.
    flag : str
        ``"r"`` or ``"w"``.

    Raises
    ------
    ValueError
        The flag is another.
    facekit.RecordError
        The file cannot be opened.
    """

    def __init__(self, uri: str | os.PathLike[str], flag: str) -> None:
        self.uri, self.flag = os.fspath(uri), flag
        self.writable = flag == "w"
        if flag not in ("r", "w"):
            raise ConfigError(f"flag is {flag!r}; it must be 'r' or 'w'")
        self._lock, self._position, self.is_open = threading.Lock(), 0, False
        self._pid = os.getpid()
        self.open()

    def open(self) -> None:
        """Open the file; a reader begins at its start."""
        try:
            mode, buffered = ("wb", 1 << 20) if self.writable else ("rb", 0)
            self._file: IO[bytes] = open(self.uri, mode, buffered)  # noqa: SIM115 -- until close()
        except OSError as error:
            raise RecordError(f"the file cannot be opened: {error.strerror}", self.uri) from error
        self._position, self.is_open = 0, True

    def close(self) -> None:
        """Close the file; harmless when closed already."""
        if self.is_open:
            self._file.close()
        self.is_open = False

    def reset(self) -> None:
        """Go back to the start; a writer truncates its file."""
        self.close()
        self.open()

    def read(self) -> bytes | None:
        """The next record buffer, or None at the end of the file.

        Returns
        -------
        bytes or None

        Raises
        ------
        facekit.RecordError
            The record is truncated or corrupt.
        """
        self._require("r")
        with self._lock:
            buffer, self._position = self._next(self._position)
            return buffer

    def write(self, buf: bytes | bytearray | memoryview) -> None:
        """Append a record buffer.

        Parameters
        ----------
        buf : bytes-like
            What `pack` makes.
        """
        self._require("w")
        with self._lock:
            self._position += self._file.write(frame(buf))

    def tell(self) -> int:
        """Offset of the next record.

        Returns
        -------
        int
            Bytes.
        """
        return self._position

    def _require(self, flag: str) -> None:
        if self.flag != flag:
            raise ConfigError(f"{self.uri} was opened with flag {self.flag!r}, this needs {flag!r}")
        if not self.is_open:
            raise ConfigError(f"{self.uri} is closed; open() or reset() opens it again")

    def _next(self, at: int) -> tuple[bytes | None, int]:
        """The record at an offset and where the next one is."""
        descriptor = self._descriptor()
        size = os.fstat(descriptor).st_size
        if at >= size:
            return None, at
        try:
            parts = list(record_parts(lambda offset: read_at(descriptor, 8, offset), at, size))
        except FramingError as error:
            raise error.at(self.uri, None, at) from None
        stop = parts[-1].start + padded(parts[-1].length)
        return join_parts(read_at(descriptor, stop - at, at), parts, at), stop

    def _descriptor(self) -> int:
        return self._file.fileno()

    def __enter__(self) -> MXRecordIO:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "is_open", False):
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        """What reopens it in another process; attributes that a script added to the object are not kept."""
        if self.writable:
            raise ConfigError(f"{self.uri} is being written: a writer cannot be sent to another process")
        return {"uri": self.uri, "flag": self.flag, "position": self._position}

    def __setstate__(self, state: dict[str, Any]) -> None:
        MXRecordIO.__init__(self, state["uri"], state["flag"])
        self._position = state["position"]
