"""A picture -> bits that stay nearly the same when it is stored in another way, and differ between pictures.

The signs of the lowest frequencies of its cosine transform, after Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions" (2010), section 3.2.1, taken apart for brightness and for red less blue. Aligned faces
are all alike in their lowest frequencies, hence 256 of them; how many bits change under what, and how many two people
share, is measured by ``benchmarks/list_hashes.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import PictureError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CHROMA_BYTES", "HASH_BYTES", "HASH_NAME", "LUMA_BYTES", "are_swapped", "bit_distances", "perceptual_hash"]

HASH_NAME = "facekit-dct-1"
"""What stands in files for this hash; another one gets another name."""

LUMA_BYTES, CHROMA_BYTES = 32, 8
HASH_BYTES = LUMA_BYTES + CHROMA_BYTES

_SIDE = 32
_LEAST_CONTRAST = 2.0  # grey levels: below, the signs are noise
_SWAPPED = 44  # of 64 bits: the same picture changed 14 at the most (JPEG of quality 50)


def _low_frequencies(first: int, count: int) -> NDArray[np.int64]:
    """Places in a raveled (32, 32) transform, by the sum of both frequencies; (count,)."""
    down, across = (places.ravel() for places in np.mgrid[:_SIDE, :_SIDE])
    order = np.lexsort((down, np.maximum(down, across), down + across))
    return np.asarray(order[first : first + count], np.int64)


# Dealt out by turns, so that every 4 bytes of the hash have low frequencies, which differ less, and higher ones.
_LUMA = _low_frequencies(1, 8 * LUMA_BYTES).reshape(-1, 8).T.ravel()
_CHROMA = _low_frequencies(0, 8 * CHROMA_BYTES)


def perceptual_hash(image: NDArray[np.uint8]) -> bytes:
    """Hash what a picture shows.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, of any size; it is scaled to 32 x 32 by the mean of areas.

    Returns
    -------
    bytes
        40: 256 bits of brightness, (R + 2 G + B) / 4, which a swap of red and blue leaves alone, and 64 of red less
        blue, which it turns over. All zero where there is nothing to tell: a standard deviation of brightness below 2.

    Raises
    ------
    PictureError
        The array is not a picture.
    """
    import cv2

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise PictureError(f"a picture is an (H, W, 3) uint8 array, this is {image.shape} {image.dtype}")
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    luma = (small[..., 0] + 2 * small[..., 1] + small[..., 2]) / 4
    if luma.std() < _LEAST_CONTRAST:
        return bytes(HASH_BYTES)
    chroma = small[..., 0] - small[..., 2]
    bits = np.concatenate([_signs(luma, _LUMA), _signs(chroma, _CHROMA)])
    return np.packbits(bits).tobytes()


def _signs(plane: NDArray[Any], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    import cv2

    # Rounded: a plane without a frequency has zero there, and not what the last bit of a float says.
    return np.asarray(np.rint(cv2.dct(plane).ravel()[places] * 256) > 0)


def bit_distances(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many bits differ, row by row.

    Parameters
    ----------
    one, other : (n, B) uint8

    Returns
    -------
    (n,) int64
    """
    return np.asarray(np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64))


def are_swapped(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether two hashes of one picture each are of it with red and blue changed over.

    Parameters
    ----------
    one, other : (n, 40) uint8
        Whose brightness is the same.

    Returns
    -------
    (n,) bool
        False where a picture has too little colour to tell.
    """
    apart = bit_distances(one[:, LUMA_BYTES:], other[:, LUMA_BYTES:])
    return np.asarray(apart >= _SWAPPED)
