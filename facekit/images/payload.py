"""A picture file -> what a record should hold: most training code obeys no EXIF orientation and reads no AVIF."""

from __future__ import annotations

import io

import numpy as np

from facekit.errors import PictureError
from facekit.images.avif import is_avif
from facekit.images.codec import decode, encode_like, encode_png_stored
from facekit.images.picture_like import ORIENTATION, upright

__all__ = ["as_payload"]

_EXIF = (b"Exif\0\0", b"eXIf", b"EXIF")
"""What EXIF begins with in JPEG, and the chunks that hold it in PNG and WebP."""


def as_payload(content: bytes) -> bytes:
    """A picture file as a payload.

    Parameters
    ----------
    content : bytes
        Of a file.

    Returns
    -------
    bytes
        The file itself, save for two kinds: one whose EXIF orientation is another than 1 is turned upright and encoded
        as it was; AVIF becomes PNG. What does not decode is returned as it is: whoever reads it says so.
    """
    try:
        if is_avif(content):
            return encode_png_stored(np.ascontiguousarray(decode(content, upright=True)[..., ::-1]))
        orientation = _orientation(content)
        if orientation == 1:
            return content
        return encode_like(np.ascontiguousarray(upright(decode(content), orientation)), content)
    except PictureError:
        return content


def _orientation(content: bytes) -> int:
    """Of EXIF, 1 to 8; 1 where there is none."""
    from PIL import Image

    if not any(name in content for name in _EXIF):
        return 1
    try:
        with Image.open(io.BytesIO(content)) as found:
            orientation = int(found.getexif().get(ORIENTATION, 1) or 1)
    except Exception:  # whatever is wrong with the metadata, the picture may be sound
        return 1
    return orientation if 1 <= orientation <= 8 else 1
