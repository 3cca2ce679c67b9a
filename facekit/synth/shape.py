"""Bones and expressions: from the choices of :mod:`facekit.synth.sampling` to vertices in centimetres."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces.landmarks import EYES, LEFT_EDGE, RIGHT_EDGE
from facekit.faces.topology import load_topology
from facekit.synth.anatomy import (
    COLLAR,
    EAR_LIFT,
    EAR_RINGS,
    EAR_SPOKES,
    NECK,
    NECK_SPOKES,
    OVAL,
    RINGS,
    hermite,
    load_head,
    unit,
)  # fmt: skip
from facekit.synth.modes import MODES, PROPORTIONS, Mode
from facekit.synth.sampling import Identity

__all__ = ["Skull", "assemble_figure", "build_skull", "express", "rest_face"]

Array = NDArray[np.floating[Any]]


_MOUTH = -4.27


class Skull(NamedTuple):
    """What a person's head looks like at rest.

    Attributes
    ----------
    face : (468, 3) float32
        Mouth closed, centimetres.
    rings : (12 * 37, 3) float32
        The surface behind the face, from its border to the back of the head.
    ears : (2 * 240, 3) float32
    neck, cloth : (n, 3) float32
    eye_centres : (2, 3) float32
    half_axes : (3,) float32
        Half axes of the ellipsoid that hair may not enter.
    """

    face: Array
    rings: Array
    ears: Array
    neck: Array
    cloth: Array
    eye_centres: Array
    half_axes: Array


def _window(points: Array, centre: tuple[float, float, float] | Array, sigma: float, depth: float = 0.6) -> Array:
    """Gaussian of the distance to `centre`, depth counting less."""
    delta = (points - np.asarray(centre, np.float32)) * np.array([1, 1, depth], np.float32)
    return np.asarray(np.exp(-0.5 * (delta**2).sum(axis=1) / sigma**2), dtype=np.float32)


@cache
def _basis(modes: tuple[Mode, ...]) -> Array:
    """(modes, 468, 3) displacements of one standard deviation."""
    points = load_topology().positions
    basis = np.zeros((len(modes), *points.shape), np.float32)
    for mode, out in zip(modes, basis, strict=True):
        sides = (1,) if mode.centre[0] == 0 else (-1, 1)
        for side in sides:
            centre = np.array(mode.centre, np.float32) * [side, 1, 1]
            weight = _window(points, centre, mode.sigma)[:, None]
            out += weight * np.array(mode.move, np.float32) * [side, 1, 1]
            out[:, :2] += weight * (points - centre)[:, :2] * np.array(mode.stretch, np.float32)
    return basis


def _close_mouth(points: Array) -> Array:
    """The rest mesh's mouth is 0.55 cm open."""
    rest = load_topology().positions
    above = rest[:, 1] > _MOUTH
    gap = np.where(above, 0.275, -0.265) * np.sqrt(np.clip(1 - (np.abs(rest[:, 0]) / 2.2) ** 2, 0, 1))
    near = np.exp(-((np.abs(rest[:, 1] - _MOUTH).clip(0.27) - 0.27) ** 2) / (2 * 0.75**2)) * (rest[:, 2] > 3.2)
    out = points.copy()
    out[:, 1] -= (gap * near).astype(np.float32)
    return out


def _open_eyes(points: Array) -> Array:
    """The rest mesh looks tired: raise the upper lids, lower the lower ones a little."""
    out = points.copy()
    for eye in EYES:
        arch = np.sin(np.linspace(0, np.pi, 9)).astype(np.float32)
        out[list(eye.upper), 1] += 0.17 * arch
        out[list(eye.fold), 1] += 0.13 * arch
        out[list(eye.lower), 1] -= 0.07 * arch
    return out


