"""Hair as strands: polylines in centimetres, made once a person; head hair is fixed to the skull."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.synth.anatomy import OVAL, RINGS, unit
from facekit.synth.person_kernels import nearest_index
from facekit.synth.sampling import Identity
from facekit.synth.shape import Skull
from facekit.synth.skin import hair_limit, to_linear, tone_between
from facekit.synth.styles import Style, style_of

__all__ = ["Strands", "hair_colour", "join_strands", "scalp_hair"]

Array = NDArray[np.floating[Any]]
CENTRE = np.array([0, 3.0, -4.3], np.float32)


class Strands(NamedTuple):
    """S polylines of P points.

    Attributes
    ----------
    points : (S, P, 3) float32
        Centimetres in head axes; relative to the root where `corners` is given.
    colour : (S, 3) float32
        Linear.
    tint : (S, P) float32
        Brightness along the strand.
    openness : (S, P) float32
        How much of the sky a point sees, in [0, 1].
    width : (S,) float32
        Centimetres at the root.
    tip : (S,) float32
        Share of the width left at the tip.
    corners, weights : (S, 3) int32, float32
        The face triangle a strand grows from and where in it; corners are -1 for hair that is fixed to the skull.
    """

    points: Array
    colour: Array
    tint: Array
    openness: Array
    width: Array
    tip: Array
    corners: NDArray[np.int32]
    weights: Array


_HAIR_TONES = ((214, 178, 120), (176, 130, 78), (120, 80, 46), (72, 46, 30), (38, 27, 22), (22, 18, 17))


def hair_colour(identity: Identity) -> Array:
    """Colour of a person's hair before grey.

    Parameters
    ----------
    identity : Identity

    Returns
    -------
    (3,) float32
        Linear RGB.
    """
    tone = tone_between(_HAIR_TONES, identity.hair_tone)
    red = to_linear((150, 66, 30)) * (1.25 - 0.8 * identity.hair_tone)
    share = max(0.0, identity.hair_warmth - 0.45) * 1.6 + 0.15 * identity.hair_warmth
    return np.asarray(tone * (1 - share) + red * share, dtype=np.float32)


def _surface_at(skull: Skull, column: Array, t: Array) -> Array:
    """Points of the skull's surface at border place `column` and share `t` of the way back."""
    grid = skull.rings.reshape(RINGS + 1, len(OVAL), 3)
    c, r = column.clip(0, len(OVAL) - 1.001), (t * RINGS).clip(0, RINGS - 0.001)
    i, j = c.astype(int), r.astype(int)
    fc, fr = (c - i).astype(np.float32)[:, None], (r - j).astype(np.float32)[:, None]
    upper = grid[j, i] * (1 - fc) + grid[j, i + 1] * fc
    lower = grid[j + 1, i] * (1 - fc) + grid[j + 1, i + 1] * fc
    return np.asarray(upper * (1 - fr) + lower * fr, np.float32)


def _normals_at(skull: Skull, column: Array, t: Array) -> Array:
    """Outward unit normals there."""
    step = 0.5 / RINGS
    across = _surface_at(skull, column + 0.5, t) - _surface_at(skull, column - 0.5, t)
    back = _surface_at(skull, column, t + step) - _surface_at(skull, column, t - step)
    normal = unit(np.cross(across, back))
    outward = ((_surface_at(skull, column, t) - CENTRE) * normal).sum(axis=1, keepdims=True)
    return np.where(outward < 0, -normal, normal).astype(np.float32)


