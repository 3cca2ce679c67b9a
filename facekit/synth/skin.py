"""Skin: a person's texture atlas, painted where the face mesh's own texture coordinates put each part.

Channels: linear red, green, blue, openness to the sky, gloss. Lengths on the face are about 0.064 cm a texel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.faces.topology import load_topology
from facekit.synth.anatomy import FACE_SIZE, OVAL, SKULL_SIZE
from facekit.synth.person_kernels import darken, mix_colour
from facekit.synth.sampling import Identity
from facekit.synth.skin_map import SHIFT, FaceMap, face_map, smoothstep

__all__ = ["hair_limit", "paint_atlas", "skin_tone", "to_linear", "tone_between"]

Array = NDArray[np.floating[Any]]
_TONES = (
    (240, 204, 180),
    (232, 190, 162),
    (224, 178, 146),
    (200, 152, 116),
    (170, 121, 86),
    (135, 91, 64),
    (104, 69, 50),
    (76, 51, 40),
)


def to_linear(levels: Array | tuple[float, ...]) -> Array:
    """Levels to linear light with a gamma of 2.2.

    Parameters
    ----------
    levels : floating array or tuple
        In [0, 255].

    Returns
    -------
    float32 of the same shape
        In [0, 1].
    """
    return np.asarray((np.asarray(levels, np.float32) / 255) ** 2.2, dtype=np.float32)


def tone_between(levels: Sequence[tuple[int, int, int]], share: float) -> NDArray[np.float64]:
    """A colour of a ladder of tones.

    Parameters
    ----------
    levels : sequence of (int, int, int)
        RGB of the tones, sRGB levels.
    share : float
        0: the first of them, 1: the last.

    Returns
    -------
    (3,) float64
        Linear RGB.
    """
    ladder = to_linear(np.array(levels, np.float32))
    place = share * (len(ladder) - 1)
    return np.array([np.interp(place, np.arange(len(ladder)), ladder[:, c]) for c in range(3)])


def skin_tone(identity: Identity) -> Array:
    """Base albedo of a person's skin.

    Parameters
    ----------
    identity : Identity

    Returns
    -------
    (3,) float32
        Linear RGB.
    """
    tone = tone_between(_TONES, identity.melanin)
    warm = identity.undertone
    return np.asarray(tone * np.exp([0.03 * warm, 0.02 * warm, -0.16 * warm]), dtype=np.float32)


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Array:
    """Smooth noise of unit deviation, roughly, with features a `cells`-th of the side."""
    return np.asarray(
        cv2.resize(rng.normal(size=(cells, cells)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    )


def _dots(places: Array, radii: Array, strengths: Array) -> Array:
    """Soft round spots, the darkest winning."""
    canvas = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
    for (x, y), radius, strength in zip(places, radii, strengths, strict=True):
        centre = (int(x * 16), int(y * 16))
        cv2.circle(canvas, centre, int(radius * 16), float(strength), -1, cv2.LINE_8, SHIFT)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.7), dtype=np.float32)


def _spots(rng: np.random.Generator, identity: Identity) -> tuple[Array, Array]:
    """Freckles (with age spots) and moles."""
    count = int(identity.freckles * 420 + 40 * np.clip((identity.age - 50) / 25, 0, 1) * (1 - identity.melanin))
    size = FACE_SIZE
    u = np.stack([rng.normal(0.5, 0.17, count), rng.normal(0.47, 0.12, count)], 1) * size
    freckles = _dots(u, rng.uniform(0.5, 1.5, count), rng.uniform(0.2, 0.8, count))
    places = np.stack([rng.uniform(0.22, 0.78, identity.moles), rng.uniform(0.2, 0.9, identity.moles)], 1) * size
    moles = _dots(places, rng.uniform(0.9, 2.2, identity.moles), rng.uniform(0.4, 0.9, identity.moles))
    return freckles, moles


def _age_shade(rng: np.random.Generator, identity: Identity, folds: dict[str, Array]) -> Array:
    """How much the folds darken the skin, in [0, 1)."""
    old = float(np.clip((identity.age - 30) / 45, 0, 1))
    amount = {name: old * float(rng.uniform(0.35, 1.0)) for name in sorted(folds)}
    amount["smile"] = 0.16 + 0.6 * amount["smile"]
    amount["bag"] = 0.08 + 0.7 * amount["bag"]
    amount["cheek"] *= 0.4
    return np.asarray(sum(0.42 * amount[n] * folds[n] for n in folds), dtype=np.float32)


def _mix(albedo: Array, colour: Array | tuple[float, ...], share: Array) -> None:
    """Mix a colour into the texture in place."""
    mix_colour(albedo, share.astype(np.float32, copy=False), np.asarray(colour, np.float32))


def _darken(albedo: Array, share: Array, amounts: tuple[float, float, float]) -> None:
    """Darken the texture in place, each channel by its own amount."""
    darken(albedo, share.astype(np.float32, copy=False), np.array(amounts, np.float32))


def _lip_colour(identity: Identity, tone: Array, rng: np.random.Generator) -> tuple[Array, float]:
    natural = tone * np.array([0.92, 0.58, 0.56]) * (1 - 0.12 * identity.lip_tint) + np.array([0.02, 0, 0.004])
    stick = to_linear(tuple(rng.uniform((120, 30, 40), (185, 85, 88))))
    share = 0.75 * identity.lipstick
    return np.asarray(natural * (1 - share) + stick * share, np.float32), 0.45 + 0.5 * identity.lipstick


def _mottle(rng: np.random.Generator, identity: Identity) -> Array:
    """Brightness of the bare skin around one, from blotches to pores."""
    size = FACE_SIZE
    pores = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), 0.8)
    mottle = 0.035 * _smooth_noise(rng, size, 9) + 0.02 * _smooth_noise(rng, size, 22)
    return (
        1
        + mottle
        + identity.roughness * 0.016 * _smooth_noise(rng, size, 90)
        + 0.045 * (0.6 + 0.8 * identity.roughness) * pores
    )


def _paint_face(identity: Identity, tone: Array, hair: Array) -> Array:
    """The face's part of the atlas, (256, 256, 5)."""
    rng = np.random.default_rng([identity.texture, 1])
    maps, size = face_map(), FACE_SIZE
    atlas = np.empty((size, size, 5), np.float32)
    atlas[..., :3] = _mottle(rng, identity)[..., None]
    atlas[..., :3] *= tone
    blood = (
        identity.redness
        * (0.30 * maps.red + 0.05 * _smooth_noise(rng, size, 14)).clip(0, 1)
        * (1 - 0.45 * identity.melanin)
    )
    _darken(atlas, blood, (0.10, 0.42, 0.36))
    _darken(atlas, maps.forehead, (0.0, 0.0, 0.05))
    worn = float(np.clip((identity.age - 25) / 40, 0.2, 1))
    tired = (0.16 + 0.22 * rng.uniform()) * maps.socket + (0.10 + 0.25 * rng.uniform() * worn) * maps.bag
    _darken(atlas, tired.clip(0, 0.6), (0.50, 0.72, 0.62))
    freckles, moles = _spots(rng, identity)
    _darken(atlas, 0.75 * freckles, (0.22, 0.42, 0.55))
    shade = _age_shade(rng, identity, maps.folds)
    _darken(atlas, shade, (0.75, 1.0, 1.05))
    _paint_beard(atlas, identity, maps, hair, rng)
    wet = _paint_lips(atlas, identity, tone, maps, rng)
    _mix(atlas, tone * (0.10, 0.05, 0.04), 0.95 * maps.nostril.clip(0, 1))
    _mix(atlas, tone * (0.30, 0.17, 0.15), 0.6 * maps.corners)
    _mix(atlas, tone * (0.42, 0.30, 0.27), 0.55 * maps.crease)
    _mix(atlas, tone * (0.85, 0.5, 0.48) + 0.02, 0.55 * maps.waterline)
    _mix(atlas, np.minimum(hair * 0.4, 0.03) + 0.004, (0.65 + 0.35 * identity.liner) * maps.lash)
    _mix(atlas, tone * 0.25, moles)
    np.clip(atlas[..., :3], 0.002, 0.95, out=atlas[..., :3])
    atlas[..., 3] = (1 - 0.34 * maps.cavity - 0.5 * maps.nostril - 0.25 * maps.crease - 0.4 * shade).clip(0.15, 1)
    atlas[..., 4] = identity.gloss * (0.35 + 0.75 * maps.oil.clip(0, 1.2)) * (1 - maps.lips) + wet * maps.lips
    return atlas