def rest_face(identity: Identity) -> Array:
    """The person's face at rest: the canonical mesh under modes, bumps and age.

    Parameters
    ----------
    identity : Identity

    Returns
    -------
    (468, 3) float32
        Head axes, cm.
    """
    rest = load_topology().positions
    male_shift = np.array([m.male_shift for m in MODES], np.float32) * (0.5 if identity.male else -0.5)
    amplitudes = np.array(identity.modes, np.float32) + male_shift
    face = _open_eyes(_close_mouth(rest)) + _basis(PROPORTIONS).sum(axis=0)
    face = face + np.einsum("m,mvc->vc", 1.22 * amplitudes, _basis(MODES))
    still = 1 - 0.7 * _window(rest, (0, _MOUTH, 5.0), 2.2)[:, None]
    for x, y, sigma, dx, dy, dz, side in identity.bumps:
        for sign in (-1, 1) if side == 0 else (side,):
            flat = np.exp(-0.5 * ((rest[:, 0] - sign * x) ** 2 + (rest[:, 1] - y) ** 2) / sigma**2)[:, None]
            face = face + still * flat * np.array([sign * dx, dy, dz])
    old = float(np.clip((identity.age - 45) / 35, 0, 1))
    for side in (-1, 1):
        face[:, 1] -= old * 0.28 * _window(rest, (side * 4.6, -6.6, 2.0), 1.7)
        face[:, 2] -= old * 0.22 * _window(rest, (side * 4.4, -2.4, 3.6), 1.5)
    return np.asarray(face, dtype=np.float32)


def _tangents(border: Array) -> tuple[Array, Array, Array]:
    """Start tangents, end points and end tangents of the curves from the face's border to the back of the head."""
    around = unit((border - [0, 0.5, 0]) * [1, 1, 0])
    up, down, side = around[:, 1].clip(0), (-around[:, 1]).clip(0), np.abs(around[:, 0])
    start = unit(np.stack([0.22 * around[:, 0] * (1 - down), 1.7 * up + 0.12 * down, -np.ones_like(up)], 1))
    start = start * (9 + 15 * up)[:, None]
    wide = border[:, 0].max() / 7.7
    end = np.tile(np.array([0, 2.2, -13.4], np.float32), (len(border), 1))
    finish = -around * np.sqrt((23 * wide * side) ** 2 + (47 * up) ** 2 + (13 * down) ** 2)[:, None]
    return np.asarray(start, np.float32), end, np.asarray(finish, np.float32)


def _skull_rings(face: Array) -> Array:
    border = face[OVAL]
    start, end, finish = _tangents(border)
    t = np.linspace(0, 1, RINGS + 1, dtype=np.float32)[:, None, None]
    a, b, c, d = hermite(t)
    return np.asarray((a * border + b * start + c * end + d * finish).reshape(-1, 3), dtype=np.float32)


def _ear(identity: Identity, face: Array, side: int) -> Array:
    """One ear: spokes by rings of a dish whose front edge is sunk into the head."""
    rng = np.random.default_rng([identity.texture, 7])
    size, flare, lobe, tilt = (
        rng.normal(1, 0.07),
        rng.uniform(0.22, 0.6),
        rng.uniform(0.75, 1.1),
        rng.normal(0.22, 0.07),
    )
    size *= 1.05 if identity.male else 0.95
    angle = np.linspace(0, 2 * np.pi, EAR_SPOKES, endpoint=False, dtype=np.float32)
    back, up = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8, np.sin(angle)
    half_width = 1.55 * (1 + 0.20 * up + 0.10 * np.clip(-up - 0.4, 0, 1) * lobe)
    rim = np.stack([back * half_width, up * 3.05 * np.where(up < 0, 0.92 + 0.1 * lobe, 1.0)], 1)
    rim[:, 0] += 0.28 * up - 0.22 * (1 - up**2) * (back < 0)
    curl = 0.35 + 0.65 * np.clip(0.25 + back + 0.6 * up, 0, 1)
    flat = EAR_RINGS[:, None, None] * rim[None]
    lift = EAR_LIFT[:, None] * np.where(EAR_LIFT[:, None] > 0, curl[None], 1) * 0.9
    lobe_share = np.clip(-up - 0.55, 0, 1) / 0.45
    lift = lift * (1 - lobe_share[None] * (EAR_RINGS[:, None] > 0.4)) - 0.05 * lobe_share[None]
    along = np.array([side * np.sin(flare), 0, -np.cos(flare)])
    normal = np.array([side * np.cos(flare), 0, np.sin(flare)])
    upward = np.array([0, np.cos(tilt), -np.sin(tilt)])
    anchor = (
        face[RIGHT_EDGE if side > 0 else LEFT_EDGE] * np.array([1, 0.6, 1])
        + np.array([-side * 0.1, 0.05, -1.0])
        + 1.25 * along * size
    )
    points = anchor + size * (flat[..., :1] * along + flat[..., 1:] * upward + lift[..., None] * normal)
    return np.asarray(points.reshape(-1, 3), dtype=np.float32)