def _roots(identity: Identity, skull: Skull, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Root points, normals and distance behind the hairline (cm), spread evenly over the scalp, the front favoured."""
    tries = count * 4
    column, t = rng.uniform(0, len(OVAL) - 1, tries).astype(np.float32), rng.uniform(0, 0.92, tries).astype(np.float32)
    limit = np.interp(column, np.arange(len(OVAL)), hair_limit(identity, skull.face[OVAL]))
    ragged = rng.normal(0, 0.008, tries)
    point = _surface_at(skull, column, t)
    around = np.hypot(*(point - CENTRE)[:, :2].T)
    front = 0.35 + 0.65 * np.clip((point[:, 2] + 9) / 8, 0, 1)
    behind = (t - limit - ragged) * 24
    keep = (behind > 0) & (rng.uniform(0, 9.5, tries) < around * front)
    index = np.flatnonzero(keep)[:count]
    return point[index], _normals_at(skull, column[index], t[index]), behind[index].astype(np.float32)


def _directions(identity: Identity, style: Style, root: Array, normal: Array) -> Array:
    """Which way hair is combed at each root, tangent to the scalp, unit length."""
    part = identity.parting * 7.0
    aside = np.tanh((root[:, 0] - part) / (0.9 if identity.hair_style in ("parted", "bob", "long") else 4.0))
    comb = np.array(style.comb, np.float32)[None] * np.stack([aside, np.ones_like(aside), np.ones_like(aside)], 1)
    side = np.clip((6.5 - root[:, 1]) / 4.0, 0, 1)[:, None]
    down = np.array([0, -1.0, -0.35], np.float32)
    if identity.hair_style in ("tied", "afro"):
        down = comb if identity.hair_style == "tied" else np.array([0, -0.2, 0], np.float32)
    if identity.hair_style == "fringe":
        back = np.clip((-2.0 - root[:, 2]) / 3.0, 0, 1)[:, None]
        comb = comb * (1 - back) + back * np.stack(
            [np.sign(root[:, 0]), -0.4 * np.ones(len(root)), -0.1 * np.ones(len(root))], 1
        )
    comb = comb * (1 - side) + down * side
    tangent = comb - (comb * normal).sum(axis=1, keepdims=True) * normal
    return unit(np.asarray(tangent, np.float32))


def _push_out(points: Array, skull: Skull, height: Array, hug: float) -> Array:
    """Keep points `height` cm outside the head's ellipsoid; draw those above the ears that stand off back toward it."""
    reach = skull.half_axes
    delta = points - CENTRE
    scale = np.sqrt(((delta / reach) ** 2).sum(axis=1)).clip(1e-3)
    floor = 1 + height / 8.5
    excess = (scale - floor - 0.04).clip(0) * hug * np.clip(points[:, 1] / 3, 0, 1)
    held = np.where(scale < floor, floor, scale - excess)
    return np.asarray(CENTRE + delta * (held / scale)[:, None], dtype=np.float32)


def _frame_face(points: Array, skull: Skull, share: Array) -> Array:
    """Long hair hangs beside the cheeks, not over them."""
    width = np.interp(points[:, 1], [-14, -8, -4, 0, 4, 6.5], [6.6, 6.6, 7.5, 8.1, 8.0, 6.0]) * skull.half_axes[0] / 7.9
    near = (points[:, 2] > -4.5) & (points[:, 1] < 6.2) & (np.abs(points[:, 0]) < width)
    pull = 0.65 * np.clip((6.2 - points[:, 1]) / 2.5, 0, 1)
    out = points.copy()
    pushed = np.where(points[:, 0] < 0, -1, 1) * (width + share)
    out[:, 0] = np.where(near, (1 - pull) * points[:, 0] + pull * pushed, points[:, 0])
    out[:, 2] = np.where(near & (points[:, 2] > -1.5) & (points[:, 1] < 4), points[:, 2] - 0.45, out[:, 2])
    return out


def _grow_guides(
    identity: Identity, style: Style, skull: Skull, root: Array, normal: Array, length: Array, height: Array, steps: int
) -> Array:
    """Grow guides (G, steps, 3): first as the scalp sends them, then by comb and gravity, always outside the head."""
    comb = _directions(identity, style, root, normal)
    step = (length / (steps - 1))[:, None]
    lift = style.lift * (1 if style.lift > 0.9 else 0.3 + 0.7 * np.clip((root[:, 1:2] - 5.5) / 3.5, 0, 1))
    direction = unit(lift * normal + (1.05 - lift) * comb)
    points = np.empty((len(root), steps, 3), np.float32)
    points[:, 0] = root
    hangs = identity.hair_style in ("bob", "long", "curly", "parted")
    for k in range(1, steps):
        grown = (k / (steps - 1)) * length
        place: Array = points[:, k - 1] + direction * step
        place = _push_out(place, skull, height * np.clip(grown / 1.2, 0, 1), style.hug)
        if hangs:
            place = _frame_face(place, skull, 0.25 * height)
        moved = unit(place - points[:, k - 1])
        points[:, k] = points[:, k - 1] + moved * step
        bend = np.array([0, -1, 0], np.float32) * style.fall * step
        follow = comb * np.exp(-grown / 5.0)[:, None] * 0.35 * step
        direction = unit(moved + bend + follow)
    return points


def _curl(points: Array, style: Style, rng: np.random.Generator, length: Array) -> Array:
    """Wind strands round their own line; radius grows over the first centimetre."""
    if style.curl < 0.02:
        return points
    count, steps, _ = points.shape
    along = np.linspace(0, 1, steps, dtype=np.float32)[None] * length[:, None]
    pitch = 1.3 + 3.2 * max(0.0, 0.3 - style.curl) / 0.3
    phase = rng.uniform(0, 2 * np.pi, (count, 1)) + 2 * np.pi * along / pitch * rng.uniform(0.85, 1.15, (count, 1))
    radius = style.curl * np.clip(along / 1.5, 0, 1) * rng.uniform(0.7, 1.2, (count, 1))
    tangent = unit(np.gradient(points, axis=1))
    side = unit(np.cross(tangent, np.array([0.3, 0.9, 0.3], np.float32)))
    other = np.cross(tangent, side)
    turn = radius[..., None] * (np.cos(phase)[..., None] * side + np.sin(phase)[..., None] * other)
    return np.asarray(points + turn, np.float32)


def _children(guides: Array, root: Array, of: NDArray[np.int64], clump: float, rng: np.random.Generator) -> Array:
    """Strands from guides: each follows its guide, drawn to it toward the tip."""
    steps = guides.shape[1]
    t = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
    offset = (root - guides[of, 0])[:, None]
    close = 1 - clump * np.clip(t * 1.4, 0, 1)
    stray = rng.normal(0, 1, (len(root), 1, 3)).astype(np.float32) * t * 0.22
    wild = np.where(rng.uniform(size=(len(root), 1, 1)) < 0.08, 2.6, 1.0)
    return np.asarray(guides[of] + offset * close + stray * wild, np.float32)


def _cut(points: Array, share: Array) -> Array:
    """Shorten each strand to a share of its length, keeping the number of points."""
    steps = points.shape[1]
    place = np.linspace(0, 1, steps, dtype=np.float32)[None] * share[:, None] * (steps - 1)
    low = np.minimum(place.astype(int), steps - 2)
    f = (place - low)[..., None]
    row = np.arange(len(points))[:, None]
    return np.asarray(points[row, low] * (1 - f) + points[row, low + 1] * f, np.float32)


def _bun(rng: np.random.Generator, steps: int, high: float) -> Array:
    """A bun: strands wound round a ball behind the crown."""
    count = 260
    centre = np.array([0, 9.5 + 2.5 * high, -9.5 + 3.0 * high], np.float32)
    axis = unit(rng.normal(0, 0.25, (count, 3)) + np.array([0, 0.9, 0.45]))
    start = unit(np.cross(axis, rng.normal(size=(count, 3))))
    other = np.cross(axis, start)
    angle = np.linspace(0, 1.6 * np.pi, steps)[None, :, None] + rng.uniform(0, 6.28, (count, 1, 1))
    level = rng.uniform(-0.9, 0.9, (count, 1, 1))
    ball = (
        np.sqrt(1 - level**2) * (np.cos(angle) * start[:, None] + np.sin(angle) * other[:, None])
        + level * axis[:, None]
    )
    return np.asarray(centre + 2.5 * ball, np.float32)


def scalp_hair(identity: Identity, skull: Skull) -> Strands:
    """Grow the hair on a person's head.

    Parameters
    ----------
    identity : Identity
    skull : Skull

    Returns
    -------
    Strands
        Fixed to the skull: points in head axes, cm.
    """
    rng = np.random.default_rng([identity.texture, 3])
    style = style_of(identity)
    short = identity.hair_style in ("bald", "buzz")
    curly = style.curl > 0.15
    steps = 4 if short else (26 if curly else 12)
    count = 3200 if short else (1600 if curly else 2000)
    root, normal, behind = _roots(identity, skull, count, rng)
    count = len(root)
    guide = np.sort(rng.permutation(count)[: max(8, count // 9)])
    of = np.empty(count, np.int64)
    nearest_index(root, root[guide], of)
    top = np.clip((root[:, 1] - 4.0) / 4.0, 0, 1)
    length = ((style.side + (style.top - style.side) * top) * rng.uniform(0.85, 1.1, count)).astype(np.float32)
    length *= np.clip(0.35 + behind / 1.2, 0.35, 1) if style.top < 5 or identity.hair_style in ("curly", "afro") else 1
    height = (style.volume * (0.35 + 0.65 * rng.uniform(size=count)) * np.clip(0.25 + behind / 3, 0.25, 1)).astype(
        np.float32
    )
    guides = _grow_guides(identity, style, skull, root[guide], normal[guide], length[guide], height[guide], steps)
    points = _children(guides, root, of, identity.hair_clump * (0.35 if short else 0.85), rng)
    points = _curl(points, style, rng, length)
    if not short:
        points = _cut(points, (1 - 0.45 * rng.uniform(size=count) ** 2).astype(np.float32))
    if identity.hair_style == "tied" and not identity.male:
        points = np.concatenate([points, _bun(rng, steps, identity.hair_volume)])
    return _shade_strands(
        identity,
        points,
        np.concatenate([of, rng.integers(0, len(guide), len(points) - count)]),
        skull,
        rng,
        0.07 if short else 0.125,
    )


def _shade_strands(
    identity: Identity, points: Array, clump: NDArray[np.int64], skull: Skull, rng: np.random.Generator, width: float
) -> Strands:
    """Colour, brightness and openness of head hair: strands and clumps differ, roots and inner layers are darker."""
    count, steps, _ = points.shape
    colour = np.tile(hair_colour(identity), (count, 1))
    colour *= np.exp(rng.normal(0, 0.12, (count, 1)) + rng.normal(0, 0.16, (int(clump.max()) + 1, 1))[clump])
    colour *= np.exp(rng.normal(0, 0.05, (count, 3)))
    white = np.clip(
        1.25 * identity.grey * rng.uniform(0.4, 1.2, (count, 1)) + 0.15 * identity.grey * rng.normal(size=(count, 1)),
        0,
        1,
    )
    colour += white * (to_linear((205, 203, 199)) * rng.uniform(0.6, 1.1, (count, 1)) - colour)
    t = np.linspace(0, 1, steps, dtype=np.float32)[None]
    tint = np.broadcast_to(0.72 + 0.4 * t, (count, steps)) * rng.uniform(0.85, 1.15, (count, 1))
    scale = np.sqrt((((points - CENTRE) / skull.half_axes) ** 2).sum(axis=2))
    thick = max(0.12, float(np.percentile(scale[:, -1], 80)) - 1.0)
    openness = np.clip(0.35 + 0.65 * (scale - 1.0) / thick, 0.3, 1.0)
    widths = np.asarray(rng.uniform(0.75, 1.25, count)) * width
    return _strands(points, colour, tint, openness, widths, 0.35)


def as_float32(values: NDArray[np.floating[Any]]) -> Array:
    """Contiguous float32, as the kernels take arrays; a copy only where that is needed.

    Parameters
    ----------
    values : floating array

    Returns
    -------
    float32 of the same shape
    """
    return np.ascontiguousarray(values, dtype=np.float32)


def _strands(points: Array, colour: Array, tint: Array, openness: Array, width: Array, tip: float) -> Strands:
    count = len(points)
    return Strands(
        as_float32(points), as_float32(colour), as_float32(tint), as_float32(openness), as_float32(width),
        np.full(count, tip, np.float32),
        np.full((count, 3), -1, np.int32), np.zeros((count, 3), np.float32),
    )  # fmt: skip


def join_strands(*parts: Strands) -> Strands:
    """Several sets of strands as one.

    Parameters
    ----------
    *parts : Strands
        All with the same number of points.

    Returns
    -------
    Strands
    """
    return Strands(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