def _paint_lips(atlas: Array, identity: Identity, tone: Array, maps: FaceMap, rng: np.random.Generator) -> float:
    """Lips and the line between them; how glossy they are."""
    lip, wet = _lip_colour(identity, tone, rng)
    _mix(atlas, lip, maps.lips * (0.82 + 0.05 * _smooth_noise(rng, FACE_SIZE, 60)).clip(0, 1))
    _mix(atlas, lip * 0.22, 0.8 * maps.mouth_line * maps.lips)
    return wet


def _paint_beard(atlas: Array, identity: Identity, maps: FaceMap, hair: Array, rng: np.random.Generator) -> None:
    if not identity.male:
        return
    region = {"moustache": "moustache", "goatee": "goatee"}.get(identity.beard, "full")
    strength = {"none": 0.10, "stubble": 0.42, "moustache": 0.5, "goatee": 0.5}.get(
        identity.beard, 0.6
    ) * identity.beard_density
    speckle = (0.8 + 0.35 * rng.standard_normal((FACE_SIZE, FACE_SIZE), dtype=np.float32)).clip(0, 1.5)
    shadow = 0.12 * maps.beard["full"] * (1 - identity.grey * 0.6)
    _mix(atlas, hair * 0.8 + 0.02, (strength * maps.beard[region] * speckle).clip(0, 0.85))
    _mix(atlas, skin_tone(identity) * (0.55, 0.58, 0.62), shadow * identity.beard_density)


