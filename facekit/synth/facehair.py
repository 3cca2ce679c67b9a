"""Hair that rides on the face mesh: brows, lashes and beards; and glasses, which are drawn as thick strands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.faces.landmarks import BROWS, EYES, LEFT_EDGE, RIGHT_EDGE
from facekit.faces.topology import load_topology
from facekit.synth.anatomy import FACE_SIZE, unit
from facekit.synth.sampling import Identity
from facekit.synth.shape import Skull
from facekit.synth.skin import skin_tone, to_linear
from facekit.synth.skin_map import face_map
from facekit.synth.strands import Strands, as_float32, hair_colour, join_strands

__all__ = ["POINTS", "face_hair", "glasses"]

Array = NDArray[np.floating[Any]]
POINTS = 5
"""Points a strand of face hair has."""


def _mesh_strands(
    corners: NDArray[np.integer[Any]],
    weights: Array,
    directions: Array,
    length: Array,
    bend: Array,
    colour: Array,
    width: Array,
    tip: float,
) -> Strands:
    """Strands from roots on the mesh: straight along `directions`, summed along `bend` with the square of the way."""
    count = len(length)
    t = np.linspace(0, 1, POINTS, dtype=np.float32)[None, :, None]
    points = (directions[:, None] * t + bend[:, None] * t * t) * length[:, None, None]
    tint = np.broadcast_to(np.float32(0.9), (count, POINTS))
    ones = np.ones((count, POINTS), np.float32)
    return Strands(
        as_float32(points), as_float32(colour), as_float32(tint), as_float32(ones * 0.85), as_float32(width),
        np.full(count, tip, np.float32), np.ascontiguousarray(corners, dtype=np.int32), as_float32(weights),
    )  # fmt: skip


def _shade(identity: Identity, rng: np.random.Generator, count: int, darker: float, grey: float) -> Array:
    colour = np.tile(hair_colour(identity) * darker, (count, 1)) * np.exp(rng.normal(0, 0.25, (count, 1)))
    white = np.clip(1.25 * grey * rng.uniform(0.3, 1.2, (count, 1)), 0, 1)
    colour += white * (to_linear((185, 183, 179)) * rng.uniform(0.6, 1.1, (count, 1)) - colour)
    return np.asarray(colour, np.float32)


def _brow(identity: Identity, side: int, rng: np.random.Generator) -> Strands:
    """One brow: hairs between its two edges, upright at the nose and lying flat at the temple."""
    count = int(130 + 220 * identity.brow_density)
    lower, upper = (np.array(e) for e in BROWS[side])
    a = rng.beta(1.15, 1.0, count).astype(np.float32) * 3.98
    thick = (0.30 + 0.75 * identity.brow_width) * np.interp(a, [0, 1.2, 3, 4], [0.35, 0.85, 1.0, 0.9])
    middle = 0.42 + 0.10 * identity.brow_arch * np.exp(-((a - 1.4) ** 2))
    b = (middle + thick * rng.normal(0, 0.28, count).clip(-0.55, 0.55)).clip(-0.2, 1.25).astype(np.float32)
    i = a.astype(int)
    f = a - i
    corners = np.stack([lower[i], lower[i + 1], upper[i]], 1)
    weights = np.stack([(1 - f) - b, f, b], 1)
    outward = -1.0 if side == 0 else 1.0
    lie = np.interp(a, [0, 1.5, 3.0, 3.6, 4.0], [-0.25, 0.05, 0.35, 0.8, 1.8])
    direction = unit(
        np.stack([np.full(count, outward), lie + rng.normal(0, 0.18, count), -0.15 + 0.05 * rng.normal(size=count)], 1)
    )
    length = rng.uniform(0.32, 0.62, count) * np.interp(a, [0, 1, 4], [0.8, 1.0, 0.75])
    bend = np.stack([np.full(count, 0.15 * outward), -0.25 * np.ones(count), np.full(count, -0.22)], 1)
    colour = _shade(identity, rng, count, 0.62 if identity.hair_tone < 0.5 else 0.85, identity.grey * 0.4)
    colour = np.minimum(colour, 0.5 * skin_tone(identity))  # brows are darker than skin, dyed hair or not
    strands = _mesh_strands(corners, weights, direction, length, bend, colour, rng.uniform(0.045, 0.075, count), 0.4)
    return strands._replace(points=strands.points + np.array([0, 0, 0.06], np.float32))


def _lashes(identity: Identity, side: int, upper: bool, rng: np.random.Generator) -> Strands:
    ring = np.array((EYES[side].upper if upper else EYES[side].lower)[:8])
    count = 24 if upper else 14
    a = rng.uniform(0.0, 6.98, count)
    i = a.astype(int)
    f = a - i
    corners = np.stack([ring[i], ring[i + 1], ring[i]], 1)
    weights = np.stack([1 - f, f, np.zeros(count)], 1)
    outward = (-1.0 if side == 0 else 1.0) * (0.75 - 0.2 * a)
    rise = 0.5 if upper else -0.75
    direction = unit(np.stack([outward, np.full(count, rise), np.ones(count)], 1))
    base = (0.36 + 0.2 * identity.liner) if upper else 0.2
    base = base * (0.85 if identity.male else 1.05)
    bend = np.tile(np.array([0, 0.85 if upper else -0.1, -0.25]), (count, 1))
    colour = np.tile(np.array([0.008, 0.006, 0.006]), (count, 1))
    return _mesh_strands(
        corners, weights, direction, base * rng.uniform(0.7, 1.1, count), bend, colour, np.full(count, 0.03), 0.3
    )


def _on_mesh(weight: Array, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], Array, Array]:
    """`count` places on the face drawn with the density of a map of its texture: corners, weights, position (cm)."""
    face = load_topology()
    corners = face.positions[face.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    tries = count * 8
    triangle = rng.choice(len(area), tries, p=area / area.sum())
    share = np.sort(rng.uniform(size=(tries, 2)), axis=1)
    weights = np.stack([share[:, 0], share[:, 1] - share[:, 0], 1 - share[:, 1]], 1).astype(np.float32)
    uv = np.einsum("nk,nkc->nc", weights, face.uv[face.triangles[triangle]]) * (FACE_SIZE - 1)
    density = weight[uv[:, 1].astype(int), uv[:, 0].astype(int)]
    index = np.flatnonzero(rng.uniform(size=tries) < density)[:count]
    position = np.einsum("nk,nkc->nc", weights[index], corners[triangle[index]])
    return face.triangles[triangle[index]], weights[index], np.asarray(position, np.float32)


def _beard(identity: Identity, rng: np.random.Generator) -> Strands | None:
    style = identity.beard
    if style == "none":
        return None
    region = {"moustache": "moustache", "goatee": "goatee"}.get(style, "full")
    longest = {"stubble": 0.14, "moustache": 0.8, "goatee": 1.2, "full": 1.3, "long": 3.2}[style]
    longest *= 0.6 + 0.8 * identity.beard_length
    count = int(
        (1500 if style == "stubble" else {"moustache": 700, "goatee": 1200}.get(style, 2600)) * identity.beard_density
    )
    density = np.clip(face_map().beard[region] ** 1.3, 0, 1)
    corners, weights, place = _on_mesh(density, count, rng)
    count = len(place)
    x, y = place[:, 0], place[:, 1]
    side = np.tanh(x / 1.2)
    lip = (y > -4.6) & (np.abs(x) < 3.0)
    grow = np.stack(
        [np.where(lip, 0.8 * side, 0.22 * side), np.full(count, -1.0), np.where(lip, 0.25, 0.12 + 0.25 * (y < -7))], 1
    )
    outward = unit(place - np.array([0, -3.0, -3.0], np.float32))
    direction = unit(unit(grow) + 0.35 * outward + rng.normal(0, 0.16, (count, 3)))
    chin = 0.45 + 0.55 * np.clip((-4.5 - y) / 3, 0, 1)
    length = longest * rng.uniform(0.5, 1.1, count) * np.where(lip, 0.5, chin) * np.clip(1.1 - 0.07 * np.abs(x), 0.4, 1)
    bend = np.stack([-0.15 * side, np.full(count, -0.4), np.full(count, -0.1)], 1) + rng.normal(0, 0.18, (count, 3))
    colour = _shade(identity, rng, count, 0.8, min(1.0, identity.grey * 1.1))
    width = rng.uniform(0.05, 0.09, count) if style != "stubble" else rng.uniform(0.03, 0.05, count)
    strands = _mesh_strands(corners, weights, direction, length, bend, colour, width, 0.4)
    open_ = np.linspace(0.5, 1.0, POINTS, dtype=np.float32)[None] * np.ones((count, 1), np.float32)
    return strands._replace(points=strands.points + 0.03 * outward[:, None].astype(np.float32), openness=open_)


def face_hair(identity: Identity) -> Strands:
    """Brows, lashes and beard of a person.

    Parameters
    ----------
    identity : Identity

    Returns
    -------
    Strands
        Points are relative to the roots, which lie on the face mesh.
    """
    rng = np.random.default_rng([identity.texture, 4])
    parts = [_brow(identity, s, rng) for s in (0, 1)]
    parts += [_lashes(identity, s, u, rng) for s in (0, 1) for u in (True, False)]
    beard = _beard(identity, rng)
    return join_strands(*parts, *([beard] if beard is not None else []))


def _rim(centre: Array, half: tuple[float, float], square: float, count: int) -> Array:
    angle = np.linspace(0, 2 * np.pi, count)
    power = 2 / (2 + 3 * square)
    c, s = np.cos(angle), np.sin(angle)
    x, y = np.sign(c) * np.abs(c) ** power * half[0], np.sign(s) * np.abs(s) ** power * half[1]
    y = y + 0.12 * np.sign(centre[0]) * x
    return np.stack(
        [
            centre[0] + x,
            centre[1] + y * np.where(y < 0, 1.08, 0.95),
            centre[2] - 0.05 * np.abs(centre[0] + x - np.sign(centre[0]) * 2) ** 1.5,
        ],
        1,
    )


def glasses(identity: Identity, skull: Skull) -> tuple[Strands, Array] | None:
    """The glasses of a person.

    Parameters
    ----------
    identity : Identity
    skull : Skull

    Returns
    -------
    (Strands, (2, 40, 3) float32) or None
        The frame as strands fixed to the head, and the outlines of the lenses in head axes (cm); None: wears none.
    """
    if identity.glasses == "none":
        return None
    eyes = skull.eye_centres
    front = float(skull.face[[168, 6]].max(axis=0)[2]) + 0.15
    front = max(front, float(skull.face[[105, 334]].max(axis=0)[2]) + 0.35)
    half = (2.45 + 0.35 * identity.glasses_shape, 1.75 + 0.45 * (1 - identity.glasses_shape))
    rims = []
    for k in (0, 1):
        centre = np.array([eyes[k, 0] * 1.03, eyes[k, 1] - 0.25, front])
        rims.append(_rim(centre, half, identity.glasses_shape, 40))
    lines = [*rims]
    inner = [
        rims[0][np.argmax(rims[0][:, 0] + 0.4 * rims[0][:, 1])],
        rims[1][np.argmin(rims[1][:, 0] - 0.4 * rims[1][:, 1])],
    ]
    t = np.linspace(0, 1, 40)[:, None]
    lines.append(inner[0] * (1 - t) + inner[1] * t + np.array([0, 0.25, 0.15]) * np.sin(np.pi * t))
    ears = skull.face[[LEFT_EDGE, RIGHT_EDGE]] + np.array([[-0.45, 1.9, -1.2], [0.45, 1.9, -1.2]])
    for k in (0, 1):
        outer = rims[k][np.argmax(np.abs(rims[k][:, 0]) + 0.5 * rims[k][:, 1])]
        hinge = outer + np.array([(-0.25, 0.25)[k], 0.05, -0.25])
        path = np.stack([outer, hinge, ears[k]])
        lines.append(np.stack([np.interp(t[:, 0], [0, 0.06, 1], path[:, c]) for c in range(3)], 1))
    points = np.stack(lines).astype(np.float32)
    wide = {"wire": 0.10, "rim": 0.30, "half": 0.12}[identity.glasses]
    width = np.array([wide, wide, wide, wide, wide], np.float32)
    tone = np.array(identity.glasses_tone if identity.glasses != "wire" else (0.16, 0.145, 0.125), np.float32)
    count = len(points)
    ones = np.ones((count, points.shape[1]), np.float32)
    frame = Strands(
        points, np.tile(tone, (count, 1)), ones, ones, width, np.ones(count, np.float32),
        np.full((count, 3), -1, np.int32), np.zeros((count, 3), np.float32),
    )  # fmt: skip
    return frame, np.stack(rims).astype(np.float32)
