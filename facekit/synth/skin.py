"""Skin: a person's texture atlas, painted where the face mesh's own texture coordinates put each part.

Channels: linear red, green, blue, openness to the sky, gloss. Lengths on the face are about 0.064 cm a texel.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.faces.topology import load_topology
from facekit.synth.anatomy import EYES, FACE_SIZE, LIPS_LOWER, LIPS_UPPER, OVAL, SKULL_SIZE
from facekit.synth.chance import Identity
from facekit.synth.kernels import raster, stain, tint

__all__ = ["face_map", "hair_limit", "paint_atlas", "skin_tone", "to_linear"]

Array = NDArray[np.floating[Any]]
TEXEL = 0.064
_SHIFT = 4
_LIP_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
_TONES = (
    (248, 218, 198), (238, 200, 174), (224, 178, 146), (200, 152, 116), (170, 121, 86), (135, 91, 64), (104, 69, 50), (76, 51, 40),
)  # fmt: skip


def to_linear(levels: Array | tuple[float, ...]) -> Array:
    """sRGB levels in [0, 255] to linear light."""
    return np.asarray((np.asarray(levels, np.float32) / 255) ** 2.2, dtype=np.float32)


def skin_tone(identity: Identity) -> Array:
    """Base albedo (3,), linear."""
    ladder = to_linear(np.array(_TONES, np.float32))
    place = identity.melanin * (len(ladder) - 1)
    tone = np.array([np.interp(place, np.arange(len(ladder)), ladder[:, c]) for c in range(3)])
    warm = identity.undertone
    return np.asarray(tone * np.exp([0.03 * warm, 0.02 * warm, -0.16 * warm]), dtype=np.float32)


class FaceMap(NamedTuple):
    """Fixed pictures (256, 256) of the face's texture: where things are."""

    position: Array
    lips: Array
    mouth_line: Array
    crease: Array
    lash: Array
    waterline: Array
    cavity: Array
    nostril: Array
    folds: dict[str, Array]
    beard: dict[str, Array]
    red: Array
    socket: Array
    bag: Array
    forehead: Array
    oil: Array
    spots: NDArray[np.bool_]


def _spread(values: Array, valid: NDArray[np.bool_]) -> Array:
    """Fill texels outside the face with the nearest one inside."""
    _, labels = cv2.distanceTransformWithLabels((~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.zeros(labels.max() + 1, np.int64)
    lookup[labels[valid]] = np.flatnonzero(valid)
    return np.asarray(values.reshape(-1, values.shape[-1])[lookup[labels]], dtype=np.float32)


def _positions() -> Array:
    face = load_topology()
    screen = np.zeros((len(face.uv), 3), np.float32)
    screen[:, :2] = face.uv * (FACE_SIZE - 1)
    shape = (FACE_SIZE, FACE_SIZE)
    depth, ids = np.full(shape, -1e9, np.float32), np.full(shape, -1, np.int32)
    bary = np.zeros((*shape, 2), np.float32)
    raster(screen, face.triangles, np.ones(len(face.triangles), np.bool_), depth, ids, bary)
    corners = face.positions[face.triangles[ids.clip(0)]]
    weights = np.concatenate([bary, 1 - bary.sum(axis=-1, keepdims=True)], axis=-1)
    return _spread(np.einsum("hwk,hwkc->hwc", weights, corners).astype(np.float32), ids >= 0)


def _texels(vertices: tuple[int, ...]) -> NDArray[np.int32]:
    uv = load_topology().uv[list(vertices)] * (FACE_SIZE - 1)
    return np.asarray(np.round(uv * 2**_SHIFT), dtype=np.int32)


def _line(rows: list[NDArray[np.int32]], sigma: float) -> Array:
    """Gaussian ridge along polylines in texture space; `sigma` in texels."""
    canvas = np.full((FACE_SIZE, FACE_SIZE), 255, np.uint8)
    for row in rows:
        cv2.polylines(canvas, [row], False, 0, 1, cv2.LINE_8, _SHIFT)
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, 5)
    return np.asarray(np.exp(-0.5 * (distance / sigma) ** 2), dtype=np.float32)


def _area(vertices: tuple[int, ...], soft: float) -> Array:
    canvas = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
    cv2.fillPoly(canvas, [_texels(vertices)], 1.0, cv2.LINE_8, _SHIFT)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), soft), dtype=np.float32)


