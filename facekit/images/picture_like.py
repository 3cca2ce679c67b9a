"""What callers give as a picture -> ``(H, W, 3) uint8`` RGB, and the EXIF orientation of what is stored turned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.errors import PictureError

__all__ = ["ORIENTATION", "as_picture", "is_pillow", "stored_as", "to_pillow", "upright"]

ORIENTATION = 274
"""The EXIF tag, 1 to 8 (CIPA DC-008, 4.6.5.1)."""

# Whether rows and columns change places, and which of the axes are reversed after that.
_TURNS = {
    1: (False, False, False), 2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels as their EXIF orientation says.

    Parameters
    ----------
    stored : (H, W, ...) array
    orientation : int
        1 to 8; anything else counts as 1.

    Returns
    -------
    (H, W, ...) or (W, H, ...) array
        A view.
    """
    swapped, down, across = _TURNS.get(orientation, _TURNS[1])
    turned = stored.swapaxes(0, 1) if swapped else stored
    return turned[:: -1 if down else 1, :: -1 if across else 1]


def stored_as(turned: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The inverse of `upright`."""
    swapped, down, across = _TURNS.get(orientation, _TURNS[1])
    flipped = turned[:: -1 if down else 1, :: -1 if across else 1]
    return flipped.swapaxes(0, 1) if swapped else flipped


def is_pillow(given: Any) -> bool:
    """Whether something is a picture of Pillow; Pillow is not imported for it."""
    return all(hasattr(given, name) for name in ("getexif", "convert", "mode"))


def as_picture(given: Any, turn: bool = False) -> NDArray[np.uint8]:
    """A picture of Pillow as an array; an array as it is.

    Parameters
    ----------
    given : PIL.Image.Image or array
        Pillow's of any mode that holds 8 or 16 bits a channel; transparency is dropped.
    turn : bool
        Turn Pillow's as its EXIF orientation says.

    Returns
    -------
    (H, W, 3) uint8 RGB
        Of an array nothing is checked here.

    Raises
    ------
    PictureError
        It is a tensor, or anything else; the message says what would do.
    """
    if isinstance(given, np.ndarray):
        return given
    if is_pillow(given):
        pixels = _of_pillow(given)
        return np.ascontiguousarray(upright(pixels, given.getexif().get(ORIENTATION, 1))) if turn else pixels
    if hasattr(given, "detach"):
        raise PictureError(
            f"a tensor of shape {tuple(given.shape)} is no picture here: give (H, W, 3) uint8 RGB, which "
            "tensor.permute(1, 2, 0).mul(255).byte().numpy() makes of a (3, H, W) tensor from 0 to 1"
        )
    raise PictureError(
        f"a picture is (H, W, 3) uint8 RGB or one of Pillow's, this is {type(given).__name__}; "
        "facekit.images.decode makes one of the bytes of a file"
    )


def to_pillow(picture: NDArray[np.uint8]) -> Any:
    """An RGB picture as one of Pillow's."""
    from PIL import Image

    return Image.fromarray(picture)


def _of_pillow(given: Any) -> NDArray[np.uint8]:
    if given.mode.startswith("I;16"):
        grey = (np.asarray(given).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, -1)
    if given.mode in ("I", "F"):
        raise PictureError(f"a picture of Pillow's mode {given.mode!r} has no known white; convert it to 'RGB' first")
    return np.array(given.convert("RGB"), np.uint8)
