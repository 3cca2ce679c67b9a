"""JPEG and other payloads <-> pictures: the only home of decoding and encoding.

A picture is ``(H, W, 3) uint8`` RGB everywhere in facekit; BGR exists only inside this file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import ConfigError, PictureError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Payload = bytes | bytearray | memoryview

__all__ = [
    "SUBSAMPLINGS",
    "JpegCoding",
    "decode",
    "decode_stored",
    "encode_jpeg",
    "encode_like",
    "encode_stored",
    "jpeg_coding",
    "picture_size",
]

MAX_PIXELS = 1 << 27
"""No picture above this is decoded (400 MB as RGB): a header can claim 65535 x 65535 in a hundred bytes."""

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"

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


def decode(payload: Payload, upright: bool = False) -> Picture:
    """Decode an encoded picture.

    Parameters
    ----------
    payload : bytes-like
        A JPEG, PNG, WebP or BMP file.
    upright : bool
        Turn the picture as its EXIF orientation says: right for photographs. By default the pixels come as they are
        stored, which is what training code sees in a pack.

    Returns
    -------
    (H, W, 3) uint8
        RGB. Grey pictures have three equal channels, transparency is dropped, 16 bits become 8. Of a JPEG the same
        pixels as ``mx.image.imdecode`` gives.

    Raises
    ------
    PictureError
        The payload is empty, of another format, truncated, corrupt, or claims a size that its bytes cannot hold.
    """
    import cv2

    colour = getattr(cv2, "IMREAD_COLOR_RGB", cv2.IMREAD_COLOR)  # OpenCV 4.11 and later spare a pass over the pixels
    pixels = _decoded(payload, colour if upright else colour | cv2.IMREAD_IGNORE_ORIENTATION)
    if colour == cv2.IMREAD_COLOR:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
    return pixels


def decode_stored(payload: Payload, iscolor: int = -1) -> Picture:
    """Decode in the channel order of ``cv2.imdecode``, for code that expects it.

    Parameters
    ----------
    payload : bytes-like
    iscolor : int
        1: three channels; 0: grey; -1: as stored.

    Returns
    -------
    (H, W, 3) uint8 in BGR, (H, W) where it is grey, (H, W, 4) where it is stored with transparency

    Raises
    ------
    PictureError
        As `decode`.
    """
    import cv2

    return _decoded(payload, iscolor if iscolor < 0 else iscolor | cv2.IMREAD_IGNORE_ORIENTATION)


def _decoded(payload: Payload, flags: int) -> Picture:
    import cv2

    content = payload if isinstance(payload, bytes) else bytes(payload)
    kind, size = _claimed_size(content)
    _refuse_impossible(kind, size, len(content))
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise PictureError(f"the decoder refused this {kind} of {len(content)} bytes: {error}") from error
    if pixels is None:
        raise PictureError(f"the {kind} of {len(content)} bytes is truncated or corrupt: it does not decode")
    return pixels  # type: ignore[return-value]


def encode_jpeg(image: Picture, quality: int = 95, subsampling: str = "4:2:0") -> bytes:
    """Encode a picture as a baseline JPEG with the standard tables.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.
    quality : int
        1 to 100, scaled as libjpeg does.
    subsampling : str
        ``"4:4:4"``, ``"4:2:2"``, ``"4:2:0"``, ``"4:4:0"`` or ``"4:1:1"``.

    Raises
    ------
    ConfigError
        The quality or the subsampling is outside what is allowed.
    PictureError
        The array is not a picture.
    """
    if not 1 <= quality <= 100:
        raise ConfigError(f"JPEG quality must lie in 1 to 100, {quality} was given")
    if subsampling not in SUBSAMPLINGS:
        raise ConfigError(f"chroma subsampling must be one of {', '.join(SUBSAMPLINGS)}, {subsampling!r} was given")
    return _encode_standard(_bgr(image), quality, subsampling)


def encode_stored(pixels: NDArray[np.uint8], extension: str = ".jpg", quality: int = 95) -> bytes:
    """Encode pixels in the channel order of ``cv2.imencode``, for code that has them so.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 in BGR, or (H, W)
    extension : str
        ``".jpg"``, ``".jpeg"`` or ``".png"``.
    quality : int
        JPEG 1 to 100; PNG compression 0 to 9.

    Raises
    ------
    ConfigError
        The extension is another.
    PictureError
        The array is not a picture.
    """
    import cv2

    options = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".png": cv2.IMWRITE_PNG_COMPRESSION}
    option = options.get(extension.lower())
    if option is None:
        raise ConfigError(f"pictures are encoded as {', '.join(options)}, {extension!r} was given")
    if pixels.ndim not in (2, 3) or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise PictureError(f"a picture is an (H, W, 3) or (H, W) uint8 array, this is {pixels.shape} {pixels.dtype}")
    return _encode(extension, pixels, [option, quality])


def encode_like(image: Picture, source: Payload) -> bytes:
    """Encode a picture the way another payload was encoded, so that the codec does not tell them apart.

    A JPEG source gives its own quantisation tables, chroma subsampling and number of components (grey stays grey);
    standard tables take the fast encoder, others an encoder that accepts tables. A source that is not a JPEG gives a
    PNG (lossless, and grey where a PNG source is grey). The result is always baseline Huffman. Subsamplings that the
    table encoder does not know (4:4:0, 4:1:1) with tables that are not standard come out as 4:4:4, and CMYK as YCbCr.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, of any size.
    source : bytes-like
        The payload to imitate.

    Raises
    ------
    PictureError
        The array is not a picture, or the source is not one.
    """
    content = bytes(source)
    if not content.startswith(_JPEG):
        return _encode_png(image, grey=_is_grey_png(content))
    coding = jpeg_coding(content)
    if coding.quality is not None and coding.subsampling in _SAMPLING_FACTORS:
        return _encode_standard(
            _grey(image) if coding.components == 1 else _bgr(image), coding.quality, coding.subsampling
        )
    return _encode_tables(image, coding)


def jpeg_coding(payload: Payload) -> JpegCoding:
    """Read tables, subsampling and size from the header of a JPEG without decoding it (ITU-T T.81, annex B).

    Takes microseconds: what a distinct set of header bytes means is remembered.

    Raises
    ------
    PictureError
        The payload is not a JPEG, or its header is truncated or corrupt.
    """
    content = bytes(payload)
    if not content.startswith(_JPEG):
        raise PictureError(f"not a JPEG: it begins with {content[:4].hex(' ') or 'nothing'}")
    return _coding_of(*_frame_and_tables(content))


def picture_size(payload: Payload) -> tuple[int, int]:
    """Height and width in pixels that the header of a JPEG, PNG, WebP or BMP claims, before any EXIF rotation.

    Raises
    ------
    PictureError
        The payload is empty, of another format, or its header is truncated or corrupt.
    """
    return _claimed_size(bytes(payload))[1]


# --- reading headers --------------------------------------------------------------------------------------------------

_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _TABLES, _END = 0xDA, 0xDB, 0xD9
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD9)))


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


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Height and width from the frame segment; the careful way, with its messages, where that is not found at once."""
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


