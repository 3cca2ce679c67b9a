"""The header of a JPEG -> how it was coded: tables, subsampling, size. Nothing is decoded (ITU-T T.81, annex B)."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import PictureError

if TYPE_CHECKING:
    Payload = bytes | bytearray | memoryview

__all__ = ["JPEG", "JpegCoding", "jpeg_coding", "jpeg_size"]

JPEG = b"\xff\xd8\xff"
"""What a JPEG begins with."""

# ITU-T T.81 tables K.1 and K.2 (luminance, chrominance), row by row.
_STANDARD_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_STANDARD_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99,
    *(99,) * 36,
)  # fmt: skip

_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _TABLES, _END = 0xDA, 0xDB, 0xD9
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD9)))
_NO_SEGMENT = _BARE_MARKERS | {_SCAN, _END, 0xFF}
_HEIGHT_AND_WIDTH = struct.Struct(">HH")


class JpegCoding(NamedTuple):
    """How a JPEG was coded: what has to be repeated for untouched blocks to come out as they were.

    Attributes
    ----------
    quality : int or None
        1 to 100 where every table is the standard one scaled as libjpeg scales it; None for any other table.
    tables : tuple of (64,) tuple of int
        Quantisation table of each component, row by row (not zigzag).
    subsampling : str
        ``"4:4:4"``, ``"4:2:2"``, ``"4:2:0"``, ``"4:4:0"`` or ``"4:1:1"``; ``"other"`` for anything else; ``"4:0:0"``
        for grey.
    components : int
        1 (grey), 3 (YCbCr) or 4 (CMYK).
    size : (int, int)
        Height and width in pixels as stored, before any EXIF rotation.
    """

    quality: int | None
    tables: tuple[tuple[int, ...], ...]
    subsampling: str
    components: int
    size: tuple[int, int]


def jpeg_coding(payload: Payload) -> JpegCoding:
    """Read tables, subsampling and size from the header of a JPEG without decoding it (ITU-T T.81, annex B).

    Takes microseconds: what a distinct set of header bytes means is remembered.

    Parameters
    ----------
    payload : bytes-like
        A JPEG file.

    Returns
    -------
    JpegCoding

    Raises
    ------
    PictureError
        The payload is not a JPEG, or its header is truncated or corrupt.
    """
    content = bytes(payload)
    if not content.startswith(JPEG):
        raise PictureError(f"not a JPEG: it begins with {content[:4].hex(' ') or 'nothing'}")
    return _coding_of(*_frame_and_tables(content))


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Height and width from the frame segment; the careful way, with its messages, where that is not found at once.

    Parameters
    ----------
    content : bytes
        A JPEG file.

    Returns
    -------
    (int, int)
        Pixels.

    Raises
    ------
    PictureError
        The header is truncated or corrupt.
    """
    at = 2
    try:
        while content[at] == 0xFF:
            marker = content[at + 1]
            if marker in _FRAME_MARKERS:
                return _HEIGHT_AND_WIDTH.unpack_from(content, at + 5)
            if marker in _NO_SEGMENT:
                break
            at += 2 + (content[at + 2] << 8) + content[at + 3]
    except (IndexError, struct.error):
        pass
    return jpeg_coding(content).size


def _frame_and_tables(content: bytes) -> tuple[bytes, bytes]:
    """The bodies of the frame segment and of the table segments (joined) that stand before the first scan."""
    frame, tables, at = b"", b"", 2
    while True:
        if content[at : at + 1] != b"\xff":
            raise PictureError(f"JPEG header is truncated or corrupt at byte {at} of {len(content)}: no marker")
        while content[at : at + 1] == b"\xff":
            at += 1
        marker = content[at] if at < len(content) else _END
        if marker in (_SCAN, _END):
            break
        at += 1
        if marker in _BARE_MARKERS:
            continue
        length = int.from_bytes(content[at : at + 2], "big")
        if length < 2 or at + length > len(content):
            raise PictureError(f"JPEG header is truncated or corrupt: the segment at byte {at} claims {length} bytes")
        if marker == _TABLES:
            tables += content[at + 2 : at + length]
        elif marker in _FRAME_MARKERS:
            frame = content[at + 2 : at + length]
        at += length
    if not frame or not tables:
        raise PictureError(
            f"JPEG has no {'frame' if not frame else 'quantisation table'} before byte {at} of {len(content)}"
        )
    return frame, tables


@lru_cache(maxsize=4096)
def _coding_of(frame: bytes, table_segments: bytes) -> JpegCoding:
    tables = _parse_tables(table_segments)
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5] or frame[5] == 0:
        raise PictureError(f"JPEG frame segment of {len(frame)} bytes is corrupt")
    _, height, width, count = struct.unpack_from(">BHHB", frame)
    parts = [frame[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    lost = [part[2] for part in parts if part[2] not in tables]
    if lost:
        raise PictureError(f"JPEG refers to quantisation table {lost[0]}, which it does not define")
    used = tuple(tables[part[2]] for part in parts)
    return JpegCoding(_quality_of(used), used, _subsampling_of([part[1] for part in parts]), count, (height, width))


def _parse_tables(segments: bytes) -> dict[int, tuple[int, ...]]:
    tables, at = {}, 0
    while at < len(segments):
        wide, name = segments[at] >> 4, segments[at] & 15
        count = 128 if wide else 64
        raw = segments[at + 1 : at + 1 + count]
        if wide > 1 or len(raw) < count:
            raise PictureError(f"JPEG quantisation table {name} is truncated or corrupt")
        zigzag = np.frombuffer(raw, ">u2" if wide else "u1").astype(int)
        table = np.empty(64, int)
        table[_ZIGZAG] = zigzag
        tables[name] = tuple(table.tolist())
        at += 1 + count
    return tables


# Position, row by row, of each coefficient in the order of T.81 figure A.6: along the antidiagonals, turning at each.
_ZIGZAG = np.array(
    sorted(range(64), key=lambda p: (p // 8 + p % 8, p // 8 if (p // 8 + p % 8) % 2 else p % 8)), dtype=np.intp
)


def _subsampling_of(factors: list[int]) -> str:
    if len(factors) == 1:
        return "4:0:0"
    across, down = [factor >> 4 for factor in factors], [factor & 15 for factor in factors]
    if len(set(across[1:3])) > 1 or len(set(down[1:3])) > 1 or not across[1] or not down[1]:
        return "other"
    if across[0] % across[1] or down[0] % down[1]:
        return "other"
    ratio = across[0] // across[1], down[0] // down[1]
    return {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1"}.get(ratio, "other")


def _scaled(table: tuple[int, ...], quality: int) -> tuple[int, ...]:
    """A standard table at a quality, rounded and clamped as libjpeg does for baseline files."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((value * scale + 50) // 100, 1), 255) for value in table)


@lru_cache(maxsize=1)
def _standard_qualities() -> dict[tuple[tuple[int, ...], ...], int]:
    known: dict[tuple[tuple[int, ...], ...], int] = {}
    for quality in range(1, 101):
        luma, chroma = _scaled(_STANDARD_LUMA, quality), _scaled(_STANDARD_CHROMA, quality)
        known[(luma,)] = known[(luma, chroma, chroma)] = quality
    return known


def _quality_of(tables: tuple[tuple[int, ...], ...]) -> int | None:
    return _standard_qualities().get(tables[:3])
