"""The renderer: a picture, its mesh and mask parameters give the masked picture; pure, nothing random happens here."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.faces.landmarks import CHIN, EYES, HAIRLINE, LEFT_EDGE, OVAL, RIGHT_EDGE
from facekit.faces.topology import NUM_VERTICES, load_topology
from facekit.masks.catalogue import MaskType, mask_type
from facekit.masks.drape import Drape, drape
from facekit.masks.dye import dye, line_light
from facekit.masks.exposure import exposure_of_white, grey, luminance_of, single_hue
from facekit.masks.finish import Border, Curves, Finish, finish_picture
from facekit.masks.large import LARGE, doublings, fine_slopes, magnified, refined, refinement
from facekit.masks.lighting import ANCHOR_REACH, ClothLighting, shade
from facekit.masks.params import MaskParams
from facekit.masks.raster import SAMPLES, Strap, Tables, Window, draw
from facekit.masks.rims import keep_rims
from facekit.masks.scene import SceneEstimate, estimate_scene, face_tables
from facekit.masks.shell import COLUMNS, ROWS, STRAP_POINTS, build_shell, control_vertices
from facekit.masks.surface import Landmarks, face_normals, face_scale
from facekit.masks.textures import TEXTURE_SIZE, texture_level, to_linear

__all__ = ["Worn", "render_worn"]

MARGIN = 7  # pixels around the mask that shadow and blur may reach; of a large face in proportion
DARKEST_SHADE = 0.3  # of the skin's mean light: below it the fitted light falls off four times more slowly
DARK_EDGE = 0.7  # width of a dark mask's edge: bright skin blooms over it, so that it looks sharper than a light one's
LEAST_BLUR = 0.6  # pixels: no camera's edge is sharper, and without it oblique edges have steps
BLUR = (0.32, 0.47)  # pixels at an edge ratio of 1, less this much; see `_filters`
TURNED_AWAY = 0.25  # sine of the yaw from which the straps of the far side are hidden
GRAIN_SIDE = 256
LEAST_LEVEL = 4  # halvings after which a texture is 32 texels wide
RETURNS_LIGHT = 0.4  # luminance of cloth that lights itself fully; black cloth gives none back
LEAST_INK = 0.004  # of a channel: no cloth is blacker, and a ledger or a texture of one's own may say 0
FOLDED = 0.16  # width over which two halves meet where no seam joins them; half of the mask is 1 wide


Filters = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Taps from the middle outward of the picture's blur, of what counts as detail, and of the shadow's spread."""


class Worn(NamedTuple):
    """A picture with a mask on.

    Attributes
    ----------
    image : (H, W, 3) uint8
        RGB. Where the mask and its shadow do not reach, the bytes are those of the bare picture.
    coverage : (H, W) float32
        Opacity of mask and straps, in [0, 1]; less where the rim of glasses lies over them.
    vertices : (468, 3) float32
        The mesh it was drawn with: pixels, x right, y down, z toward the viewer.
    params : MaskParams
        What was drawn; `render_worn` makes the same picture from it.
    """

    image: NDArray[np.uint8]
    coverage: NDArray[np.float32]
    vertices: NDArray[np.float32]
    params: MaskParams


