"""Record buffer <-> framed bytes: dmlc RecordIO (dmlc-core ``include/dmlc/recordio.h``), little-endian.

A part is ``u32 magic, u32 flag << 29 | length``, the bytes, and zeros to a multiple of four. A record is one part (flag
0), or a first (1), middles (2) and a last (3): the writer cuts at every magic word that stands at a multiple of four of
the buffer and drops those four bytes, the reader puts them back. So a magic word at a multiple of four of a file always
starts a part, and one followed by flag 0 or 1 always starts a record: this is where a reader can take up again after
damage.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from facekit.errors import ConfigError, RecordError

__all__ = [
    "MAGIC",
    "MAX_RECORD",
    "NOT_RECORDS",
    "FramingError",
    "Part",
    "frame",
    "join_parts",
    "padded",
    "record_parts",
    "unframe",
]

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
MAX_RECORD = (1 << 29) - 1
"""Longest record in bytes: the length field has 29 bits."""

WHOLE, FIRST, MIDDLE, LAST = range(4)
WORDS = struct.Struct("<II")
NOT_RECORDS = "not a RecordIO file"
"""What a file is that begins as no record does."""
_ZEROS = (b"", b"\0\0\0", b"\0\0", b"\0")


class FramingError(ValueError):
    """What is wrong with the framing, and where; whoever knows path and key turns it into a RecordError."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem)
        self.problem, self.offset = problem, offset

    def at(self, path: str | os.PathLike[str], key: int | None = None, offset: int | None = None) -> RecordError:
        """The error to raise; ``offset`` is where the record starts, the problem names the part if not the first.

        Parameters
        ----------
        path : path
        key, offset : int, optional
            Of the record.

        Returns
        -------
        RecordError
        """
        start = self.offset if offset is None else offset
        where = "" if start == self.offset else f" (in the part at offset {self.offset})"
        return RecordError(self.problem + where, path, key, start)


class Part(NamedTuple):
    """One part of a record: its flag, where its bytes start, and how many they are (without padding)."""

    flag: int
    start: int
    length: int


def padded(length: int) -> int:
    """A length rounded up to a multiple of four.

    Parameters
    ----------
    length : int
        Bytes.

    Returns
    -------
    int
    """
    return (length + 3) & ~3


def frame(buffer: bytes | bytearray | memoryview) -> bytes:
    """Frame one record buffer, byte for byte as dmlc's ``RecordIOWriter`` does.

    Parameters
    ----------
    buffer : bytes-like
        A record buffer: header, label vector and payload.

    Returns
    -------
    bytes
        A multiple of four bytes.

    Raises
    ------
    ConfigError
        The buffer has 2**29 bytes or more.
    """
    size = len(buffer)
    if size > MAX_RECORD:
        raise ConfigError(f"a record must be shorter than 2**29 bytes, this one has {size}")
    data = buffer if isinstance(buffer, bytes) else bytes(buffer)
    cuts = _cuts(data)
    if not cuts:
        return b"".join((MAGIC_BYTES, size.to_bytes(4, "little"), data, _ZEROS[size & 3]))
    pieces: list[bytes] = []
    start = 0
    for cut in cuts:
        pieces += (WORDS.pack(MAGIC, (FIRST if start == 0 else MIDDLE) << 29 | (cut - start)), data[start:cut])
        start = cut + 4
    pieces += (WORDS.pack(MAGIC, LAST << 29 | (size - start)), data[start:], _ZEROS[size & 3])
    return b"".join(pieces)


def _cuts(data: bytes) -> list[int]:
    """Where a magic word stands at a multiple of four."""
    cuts: list[int] = []
    at = data.find(MAGIC_BYTES)
    while at >= 0:
        if at & 3:
            at = data.find(MAGIC_BYTES, at + 1)
            continue
        cuts.append(at)
        at = data.find(MAGIC_BYTES, at + 4)
    return cuts


