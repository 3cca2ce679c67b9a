"""What a picture's first bytes claim: its format and size, and whether that can be. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from facekit.errors import PictureError
from facekit.images.avif import avif_size, is_avif
from facekit.images.jpeg import JPEG, jpeg_size

if TYPE_CHECKING:
    Payload = bytes | bytearray | memoryview

__all__ = ["MAX_PIXELS", "claimed_size", "is_grey_png", "picture_size", "refuse_impossible", "refuse_many_scans"]

MAX_PIXELS = 1 << 27
"""No picture above this is decoded (400 MB as RGB): a header can claim 65535 x 65535 in a hundred bytes."""

MAX_SCANNED_PIXELS = 1 << 32
"""No JPEG whose scans together pass over more pixels is decoded (about 4 s): 32 scans of the largest picture, 500 of
8 megapixels. Encoders write 10 to 15; an empty scan takes a few bytes, and as long to decode as another."""

_SCAN = b"\xff\xda"

_PNG = b"\x89PNG\r\n\x1a\n"


def picture_size(payload: Payload) -> tuple[int, int]:
    """Height and width in pixels that the header of a JPEG, PNG, WebP, BMP or AVIF claims, before any EXIF rotation.

    Parameters
    ----------
    payload : bytes-like

    Returns
    -------
    (int, int)

    Raises
    ------
    PictureError
        The payload is empty, of another format, or its header is truncated or corrupt.
    """
    return claimed_size(bytes(payload))[1]


def _webp_size(content: bytes) -> tuple[int, int]:
    """Height and width from the first chunk (RFC 9649)."""
    chunk = content[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(content[27:30], "little"), 1 + int.from_bytes(content[24:27], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    return int.from_bytes(content[28:30], "little") & 0x3FFF, int.from_bytes(content[26:28], "little") & 0x3FFF


def _png_size(content: bytes) -> tuple[int, int]:
    return int.from_bytes(content[20:24], "big"), int.from_bytes(content[16:20], "big")


def _bmp_size(content: bytes) -> tuple[int, int]:
    return abs(int.from_bytes(content[22:26], "little", signed=True)), abs(
        int.from_bytes(content[18:22], "little", signed=True)
    )


class _Kind(NamedTuple):
    name: str
    signature: bytes
    size: Callable[[bytes], tuple[int, int]]
    pixels_per_byte: int


# Most pixels one byte can stand for. JPEG: a bit a block of 64 in a grey DC scan is 512, doubled for safety. PNG and
# BMP: one bit a pixel through deflate's 1032:1. WebP's arithmetic coder has no useful bound, its format stops at 2**28
# pixels.
_KINDS = (
    _Kind("JPEG", JPEG, jpeg_size, 1024),
    _Kind("PNG", _PNG, _png_size, 8 * 1032),
    _Kind("WebP", b"RIFF", _webp_size, MAX_PIXELS),
    _Kind("BMP", b"BM", _bmp_size, 8 * 1032),
)


_PIXELS_PER_BYTE = {"AVIF": MAX_PIXELS, **{kind.name: kind.pixels_per_byte for kind in _KINDS}}


def claimed_size(content: bytes) -> tuple[str, tuple[int, int]]:
    """Format, and height and width.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    str
        ``JPEG``, ``PNG``, ``WebP``, ``BMP`` or ``AVIF``.
    (int, int)
        Pixels.

    Raises
    ------
    PictureError
        As `picture_size`.
    """
    for kind in _KINDS:
        if content.startswith(kind.signature):
            return kind.name, kind.size(content)
    if is_avif(content):
        return "AVIF", avif_size(content)
    if not content:
        raise PictureError("the payload is empty: there is no picture in it")
    raise PictureError(f"the payload begins with {content[:4].hex(' ')}, which is no JPEG, PNG, WebP or BMP")


def refuse_impossible(name: str, size: tuple[int, int], length: int) -> None:
    """Refuse a picture that its bytes cannot hold, or that no memory should.

    Parameters
    ----------
    name : str
        Format, as `claimed_size` gives it.
    size : (int, int)
        Height and width, pixels.
    length : int
        Bytes of the payload.

    Raises
    ------
    PictureError
        The claim is impossible, zero, or above `MAX_PIXELS`.
    """
    height, width = size
    limit = _PIXELS_PER_BYTE[name]
    if not height or not width:
        raise PictureError(f"the {name} of {length} bytes claims {height} x {width} pixels")
    if height * width > min(MAX_PIXELS, limit * length):
        raise PictureError(
            f"the {name} claims {height} x {width} pixels, which {length} bytes cannot hold or no memory should"
        )


def refuse_many_scans(content: bytes, size: tuple[int, int]) -> None:
    """Refuse a progressive JPEG that takes minutes to decode, whatever its few bytes say (ITU-T T.81, annex G).

    Parameters
    ----------
    content : bytes
        A JPEG file.
    size : (int, int)
        Height and width that it claims, pixels.

    Raises
    ------
    PictureError
        Its scans together pass over more than `MAX_SCANNED_PIXELS`.
    """
    pixels = size[0] * size[1]
    # Coded data has no FF DA: only markers have it, and now and then an application segment, which costs nothing here.
    scans = content.count(_SCAN)
    if scans * pixels > MAX_SCANNED_PIXELS and scans > 1:
        raise PictureError(
            f"the JPEG has {scans} scans of {size[0]} x {size[1]} pixels, which would take minutes to decode"
        )


def is_grey_png(content: bytes) -> bool:
    """A PNG of one channel, with or without transparency.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    bool
    """
    return content.startswith(_PNG) and content[25:26] in (b"\x00", b"\x04")