_NO_SEGMENT = _BARE_MARKERS | {_SCAN, _END, 0xFF}
_HEIGHT_AND_WIDTH = struct.Struct(">HH")


# Most pixels one byte can stand for. JPEG: a bit a block of 64 in a grey DC scan is 512, doubled for safety. PNG and
# BMP: one bit a pixel through deflate's 1032:1. WebP's arithmetic coder has no useful bound, its format stops at 2**28
# pixels.
_KINDS = (
    _Kind("JPEG", _JPEG, _jpeg_size, 1024),
    _Kind("PNG", _PNG, _png_size, 8 * 1032),
    _Kind("WebP", b"RIFF", _webp_size, MAX_PIXELS),
    _Kind("BMP", b"BM", _bmp_size, 8 * 1032),
)


_PIXELS_PER_BYTE = {kind.name: kind.pixels_per_byte for kind in _KINDS}


def _claimed_size(content: bytes) -> tuple[str, tuple[int, int]]:
    for kind in _KINDS:
        if content.startswith(kind.signature):
            return kind.name, kind.size(content)
    if not content:
        raise PictureError("the payload is empty: there is no picture in it")
    raise PictureError(f"the payload begins with {content[:4].hex(' ')}, which is no JPEG, PNG, WebP or BMP")


def _refuse_impossible(name: str, size: tuple[int, int], length: int) -> None:
    height, width = size
    limit = _PIXELS_PER_BYTE[name]
    if not height or not width:
        raise PictureError(f"the {name} of {length} bytes claims {height} x {width} pixels")
    if height * width > min(MAX_PIXELS, limit * length):
        raise PictureError(
            f"the {name} claims {height} x {width} pixels, which {length} bytes cannot hold or no memory should"
        )


