"""Bytes of a file or an object: ranges asked for again when they do not come, and streams without their compression."""

from __future__ import annotations

import io
import logging
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import IO, Any

from facekit.errors import RecordError
from facekit.stores.addresses import is_address
from facekit.stores.filesystem import Stored, StoreError, missing_library, open_filesystem, store_errors

__all__ = ["ForwardFile", "StoredFile", "open_stored", "open_stream"]

logger = logging.getLogger(__name__)

BLOCK = 8 << 20
"""Bytes asked for at once: at 50 ms an answer less would wait more than read."""

PIECE = 1 << 20
"""Bytes handed on at a time."""

TRIES, PAUSE = 4, 0.5
_KEPT = 1024
"""Bytes that `ForwardFile` can go back."""

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


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


class _Streamed(io.RawIOBase):
    """An object from a server that gives no ranges: one answer, whose end is compared with the size."""

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self._stored, self._at = stored, 0
        system, path = open_filesystem(stored.address)
        with store_errors(stored.address):
            self._file = system.open(path, "rb", block_size=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        with store_errors(self._stored.address):
            piece = self._file.read(len(view))
        view[: len(piece)] = piece
        self._at += len(piece)
        if not piece and self._at != self._stored.size:
            raise StoreError(f"the answer ended after {self._at} of {self._stored.size} bytes", self._stored.address)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
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


class ForwardFile(io.RawIOBase):
    """Chunks of bytes as a file that goes forward; it goes back by 1024 bytes at the most.

    Parameters
    ----------
    chunks : iterator of bytes
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks, self._held, self._start, self._at, self._fresh = chunks, b"", 0, 0, 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True, within its limits."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position from the beginning.

        Raises
        ------
        ValueError
            It lies too far back.
        """
        target = offset + (self._at if whence == 1 else 0)
        if whence == 2 or target < self._start:
            raise ValueError(f"a stream at {self._at} does not go back to {target}")
        while target > self._start + len(self._held) and self._more():
            pass
        self._at = min(target, self._start + len(self._held))
        return self._at

    def read(self, size: int = -1) -> bytes:
        """So many bytes; fewer where the stream ends."""
        size = size if size >= 0 else 1 << 62
        inside = self._at - self._start
        pieces = [self._held[inside : inside + size]]
        found = len(pieces[0])
        while found < size:
            if not self._more():
                break
            piece = self._held[len(self._held) - self._fresh :][: size - found]
            pieces.append(piece)
            found += len(piece)
        self._at += found
        return b"".join(pieces) if len(pieces) > 1 else pieces[0]

    def _more(self) -> bool:
        """Take the next chunk; what lies further back than allowed is forgotten."""
        chunk = next(self._chunks, b"")
        self._fresh = len(chunk)
        if chunk:
            tail = self._held[-_KEPT:]
            self._start += len(self._held) - len(tail)
            self._held = tail + chunk
        return bool(chunk)


@contextmanager
def open_stream(stored: Stored) -> Iterator[ForwardFile]:
    """Open a file or object to be read once from its beginning, without its compression (gzip or zstd, by its bytes).

    Parameters
    ----------
    stored : Stored

    Raises
    ------
    StoreError
        The store does not answer. Reading raises it too, and EOFError where compressed bytes end too early.
    """
    with open_stored(stored) as file:
        chunks = _chunks(file, stored)
        head = next(chunks, b"")
        chunks = chain([head], chunks)
        if head.startswith(GZIP):
            chunks = _inflated(chunks)
        elif head.startswith(ZSTD):
            chunks = _unzstd(chunks, stored.address)
        yield ForwardFile(chunks)


def _chunks(file: IO[bytes], stored: Stored) -> Iterator[bytes]:
    """The bytes of a file; where its server turns out to give no parts, the rest comes from one answer."""
    at = 0
    try:
        while chunk := file.read(PIECE):
            at += len(chunk)
            yield chunk
        return
    except NoRanges:
        logger.info("%s gives no parts of files: it is read as a whole", stored.address)
    with _Streamed(stored) as whole:
        while chunk := whole.read(PIECE):
            skipped = min(len(chunk), at)
            at -= skipped
            if len(chunk) > skipped:
                yield chunk[skipped:]


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Gzip members, one after another."""
    member = zlib.decompressobj(31)
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                if not rest.strip(b"\0"):
                    break
                member = zlib.decompressobj(31)
            try:
                out = member.decompress(rest, 1 << 20)
            except zlib.error as error:
                raise EOFError(f"the gzip stream is damaged: {error}") from error
            rest = member.unused_data if member.eof else member.unconsumed_tail
            if out:
                yield out
    while not member.eof and (out := member.decompress(b"", 1 << 20)):
        yield out
    if not member.eof:
        raise EOFError("the gzip stream ends too early")


def _unzstd(chunks: Iterator[bytes], address: str) -> Iterator[bytes]:
    """Zstandard frames, one after another."""
    try:
        import zstandard
    except ImportError as error:
        raise missing_library(address, error) from error
    frame: Any = zstandard.ZstdDecompressor().decompressobj()
    for chunk in chunks:
        # Small pieces, since a frame may grow by a factor of thirty thousand.
        for first in range(0, len(chunk), 4096):
            rest = chunk[first : first + 4096]
            while rest:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                try:
                    out = frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise EOFError(f"the zstd stream is damaged: {error}") from error
                rest = frame.unused_data if frame.eof else b""
                if out:
                    yield out
    if not frame.eof:
        raise EOFError("the zstd stream ends too early")