def record_parts(words_at: Callable[[int], bytes], start: int, size: int, padding: bool = True) -> Iterator[Part]:
    """Walk the parts of the record that starts at an offset; checks every claim before anything is read or allocated.

    Parameters
    ----------
    words_at : callable
        Gives the eight bytes at an offset (fewer where the file ends).
    start : int
        Offset of the record.
    size : int
        Bytes in the file or block.
    padding : bool
        Whether the zeros behind the last part must be there, as every reader of the format wants.

    Yields
    ------
    Part

    Raises
    ------
    FramingError
        No record starts there, or it is truncated or corrupt.
    """
    at, expected = start, (WHOLE, FIRST)
    while True:
        part = _part(words_at, at, size, expected, padding)
        yield part
        if part.flag in (WHOLE, LAST):
            return
        at, expected = part.start + padded(part.length), (MIDDLE, LAST)


def _part(words_at: Callable[[int], bytes], at: int, size: int, expected: tuple[int, int], padding: bool) -> Part:
    if not 0 <= at < size:
        if expected[0] == MIDDLE:
            raise FramingError(f"the file of {size} bytes ends between the parts of a record: it is truncated", at)
        raise FramingError(
            f"the offset lies outside the file of {size} bytes: index and file do not belong together", at
        )
    words = words_at(at)
    if at == 0 and not MAGIC_BYTES.startswith(bytes(words[:4])):
        raise FramingError(f"this is {NOT_RECORDS}: it begins with {words[:4].hex(' ')}, not 0a 23 d7 ce", at)
    if len(words) < 8:
        raise FramingError(f"the file of {size} bytes ends inside a part header: it is truncated", at)
    magic, coded = WORDS.unpack(words)
    flag, length = coded >> 29, coded & MAX_RECORD
    if magic != MAGIC:
        raise FramingError(
            f"no part starts here: {words[:4].hex(' ')} stands in the place of the magic word 0a 23 d7 ce", at
        )
    if flag not in expected:
        raise FramingError(f"a part of flag {flag} stands where flag {expected[0]} or {expected[1]} must", at)
    _check_length(flag, length, size - at - 8, at, padding)
    return Part(flag, at + 8, length)


def _check_length(flag: int, length: int, left: int, at: int, padding: bool) -> None:
    if length > left:
        problem = f"the part claims {length} bytes, {left} are left: the file is truncated or the length corrupt"
        raise FramingError(problem, at)
    if flag in (FIRST, MIDDLE) and length & 3:
        raise FramingError(f"a part of {length} bytes that is not the last must be a multiple of four", at)
    missing = padded(length) - left
    if padding and missing > 0:
        raise FramingError(
            f"the file is truncated: {missing} of the zeros behind a part of {length} bytes are missing", at
        )


def join_parts(block: bytes | memoryview, parts: list[Part], base: int = 0) -> bytes:
    """The record buffer: the bytes of the parts with the dropped magic words put back between them.

    Parameters
    ----------
    block : bytes-like
        Holds the parts with their headers between them.
    parts : list of Part
    base : int
        Offset at which the block starts, where those of the parts count from the start of a file.

    Returns
    -------
    bytes
    """
    return MAGIC_BYTES.join([bytes(block[p.start - base : p.start - base + p.length]) for p in parts])


def unframe(block: bytes | bytearray | memoryview, start: int = 0) -> tuple[bytes, int]:
    """Read the record that starts at an offset of framed bytes.

    Parameters
    ----------
    block : bytes-like
        Framed records.
    start : int
        Offset of the record in it.

    Returns
    -------
    bytes
        The record buffer.
    int
        Offset of the next record.

    Raises
    ------
    FramingError
    """
    view = memoryview(block)
    parts = list(record_parts(lambda at: bytes(view[at : at + 8]), start, len(view)))
    return join_parts(view, parts), parts[-1].start + padded(parts[-1].length)
