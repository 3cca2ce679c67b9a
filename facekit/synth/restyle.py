"""Looks that ``facekit synth`` never draws: another light and background, other colours, another texture.

They are for benchmarks alone. A network that was trained on drawn people knows the look of the drawing as well as the
people's faces; the same people in another look show how much of its score is the look.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.synth.sampling import CaptureParams

__all__ = ["recolour", "relight", "retexture"]

Picture = NDArray[np.uint8]


def relight(capture: CaptureParams, rng: np.random.Generator) -> CaptureParams:
    """The same pose and expression in coloured light from an unusual side, before another background.

    Parameters
    ----------
    capture : CaptureParams
    rng : numpy.random.Generator

    Returns
    -------
    CaptureParams
        Key and fill light are far more coloured than `facekit.synth.sample_capture` draws them, and half of the key
        lights come from below.
    """
    angle, height = rng.uniform(-1.4, 1.4), rng.choice([-1, 1]) * rng.uniform(0.3, 0.9)
    light = np.array([np.sin(angle) * np.cos(height), np.sin(height), max(np.cos(angle) * np.cos(height), 0.15)])
    light /= np.linalg.norm(light)
    hue = np.exp(rng.normal(0, 0.45, 3))
    other = np.exp(rng.normal(0, 0.45, 3))
    return replace(
        capture,
        light=_triple(light),
        key=_triple(2.0 * hue / hue.mean()),
        fill=_triple(0.7 * other / other.mean()),
        sky=_triple(np.array(capture.sky) * rng.uniform(0.5, 1.2)),
        cloth=_triple(rng.uniform(0.02, 0.8, 3)),
        texture=int(rng.integers(2**31)),
    )


def recolour(image: Picture, rng: np.random.Generator) -> Picture:
    """Other colours: channels mixed, a tone curve of each, and now and then a negative of the colour alone.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.
    rng : numpy.random.Generator

    Returns
    -------
    (H, W, 3) uint8
        RGB.
    """
    mix = 0.55 * np.eye(3)[rng.permutation(3)] + 0.45 * rng.dirichlet(np.ones(3), 3)
    gamma = np.exp(rng.normal(0, 0.3, 3))
    level = (image.astype(np.float32) / 255) @ mix.T.astype(np.float32)
    return _levels(255 * np.power(level.clip(0, 1), gamma.astype(np.float32)))


def retexture(image: Picture, rng: np.random.Generator) -> Picture:
    """Another texture: skin and strands smoothed away to flat patches, and a woven grain laid over them.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.
    rng : numpy.random.Generator

    Returns
    -------
    (H, W, 3) uint8
        RGB.
    """
    flat = np.asarray(image)
    for _ in range(2):
        flat = np.asarray(cv2.bilateralFilter(flat, 5, 40, 3), np.uint8)
    grain = np.asarray(cv2.GaussianBlur(rng.standard_normal(image.shape[:2]).astype(np.float32), (0, 0), 0.8))
    row, column = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    period = rng.uniform(2.5, 4.5)
    weave = np.sin(2 * np.pi * row / period) * np.sin(2 * np.pi * column / period)
    return _levels(flat.astype(np.float32) + (8 * weave + 14 * grain)[..., None])


def _levels(values: NDArray[np.floating[Any]]) -> Picture:
    return np.asarray((values + 0.5).clip(0, 255), np.uint8)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