def hair_limit(identity: Identity, border: Array) -> Array:
    """Where hair begins on the curves from the border of the face to the back of the head.

    Parameters
    ----------
    identity : Identity
    border : (37, 3) floating
        The face's oval, cm.

    Returns
    -------
    (37,) float32
        As a share of each curve.
    """
    y = border[:, 1]
    forward = border[:, 0] / 5.5
    top = (
        0.012
        + 0.035 * identity.hairline
        + 0.16 * max(0.0, identity.hairline - 0.45) * np.exp(-((np.abs(forward) - 0.75) ** 2) / 0.12)
    )
    if identity.hair_style == "bald":
        top = np.full_like(y, 0.62)
    side = 0.05 + 0.02 * identity.hairline
    low = 0.36
    high = np.interp(y, [-7, -3.4, -1.2, 2.2, 4.8, 6.2], [0.62, 0.44, 0.2, side, side + 0.02, 0.0])
    blend = smoothstep(4.2, 6.2, y)
    limit = np.where(y > 6.2, top, high * (1 - blend) + np.maximum(top, high) * blend)
    if identity.hair_style == "bald":
        limit = np.where(y > 4.0, 0.62, np.maximum(high, 0.10))
    return np.asarray(np.maximum(limit, low * (y < -3)), dtype=np.float32)


def _paint_skull(identity: Identity, tone: Array, hair: Array, face: Array, border: Array) -> Array:
    """Skull, ears, neck and cloth: the (128, 256, 5) strip under the face."""
    rng = np.random.default_rng([identity.texture, 2])
    size = SKULL_SIZE
    strip = np.zeros((size + 4, FACE_SIZE, 5), np.float32)
    strip[..., :3] = tone * (1 + 0.03 * _smooth_noise(rng, FACE_SIZE, 20)[: size + 4, :, None])
    strip[..., :3] *= 1 + 0.02 * (0.6 + 0.8 * identity.roughness) * rng.standard_normal(
        (size + 4, FACE_SIZE, 1), dtype=np.float32
    )
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
    ragged = 0.012 * _smooth_noise(rng, size, 40)[:, :columns]
    cover = smoothstep(-0.02, 0.035, t - limit + ragged) * (0.55 if identity.hair_style in ("buzz", "bald") else 0.92)
    scalp = strip[:size, :columns]
    scalp[..., :3] += cover[..., None] * (hair * 0.55 - scalp[..., :3])
    scalp[..., 4] *= 1 - cover
    low = np.interp(place, np.arange(len(OVAL)), border[:, 1])[None]
    under = smoothstep(-4.5, -8.0, low) * smoothstep(0.0, 0.22, t)
    scalp[..., 3] *= 1 - 0.6 * under
    ear = slice(columns + 2, FACE_SIZE)
    r = ((np.arange(size + 4) - 0.5) / (size - 2) - 0.02) / 0.2
    strip[:, ear, 3] = np.interp(r, [0, 0.3, 0.5, 0.75, 0.95, 1.0], [0.35, 0.45, 0.75, 0.7, 1.0, 0.9])[:, None]
    is_ear = (r < 1.15)[:, None, None]
    strip[:, ear, :3] *= np.where(is_ear, np.array([1.0, 0.84, 0.80]) * 0.97, 1.0)
    neck = (r - 1.4) / 1.0
    strip[:, ear, 3] = np.where(
        (r > 1.2)[:, None], np.interp(neck, [0, 0.25, 0.5, 1], [0.10, 0.28, 0.6, 0.8])[:, None], strip[:, ear, 3]
    )
    strip[:, ear, :3] = np.where((r > 3.2)[:, None, None], 1.0, strip[:, ear, :3])
    return strip


def paint_atlas(identity: Identity, hair: Array, border: Array) -> Array:
    """Paint a person's texture atlas.

    Parameters
    ----------
    identity : Identity
    hair : (3,) float32
        Linear RGB of the hair with its grey.
    border : (37, 3) floating
        The face's oval, cm.

    Returns
    -------
    (388, 256, 5) float32
        Linear red, green, blue, openness to the sky, gloss; rows 0 to 255 are the face.
    """
    tone = skin_tone(identity)
    face = _paint_face(identity, tone, hair)
    return np.ascontiguousarray(np.concatenate([face, _paint_skull(identity, tone, hair, face, border)]))
