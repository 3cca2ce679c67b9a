"""Kernels, second part: read from the bare picture how it was lit and taken."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel
from facekit.faces.landmarks import FOREHEAD, LIPS
from facekit.faces.topology import load_topology, spread_vertices

__all__ = ["FaceTables", "SceneEstimate", "estimate_scene", "face_tables"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Picture = NDArray[np.uint8]

F0, F1 = np.float32(0), np.float32(1)
RED, GREEN, BLUE = 0.2126, 0.7152, 0.0722  # luminance of linear RGB (ITU-R BT.709)


class FaceTables(NamedTuple):
    """Which vertices of the mesh tell what.

    Attributes
    ----------
    triangles : (898, 3) int32
        The mesh.
    skin : (S,) int32
        Vertices on skin: no eyes, brows, lips or nostrils.
    sides : (S,) float32
        -1 left to 1 right, for each of `skin`.
    anchors : (A,) int32
        Rows of `skin` on the lower face, spread evenly: where uneven light is read.
    forehead : (B,) int32
        Vertices on skin that stays bare.
    """

    triangles: NDArray[np.int32]
    skin: NDArray[np.int32]
    sides: NDArray[np.float32]
    anchors: NDArray[np.int32]
    forehead: NDArray[np.int32]


class SceneEstimate(NamedTuple):
    """What a mask must match.

    Attributes
    ----------
    terms : (5,) float32
        Light on the skin, linear luminance, over (1, nx, ny, nz, side of the face).
    skin : (3,) float32
        Mean linear colour of the skin.
    uneven : (A,) float32
        Logarithm of the light found at the anchors over the fitted light: cast shadows and reflections; nan where
        hidden.
    white : float
        Linear luminance of the picture's white point.
    chroma : float
        Mean of largest minus smallest channel, levels.
    tint_spread : float
        Deviation of red minus blue among pixels of like luma, levels: near 0 in a picture of one hue (tinted
        monochrome), where colour follows from luma.
    edge_ratio : float
        Second over first differences at edges; larger is sharper.
    sharpness : float
        Mean |Laplacian| of bare skin, levels.
    """

    terms: NDArray[np.float32]
    skin: NDArray[np.float32]
    uneven: NDArray[np.float32]
    white: float
    chroma: float
    tint_spread: float
    edge_ratio: float
    sharpness: float


@cache
def face_tables() -> FaceTables:
    """The tables of the shipped mesh.

    Returns
    -------
    FaceTables
        The same arrays at every call.
    """
    positions = load_topology().positions.astype(np.float64)
    x, y = np.abs(positions[:, 0]), positions[:, 1]
    eyes = (x > 1.0) & (x < 6.2) & (y > 1.6) & (y < 5.2)
    edge = (x > 7.0) & (y > -2)
    nostrils = (x < 1.6) & (y < -0.9) & (y > -2.2)
    skin = [v for v in range(len(positions)) if v not in LIPS and not (eyes | edge | nostrils | (y > 7.0))[v]]
    lower = np.array([v for v in skin if y[v] < 2.2])
    anchors = np.searchsorted(skin, spread_vertices(lower, [int(lower[0])], 56))
    sides = (positions[skin, 0] / 7.0).astype(np.float32)
    i32 = np.int32
    return FaceTables(
        load_topology().triangles, np.array(skin, i32), sides, anchors.astype(i32), np.array(FOREHEAD, i32)
    )


@kernel(inner=True)
def _solve(a: Doubles, b: Doubles, x: Doubles) -> None:
    """Cholesky in place for a small positive definite system."""
    n = b.shape[0]
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = np.sqrt(max(total, 1e-12)) if i == j else total / a[j, j]
    for i in range(n):
        total = b[i]
        for k in range(i):
            total -= a[i, k] * x[k]
        x[i] = total / a[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, n):
            total -= a[k, i] * x[k]
        x[i] = total / a[i, i]


@kernel()
def _sample(
    image: Picture,
    to_linear: Floats,
    vertices: Floats,
    normals: Floats,
    skin: Ints,
    sides: Floats,
    basis: Floats,
    colours: Floats,
    luminance: Floats,
    seen: Floats,
) -> None:
    """Basis (S, 5), linear colours (S, 3), 3 x 3 averages, and luminance of the skin vertices; 1 for those in view."""
    height, width = image.shape[0], image.shape[1]
    for i in range(skin.shape[0]):
        v = skin[i]
        seen[i], luminance[i] = F0, F0
        x, y = int(np.rint(vertices[v, 0])), int(np.rint(vertices[v, 1]))
        basis[i, 0], basis[i, 4] = F1, sides[i]
        for k in range(3):
            basis[i, 1 + k] = normals[v, k]
            colours[i, k] = F0
        if x < 1 or y < 1 or x >= width - 1 or y >= height - 1 or normals[v, 2] < np.float32(0.15):
            continue
        for j in range(-1, 2):
            for m in range(-1, 2):
                for k in range(3):
                    colours[i, k] += to_linear[image[y + j, x + m, k]] / np.float32(9)
        seen[i] = F1
        luminance[i] = (
            np.float32(RED) * colours[i, 0] + np.float32(GREEN) * colours[i, 1] + np.float32(BLUE) * colours[i, 2]
        )


@kernel()
def _fill_fit(
    basis: Floats, luminance: Floats, seen: Floats, a: Doubles, b: Doubles, x: Doubles, terms: Floats, weight: Doubles
) -> None:
    count, total, mean = basis.shape[0], 1e-6, 0.0
    for i in range(count):
        weight[i] = seen[i]
        total += weight[i]
        mean += weight[i] * luminance[i]
    mean /= total
    for _ in range(4):
        for j in range(5):
            b[j] = 0.0
            for k in range(5):
                a[j, k] = 0.0
        for i in range(count):
            if weight[i] == 0:
                continue
            for j in range(5):
                b[j] += weight[i] * basis[i, j] * luminance[i]
                for k in range(j + 1):
                    a[j, k] += weight[i] * basis[i, j] * basis[i, k]
        for j in range(5):
            a[j, j] += (0.001 if j == 0 else 0.02) * total
        _solve(a, b, x)
        for i in range(count):
            fit = 0.0
            for j in range(5):
                fit += basis[i, j] * x[j]
            error = (luminance[i] - fit) / (0.25 * mean + 1e-6)
            weight[i] = seen[i] / (1.0 + error * error) ** 2
    for j in range(5):
        terms[j] = np.float32(x[j])


def _fit(basis: Floats, luminance: Floats, seen: Floats, terms: Floats) -> Doubles:
    """Robust least squares of luminance over the basis; reweighting leaves hair, rims and highlights out.

    Returns the weights.
    """
    system, weight = np.empty((7, 5)), np.empty(basis.shape[0])
    _fill_fit(basis, luminance, seen, system[:5], system[5], system[6], terms, weight)
    return weight


@kernel()
def _average(weight: Doubles, colours: Floats, skin: Floats) -> None:
    """Mean colour (3,) of vertices by weight, not quite black."""
    total = 1e-6
    for k in range(3):
        skin[k] = F0
    for i in range(weight.shape[0]):
        total += weight[i]
        for k in range(3):
            skin[k] += np.float32(weight[i]) * colours[i, k]
    for k in range(3):
        skin[k] = max(skin[k] / np.float32(total), np.float32(1e-4))


@kernel()
def _uneven(basis: Floats, luminance: Floats, seen: Floats, terms: Floats, anchors: Ints, uneven: Floats) -> None:
    """Logarithm of found over fitted light at the anchors, within a factor of 2."""
    for n in range(anchors.shape[0]):
        i = anchors[n]
        fit = F0
        for j in range(5):
            fit += basis[i, j] * terms[j]
        if seen[i] == 0:
            uneven[n] = np.nan
            continue
        ratio = (luminance[i] + np.float32(0.01)) / (max(fit, np.float32(0.02) * terms[0]) + np.float32(0.01))
        uneven[n] = min(max(np.float32(np.log(ratio)), np.float32(-0.7)), np.float32(0.5))


@kernel()
def _survey(image: Picture, histogram: Longs, tint: Longs) -> tuple[float, float, float, int]:
    """Luma histogram (256,), mean chroma and spread of the tint of every third pixel; second over first differences at
    edges; luma of the white point. What is filled in holds zeros; (16, 3) are tints by luma."""
    chroma, cells = 0, 0
    for y in range(0, image.shape[0], 3):
        for x in range(0, image.shape[1], 3):
            r, g, b = np.int32(image[y, x, 0]), np.int32(image[y, x, 1]), np.int32(image[y, x, 2])
            luma = (77 * r + 150 * g + 29 * b) >> 8
            histogram[luma] += 1
            tint[luma >> 4, 0] += 1
            tint[luma >> 4, 1] += r - b
            tint[luma >> 4, 2] += (r - b) * (r - b)
            chroma += max(max(r, g), b) - min(min(r, g), b)
            cells += 1
    unexplained = 0.0
    for i in range(tint.shape[0]):
        unexplained += tint[i, 2] - tint[i, 1] * tint[i, 1] / max(tint[i, 0], 1)
    spread = np.sqrt(max(unexplained, 0.0) / max(cells, 1))
    gradient, laplacian = 0, 0
    for y in range(image.shape[0] // 4, image.shape[0] - image.shape[0] // 8, 2):
        for x in range(image.shape[1] // 5, image.shape[1] - image.shape[1] // 5):
            left, right = np.int32(image[y, x - 1, 1]), np.int32(image[y, x + 1, 1])
            above, below = np.int32(image[y - 1, x, 1]), np.int32(image[y + 1, x, 1])
            g = abs(right - left) + abs(below - above)
            if g > 24:
                gradient += g
                laplacian += abs(left + right + above + below - 4 * np.int32(image[y, x, 1]))
    level, below = 0, 0
    while level < 255 and below + histogram[level] < 0.97 * cells:
        below += histogram[level]
        level += 1
    return chroma / max(cells, 1), spread, (laplacian / gradient if gradient > 0 else 0.3), level


@kernel()
def _sharpness(image: Picture, vertices: Floats, forehead: Ints) -> float:
    """Mean |Laplacian| of green over 3 x 3 pixels at the forehead's vertices, levels.

    A common value where none is in the picture.
    """
    total, count = 0, 0
    for i in range(forehead.shape[0]):
        cx, cy = int(np.rint(vertices[forehead[i], 0])), int(np.rint(vertices[forehead[i], 1]))
        if cx < 2 or cy < 2 or cx >= image.shape[1] - 2 or cy >= image.shape[0] - 2:
            continue
        for y in range(cy - 1, cy + 2):
            for x in range(cx - 1, cx + 2):
                around = np.int32(image[y, x - 1, 1]) + np.int32(image[y, x + 1, 1])
                around += np.int32(image[y - 1, x, 1]) + np.int32(image[y + 1, x, 1])
                total += abs(around - 4 * np.int32(image[y, x, 1]))
                count += 1
    return total / count if count > 0 else 6.0


def estimate_scene(
    image: Picture, to_linear: Floats, vertices: Floats, normals: Floats, tables: FaceTables
) -> SceneEstimate:
    """Read from a bare picture how it was lit and taken.

    Light of first order over the normals, as spherical harmonics of degree one give it (Basri and Jacobs, "Lambertian
    reflectance and linear subspaces", PAMI 2003), fitted to the skin by robust least squares.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.
    to_linear : (256,) float32
        sRGB level to linear intensity.
    vertices : (468, 3) float32
        Pixels: x right, y down, z toward the viewer.
    normals : (468, 3) float32
        Unit normals of the vertices.
    tables : FaceTables

    Returns
    -------
    SceneEstimate
    """
    count = tables.skin.shape[0]
    basis, colours = np.empty((count, 5), np.float32), np.empty((count, 3), np.float32)
    luminance, seen = np.empty(count, np.float32), np.empty(count, np.float32)
    terms, skin = np.empty(5, np.float32), np.empty(3, np.float32)
    uneven = np.empty(tables.anchors.shape[0], np.float32)
    _sample(image, to_linear, vertices, normals, tables.skin, tables.sides, basis, colours, luminance, seen)
    _average(_fit(basis, luminance, seen, terms), colours, skin)
    _uneven(basis, luminance, seen, terms, tables.anchors, uneven)
    counts = np.zeros(256 + 48, np.int64)
    chroma, tint_spread, edge_ratio, level = _survey(image, counts[:256], counts[256:].reshape(16, 3))
    sharpness = _sharpness(image, vertices, tables.forehead)
    return SceneEstimate(terms, skin, uneven, float(to_linear[level]), chroma, tint_spread, edge_ratio, sharpness)
