"""Behind and after the figure: soft backgrounds, then what a camera does to light."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.synth.sampling import CaptureParams

__all__ = ["background", "develop"]

Array = NDArray[np.floating[Any]]


def background(capture: CaptureParams, size: int) -> Array:
    """A scene far out of focus.

    Parameters
    ----------
    capture : CaptureParams
        Only its ``texture`` is read.
    size : int
        Side in pixels.

    Returns
    -------
    (size, size, 3) float32
        Linear RGB.
    """
    rng = np.random.default_rng([capture.texture, 5])
    side = 28
    row, column = np.mgrid[0:side, 0:side].astype(np.float32) / (side - 1)
    vivid = 0.24 if rng.uniform() < 0.25 else 0.07
    warm = rng.normal(0, 0.16)
    base = rng.uniform(0.03, 0.5) * np.exp(rng.normal((warm, 0, -warm), vivid))
    other = base * np.exp(rng.normal(0, 0.6) + rng.normal(0, vivid, 3))
    angle = rng.uniform(0, 2 * np.pi)
    share = (np.cos(angle) * (column - 0.5) + np.sin(angle) * (row - 0.5) + 0.5).clip(0, 1)[..., None]
    scene = (base * (1 - share) + other * share).astype(np.float32)
    for _ in range(int(rng.integers(0, 7))):
        colour = base * np.exp(rng.normal(0, 0.7) + rng.normal(0, 1.4 * vivid, 3))
        x, y = rng.uniform(-0.1, 1.1, 2) * side
        w, h = rng.uniform(1.5, 12, 2) * (1, 2.2)
        cv2.rectangle(scene, (int(x - w), int(y - h)), (int(x + w), int(y + h)), colour.tolist(), -1)
    for _ in range(int(rng.integers(0, 9)) if rng.uniform() < 0.45 else 0):
        colour = np.exp(rng.normal(-0.5, 0.6) + rng.normal(0, 0.35, 3))
        centre = tuple(int(v * 16) for v in rng.uniform(0, side, 2))
        cv2.circle(scene, centre, int(rng.uniform(0.6, 2.2) * 16), colour.tolist(), -1, cv2.LINE_AA, 4)
    scene = cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.9, 2.6)))
    scene = cv2.resize(scene, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 3)
    grain = cv2.resize(rng.normal(0, 0.03, (56, 56)).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(scene * _three(np.asarray(1 + grain, np.float32)), dtype=np.float32)


def _blur(light: Array, capture: CaptureParams, scale: float) -> Array:
    if capture.blur > 0.15:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), capture.blur * scale), np.float32)
    if capture.motion > 0.2:
        length = max(3, 2 * round(1.5 * capture.motion * scale) + 1)
        angle = capture.texture % 180
        kernel = np.zeros((length, length), np.float32)
        reach = 0.5 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * (length - 1) * 0.7
        middle = (length - 1) / 2
        ends = [tuple(round(16 * float(middle + s * v)) for v in reach) for s in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
        return np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), np.float32)
    return light


def _meter(light: Array, exposure: float) -> np.float32:
    """Exposure: most of the way to a middle grey, metered on the middle of the picture, and short of burning it out."""
    quarter = light.shape[0] // 4
    middle = light[quarter:-quarter, quarter:-quarter]
    gain = exposure * (0.42 / (float(middle.mean()) + 0.01)) ** 0.45
    brightest = float(cv2.resize(middle, (7, 7), interpolation=cv2.INTER_AREA).mean(axis=2).max())
    return np.float32(gain * min(1.0, 1.35 / (gain * brightest + 1e-6)) ** 0.8)


def develop(light: Array, capture: CaptureParams, scale: float = 1.0) -> NDArray[np.uint8]:
    """Linear radiance to a picture: blur, exposure, vignette, white balance, grain, shoulder, gamma, contrast.

    Parameters
    ----------
    light : (S, S, 3) float32
        Linear RGB.
    capture : CaptureParams
    scale : float
        S / 112; widths of blur grow with it.

    Returns
    -------
    (S, S, 3) uint8
        RGB.
    """
    rng = np.random.default_rng([capture.texture, 6])
    size = light.shape[0]
    light = _blur(light, capture, scale)
    light = light * _meter(light, 0.92 * capture.exposure)
    radius = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    light *= _three(1 - capture.vignette * (radius[:, None] + radius[None]))
    light *= _balance(capture, size)
    noise = rng.standard_normal((size, size, 3), dtype=np.float32)
    shared = _three(0.75 * noise[..., 0])
    noise *= 0.5
    noise += shared
    noise *= capture.grain * np.sqrt(light.clip(0.004, 2))
    light += noise
    shoulder = np.maximum(light, 0)
    shoulder = shoulder * (1 + 0.1 * shoulder) / (1 + 0.62 * shoulder)
    level = np.power(shoulder, np.float32(0.4545))
    level = 0.5 + (level - 0.46) * capture.contrast - 0.02
    red, green, blue = (level[..., k] * np.float32(share) for k, share in enumerate((0.299, 0.587, 0.114)))
    grey = _three(red + green + blue)
    level = grey + (level - grey) * (0.0 if capture.grey else capture.saturation)
    return np.asarray((level * 255 + 0.5).clip(0, 255), dtype=np.uint8)


def _three(plane: Array) -> Array:
    """(H, W) -> (H, W, 3): numpy is slow where it has to repeat one number over three."""
    return np.asarray(cv2.merge([plane, plane, plane]))


def _balance(capture: CaptureParams, size: int) -> Array:
    """White balance of every pixel of a row."""
    return np.tile(np.array(capture.balance, np.float32), size).reshape(size, 3)