def _near(position: Array, centre: tuple[float, float, float], sigma: tuple[float, float, float]) -> Array:
    """Mirrored Gaussian in centimetres."""
    folded = np.concatenate([np.abs(position[..., :1]), position[..., 1:]], axis=-1)
    delta = (folded - np.array(centre, np.float32)) / np.array(sigma, np.float32)
    return np.asarray(np.exp(-0.5 * (delta**2).sum(axis=-1)), dtype=np.float32)


def _curve(position: Array, points: tuple[tuple[float, float], ...], sigma: float) -> Array:
    """Mirrored Gaussian ridge along a polyline given as (|x|, y) in centimetres, fading at both ends."""
    x, y = np.abs(position[..., 0]), position[..., 1]
    best = np.full(x.shape, 1e9, np.float32)
    share = np.zeros(x.shape, np.float32)
    ends = np.array(points, np.float32)
    for k, (a, b) in enumerate(zip(ends[:-1], ends[1:], strict=True)):
        along = ((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum()
        t = along.clip(0, 1)
        square = (x - a[0] - t * (b - a)[0]) ** 2 + (y - a[1] - t * (b - a)[1]) ** 2
        share = np.where(square < best, (k + t) / (len(ends) - 1), share)
        best = np.minimum(best, square)
    fade = np.minimum(1, 5 * np.minimum(share, 1 - share) + 0.15)
    return np.asarray(np.exp(-0.5 * best / sigma**2) * fade, dtype=np.float32)


def _fold_maps(position: Array) -> dict[str, Array]:
    wave = 0.12 * np.sin(position[..., 0] * 1.3)
    brow_lines = sum(np.exp(-0.5 * ((position[..., 1] - y + wave) / 0.10) ** 2) for y in (5.95, 6.65, 7.3))
    feet = [_curve(position, ((4.75, 2.6 + 0.1 * k), (6.3, 2.6 + 0.75 * k)), 0.09) for k in (-1.2, 0, 1.2)]
    return {
        "forehead": np.asarray(brow_lines * np.exp(-0.5 * (position[..., 0] / 2.9) ** 4), np.float32),
        "feet": np.asarray(sum(feet), np.float32),
        "frown": _curve(position, ((0.62, 4.1), (0.72, 5.3)), 0.10),
        "smile": _curve(position, ((1.95, -0.6), (2.6, -2.0), (3.15, -3.6), (3.2, -4.6)), 0.17),
        "marionette": _curve(position, ((2.65, -4.6), (3.0, -5.6), (3.05, -7.0)), 0.16),
        "bag": _curve(position, ((2.0, 1.9), (2.7, 1.25), (3.6, 1.15), (4.5, 1.7)), 0.15),
        "cheek": _curve(position, ((2.3, 0.9), (3.6, -0.4), (4.6, -0.9)), 0.2),
    }


def _soft_step(low: float, high: float, x: Array) -> Array:
    t = ((x - low) / (high - low)).clip(0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _beard_maps(position: Array, lips: Array) -> dict[str, Array]:
    x, y = np.abs(position[..., 0]), position[..., 1]
    edge = -3.3 + 0.75 * (x - 2.6).clip(0) + 0.10 * (x - 5.2).clip(0) ** 2
    jaw = _soft_step(0.9, -0.8, y - edge) * _soft_step(1.8, 2.7, x + 1.6 * (y < -5.3))
    sideburn = _soft_step(6.4, 6.9, x) * _soft_step(2.5, 1.5, y)
    chin = _soft_step(-5.9, -6.6, y) * _soft_step(2.7, 2.1, x)
    upper = _soft_step(-2.35, -2.75, y) * _soft_step(-4.5, -3.9, y) * _soft_step(2.9, 2.3, x)
    side = _soft_step(2.1, 2.5, x) * _soft_step(3.3, 2.8, x) * _soft_step(-3.0, -3.6, y)
    soul = np.exp(-0.5 * ((x / 0.45) ** 2 + ((y + 5.75) / 0.4) ** 2)).astype(np.float32)
    bare = (1 - 1.6 * lips).clip(0, 1)
    full = np.maximum.reduce([jaw, sideburn, chin, upper * 0.9, side * 0.9, soul]) * bare
    ring = np.maximum.reduce([upper, side, chin * _soft_step(2.7, 2.0, x), soul]) * bare
    return {"full": full, "goatee": ring, "moustache": upper * bare}


@cache
def face_map() -> FaceMap:
    """The fixed maps (made once a process)."""
    position = _positions()
    lips = _area(_LIP_OUTER, 1.3)
    height = position[..., 2]
    cavity = (cv2.GaussianBlur(height, (0, 0), 9) - height).clip(0) + 0.6 * (cv2.GaussianBlur(height, (0, 0), 22) - height).clip(0)
    rows = lambda name: [_texels(getattr(e, name)) for e in EYES]  # noqa: E731
    nostril = _near(position, (0.70, -1.66, 6.0), (0.34, 0.20, 0.42))
    red = (
        0.9 * _near(position, (4.3, -0.9, 4.0), (1.6, 1.4, 3)) + 0.9 * _near(position, (0.4, -0.7, 7.3), (1.1, 0.9, 1.4))
        + 0.35 * _near(position, (0, -8.0, 4.5), (1.6, 1.0, 3)) + 0.25 * _near(position, (1.0, 5.6, 5.0), (3.2, 1.3, 4))
    )  # fmt: skip
    socket = _near(position, (2.1, 2.5, 3.7), (0.8, 0.7, 2)) + 0.6 * _near(position, (3.3, 2.9, 3.8), (1.3, 0.8, 2))
    bag = _near(position, (3.0, 1.65, 3.7), (1.1, 0.5, 2))
    forehead = _near(position, (0, 6.6, 4.5), (4.2, 1.9, 4))
    oil = (
        forehead + _near(position, (0, -0.5, 7.2), (0.9, 2.4, 2)) + 0.6 * _near(position, (3.7, 0.3, 4.2), (1.2, 0.9, 2))
        + 0.6 * _near(position, (0, -8.2, 4.6), (1.2, 0.8, 2))
    )  # fmt: skip
    return FaceMap(
        position, lips, _line([_texels(LIPS_UPPER), _texels(LIPS_LOWER)], 1.7), _line(rows("fold"), 1.3), _line(rows("upper"), 1.2),
        _line(rows("lower"), 1.2), np.asarray(cavity, np.float32), nostril, _fold_maps(position), _beard_maps(position, lips),
        red, socket, bag, forehead, oil, (position[..., 1] < 6.5) & (position[..., 1] > -3),
    )  # fmt: skip


def _clouds(rng: np.random.Generator, size: int, cells: int) -> Array:
    """Smooth noise of unit deviation, roughly, with features a `cells`-th of the side."""
    return np.asarray(cv2.resize(rng.normal(size=(cells, cells)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC))


def _dots(rng: np.random.Generator, places: Array, radii: Array, strengths: Array) -> Array:
    """Soft round spots, the darkest winning."""
    canvas = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
    for (x, y), radius, strength in zip(places, radii, strengths, strict=True):
        centre = (int(x * 16), int(y * 16))
        cv2.circle(canvas, centre, int(radius * 16), float(strength), -1, cv2.LINE_8, _SHIFT)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.7), dtype=np.float32)


def _spots(rng: np.random.Generator, identity: Identity) -> tuple[Array, Array]:
    """Freckles (with age spots) and moles."""
    count = int(identity.freckles * 420 + 40 * np.clip((identity.age - 50) / 25, 0, 1) * (1 - identity.melanin))
    size = FACE_SIZE
    u = np.stack([rng.normal(0.5, 0.17, count), rng.normal(0.47, 0.12, count)], 1) * size
    freckles = _dots(rng, u, rng.uniform(0.5, 1.5, count), rng.uniform(0.2, 0.8, count))
    places = np.stack([rng.uniform(0.22, 0.78, identity.moles), rng.uniform(0.2, 0.9, identity.moles)], 1) * size
    moles = _dots(rng, places, rng.uniform(0.9, 2.2, identity.moles), rng.uniform(0.4, 0.9, identity.moles))
    return freckles, moles


def _age_shade(rng: np.random.Generator, identity: Identity, folds: dict[str, Array]) -> Array:
    """How much the folds darken the skin, in [0, 1)."""
    old = float(np.clip((identity.age - 30) / 45, 0, 1))
    amount = {name: old * float(rng.uniform(0.35, 1.0)) for name in sorted(folds)}
    amount["smile"] = 0.16 + 0.6 * amount["smile"]
    amount["bag"] = 0.08 + 0.7 * amount["bag"]
    amount["cheek"] *= 0.4
    return np.asarray(sum(0.42 * amount[n] * folds[n] for n in folds), dtype=np.float32)


def _toward(albedo: Array, colour: Array | tuple[float, ...], share: Array) -> None:
    """Mix a colour into the texture in place."""
    tint(albedo, share.astype(np.float32, copy=False), np.asarray(colour, np.float32))


def _stain(albedo: Array, share: Array, amounts: tuple[float, float, float]) -> None:
    """Darken the texture in place, each channel by its own amount."""
    stain(albedo, share.astype(np.float32, copy=False), np.array(amounts, np.float32))


def _lip_colour(identity: Identity, tone: Array, rng: np.random.Generator) -> tuple[Array, float]:
    natural = tone * np.array([0.92, 0.58, 0.56]) * (1 - 0.12 * identity.lip_tint) + np.array([0.02, 0, 0.004])
    stick = to_linear(tuple(rng.uniform((120, 30, 40), (185, 85, 88))))
    share = 0.75 * identity.lipstick
    return np.asarray(natural * (1 - share) + stick * share, np.float32), 0.45 + 0.5 * identity.lipstick


def _mottle(rng: np.random.Generator, identity: Identity) -> Array:
    """Brightness of the bare skin around one, from blotches to pores."""
    size = FACE_SIZE
    pores = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), 0.8)
    mottle = 0.035 * _clouds(rng, size, 9) + 0.02 * _clouds(rng, size, 22)
    return 1 + mottle + identity.roughness * 0.016 * _clouds(rng, size, 90) + 0.045 * (0.6 + 0.8 * identity.roughness) * pores


