"""AVIF, where Pillow has it (11.3 and later): its size from the header, and its pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from facekit.errors import PictureError
from facekit.images.picture_like import ORIENTATION, upright

__all__ = ["avif_pixels", "avif_size", "is_avif", "reads_avif"]

BRANDS = (b"avif", b"avis")


def is_avif(content: bytes) -> bool:
    """Whether a file is an AVIF by its first box (ISO/IEC 14496-12, 4.3)."""
    return content[4:8] == b"ftyp" and content[8:12] in BRANDS


def reads_avif() -> bool:
    """Whether this Pillow reads AVIF."""
    from PIL import features

    with catch_warnings():
        simplefilter("ignore")  # one before 11.3 does not know the word
        return bool(features.check("avif"))


def avif_size(content: bytes) -> tuple[int, int]:
    """Height and width, as stored.

    Raises
    ------
    PictureError
        The header is corrupt, or this Pillow reads no AVIF.
    """
    with _opened(content) as found:
        return int(found.height), int(found.width)


def avif_pixels(content: bytes, turn: bool = False) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, turned as the EXIF orientation says where that is asked for.

    Raises
    ------
    PictureError
        It is truncated or corrupt, or this Pillow reads no AVIF.
    """
    with _opened(content) as found:
        pixels = np.array(found.convert("RGB"), np.uint8)
        orientation = int(found.getexif().get(ORIENTATION, 1) or 1) if turn else 1
    return np.ascontiguousarray(upright(pixels, orientation))


@contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as found:
            yield found
    except Exception as error:
        problem = f"is truncated or corrupt: {error}"
        if not reads_avif():
            problem = "cannot be read, since this Pillow reads no AVIF; 11.3 and later do"
        raise PictureError(f"the AVIF of {len(content)} bytes {problem}") from error
