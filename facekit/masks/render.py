"""Then the deed: a picture, its mesh and a recipe give the worn picture, without any further chance."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.faces.topology import NUM_VERTICES, load_topology
from facekit.masks import kernels
from facekit.masks.catalogue import MaskType, mask_type
from facekit.masks.kernels import Frame, Window
from facekit.masks.light import Look, read_look
from facekit.masks.recipe import MaskParams
from facekit.masks.shell import COLUMNS, ROWS, STRAP_POINTS, Shell, build_shell, control_vertices
from facekit.masks.textures import Pyramid, crease_slopes, texture_pyramid

__all__ = ["Worn", "render_worn"]

SAMPLES = 2  # per pixel and axis
CANONICAL_WIDTH = 15.32  # centimetres between vertices 234 and 454 of the mean face
GRID = COLUMNS * ROWS
MARGIN = 7  # pixels around the mask that shadow and blur may reach


class Worn(NamedTuple):
    """A picture with a mask on.

    Attributes
    ----------
    image : (H, W, 3) uint8
        RGB. Where the mask and its shadow do not reach, the bytes are those of the bare picture.
    coverage : (H, W) float32
        Opacity of mask and straps, in [0, 1].
    vertices : (468, 3) float32
        The mesh it was drawn with: pixels, x right, y down, z toward the viewer.
    params : MaskParams
        What was drawn; `render_worn` makes the same picture from it.
    """

    image: NDArray[np.uint8]
    coverage: NDArray[np.float32]
    vertices: NDArray[np.float32]
    params: MaskParams


@cache
def _to_levels() -> NDArray[np.float32]:
    """(4098,) linear intensity 0 to 4 -> sRGB level 0 to 255, with a soft shoulder: a camera does not clip at once."""
    linear = np.linspace(0, 4, 4097)
    knee = 0.78
    curved = np.where(linear < knee, linear, knee + (1 - knee) * (1 - np.exp(-(linear - knee) / (1 - knee))))
    level = np.where(curved <= 0.0031308, curved * 12.92, 1.055 * np.maximum(curved, 1e-9) ** (1 / 2.4) - 0.055)
    return np.append(level, level[-1]).astype(np.float32) * np.float32(255)


@cache
def _carry_weights(kind: MaskType) -> tuple[Shell, NDArray[np.float32]]:
    shell = build_shell(kind.shape)
    return shell, np.ascontiguousarray(shell.weights.T)


def face_frame(vertices: NDArray[np.float32], origin: NDArray[np.float32]) -> Frame:
    """Axes of a face from its edges (234, 454), hairline (10) and chin (152)."""
    v = vertices.astype(np.float64)
    right = v[454] - v[234]
    width = math.sqrt(float(right @ right))
    right = right / max(width, 1e-6)
    up = v[10] - v[152]
    up = up - (up @ right) * right
    up = up / max(math.sqrt(float(up @ up)), 1e-6)
    out = np.array([up[1] * right[2] - up[2] * right[1], up[2] * right[0] - up[0] * right[2], up[0] * right[1] - up[1] * right[0]])
    axes = [a.astype(np.float32) for a in (right, up, out)]
    return Frame(axes[0], axes[1], axes[2], origin, np.float32(max(width / CANONICAL_WIDTH, 1e-3)))


class _Surface(NamedTuple):
    points: NDArray[np.float32]  # (3, G)
    normals: NDArray[np.float32]  # (GRID, 3)
    heights: NDArray[np.float32]  # (GRID,) centimetres over the smooth surface
    st: NDArray[np.float32]  # (GRID, 2), wavy edges applied
    frame: Frame


def _wavy(st: NDArray[np.float32], edge: tuple[float, ...]) -> NDArray[np.float32]:
    """Move the texture's edges up and down along s, so that no two masks have one outline."""
    x = 2 * st[:, 0] - 1
    e = np.array(edge, np.float32)
    top, bottom = e[0] + e[1] * x + e[2] * (x * x - np.float32(0.3)), e[3] + e[4] * x + e[5] * (x * x - np.float32(0.3))
    out = st.copy()
    out[:, 1] += (1 - st[:, 1]) * top + st[:, 1] * bottom
    return out


