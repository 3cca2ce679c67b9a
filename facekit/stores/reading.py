"""Bytes of a file or an object at any position: ranges, asked for again when they do not come."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any

from facekit.errors import RecordError
from facekit.stores.addresses import is_address
from facekit.stores.filesystem import Stored, StoreError, open_filesystem, store_errors

__all__ = ["NoRanges", "StoredFile", "open_stored"]

logger = logging.getLogger(__name__)

BLOCK = 8 << 20
"""Bytes asked for at once: at 50 ms an answer less would wait more than read."""

TRIES, PAUSE = 4, 0.5


class NoRanges(StoreError):
    """The server ignores which part of an object it is asked for."""


class StoredFile(io.RawIOBase):
    """An object of a store as a file: blocks are fetched by ranges, the next one while this one is used.

    Two blocks are held, whatever the size. A range that does not come is asked for again.

    Parameters
    ----------
    stored : Stored
    ahead : bool
        Fetch the block behind the one that is read.
    """

    def __init__(self, stored: Stored, ahead: bool = True) -> None:
        super().__init__()
        self._stored, self._block, self._at = stored, BLOCK, 0
        system, path = open_filesystem(stored.address)
        with store_errors(stored.address):
            self._file = system.open(path, "rb", block_size=BLOCK, cache_type="none", size=stored.size)
        self._held = (0, b"")
        self._pool, self._ahead = ThreadPoolExecutor(1), ahead  # one thread: the file below has one position
        self._next: tuple[int, Future[bytes]] | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position; nothing is fetched."""
        self._at = offset + (0, self._at, self._stored.size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read what is at hand, up to the end of a block."""
        view = memoryview(buffer).cast("B")
        start, block = self._held
        if not start <= self._at < start + len(block):
            start, block = self._held = self._fetch(self._at)
        piece = block[self._at - start : self._at - start + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _fetch(self, at: int) -> tuple[int, bytes]:
        if at >= self._stored.size:
            return at, b""
        waiting, self._next = self._next, None
        fetched = waiting[1] if waiting is not None and waiting[0] == at else self._pool.submit(self._piece, at)
        block = fetched.result()
        following = at + len(block)
        if self._ahead and following < self._stored.size:
            self._next = following, self._pool.submit(self._piece, following)
        return at, block

    def _piece(self, start: int) -> bytes:
        return self.read_range(start, self._block)

    def read_range(self, start: int, length: int) -> bytes:
        """So many bytes from an offset on, fewer at the end; tried a few times. Not while blocks are fetched ahead.

        Raises
        ------
        StoreError
            They did not come.
        """
        wanted = max(min(length, self._stored.size - start), 0)
        for attempt in range(TRIES):
            try:
                with store_errors(self._stored.address):
                    self._file.seek(start)
                    block = bytes(self._file.read(wanted))
                if len(block) == wanted:
                    return block
                raise StoreError(f"{len(block)} of {wanted} bytes came from offset {start} on", self._stored.address)
            except StoreError as error:
                if isinstance(error.__cause__, ValueError) and "range" in str(error.__cause__):
                    problem = "the server gives no parts of a file, which are needed here: download it"
                    raise NoRanges(problem, self._stored.address) from error
                if attempt == TRIES - 1:
                    raise
                logger.warning("%s; asked again", error)
                time.sleep(PAUSE * 2**attempt)
        raise AssertionError

    def close(self) -> None:
        """Close it; harmless when closed already."""
        if not self.closed:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._file.close()
        super().close()


@contextmanager
def open_stored(stored: Stored, ahead: bool = True) -> Iterator[IO[bytes]]:
    """Open a file or object for reading at any position.

    Parameters
    ----------
    stored : Stored
    ahead : bool
        Of an object, fetch the block behind the one that is read.

    Raises
    ------
    StoreError
        The store does not answer, or gives no ranges.
    RecordError
        The file cannot be read.
    """
    if is_address(stored.address):
        with io.BufferedReader(StoredFile(stored, ahead), 1 << 20) as file:
            yield file
        return
    with _open_local(stored.address) as local:
        yield local


def _open_local(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise RecordError(f"the file cannot be read: {error.strerror}", path) from error