class _Type(NamedTuple):
    """What one mask type needs at every face, laid out for the kernels."""

    weights: NDArray[np.float32]  # (C, G')
    st: NDArray[np.float32]
    anchor_weights: NDArray[np.float32]  # (A, G)
    tables: Tables
    columns: int
    rows: int
    stride: int  # points of this grid as far apart as two of the coarse one
    strap_points: int
    strap_starts: NDArray[np.int32]  # grid points

    @property
    def middles(self) -> tuple[int, int]:
        """Grid points in the middle of the left and of the right edge."""
        left = (self.rows // 2) * self.columns
        return left, left + self.columns - 1


@cache
def _to_levels() -> NDArray[np.float32]:
    """(4098,) linear intensity 0 to 4 -> sRGB level 0 to 255, with a soft shoulder: a camera does not clip at once."""
    linear, knee = np.linspace(0, 4, 4097), 0.78
    curved = np.where(linear < knee, linear, knee + (1 - knee) * (1 - np.exp(-(linear - knee) / (1 - knee))))
    level = np.where(curved <= 0.0031308, curved * 12.92, 1.055 * np.maximum(curved, 1e-9) ** (1 / 2.4) - 0.055)
    return np.append(level, level[-1]).astype(np.float32) * np.float32(255)


@cache
def _grain() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((GRAIN_SIDE, GRAIN_SIDE)).astype(np.float32)


@cache
def _type(kind: MaskType, times: int) -> _Type:
    shell, face = refined(build_shell(kind.shape), times), load_topology().positions
    columns, rows = 2 * (times * (COLUMNS // 2 - 1) + 1), times * (ROWS - 1) + 1
    every = shell.weights @ face[control_vertices()]
    points = every[: columns * rows]
    tables = face_tables()
    squared = ((points[None] - face[tables.skin[tables.anchors]][:, None]) ** 2).sum(-1)
    near = np.exp(squared / (-2 * ANCHOR_REACH**2)).astype(np.float32)
    kernel_tables = Tables(shell.triangles, shell.occluders, shell.strap_sides)
    strap_points = times * (STRAP_POINTS - 1) + 1
    weights = np.ascontiguousarray(shell.weights.T)
    starts = [((points - start) ** 2).sum(1).argmin() for start in every[columns * rows :: strap_points]]
    ends = np.array(starts, np.int32)
    return _Type(weights, shell.st, near, kernel_tables, columns, rows, times, strap_points, ends)


def _straps_in_view(sides: NDArray[np.int32], right_nearer: float) -> NDArray[np.int32]:
    """0 for straps on the side that is turned away: of them nothing but a tick beside the mask would be left."""
    return np.array([0 if side * right_nearer < -TURNED_AWAY else side for side in sides.tolist()], np.int32)


def _drape(kind: MaskType, params: MaskParams) -> Drape:
    return Drape(
        *params.stretch,
        *params.slide,
        math.radians(params.tilt),
        params.gape,
        params.corner,
        kind.crease,
        *params.gather,
    )


def _window(
    bounds: tuple[float, float, float, float], shape: tuple[int, ...], strap: float, scale: float
) -> Window | None:
    """The part of the picture that mask, straps and shadow can reach; None where they miss it."""
    margin = math.ceil(MARGIN * _largeness(scale)) + int(strap)
    left, right = max(int(bounds[0]) - margin, 0), min(int(bounds[1]) + margin + 1, shape[1])
    top, bottom = max(int(bounds[2]) - margin, 0), min(int(bounds[3]) + margin + 1, shape[0])
    return Window(left, top, right - left, bottom - top) if right - left > 2 and bottom - top > 2 else None


def _largeness(scale: float) -> float:
    """By how much a face is larger than those for which widths in pixels were tuned; 1 for all up to `LARGE`."""
    return max(scale / LARGE, 1.0)


def _halvings(scale: float) -> int:
    """Which level has texels about as large as the samples; a mask is about 15 cm across in the picture."""
    wide = TEXTURE_SIZE[1] / (1.5 * SAMPLES * scale * 15)
    return min(max(math.ceil(math.log2(wide)), 0), LEAST_LEVEL)


def _crease(params: MaskParams) -> NDArray[np.float32]:
    """The six numbers of `facekit.masks.dye.dye`: the slopes' weights follow the light that the folds are lit by."""
    strength, size, turn, offset_s, offset_t = params.creases
    cosine, sine = math.cos(turn), math.sin(turn)
    along, across = params.relief[1] * strength, params.relief[2] * strength
    weights = (along * cosine - across * sine, along * sine + across * cosine)
    return np.array([*weights, size * cosine, size * sine, offset_s, offset_t], np.float32)


def _dyed(params: MaskParams, scale: float, monochrome: float) -> NDArray[np.float32]:
    times = doublings(scale)
    level, two_tone = magnified(params.texture, times) if times else texture_level(params.texture, _halvings(scale))
    out = np.empty((level.shape[0] + 2, level.shape[1] + 2, 4), np.float32)
    inks = [grey(ink, monochrome) for ink in params.inks] if two_tone else params.inks
    lines = line_light(np.array(params.lines, np.float32), *level.shape[:2])
    warmth, (red, blue) = params.tint * (1 - monochrome), _depth(params, monochrome)
    tint = (red + warmth, blue - warmth)
    dye(level, np.array(inks, np.float32), two_tone, fine_slopes(times), _crease(params), lines, tint, out)
    return out


def _depth(params: MaskParams, monochrome: float) -> tuple[float, float]:
    """By how much red and blue grow with the light, relative to green.

    What lies in shade is lit by the cloth around it, in the cloth's own colour, and so has more of it.
    """
    red, green, blue = (max(channel, LEAST_INK) for channel in params.inks[0])
    own = params.interreflection * (1 - monochrome) * min(luminance_of(params.inks[0]) / RETURNS_LIGHT, 1)
    return own * math.log(green / red), own * math.log(green / blue)


def _lighting(params: MaskParams, gleam: float, crease: float) -> ClothLighting:
    width = max(FOLDED * (1 - crease), 1e-6)
    even = (params.light * gleam, DARKEST_SHADE, params.ambient, params.uneven_light_share * gleam)
    return ClothLighting(*even, *params.falloff, *params.relief, *params.form, params.halves, width)


def _finish(scene: SceneEstimate, params: MaskParams, scale: float) -> Finish:
    desaturate = min(max((9.0 - scene.chroma) / 6.0, 0.0), 1.0)
    cloth = luminance_of(params.inks[0])
    red, green, blue = (params.exposure * c for c in exposure_of_white(scene, desaturate, cloth))
    sharpness = scene.sharpness * math.exp(params.crispness)
    ambient = max(abs(float(scene.terms[0])), 1e-4)
    large = _largeness(scale)
    shift_x = round(large * max(-1.0, min(1.0, -2 * float(scene.terms[1]) / ambient)))
    down = max(0.0, min(1.0, -2 * float(scene.terms[2]) / ambient))
    shift_y = round(large) + round(large * down)  # none above the upper edge
    grain_y, grain_x = divmod(params.grain_seed % GRAIN_SIDE**2, GRAIN_SIDE)
    return Finish(
        red, green, blue, desaturate, *params.cast, sharpness, params.shadow, shift_x, shift_y, grain_x, grain_y
    )


@cache
def _taps(sigma: float) -> NDArray[np.float32]:
    """Half of a Gaussian, from the middle outward; zeros make them as many as the kernel takes at once."""
    radius = max(1, math.ceil(2.2 * sigma))
    taps = np.exp(-0.5 * (np.arange(radius + 1) / max(sigma, 0.05)) ** 2)
    taps = (taps / (2 * taps.sum() - taps[0])).astype(np.float32)
    return np.append(taps, np.zeros(radius % 2, np.float32))


def _filters(scene: SceneEstimate, params: MaskParams, scale: float) -> Filters:
    """Blur as the picture's edges have it, detail, and the shadow's spread.

    Calibrated on really masked faces: second over first differences below the eyes are there 1.0 to 1.15 times those
    around the eyes, whether the picture is sharp or not. A mask that is sharper than its face looks cut out.
    """
    large = _largeness(scale)  # a large face may be more pixels out of focus
    blur = min(max(BLUR[0] / max(scene.edge_ratio, 0.05) - BLUR[1], 0.1), 1.8 * large)
    bright = min(sum(params.inks[0]) * params.exposure / 0.6, 1.0)
    edge = round(min(math.hypot(blur, params.softness) * (DARK_EDGE + (1 - DARK_EDGE) * bright), 2.5 * large), 1)
    return _taps(max(edge, LEAST_BLUR)), _taps(1.8), _taps(round(max(0.32 * scale, 0.8), 1))


def _check(image: NDArray[np.uint8], vertices: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ConfigError(
            f"a picture is (H, W, 3) uint8 RGB, this is {image.shape} {image.dtype}; "
            "decode it with facekit.images.decode"
        )
    vertices = np.ascontiguousarray(vertices, np.float32)
    if vertices.shape != (NUM_VERTICES, 3) or not math.isfinite(float(vertices.sum())):
        raise ConfigError(f"vertices are ({NUM_VERTICES}, 3) finite numbers in pixels, these are {vertices.shape}")
    return np.ascontiguousarray(image), vertices


@cache
def _landmarks() -> Landmarks:
    lids = np.array([eye.lower for eye in EYES], np.int32)
    return Landmarks(LEFT_EDGE, RIGHT_EDGE, HAIRLINE, CHIN, lids)


@cache
def _border() -> Border:
    return Border(LEFT_EDGE, RIGHT_EDGE, CHIN, np.array(OVAL, np.int32))


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
    times = refinement(face_scale(vertices, _landmarks()))
    shell, face = _type(kind, times), face_tables()
    count, grid = len(shell.st), (shell.columns, shell.rows, shell.stride)
    points, normals = np.empty((3, shell.weights.shape[1]), np.float32), np.empty((count, 3), np.float32)
    heights, shading, skin_normals = np.empty(count, np.float32), np.empty(count, np.float32), np.empty_like(vertices)
    st, folds, edge = (
        np.empty_like(shell.st),
        np.array(params.folds, np.float32).reshape(-1, 6),
        np.array(params.edge, np.float32),
    )
    surface = (*grid, folds, edge, _drape(kind, params), shell.strap_starts)
    filled = (points, normals, heights, st)
    frame, bounds = drape(vertices, _landmarks(), shell.weights, control_vertices(), shell.st, *surface, *filled)
    scale = float(frame.scale)
    out, coverage = image.copy(), np.zeros(image.shape[:2], np.float32)
    window = _window(bounds, image.shape, params.strap_radius * scale, scale)
    if window is None:
        return Worn(out, coverage, vertices, params)
    face_normals(vertices, face.triangles, skin_normals)
    scene = estimate_scene(image, to_linear(), vertices, skin_normals, face)
    lighting = _lighting(params, kind.gleam, kind.crease)
    shade(normals, shell.st, heights, *grid, scene, shell.anchor_weights, lighting, shading)
    width = params.strap_radius * scale
    monochrome = single_hue(scene)
    strap = Strap(max(width, 0.45), min(0.9, width / 0.45), *grey(params.strap, monochrome))
    tables = shell.tables._replace(strap_sides=_straps_in_view(shell.tables.strap_sides, float(frame.axes[0, 2])))
    cloth = (st, shading, shell.middles, _dyed(params, scale, monochrome), _depth(params, monochrome), tables)
    samples = draw(vertices, points, *cloth, strap, shell.strap_points, window, scale, times > 1)
    taps, curves = _filters(scene, params, scale), Curves(_to_levels(), _grain())
    finish = _finish(scene, params, scale)
    finish_picture(image, samples, vertices, _border(), curves, finish, taps, window, scale, coverage, out)
    if params.rims:
        keep_rims(image, vertices, coverage, out)
    return Worn(out, coverage, vertices, params)