def _tube(rows: Array, widen: float, grow: float) -> Array:
    angle = np.linspace(0, 2 * np.pi, NECK_SPOKES, endpoint=False, dtype=np.float32)
    ring = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], 1)
    half = np.stack([rows[:, 2] * widen + grow, np.zeros(len(rows)), rows[:, 3] * widen + grow], 1)
    centre = np.stack([np.zeros(len(rows)), rows[:, 0], rows[:, 1]], 1)
    return np.asarray((centre[:, None] + half[:, None] * ring[None]).reshape(-1, 3), dtype=np.float32)


def build_skull(identity: Identity) -> Skull:
    """Everything about a head that no expression changes.

    Parameters
    ----------
    identity : Identity

    Returns
    -------
    Skull
    """
    face = rest_face(identity)
    rings = _skull_rings(face)
    ears = np.concatenate([_ear(identity, face, -1), _ear(identity, face, 1)])
    widen = 1.03 if identity.male else 0.88
    eyes = np.stack([face[list(e.upper + e.lower)].mean(axis=0) for e in EYES])
    front = np.stack([face[[e.upper[4], e.lower[4]]].mean(axis=0)[2] for e in EYES])
    eyes[:, 2] = front - 1.22 + 0.02
    reach = np.array([np.abs(rings[:, 0]).max(), rings[:, 1].max() - 3.0, 9.2], np.float32)
    return Skull(face, rings, ears, _tube(NECK, widen, 0.0), _tube(COLLAR, widen, 0.25), eyes.astype(np.float32), reach)


@cache
def _expression_basis() -> dict[str, Array]:
    """Linear displacements (468, 3) of the expressions at strength one; the jaw turns instead and is a weight."""
    rest = load_topology().positions
    basis = {name: np.zeros_like(rest) for name in ("smile", "pucker", "brow", "frown", "squint")}
    lips = np.exp(-(((rest[:, 1] - _MOUTH) / 1.3) ** 2)) * (rest[:, 2] > 3.0)
    upper = np.clip((rest[:, 1] - _MOUTH) / 0.5, 0, 1) * lips
    for side in (-1, 1):
        corner = _window(rest, (side * 2.4, -4.3, 4.3), 1.15)[:, None]
        basis["smile"] += corner * np.array([side * 0.66, 0.42, -0.28], np.float32)
        basis["smile"] += _window(rest, (side * 4.2, -0.8, 3.8), 1.5)[:, None] * np.array(
            [side * 0.1, 0.28, 0.26], np.float32
        )
        basis["pucker"] += corner * np.array([-side * 0.55, 0, 0.1], np.float32)
        basis["brow"] += _window(rest, (side * 3.2, 4.9, 4.5), 1.5)[:, None] * np.array([0, 0.78, 0.03], np.float32)
        basis["frown"] += _window(rest, (side * 1.3, 4.6, 5.0), 1.2)[:, None] * np.array(
            [-side * 0.16, -0.34, 0.06], np.float32
        )
    basis["smile"][:, 1] += upper * 0.16 * np.exp(-((rest[:, 0] / 1.8) ** 2))
    basis["pucker"][:, 2] += (lips * np.exp(-((rest[:, 0] / 1.6) ** 2)) * 0.42).astype(np.float32)
    for eye in EYES:
        arch = np.sin(np.linspace(0, np.pi, 9)).astype(np.float32)
        basis["squint"][list(eye.lower), 1] += 0.16 * arch
        basis["squint"][list(eye.bag), 1] += 0.12 * arch
        basis["squint"][list(eye.upper), 1] -= 0.10 * arch
    return basis


