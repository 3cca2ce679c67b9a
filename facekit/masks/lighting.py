"""Kernels, third part: light the cloth as the picture is lit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel
from facekit.masks.scene import SceneEstimate

__all__ = ["ANCHOR_REACH", "ClothLighting", "shade"]

Floats = NDArray[np.float32]

F0, F1, F2 = np.float32(0), np.float32(1), np.float32(2)
SOFT_FOLD = np.float32(0.05)  # half width over which halves meet from which on they do so on the coarse grid too
ANCHOR_REACH = 1.7  # centimetres over which light on the skin is averaged


class ClothLighting(NamedTuple):
    """How the cloth takes the light (see `facekit.masks.params.MaskParams`).

    Attributes
    ----------
    strength, ambient : float
        Of the fitted light, and the share of even light.
    floor : float
        Light below which the fitted one falls off more slowly.
    uneven_light_share : float
        Share of the skin's uneven light that the cloth takes on.
    falloff, falloff_curve, falloff_side : float
        Darkening from top to bottom, how late it sets in, and darkening from left to right.
    relief, relief_s, relief_t : float
        Contrast of the folds and the direction from which they are lit.
    form_s, form_t, rim : float
        Darkening from the middle toward the sides, and toward top and bottom, and brightening of the side edges.
    halves, halves_width : float
        Logarithm by which the right half is brighter than the left one; on a finer grid, half the width over which the
        one becomes the other, where the mask is 2 wide.
    """

    strength: float
    floor: float
    ambient: float
    uneven_light_share: float
    falloff: float
    falloff_curve: float
    falloff_side: float
    relief: float
    relief_s: float
    relief_t: float
    form_s: float
    form_t: float
    rim: float
    halves: float
    halves_width: float


@kernel()
def _spread_uneven(uneven: Floats, weights: Floats, total: Floats, out: Floats) -> None:
    """Uneven light (G,) of the grid: averages of the anchors in view, weights (A, G)."""
    for g in range(out.shape[0]):
        out[g], total[g] = F0, np.float32(1e-3)
    for a in range(weights.shape[0]):
        if np.isnan(uneven[a]):
            continue
        for g in range(out.shape[0]):
            out[g] += weights[a, g] * uneven[a]
            total[g] += weights[a, g]
    for g in range(out.shape[0]):
        out[g] /= total[g]


@kernel()
def _light_cloth(
    normals: Floats,
    st: Floats,
    heights: Floats,
    columns: int,
    rows: int,
    stride: int,
    terms: Floats,
    lighting: Floats,
    out: Floats,
) -> None:
    """What `shade` does; `out` holds the uneven light, `lighting` (15,) the fields of `ClothLighting`."""
    mean = max(terms[0] + terms[3] * np.float32(0.75), np.float32(1e-4))
    strength, floor, ambient, uneven_share = lighting[0], lighting[1], lighting[2], lighting[3]
    fall, curve, across = lighting[4], lighting[5], lighting[6]
    relief, relief_s, relief_t = lighting[7], lighting[8], lighting[9]
    form_s, form_t, rim = lighting[10], lighting[11], lighting[12]
    halves, halves_width = np.float32(0.5) * lighting[13], lighting[14]
    for r in range(rows):
        above, below = max(r - stride, 0) * columns, min(r + stride, rows - 1) * columns
        for c in range(columns):
            g = r * columns + c
            e = terms[0] + terms[4] * (F2 * st[g, 0] - F1)
            for k in range(3):
                e += terms[1 + k] * normals[g, k]
            e = F1 + strength * (e / mean - F1)
            e = floor + (e - floor if e > floor else (e - floor) * np.float32(0.25))
            t = st[g, 1]
            e *= F1 - fall * (t + curve * t * (t - F1)) - across * (st[g, 0] - np.float32(0.5))
            x, y = F2 * st[g, 0] - F1, F2 * t - np.float32(0.9)
            form = form_s * (x * x - np.float32(0.1)) + form_t * (y * y - np.float32(0.15)) - rim * x**8
            e = max(e * (F1 - ambient) + ambient, np.float32(0.02))
            left, right = max(c - stride, 0), min(c + stride, columns - 1)
            if stride > 1:  # the two columns in the middle coincide
                left -= 1 if left < columns // 2 <= c and left > 0 else 0
                right += 1 if c < columns // 2 <= right and right < columns - 1 else 0
            left, right = r * columns + left, r * columns + right
            fold = relief_s * (heights[right] - heights[left]) + relief_t * (heights[below + c] - heights[above + c])
            fold = relief * (fold + np.float32(0.35) * min(heights[g], F0))
            fold = min(max(fold, np.float32(-1.2)), np.float32(0.7))
            half = halves if c >= columns // 2 else -halves
            if stride > 1 or halves_width > SOFT_FOLD:
                half *= min(abs(x) / halves_width, F1)
            out[g] = e * np.float32(np.exp(fold + uneven_share * out[g] - form + half))


def shade(
    normals: Floats,
    st: Floats,
    heights: Floats,
    columns: int,
    rows: int,
    stride: int,
    scene: SceneEstimate,
    anchor_weights: Floats,
    lighting: ClothLighting,
    out: Floats,
) -> None:
    """Light on the cloth relative to the light on the skin's average.

    The fitted light gives the form, the uneven light what a first-order fit cannot (cast shadows); folds then shade
    themselves and each other, far stronger in pictures than the fit explains.

    Parameters
    ----------
    normals : (G, 3) float32
        Unit normals of the grid points.
    st : (G, 2) float32
        Their texture coordinates.
    heights : (G,) float32
        Height of the folds there, centimetres.
    columns, rows, stride : int
        Of the grid; G is their product. On a finer grid, how many points lie as far apart as two of the coarse one.
    scene : SceneEstimate
    anchor_weights : (A, G) float32
        How much each anchor's uneven light counts at each grid point.
    lighting : ClothLighting
    out : (G,) float32
        Filled; 1 is light as on the skin.
    """
    _spread_uneven(scene.uneven, anchor_weights, np.empty_like(out), out)
    _light_cloth(normals, st, heights, columns, rows, stride, scene.terms, np.array(lighting, np.float32), out)
