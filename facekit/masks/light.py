"""How a picture was lit and taken: light on the skin, white point, colourfulness, blur and grain, all read from the bare picture."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces.topology import load_topology
from facekit.masks import kernels
from facekit.masks.kernels import Light, Window
from facekit.masks.shell import LIPS
from facekit.masks.textures import to_linear

__all__ = ["Look", "read_look"]

FOREHEAD = np.array([151, 108, 337, 107, 336, 69, 299, 9, 67, 297, 104, 333, 103, 332], np.int32)
TYPICAL_SKIN = 0.30  # linear reflectance of the green channel, light skin; the prior where the picture's white point says nothing
CLOTH_WHITE = 0.80  # reflectance that the white point stands for


class Look(NamedTuple):
    """What a mask must match.

    Attributes
    ----------
    light : Light
        First-order light on the skin.
    exposure : (3,) float32
        Linear intensity, per channel, of a white cloth lit like the skin's average.
    desaturate : float
        0: a colour picture; 1: a grey one.
    blur : float
        Standard deviation of the picture's blur, pixels.
    sharpness : float
        Mean |Laplacian| of bare skin, levels.
    """

    light: Light
    exposure: NDArray[np.float32]
    desaturate: float
    blur: float
    sharpness: float


@cache
def _skin_vertices() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Vertices on skin (no eyes, brows, lips or nostrils), and for each its side of the face, -1 left to 1 right."""
    positions = load_topology().positions.astype(np.float64)
    x, y = np.abs(positions[:, 0]), positions[:, 1]
    eyes = (x > 1.0) & (x < 6.2) & (y > 1.6) & (y < 5.2)
    hairline = y > 7.0
    edge = (x > 7.0) & (y > -2)
    nostrils = (x < 1.6) & (y < -0.9) & (y > -2.2)
    keep = [v for v in range(len(positions)) if v not in LIPS and not (eyes | hairline | edge | nostrils)[v]]
    return np.array(keep, np.int32), (positions[keep, 0] / 7.0).astype(np.float32)


def _light(image: NDArray[np.uint8], vertices: NDArray[np.float32], normals: NDArray[np.float32]) -> Light:
    skin, sides = _skin_vertices()
    basis, colours = np.empty((len(skin), 5), np.float32), np.empty((len(skin), 3), np.float32)
    count = kernels.sample_skin(image, to_linear(), vertices, normals, skin, sides, basis, colours)
    terms, mean = np.zeros(5, np.float32), np.full(3, 0.2, np.float32)
    if count >= 12:
        kernels.fit_light(basis, colours, count, terms, mean)
    else:
        terms[0] = 0.2
    return Light(terms, mean)


def _exposure(light: Light, histogram: NDArray[np.int64], grey: bool) -> NDArray[np.float32]:
    """White under this light: skin divided by its reflectance, which is guessed half from a prior and half from the white point."""
    skin = np.maximum(light.skin.astype(np.float64), 1e-4)
    luminance = float(skin @ (0.2126, 0.7152, 0.0722))
    cumulative = np.cumsum(histogram)
    white = float(to_linear()[int(np.searchsorted(cumulative, 0.97 * cumulative[-1]))])
    seen = min(max(CLOTH_WHITE * luminance / max(white, 1e-4), 0.12), 0.62)
    reflectance = float(np.sqrt(seen * TYPICAL_SKIN))
    if grey:
        cast = np.ones(3)
    else:  # a fifth of the skin's departure from typical skin is put down to the light
        typical = np.array([1.52, 0.90, 0.66])
        cast = np.clip(skin / luminance / typical, 0.5, 2.0) ** 0.2
        cast /= cast @ (0.2126, 0.7152, 0.0722)
    return (luminance / reflectance * cast).astype(np.float32)


def _blur(gradient: float, laplacian: float) -> float:
    """Blur from the ratio of second to first differences at edges (calibrated by blurring sharp pictures)."""
    if gradient <= 0:
        return 1.2
    ratio = laplacian / gradient
    return float(min(max(0.42 / max(ratio, 0.05) - 0.55, 0.25), 2.2))


def read_look(image: NDArray[np.uint8], vertices: NDArray[np.float32], normals: NDArray[np.float32], window: Window) -> Look:
    """Read light, white point, colour and sharpness from a bare (H, W, 3) uint8 RGB picture with its mesh (468, 3) and vertex normals."""
    histogram = np.empty(256, np.int64)
    chroma, gradient, laplacian = kernels.measure_picture(image, window, histogram)
    desaturate = min(max((9.0 - chroma) / 6.0, 0.0), 1.0)
    light = _light(image, vertices, normals)
    sharpness = kernels.skin_sharpness(image, vertices, FOREHEAD)
    exposure = _exposure(light, histogram, desaturate >= 1)
    return Look(light, exposure, desaturate, _blur(gradient, laplacian), sharpness if sharpness >= 0 else 6.0)
