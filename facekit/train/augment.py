"""The papers' augmentation: drawn first from the seed, the epoch and the key, then applied.

A hole is Cutout (DeVries and Taylor 2017), whose square is one of a fixed side: here a rectangle with sides drawn
between half of ``cutout_size`` and all of it, wholly inside the picture. The changes of colour are those of
torchvision's ColorJitter, by its formulas, in a fixed order and without hue. Neither paper gives chances or widths.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.images import blurred
from facekit.train.config import LoopConfig

__all__ = ["Augmentation", "apply_augmentation", "draw_augmentation"]

Picture = NDArray[np.uint8]


class Augmentation(NamedTuple):
    """Everything that is random about one training picture."""

    flip: bool = False
    shift: tuple[int, int] = (0, 0)
    """Pixels down and to the right."""
    hole: tuple[float, float, float, float] | None = None
    """Top, left, height and width over those of the picture."""
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    blur: float = 0.0
    """Standard deviation in pixels; 0: none."""


def draw_augmentation(rng: np.random.Generator, config: LoopConfig) -> Augmentation:
    """Draw what will be done to a picture.

    Parameters
    ----------
    rng : numpy.random.Generator
        Always the same count of numbers is taken from it, whatever the settings.
    config : LoopConfig

    Returns
    -------
    drawn : Augmentation
    """
    chance_flip, chance_hole, top, left, high, wide, *jitter = rng.random(9)
    down, right = rng.integers(-config.crop, config.crop, 2, endpoint=True).tolist()
    chance_blur, blur = rng.random(2)  # behind all that were drawn before there was a blur: those stay what they were
    hole = None
    if chance_hole < config.cutout:
        size = config.cutout_size
        height, width = size * (0.5 + 0.5 * high), size * (0.5 + 0.5 * wide)
        hole = (top * (1 - height), left * (1 - width), height, width)
    ranges = (config.brightness, config.contrast, config.saturation)
    light, contrast, colour = (1 + half * (2 * draw - 1) for half, draw in zip(ranges, jitter, strict=True))
    sigma = config.blur_size * blur if chance_blur < config.blur else 0.0
    return Augmentation(bool(chance_flip < config.flip), (down, right), hole, light, contrast, colour, sigma)


def apply_augmentation(image: Picture, drawn: Augmentation) -> NDArray[np.float32]:
    """Apply what was drawn to a picture.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB; not changed.
    drawn : Augmentation

    Returns
    -------
    (3, H, W) float32
        RGB in [-1, 1], contiguous; a hole is 0, the middle grey.
    """
    pixels = blurred(image, drawn.blur) if drawn.blur else image
    pixels = pixels[:, ::-1] if drawn.flip else pixels
    if any(drawn.shift):
        pixels = _shifted(pixels, drawn.shift)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    if (drawn.brightness, drawn.contrast, drawn.saturation) != (1.0, 1.0, 1.0):
        planes = _jittered(planes, drawn)
    planes /= np.float32(127.5)
    planes -= np.float32(1)
    if drawn.hole is not None:
        height, width = planes.shape[1:]
        top, left, high, wide = drawn.hole
        rows = slice(round(top * height), round((top + high) * height))
        planes[:, rows, round(left * width) : round((left + wide) * width)] = 0
    return planes


def _shifted(pixels: Picture, shift: tuple[int, int]) -> Picture:
    """Moved down and to the right, the border repeated."""
    height, width = pixels.shape[:2]
    rows = np.clip(np.arange(height) - shift[0], 0, height - 1)
    columns = np.clip(np.arange(width) - shift[1], 0, width - 1)
    return pixels[rows[:, None], columns]


def _jittered(planes: NDArray[np.float32], drawn: Augmentation) -> NDArray[np.float32]:
    """Brightness, then contrast around the mean grey, then saturation around each pixel's grey; clipped to 0 to 255."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    planes = planes * np.float32(drawn.brightness)
    grey = np.tensordot(weights, planes, 1)
    mean = np.float32(grey.mean())
    planes = mean + np.float32(drawn.contrast) * (planes - mean)
    grey = mean + np.float32(drawn.contrast) * (grey - mean)
    planes = grey + np.float32(drawn.saturation) * (planes - grey)
    return np.clip(planes, 0, 255, out=planes)
