"""Bytes of a file or an object from its beginning on, once, without their compression."""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import IO, Any

from facekit.stores.filesystem import Stored, StoreError, missing_library, open_filesystem, store_errors
from facekit.stores.reading import NoRanges, open_stored

__all__ = ["ForwardFile", "open_stream"]

logger = logging.getLogger(__name__)

PIECE = 1 << 20
"""Bytes handed on at a time."""

_KEPT = 1024
"""Bytes that `ForwardFile` can go back."""

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


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