@cache
def _jaw_weight() -> Array:
    """How much of the jaw's turn each vertex follows: sharp at the lips, slow in the cheeks."""
    rest = load_topology().positions
    across = np.clip((np.abs(rest[:, 0]) - 1.7) / 2.0, 0, 1)
    soft = 0.10 + 1.1 * across * across * (3 - 2 * across)
    weight = 1 / (1 + np.exp((-(_MOUTH - rest[:, 1]) / soft).clip(-40, 40)))
    behind = np.clip((rest[:, 2] + 2.6) / 3.0, 0, 1)
    return np.asarray(weight * (0.35 + 0.65 * behind), dtype=np.float32)


def _turn_jaw(face: Array, angle: float) -> Array:
    """Turn the lower jaw about its hinge under the ears; `angle` in radians."""
    hinge = np.array([0, 0.2, -2.6], np.float32)
    delta = face - hinge
    turn = (angle * _jaw_weight()).astype(np.float32)
    cosine, sine = np.cos(turn), np.sin(turn)
    out = face.copy()
    out[:, 1] = hinge[1] + cosine * delta[:, 1] - sine * delta[:, 2]
    out[:, 2] = hinge[2] + sine * delta[:, 1] + cosine * delta[:, 2]
    return out


def _blink(face: Array, amount: float) -> Array:
    """Lower the upper lid along the eyeball's curve."""
    out = face.copy()
    for eye in EYES:
        upper, lower, fold = list(eye.upper), list(eye.lower), list(eye.fold)
        drop = (face[upper, 1] - face[lower, 1] - 0.03).clip(0) * amount
        out[upper, 1] -= drop
        out[upper, 2] += 0.10 * np.sin(np.pi * np.linspace(0, 1, 9)) * amount
        out[fold, 1] -= 0.35 * drop
        out[fold, 2] += 0.04 * amount
    return out


def express(skull: Skull, expression: tuple[float, ...]) -> Array:
    """The face with an expression.

    Parameters
    ----------
    skull : Skull
    expression : tuple of 7 float
        In the order of :class:`facekit.synth.sampling.CaptureParams`.

    Returns
    -------
    (468, 3) float32
        Head axes, cm.
    """
    opened, smile, pucker, blink, brow, squint, skew = expression
    basis = _expression_basis()
    rest = load_topology().positions
    lopsided = (1 + 0.35 * skew * np.tanh(rest[:, :1] / 2)).astype(np.float32)
    face = skull.face + smile * basis["smile"] * lopsided + pucker * basis["pucker"]
    face = face + (brow * lopsided * basis["brow"] if brow > 0 else -brow * basis["frown"]) + squint * basis["squint"]
    face = _turn_jaw(np.asarray(face, np.float32), 0.30 * opened)
    return np.asarray(_blink(face, blink) if blink > 0 else face, dtype=np.float32)


@cache
def _follow() -> Array:
    """How much of the border's movement each ring takes over."""
    return hermite(np.linspace(0, 1, RINGS + 1, dtype=np.float32))[0][:, None, None]


def assemble_figure(skull: Skull, face: Array) -> Array:
    """All vertices of the figure: the face, skull, ears, neck and clothes.

    Parameters
    ----------
    skull : Skull
    face : (468, 3) float32
        From `express`; the skull's rings follow its border.

    Returns
    -------
    (V, 3) float32
        Head axes, cm, in the order of `facekit.synth.anatomy.Head`.
    """
    head = load_head()
    out = np.empty((len(head.uv), 3), np.float32)
    out[: len(face)] = face
    moved = (face - skull.face)[OVAL]
    out[head.skull] = skull.rings + (_follow() * moved).reshape(-1, 3)
    out[head.ears], out[head.neck], out[head.cloth] = skull.ears, skull.neck, skull.cloth
    return out
