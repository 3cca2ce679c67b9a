"""Many files of which a few are open at a time, to be read by place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from facekit.errors import RecordError
from facekit.records.read_at import read_into_at

__all__ = ["OpenFiles"]

_MOST = 128


class OpenFiles:
    """Files that are opened when they are first asked for; the one that was opened first makes room.

    Parameters
    ----------
    paths : sequence of Path
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._opened: dict[int, IO[bytes]] = {}

    def read_into(self, number: int, offset: int, buffer: memoryview, key: int | None = None) -> None:
        """Fill a buffer from an offset of a file on.

        Parameters
        ----------
        number : int
            Which of the files.
        offset : int
        buffer : memoryview
        key : int, optional
            Of the record, for the message of an error.

        Raises
        ------
        RecordError
            It cannot be read, or ends before the buffer is full.
        """
        path = self._paths[number]
        try:
            read = read_into_at(self._descriptor(number), buffer, offset)
        except OSError as error:
            raise RecordError(f"reading failed: {error.strerror}", path, key, offset) from error
        if read != len(buffer):
            raise RecordError("the file became shorter while it was read", path, key, offset)

    def _descriptor(self, number: int) -> int:
        if number not in self._opened:
            if len(self._opened) == _MOST:
                self._opened.pop(next(iter(self._opened))).close()
            self._opened[number] = open(self._paths[number], "rb", buffering=0)  # noqa: SIM115 -- until __exit__
        return self._opened[number].fileno()

    def __enter__(self) -> OpenFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._opened.values():
            file.close()
        self._opened.clear()
