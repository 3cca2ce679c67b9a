"""A person put before the camera: the light that reaches it, before the camera does anything to it."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.faces.topology import NUM_VERTICES
from facekit.synth.anatomy import OVAL, load_head, turn, unit
from facekit.synth.camera import PIVOT, View, place_camera, project
from facekit.synth.lens import background
from facekit.synth.person import Person
from facekit.synth.raster import rasterize, shadow_triangles, vertex_normals
from facekit.synth.sampling import CaptureParams
from facekit.synth.shape import assemble_figure, express
from facekit.synth.skin import to_linear, tone_between
from facekit.synth.strand_kernels import draw_strands, place_strands, shadow_strands
from facekit.synth.strands import Strands
from facekit.synth.surfaces import EMPTY, resolve

__all__ = ["Truth", "render_radiance"]

Array = NDArray[np.floating[Any]]
SHADOW = 112
FACTOR = 3
_EYE_TONES = ((74, 44, 26), (98, 66, 38), (112, 98, 58), (92, 112, 86), (86, 118, 142), (118, 140, 152))


class Truth(NamedTuple):
    """What is known about a drawn picture.

    Attributes
    ----------
    yaw, pitch, roll : float
        Degrees. Yaw turns the nose toward larger x, pitch raises it, roll is clockwise as seen in the crop.
    light : tuple of float
        Unit direction toward the key light: x right, y up, z toward the viewer.
    expression : tuple of float
        open, smile, pucker, blink, brow, squint, skew.
    """

    yaw: float
    pitch: float
    roll: float
    light: tuple[float, float, float]
    expression: tuple[float, ...]


def _lights(capture: CaptureParams) -> Array:
    return np.array(
        [capture.light, capture.key, capture.fill_side, capture.fill, capture.sky, capture.floor], np.float32
    )


def _light_matrix(light: Array) -> Array:
    """Camera cm to texels of the shadow map and depth toward the light."""
    side = unit(np.cross(np.array([0, 1, 0.02], np.float32), light))
    up = np.cross(light, side)
    scale = SHADOW / 33.0
    matrix = np.zeros((3, 4), np.float32)
    matrix[0, :3], matrix[1, :3], matrix[2, :3] = side * scale, up * scale, light
    centre = np.array([0, 2.0, 1.0], np.float32)
    matrix[:, 3] = -turn(centre, matrix[:, :3])
    matrix[:2, 3] += SHADOW / 2
    return matrix


def _eyes(person: Person, view: View, capture: CaptureParams) -> Array:
    identity = person.identity
    yaw, pitch = np.radians(capture.gaze)
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], np.float32)
    colour = tone_between(_EYE_TONES, identity.eye_tone) * (0.6 + 0.5 * identity.eye_hue)
    out = np.empty((2, 6, 3), np.float32)
    from_pivot = person.skull.eye_centres - PIVOT
    out[:, 0] = turn(from_pivot, view.turn)
    out[:, 1] = turn(forward, view.turn)
    out[:, 2] = view.turn[:, 1]
    out[:, 3] = colour
    out[:, 4] = (0.60, identity.pupil, 0.3 + 0.5 * identity.redness)
    out[:, 5] = to_linear((190, 179, 172))
    return out


def _mouth(view: View, face: Array, rest: Array) -> Array:
    out = np.zeros((6, 3), np.float32)
    upper = rest[13] + np.array([0, 0, -0.1], np.float32)
    out[0] = turn(upper - PIVOT, view.turn)
    out[1:4] = view.turn.T
    out[4] = (max(0.0, float(rest[14, 1] - face[14, 1])), 0.82, 0.9)
    out[5] = to_linear((232, 222, 204))
    return out


def _pose_strands(hair: Strands, face: Array, view: View, sway: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Array:
    """Strands in camera cm, (S, P, 3)."""
    roots = np.zeros((len(hair.points), 3), np.float32)
    if hair.corners[0, 0] >= 0:
        roots = np.einsum("sk,skc->sc", hair.weights, face[hair.corners])
    out = np.empty_like(hair.points)
    place_strands(hair.points, roots, np.array(sway, np.float32), view.turn, PIVOT, out)
    return out


def _screen(points: Array, view: View, factor: int, scale: float) -> Array:
    """Sample coordinates: sample k of a pixel's row of `factor` lies at its k-th subdivision's centre."""
    out = project(points, view)
    out[..., :2] = (out[..., :2] + 0.5) * np.float32(factor * scale) - 0.5
    return np.ascontiguousarray(out, np.float32)


class _Canvas(NamedTuple):
    """Samples, and the light that strands are drawn with."""

    depth: Array
    ids: NDArray[np.int32]
    bary: Array
    rgb: Array
    lights: Array
    matrix: Array
    shadow: Array
    frame: Array
    scale: np.float32


def _draw_strands(hair: Strands, points: Array, view: View, canvas: _Canvas, gloss: float) -> None:
    draw_strands(
        points,
        hair.colour,
        hair.tint,
        hair.openness,
        hair.width * canvas.scale,
        hair.tip,
        np.float32(gloss),
        canvas.lights,
        canvas.matrix,
        canvas.shadow,
        view.eye,
        canvas.frame,
        canvas.scale,
        canvas.depth,
        canvas.ids,
        canvas.rgb,
    )


def _canvas(view: View, capture: CaptureParams, size: int, factor: int) -> _Canvas:
    samples = size * factor
    zoom = samples / 112
    frame = view.frame * zoom
    frame[:, 2] += 0.5 * zoom - 0.5
    lights = _lights(capture)
    shape = (samples, samples)
    return _Canvas(
        np.full(shape, -1e9, np.float32),
        np.full(shape, EMPTY, np.int32),
        np.empty((*shape, 2), np.float32),
        np.empty((*shape, 3), np.float32),
        lights,
        _light_matrix(lights[0]),
        np.full((SHADOW, SHADOW), -1e6, np.float32),
        frame.astype(np.float32),
        np.float32(np.hypot(frame[0, 0], frame[1, 0]) / capture.distance),
    )


def _reflect(light: Array, lenses: Array, view: View, capture: CaptureParams, scale: float) -> None:
    """A faint sheen on the lenses, brighter at one side, and a little light lost in the glass."""
    size = light.shape[0]
    rng = np.random.default_rng([capture.texture, 8])
    points = project(turn(lenses - PIVOT, view.turn), view)[..., :2]
    outline = np.round(((points + 0.5) * scale - 0.5) * 16).astype(np.int32)
    cover = np.zeros((size, size), np.uint8)
    for lens in outline:
        cv2.fillPoly(cover, [lens], 255, cv2.LINE_AA, 4)
    row, column = np.mgrid[0:size, 0:size].astype(np.float32) / (size - 1)
    slope = rng.uniform(-1.0, 1.0)
    wave = np.sin((column + slope * row) * rng.uniform(6, 14) + rng.uniform(0, 6.3)).clip(0) ** 2
    share = (cover.astype(np.float32) / 255)[..., None]
    sheen = (0.02 + rng.uniform(0.0, 0.16) * wave)[..., None] * np.array(capture.sky, np.float32)
    light *= 1 - 0.07 * share
    light += share * sheen


def _vertices(view: View) -> Array:
    """Normal, point, texel and shade of every vertex, (V, 9); the skull's first ring shares the face's border."""
    head = load_head()
    summed = np.empty_like(view.points)
    vertex_normals(view.points, head.triangles, summed)
    ring = np.arange(head.skull.start, head.skull.start + len(OVAL))
    joined = summed[OVAL] + summed[ring]
    joined[[0, -1]] = joined[0] + joined[-1] - summed[OVAL[0]]
    summed[OVAL], summed[ring] = joined, joined
    return np.ascontiguousarray(
        np.concatenate([unit(summed), view.points, head.uv, head.shade[:, None]], axis=1), np.float32
    )


def _cast_shadows(view: View, hair: Array, canvas: _Canvas) -> None:
    matrix = canvas.matrix
    light = np.einsum("vk,jk->vj", view.points, matrix[:, :3]) + matrix[:, 3]
    shadow_triangles(np.ascontiguousarray(light, np.float32), load_head().triangles, canvas.shadow)
    shadow_strands(hair, matrix, 2, canvas.shadow)


def render_radiance(
    person: Person, capture: CaptureParams, size: int = 112, factor: int = FACTOR
) -> tuple[Array, Array, Truth]:
    """Light that reaches the camera, before the camera does anything to it.

    Parameters
    ----------
    person : Person
    capture : CaptureParams
    size : int
        Side of the picture in pixels.
    factor : int
        Samples along each side of a pixel.

    Returns
    -------
    radiance : (size, size, 3) float32
        Linear RGB.
    vertices : (468, 3) float32
        In the pixels of a 112 crop, whatever ``size`` is; see `DrawnFace`.
    truth : Truth
    """
    head = load_head()
    face = express(person.skull, capture.expression)
    view = place_camera(assemble_figure(person.skull, face), capture)
    canvas = _canvas(view, capture, size, factor)
    hair = _pose_strands(person.hair, face, view, capture.sway)
    _cast_shadows(view, hair, canvas)
    screen = _screen(view.points, view, factor, size / 112)
    rasterize(screen, head.triangles, head.two_sided, canvas.depth, canvas.ids, canvas.bary)
    _draw_strands(person.hair, hair, view, canvas, 1.0)
    _draw_strands(person.face_hair, _pose_strands(person.face_hair, face, view), view, canvas, 0.35)
    worn = person.glasses if capture.glasses else None
    if worn is not None:
        _draw_strands(worn[0], _pose_strands(worn[0], face, view), view, canvas, 0.8)
    out = np.empty((size, size, 3), np.float32)
    resolve(
        canvas.ids,
        canvas.bary,
        canvas.rgb,
        head.triangles,
        head.materials,
        _vertices(view),
        person.atlas,
        _eyes(person, view, capture),
        _mouth(view, face, person.skull.face),
        canvas.lights,
        canvas.matrix,
        canvas.shadow,
        view.eye,
        background(capture, size),
        np.array(capture.cloth, np.float32),
        factor,
        out,
    )
    if worn is not None:
        _reflect(out, worn[1], view, capture, size / 112)
    truth = Truth(capture.yaw, capture.pitch, view.roll, capture.light, capture.expression)
    return out, project(view.points[:NUM_VERTICES], view), truth