def _surface(shell: Shell, weights: NDArray[np.float32], kind: MaskType, vertices: NDArray[np.float32], params: MaskParams) -> _Surface:
    points = np.empty((3, weights.shape[1]), np.float32)
    kernels.carry(weights, control_vertices(), vertices, points)
    frame = face_frame(vertices, points[:, GRID // 2 : GRID // 2 + 1].mean(1))
    f32 = np.float32
    kernels.place(points, frame, np.array(params.stretch, f32), f32(math.radians(params.tilt)), np.array(params.slide, f32))
    normals, heights = np.empty((GRID, 3), np.float32), np.empty(GRID, np.float32)
    kernels.grid_normals(points, COLUMNS, ROWS, f32(0), normals)  # joined: the crest must not tear
    folds = np.array(params.folds, f32).reshape(-1, 6)
    kernels.relief(shell.st, folds, np.array(params.gather, f32), heights)
    kernels.lift(points, normals, heights, shell.st, f32(params.gape), frame.scale)
    kernels.grid_normals(points, COLUMNS, ROWS, f32(kind.crease), normals)
    return _Surface(points, normals, heights, _wavy(shell.st, params.edge), frame)


def _window(points: NDArray[np.float32], shape: tuple[int, ...], strap: float) -> Window | None:
    """The part of the picture that mask, straps and shadow can reach; None where they miss it."""
    margin = MARGIN + int(strap)
    left, right = int(points[0].min()) - margin, int(points[0].max()) + margin + 1
    top, bottom = int(points[1].min()) - margin, int(points[1].max()) + margin + 1
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, shape[1]), min(bottom, shape[0])
    return Window(left, top, right - left, bottom - top) if right - left > 2 and bottom - top > 2 else None


def _level(textures: Pyramid, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The level whose texels are about as large as the samples."""
    samples = SAMPLES * float(np.hypot(*(points[:2, GRID // 2 + COLUMNS // 2 - 1] - points[:2, GRID // 2 - COLUMNS // 2]))) * 1.3
    index = 0
    while index + 1 < len(textures.levels) and textures.levels[index].shape[1] > 1.5 * samples:
        index += 1
    return textures.levels[index]


def _crease(params: MaskParams) -> NDArray[np.float32]:
    """The six numbers of `kernels._crease`: the slopes' weights follow the light that the folds are lit by."""
    strength, size, turn, offset_s, offset_t = params.creases
    cosine, sine = math.cos(turn), math.sin(turn)
    along, across = params.relief[1] * strength, params.relief[2] * strength
    weights = (along * cosine - across * sine, along * sine + across * cosine)
    return np.array([*weights, size * cosine, size * sine, offset_s, offset_t], np.float32)


def _draw(shell: Shell, surface: _Surface, look: Look, params: MaskParams, window: Window, face: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mask and straps as samples (2h, 2w, 4), premultiplied linear, 1 = white lit like the skin's average."""
    f32 = np.float32
    layer = np.zeros((window.height * SAMPLES, window.width * SAMPLES, 4), np.float32)
    depth = np.full(layer.shape[:2], kernels.FAR, np.float32)
    shading = np.empty(GRID, np.float32)
    terms = look.light.terms.copy()
    terms[1:] *= f32(params.light)
    terms[0] += look.light.terms[3] * f32(0.75) - terms[3] * f32(0.75)
    light = look.light._replace(terms=terms)
    falloff, relief = np.array(params.falloff, f32), np.array(params.relief, f32)
    heights, ambient = surface.heights, f32(params.ambient)
    kernels.shade(surface.normals, shell.st, heights, COLUMNS, ROWS, light, f32(0.3), falloff, ambient, relief, shading)
    textures = texture_pyramid(params.texture)
    scale, factor = surface.frame.scale, f32(SAMPLES)
    inks = np.array(params.inks, np.float32)
    texture = _level(textures, surface.points)
    cloth = (texture, inks, textures.two_tone, crease_slopes(), _crease(params))
    kernels.raster_shell(surface.points, surface.st, shading, shell.triangles, *cloth, window, factor, f32(0.35) * scale, face, depth, layer)
    radius = f32(max(params.strap_radius * float(scale), 0.45))
    colour = np.array(params.strap, np.float32)
    for index, side in enumerate(shell.strap_sides):
        brightness = f32(0.9) * shading[(ROWS // 2) * COLUMNS + (COLUMNS - 1 if side > 0 else 0)]
        first = GRID + index * STRAP_POINTS
        opacity = f32(min(0.9, params.strap_radius * float(scale) / 0.45))
        kernels.raster_strap(
            surface.points, first, STRAP_POINTS, radius, colour, brightness, opacity, window, factor, f32(0.5) * scale, face, depth, layer
        )
    return layer


@cache
def _taps(sigma: float) -> NDArray[np.float32]:
    radius = max(1, math.ceil(2.2 * sigma))
    taps = np.exp(-0.5 * (np.arange(radius + 1) / max(sigma, 0.05)) ** 2)
    return (taps / (2 * taps.sum() - taps[0])).astype(np.float32)


def _finish(samples: NDArray[np.float32], look: Look, params: MaskParams) -> NDArray[np.float32]:
    """Samples -> layer (h, w, 4) in levels, with the picture's own blur, sharpness and grain."""
    f32 = np.float32
    layer = np.empty((samples.shape[0] // SAMPLES, samples.shape[1] // SAMPLES, 4), np.float32)
    kernels.settle(samples, SAMPLES, look.exposure * f32(params.gloss), f32(look.desaturate), _to_levels(), layer)
    scratch, smooth = np.empty_like(layer), np.empty_like(layer)
    sigma = round(min(math.hypot(look.blur, params.softness), 2.5), 1)
    kernels.blur(layer, _taps(sigma), scratch, layer)
    kernels.blur(layer, _taps(1.4), scratch, smooth)
    target = look.sharpness * math.exp(params.crispness)
    found = kernels.layer_sharpness(layer)
    gain = min(1.5, max(0.9 * target / found, 0.12)) if found > 0 else 1.0
    strength = math.sqrt(max(target**2 - (gain * max(found, 0)) ** 2, 0.0)) / 3.57
    grain = np.random.default_rng(params.grain_seed).standard_normal(layer.shape[:2], np.float32)
    kernels.temper(layer, smooth, f32(gain), grain, f32(min(strength, 2.5)), f32(0.15 * (1 - look.desaturate)))
    return layer


def _shadow_shift(look: Look) -> tuple[int, int]:
    """Whole pixels away from the light."""
    terms = look.light.terms
    length = max(abs(float(terms[0])), 1e-4)
    return int(round(max(-1.0, min(1.0, -2 * float(terms[1]) / length)))), int(round(max(0.0, min(1.0, -2 * float(terms[2]) / length))))


def _check(image: NDArray[np.uint8], vertices: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ConfigError(f"a picture is (H, W, 3) uint8 RGB, this is {image.shape} {image.dtype}; convert it with facekit.images.decode")
    vertices = np.ascontiguousarray(vertices, np.float32)
    if vertices.shape != (NUM_VERTICES, 3) or not np.isfinite(vertices).all():
        raise ConfigError(f"vertices are ({NUM_VERTICES}, 3) finite numbers in pixels, these are {vertices.shape}")
    return np.ascontiguousarray(image), vertices


def render_worn(image: NDArray[np.uint8], vertices: NDArray[np.float32], params: MaskParams) -> Worn:
    """Draw the mask that `params` describes.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The bare picture, RGB.
    vertices : (468, 3) float32
        Its mesh in pixels: x right, y down, z toward the viewer; pixel centres at integers.
    params : MaskParams
        From `sample_params`, or from the ledger by `MaskParams.from_json`.

    Returns
    -------
    Worn

    Raises
    ------
    ConfigError
        Wrong shape or dtype, vertices that are not finite, or an unknown type.
    """
    image, vertices = _check(image, vertices)
    kind = mask_type(params.type)
    shell, weights = _carry_weights(kind)
    surface = _surface(shell, weights, kind, vertices, params)
    out, coverage = image.copy(), np.zeros(image.shape[:2], np.float32)
    window = _window(surface.points, image.shape, params.strap_radius * float(surface.frame.scale))
    if window is None:
        return Worn(out, coverage, vertices, params)
    normals = np.empty_like(vertices)
    triangles = load_topology().triangles
    kernels.face_normals(vertices, triangles, normals)
    look = read_look(image, vertices, normals, window)
    hidden = np.full((window.height * SAMPLES, window.width * SAMPLES), kernels.FAR, np.float32)
    kernels.raster_depth(vertices, shell.occluders, window, np.float32(SAMPLES), hidden)
    layer = _finish(_draw(shell, surface, look, params, window, hidden), look, params)
    _compose(image, layer, vertices, surface.frame, look, params, window, coverage, out)
    return Worn(out, coverage, vertices, params)


def _compose(
    image: NDArray[np.uint8],
    layer: NDArray[np.float32],
    vertices: NDArray[np.float32],
    frame: Frame,
    look: Look,
    params: MaskParams,
    window: Window,
    coverage: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    """Lay the layer and its contact shadow over the picture, into `out` and `coverage`."""
    face = np.full((window.height, window.width), kernels.FAR, np.float32)
    kernels.raster_depth(vertices, load_topology().triangles, window, np.float32(1), face)
    reach = np.empty_like(face)
    kernels.shadow_reach(vertices, face, 1, window, frame.scale, reach)
    cover = np.ascontiguousarray(layer[..., 3:])
    scratch, spread = np.empty_like(cover), np.empty_like(cover)
    kernels.blur(cover, _taps(round(min(max(0.32 * float(frame.scale), 0.8), 6.0), 1)), scratch, spread)
    kernels.compose(image, layer, spread, reach, _shadow_shift(look), np.float32(params.shadow), window, coverage, out)