def _paint_face(identity: Identity, tone: Array, hair: Array) -> Array:
    """The face's part of the atlas, (256, 256, 5)."""
    rng = np.random.default_rng([identity.texture, 1])
    maps, size = face_map(), FACE_SIZE
    atlas = np.empty((size, size, 5), np.float32)
    atlas[..., :3] = _mottle(rng, identity)[..., None]
    atlas[..., :3] *= tone
    blood = identity.redness * (0.30 * maps.red + 0.05 * _clouds(rng, size, 14)).clip(0, 1) * (1 - 0.45 * identity.melanin)
    _stain(atlas, blood, (0.10, 0.42, 0.36))
    _stain(atlas, maps.forehead, (0.0, 0.0, 0.05))
    worn = float(np.clip((identity.age - 25) / 40, 0.2, 1))
    tired = (0.16 + 0.22 * rng.uniform()) * maps.socket + (0.10 + 0.25 * rng.uniform() * worn) * maps.bag
    _stain(atlas, tired.clip(0, 0.6), (0.50, 0.72, 0.62))
    freckles, moles = _spots(rng, identity)
    _stain(atlas, 0.75 * freckles, (0.22, 0.42, 0.55))
    shade = _age_shade(rng, identity, maps.folds)
    _stain(atlas, shade, (0.75, 1.0, 1.05))
    _paint_beard(atlas, identity, maps, hair, rng)
    wet = _paint_lips(atlas, identity, tone, maps, rng)
    _toward(atlas, tone * (0.10, 0.05, 0.04), 0.95 * maps.nostril.clip(0, 1))
    _toward(atlas, tone * (0.42, 0.30, 0.27), 0.55 * maps.crease)
    _toward(atlas, tone * (0.85, 0.5, 0.48) + 0.02, 0.55 * maps.waterline)
    _toward(atlas, np.minimum(hair * 0.4, 0.03) + 0.004, (0.65 + 0.35 * identity.liner) * maps.lash)
    _toward(atlas, tone * 0.25, moles)
    np.clip(atlas[..., :3], 0.002, 0.95, out=atlas[..., :3])
    atlas[..., 3] = (1 - 0.34 * maps.cavity - 0.5 * maps.nostril - 0.25 * maps.crease - 0.4 * shade).clip(0.15, 1)
    atlas[..., 4] = identity.gloss * (0.35 + 0.75 * maps.oil.clip(0, 1.2)) * (1 - maps.lips) + wet * maps.lips
    return atlas


