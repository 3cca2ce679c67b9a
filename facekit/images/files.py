"""Picture files -> what they show, upright, and back: the same kind, quality, bit depth and metadata with other pixels.

JPEG: the segments before the first scan that describe the picture (EXIF, XMP, IPTC, ICC, comments) are copied byte for
byte, and the pixels stay in their stored orientation, so that the blocks lie where they lay. PNG: every ancillary chunk
is copied; transparency and 16 bits are kept. WebP and AVIF: by way of Pillow, with the quality at which the picture
itself takes as many bytes as its file does.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import PictureError
from facekit.images.codec import decode, decode_stored, encode_like, encode_png_stored
from facekit.images.jpeg import jpeg_coding
from facekit.images.picture_like import ORIENTATION, stored_as, upright
from facekit.images.size import MAX_PIXELS
from facekit.images.webp import saved_like

__all__ = ["PictureFile", "open_picture_file"]

Picture = NDArray[np.uint8]

_PNG = b"\x89PNG\r\n\x1a\n"
_KEPT_SEGMENTS = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))
"""Markers of JPEG: APP1 to APP13 and APP15, comments. Not APP0 (JFIF), which encoders write, nor APP14 (Adobe), which
says how the colours of the scan are to be read."""
_ICC = b"ICC_PROFILE\0"
_PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"sBIT", b"bKGD", b"hIST"))


class PictureFile(NamedTuple):
    """A picture file, opened.

    Attributes
    ----------
    content : bytes
        The file.
    kind : str
        ``JPEG``, ``PNG``, ``WEBP``, ``AVIF`` or ``BMP``.
    orientation : int
        Of EXIF, 1 to 8.
    image : (H, W, 3) uint8 RGB
        What it shows, upright.
    """

    content: bytes
    kind: str
    orientation: int
    image: Picture

    def with_image(self, image: Picture) -> bytes:
        """The file with other pixels.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB
            Upright, of the same size. Where it equals ``image``, 16-bit values and transparency are those of the file.

        Returns
        -------
        bytes
            Of the same kind.

        Raises
        ------
        PictureError
            The shape is another.
        """
        if image.shape != self.image.shape:
            raise PictureError(f"the picture is {self.image.shape}, other pixels must be too; these are {image.shape}")
        stored = np.ascontiguousarray(stored_as(image, self.orientation))
        changed = np.ascontiguousarray(stored_as((image != self.image).any(2), self.orientation))
        if self.kind == "JPEG":
            return _with_segments(encode_like(stored, self.content), self.content)
        if self.kind == "PNG":
            return _png_with(self.content, stored, changed)
        if self.kind in ("WEBP", "AVIF"):
            return _pillow_with(self.content, self.kind, stored)
        return _bmp(stored)


def open_picture_file(content: bytes) -> PictureFile:
    """Open a picture file.

    Parameters
    ----------
    content : bytes
        JPEG, PNG, WebP, BMP, or AVIF where Pillow reads it; of one frame.

    Returns
    -------
    PictureFile

    Raises
    ------
    PictureError
        It is truncated, corrupt, animated, or of another kind.
    """
    kind, frames, orientation = _looked_at(content)
    if frames > 1:
        raise PictureError(
            f"this {kind} is animated ({frames} frames); take the frames apart and mask them as pictures"
        )
    stored = decode(content)
    return PictureFile(content, kind, orientation, np.ascontiguousarray(upright(stored, orientation)))


def _looked_at(content: bytes) -> tuple[str, int, int]:
    """Kind, number of frames, orientation."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as found:
            if found.width * found.height > MAX_PIXELS:
                raise PictureError(
                    f"the picture claims {found.height} x {found.width} pixels, which no memory should hold"
                )
            kind = "JPEG" if found.format == "MPO" else str(found.format)
            frames = 1 if kind == "JPEG" else int(getattr(found, "n_frames", 1))
            orientation = int(found.getexif().get(ORIENTATION, 1) or 1)
    except PictureError:
        raise
    except Exception as error:
        decode(content)  # whose message says more
        raise PictureError(f"the header of this picture cannot be read: {error}") from error
    if kind not in ("JPEG", "PNG", "WEBP", "AVIF", "BMP"):
        raise PictureError(f"this is a {kind} picture; JPEG, PNG, WebP, AVIF and BMP can be written back as they are")
    return kind, frames, orientation if 1 <= orientation <= 8 else 1


# --- JPEG -------------------------------------------------------------------------------------------------------------


def _with_segments(encoded: bytes, source: bytes) -> bytes:
    """A JPEG with the descriptive segments of another one behind its own start."""
    colours = jpeg_coding(source).components
    kept = b"".join(s for s in _segments(source) if s[1] in _KEPT_SEGMENTS and not (colours == 4 and _ICC in s[:18]))
    at = 2
    if encoded[2:4] == b"\xff\xe0":  # JFIF, where there is one, comes first
        at += 2 + int.from_bytes(encoded[4:6], "big")
    return encoded[:at] + kept + encoded[at:]


def _segments(content: bytes) -> Iterator[bytes]:
    """The segments before the first scan, marker and length included; `jpeg_coding` has checked them."""
    at = 2
    while content[at] == 0xFF and content[at + 1] != 0xDA:
        if content[at + 1] == 0xFF:
            at += 1
            continue
        if content[at + 1] == 0x01 or 0xD0 <= content[at + 1] <= 0xD8:
            at += 2
            continue
        length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        yield content[at : at + length]
        at += length


# --- PNG --------------------------------------------------------------------------------------------------------------


def _png_with(content: bytes, stored: Picture, changed: NDArray[np.bool_]) -> bytes:
    """Of a palette, colours; of 16 bits the values of the file wherever nothing changed."""
    raw = np.array(decode_stored(content))
    values = stored.astype(raw.dtype) * (257 if raw.dtype == np.uint16 else 1)
    if raw.ndim == 2:
        raw[changed] = np.rint(values[changed] @ np.array([0.299, 0.587, 0.114])).astype(raw.dtype)
    else:
        raw[changed, :3] = values[changed][:, ::-1]
    return _with_chunks(encode_png_stored(raw), content)


def _with_chunks(encoded: bytes, source: bytes) -> bytes:
    """A PNG with the ancillary chunks of another one before its pixels."""
    kept = b"".join(chunk for chunk in _chunks(source) if chunk[4:8] not in _PIXEL_CHUNKS)
    own = [chunk for chunk in _chunks(encoded) if chunk[4:8] in _PIXEL_CHUNKS]
    return _PNG + own[0] + kept + b"".join(own[1:])


def _chunks(content: bytes) -> Iterator[bytes]:
    at = len(_PNG)
    while at + 12 <= len(content):
        length = struct.unpack_from(">I", content, at)[0]
        chunk = content[at : at + 12 + length]
        if len(chunk) == 12 + length and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big"):
            yield chunk
        at += 12 + length


# --- the others -------------------------------------------------------------------------------------------------------


def _pillow_with(content: bytes, kind: str, stored: Picture) -> bytes:
    """WebP or AVIF, with what the file says besides, and its transparency."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as found:
        alpha = (
            found.convert("RGBA").getchannel("A") if "A" in found.getbands() or "transparency" in found.info else None
        )
        kept = {name: found.info[name] for name in ("exif", "icc_profile", "xmp") if found.info.get(name)}
    new, old = Image.fromarray(stored), Image.fromarray(decode(content))
    if alpha is not None:
        new.putalpha(alpha)
        old.putalpha(alpha)
    return saved_like(new, old, content, kind, **kept)


def _bmp(stored: Picture) -> bytes:
    return encode_like(stored, b"BM")
