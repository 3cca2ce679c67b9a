"""``mxnet.image``: decoding with the pixels that mxnet 1.9.1 gives, and resizing."""

from __future__ import annotations

import logging
import os
from typing import Any, NoReturn

import numpy as np

from facekit.compat.mxnet.ndarray import NDArray, wrap
from facekit.errors import PictureError
from facekit.images import decode, decode_stored
from facekit.images.jpeg import JPEG

__all__ = ["imdecode", "imread", "imresize", "resize_short"]

log = logging.getLogger(__name__)
END = b"\xff\xd9"
"""The marker that ends a JPEG."""
AREA, CUBIC, LINEAR, AUTOMATIC = 3, 2, 1, 9


def imdecode(buf: Any, flag: int = 1, to_rgb: bool | int = True, out: NDArray | None = None) -> NDArray:
    """Decode an encoded picture.

    Parameters
    ----------
    buf : bytes-like or uint8 array
    flag : int
        1: three channels; 0: grey.
    to_rgb : bool
        False gives BGR.
    out : NDArray, optional
        Filled and returned.

    Returns
    -------
    (H, W, 3) or (H, W, 1) uint8

    Raises
    ------
    facekit.PictureError
        The buffer holds no picture. A JPEG that is cut short decodes as far as it goes, as with mxnet; a warning is
        logged.
    """
    content = buf.tobytes() if isinstance(buf, np.ndarray) else bytes(buf)
    try:
        pixels = _decoded(content, flag, to_rgb)
    except PictureError:
        if not content.startswith(JPEG):
            raise
        pixels = _decoded(content + END, flag, to_rgb)
        log.warning("a JPEG of %d bytes is cut short; facekit check --deep names such records", len(content))
    if out is None:
        return wrap(pixels)
    out[:] = pixels
    return out


def _decoded(content: bytes, flag: int, to_rgb: bool | int) -> np.ndarray:
    if flag == 0:
        return decode_stored(content, 0)[..., None]
    return decode(content) if to_rgb else np.ascontiguousarray(decode(content)[..., ::-1])


def imread(filename: str | os.PathLike[str], flag: int = 1, to_rgb: bool | int = True) -> NDArray:
    """Read and decode a picture file; see `imdecode`.

    Parameters
    ----------
    filename : path
    flag, to_rgb : int
        See `imdecode`.

    Returns
    -------
    (H, W, 3) uint8 NDArray
    """
    with open(filename, "rb") as file:
        return imdecode(file.read(), flag, to_rgb)


def imresize(src: Any, w: int, h: int, interp: int = LINEAR) -> NDArray:
    """Resize to w x h pixels.

    Parameters
    ----------
    src : (H, W, C) uint8
    interp : int
        0 nearest, 1 bilinear, 2 bicubic, 3 area, 4 Lanczos; 9: bicubic to enlarge, area to shrink, else bilinear.
    """
    import cv2

    pixels = np.ascontiguousarray(src)
    height, width = pixels.shape[:2]
    if interp == AUTOMATIC:
        interp = CUBIC if h > height and w > width else AREA if h < height and w < width else LINEAR
    if interp not in range(5):
        raise ValueError(f"interp is {interp}; it must be 0 to 4, or 9")
    resized = cv2.resize(pixels, (w, h), interpolation=interp)
    return wrap(resized.reshape(h, w, -1))


def resize_short(src: Any, size: int, interp: int = CUBIC) -> NDArray:
    """Resize so that the shorter side has ``size`` pixels; the longer is rounded down."""
    height, width = src.shape[:2]
    if height > width:
        return imresize(src, size, size * height // width, interp)
    return imresize(src, size * width // height, size, interp)


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"facekit's stand-in for mxnet has no image.{name}; it has {', '.join(__all__)}")