def _paint_lips(atlas: Array, identity: Identity, tone: Array, maps: FaceMap, rng: np.random.Generator) -> float:
    """Lips and the line between them; how glossy they are."""
    lip, wet = _lip_colour(identity, tone, rng)
    _toward(atlas, lip, maps.lips * (0.82 + 0.05 * _clouds(rng, FACE_SIZE, 60)).clip(0, 1))
    _toward(atlas, lip * 0.22, 0.8 * maps.mouth_line * maps.lips)
    return wet


def _paint_beard(atlas: Array, identity: Identity, maps: FaceMap, hair: Array, rng: np.random.Generator) -> None:
    if not identity.male:
        return
    region = {"moustache": "moustache", "goatee": "goatee"}.get(identity.beard, "full")
    strength = {"none": 0.10, "stubble": 0.42, "moustache": 0.5, "goatee": 0.5}.get(identity.beard, 0.6) * identity.beard_density
    speckle = (0.8 + 0.35 * rng.standard_normal((FACE_SIZE, FACE_SIZE), dtype=np.float32)).clip(0, 1.5)
    shadow = 0.12 * maps.beard["full"] * (1 - identity.grey * 0.6)
    _toward(atlas, hair * 0.8 + 0.02, (strength * maps.beard[region] * speckle).clip(0, 0.85))
    _toward(atlas, skin_tone(identity) * (0.55, 0.58, 0.62), shadow * identity.beard_density)