def _is_grey_png(content: bytes) -> bool:
    return content.startswith(_PNG) and content[25:26] in (b"\x00", b"\x04")


# --- encoding ---------------------------------------------------------------------------------------------------------

# Horizontal and vertical factors of Y, Cb and Cr, a hexadecimal digit each, as cv2.IMWRITE_JPEG_SAMPLING_FACTOR takes
# them.
_SAMPLING_FACTORS = {
    "4:4:4": 0x111111, "4:2:2": 0x211111, "4:2:0": 0x221111, "4:4:0": 0x121111, "4:1:1": 0x411111, "4:0:0": 0x111111,
}  # fmt: skip
SUBSAMPLINGS = tuple(name for name in _SAMPLING_FACTORS if name != "4:0:0")
_PILLOW_SUBSAMPLING = {"4:2:2": 1, "4:2:0": 2}


def _checked(image: Picture) -> Picture:
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    if shape is None or len(shape) != 3 or shape[2] != 3 or dtype != np.uint8 or 0 in shape:
        raise PictureError(f"a picture is an (H, W, 3) uint8 array, this is {type(image).__name__} {shape} {dtype}")
    if max(shape) > 65500:
        raise PictureError(f"a picture of {shape[0]} x {shape[1]} pixels is more than JPEG can hold (65500 a side)")
    return image


def _bgr(image: Picture) -> Picture:
    import cv2

    return cv2.cvtColor(_checked(image), cv2.COLOR_RGB2BGR)  # type: ignore[return-value]


def _grey(image: Picture) -> Picture:
    import cv2

    return cv2.cvtColor(_checked(image), cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def _encode_standard(pixels: Picture, quality: int, subsampling: str) -> bytes:
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING_FACTORS[subsampling]]
    return _encode(".jpg", pixels, options)


def _encode_png(image: Picture, grey: bool) -> bytes:
    return _encode(".png", _grey(image) if grey else _bgr(image), [])


def _encode(extension: str, pixels: Picture, options: list[int]) -> bytes:
    import cv2

    done, content = cv2.imencode(extension, pixels, options)
    if not done:
        raise PictureError(f"the encoder refused a picture of shape {pixels.shape} as {extension}")
    return content.tobytes()


def _encode_tables(image: Picture, coding: JpegCoding) -> bytes:
    """Any 8- or 16-bit tables, by way of Pillow."""
    import io

    from PIL import Image

    picture = Image.fromarray(_grey(image) if coding.components == 1 else _checked(image))
    tables = [list(table) for table in coding.tables[: 1 if coding.components == 1 else 3]]
    out = io.BytesIO()
    picture.save(out, "JPEG", qtables=tables, subsampling=_PILLOW_SUBSAMPLING.get(coding.subsampling, 0))
    return out.getvalue()