def hair_limit(identity: Identity, border: Array) -> Array:
    """Where hair begins on the curve from each of the 37 border vertices to the back of the head, as a share of it."""
    y = border[:, 1]
    forward = border[:, 0] / 5.5
    top = 0.012 + 0.035 * identity.hairline + 0.16 * max(0.0, identity.hairline - 0.45) * np.exp(-((np.abs(forward) - 0.75) ** 2) / 0.12)
    if identity.hair_style == "bald":
        top = np.full_like(y, 0.62)
    side = 0.05 + 0.02 * identity.hairline
    low = 0.36
    high = np.interp(y, [-7, -3.4, -1.2, 2.2, 4.8, 6.2], [0.62, 0.44, 0.2, side, side + 0.02, 0.0])
    blend = _soft_step(4.2, 6.2, y)
    limit = np.where(y > 6.2, top, high * (1 - blend) + np.maximum(top, high) * blend)
    if identity.hair_style == "bald":
        limit = np.where(y > 4.0, 0.62, np.maximum(high, 0.10))
    return np.asarray(np.maximum(limit, low * (y < -3)), dtype=np.float32)


def _paint_skull(identity: Identity, tone: Array, hair: Array, face: Array, border: Array) -> Array:
    """Skull, ears, neck and cloth: the (128, 256, 5) strip under the face."""
    rng = np.random.default_rng([identity.texture, 2])
    size = SKULL_SIZE
    strip = np.zeros((size + 4, FACE_SIZE, 5), np.float32)
    strip[..., :3] = tone * (1 + 0.03 * _clouds(rng, FACE_SIZE, 20)[: size + 4, :, None])
    strip[..., :3] *= 1 + 0.02 * (0.6 + 0.8 * identity.roughness) * rng.standard_normal((size + 4, FACE_SIZE, 1), dtype=np.float32)
    strip[..., 3], strip[..., 4] = 0.9, 0.4 * identity.gloss
    columns = int(0.72 * (size - 2)) + 1
    t = ((np.arange(size) - 0.5) / (size - 2))[:, None]
    place = np.linspace(0, len(OVAL) - 1, columns)
    uv = load_topology().uv[OVAL] * (FACE_SIZE - 1)
    edge = face[uv[:, 1].astype(int).clip(0, 255), uv[:, 0].astype(int).clip(0, 255)]
    edge = np.stack([np.interp(place, np.arange(len(OVAL)), edge[:, c]) for c in range(5)], 1)
    near = np.exp(-t * 14)[..., None]
    strip[:size, :columns] = strip[:size, :columns] * (1 - near) + edge[None] * near
    limit = np.interp(place, np.arange(len(OVAL)), hair_limit(identity, border))[None]
    ragged = 0.012 * _clouds(rng, size, 40)[:, :columns]
    cover = _soft_step(-0.02, 0.035, t - limit + ragged) * (0.55 if identity.hair_style in ("buzz", "bald") else 0.92)
    scalp = strip[:size, :columns]
    scalp[..., :3] += cover[..., None] * (hair * 0.55 - scalp[..., :3])
    scalp[..., 4] *= 1 - cover
    low = np.interp(place, np.arange(len(OVAL)), border[:, 1])[None]
    under = _soft_step(-4.5, -8.0, low) * _soft_step(0.0, 0.22, t)
    scalp[..., 3] *= 1 - 0.6 * under
    ear = slice(columns + 2, FACE_SIZE)
    r = ((np.arange(size + 4) - 0.5) / (size - 2) - 0.02) / 0.2
    strip[:, ear, 3] = np.interp(r, [0, 0.3, 0.5, 0.75, 0.95, 1.0], [0.35, 0.45, 0.75, 0.7, 1.0, 0.9])[:, None]
    is_ear = (r < 1.15)[:, None, None]
    strip[:, ear, :3] *= np.where(is_ear, np.array([1.0, 0.84, 0.80]) * 0.97, 1.0)
    neck = (r - 1.4) / 1.0
    strip[:, ear, 3] = np.where((r > 1.2)[:, None], np.interp(neck, [0, 0.25, 0.5, 1], [0.10, 0.28, 0.6, 0.8])[:, None], strip[:, ear, 3])
    strip[:, ear, :3] = np.where((r > 3.2)[:, None, None], 1.0, strip[:, ear, :3])
    return strip


def paint_atlas(identity: Identity, hair: Array, border: Array) -> Array:
    """The person's texture atlas, (388, 256, 5) float32; `hair` is their hair's linear colour, `border` the face's oval (37, 3) cm."""
    tone = skin_tone(identity)
    face = _paint_face(identity, tone, hair)
    return np.ascontiguousarray(np.concatenate([face, _paint_skull(identity, tone, hair, face, border)]))
