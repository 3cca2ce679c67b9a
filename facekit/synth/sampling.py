"""Every random choice about a drawn person and about one picture of them, sampled before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["HAIR_STYLES", "CaptureParams", "Identity", "degrade", "near_duplicate", "sample_capture", "sample_identity"]

HairStyle = Literal["bald", "buzz", "crop", "quiff", "parted", "fringe", "curly", "afro", "bob", "long", "tied"]
HAIR_STYLES: tuple[HairStyle, ...] = (
    "bald",
    "buzz",
    "crop",
    "quiff",
    "parted",
    "fringe",
    "curly",
    "afro",
    "bob",
    "long",
    "tied",
)
_STYLE_ODDS = {
    # the odds for a man and for a woman, in the order of HAIR_STYLES
    True: (0.10, 0.13, 0.20, 0.13, 0.14, 0.10, 0.10, 0.04, 0.01, 0.03, 0.02),
    False: (0.01, 0.02, 0.04, 0.03, 0.08, 0.10, 0.10, 0.07, 0.18, 0.25, 0.12),
}
BEARD_STYLES = ("none", "stubble", "moustache", "goatee", "full", "long")
_BEARD_ODDS = (0.42, 0.24, 0.06, 0.08, 0.14, 0.06)
BUMPS = 14
MODES = 34


@dataclass(frozen=True)
class Identity:
    """What makes a person: fixed over all their pictures.

    Attributes
    ----------
    male : bool
    age : float
        Years, 18 to 82.
    modes : tuple of float
        Standard normal amplitudes of the named shape modes (:data:`facekit.synth.modes.MODES`).
    bumps : tuple of (x, y, sigma, dx, dy, dz, side)
        Gaussian bumps: centre and width in cm, displacement in cm; side 0 is mirrored, -1 or 1 is one side only.
    melanin, undertone, redness : float
        Skin: pigment in [0, 1], hue in [-1, 1], blood in [0, 1].
    hair_tone, hair_warmth, grey : float
        Hair: darkness in [0, 1] (1 is black), red in [0, 1], share of white strands in [0, 1].
    texture : int
        Seed of everything that is strewn: strands, freckles, moles.
    """

    male: bool
    age: float
    modes: tuple[float, ...]
    bumps: tuple[tuple[float, ...], ...]
    melanin: float
    undertone: float
    redness: float
    freckles: float
    moles: int
    roughness: float
    gloss: float
    lip_tint: float
    lipstick: float
    liner: float
    eye_tone: float
    eye_hue: float
    pupil: float
    hair_style: HairStyle
    hair_length: float
    hair_volume: float
    hair_wave: float
    hair_clump: float
    hair_tone: float
    hair_warmth: float
    grey: float
    hairline: float
    parting: float
    brow_width: float
    brow_density: float
    brow_arch: float
    beard: str
    beard_length: float
    beard_density: float
    glasses: str
    glasses_shape: float
    glasses_tone: tuple[float, float, float]
    texture: int


@dataclass(frozen=True)
class CaptureParams:
    """What makes one picture of a person.

    Attributes
    ----------
    yaw, pitch, roll : float
        Degrees; yaw turns the nose toward larger x, pitch raises it, roll tilts the head clockwise as seen.
    expression : tuple of float
        open, smile, pucker, blink, brow (raised positive), squint, skew.
    light : tuple of float
        Unit direction toward the key light in camera axes (x right, y up, z toward the viewer).
    """

    yaw: float
    pitch: float
    roll: float
    distance: float
    expression: tuple[float, ...]
    gaze: tuple[float, float]
    light: tuple[float, float, float]
    key: tuple[float, float, float]
    fill: tuple[float, float, float]
    fill_side: tuple[float, float, float]
    sky: tuple[float, float, float]
    floor: tuple[float, float, float]
    glasses: bool
    sway: tuple[float, float, float]
    cloth: tuple[float, float, float]
    jitter: tuple[float, ...]
    exposure: float
    balance: tuple[float, float, float]
    contrast: float
    saturation: float
    grey: bool
    blur: float
    motion: float
    grain: float
    vignette: float
    quality: int
    texture: int


def _clipped_normal(rng: np.random.Generator, mean: float, deviation: float, limit: float) -> float:
    return float(np.clip(rng.normal(mean, deviation), -limit, limit))


def _style(rng: np.random.Generator, male: bool, age: float, melanin: float) -> HairStyle:
    odds = np.array(_STYLE_ODDS[male])
    if melanin > 0.7:
        odds *= np.array([1.2, 2.0, 0.8, 0.4, 0.4, 0.4, 1.6, 4.0, 0.7, 0.7, 1.5])
    if age > 50:
        odds *= np.array([1.8, 1.2, 1.2, 0.8, 1.2, 0.7, 0.9, 0.6, 1.2, 0.5, 0.9])
    return HAIR_STYLES[int(rng.choice(len(odds), p=odds / odds.sum()))]


def _bump(rng: np.random.Generator, side: float) -> tuple[float, ...]:
    size = 0.11 if side == 0 else 0.055
    return (
        float(rng.uniform(0, 7.5)),
        float(rng.uniform(-9, 8)),
        float(rng.uniform(1.6, 3.8)),
        *(float(v) for v in rng.normal(0, size, 3)),
        side,
    )


def sample_identity(seed: int, identity: int) -> Identity:
    """Sample a person.

    Parameters
    ----------
    seed, identity : int
        Not negative; the person follows from the two.

    Returns
    -------
    Identity
    """
    # The tag comes first: numpy pads entropy with zeros, so that [seed, identity] would be [seed, identity, 0] again.
    rng = np.random.default_rng([1, seed, identity])
    u, n = rng.uniform, rng.normal
    male = bool(u() < 0.5)
    age = float(18 + 64 * u() ** 1.5)
    melanin = float(u())
    wrinkled = np.clip((age - 38) / 40, 0, 1)
    greying = float(np.clip((age - 42 + n(0, 8)) / 34, 0, 1))
    fair = max(0.0, 0.55 - melanin) / 0.55
    tone = float(np.clip(u(0.55, 1.05) - 0.75 * fair * u(), 0.08, 1))
    dyed = not male and u() < 0.35
    style = _style(rng, male, age, melanin)
    wave = float({"curly": u(0.7, 1.0), "afro": 1.0}.get(style, u(0, 0.6) ** 1.5))
    beard = str(rng.choice(BEARD_STYLES, p=_BEARD_ODDS)) if male else "none"
    dark = u(0.02, 0.06)
    frame = (dark, dark, dark) if u() < 0.8 else tuple(float(v) for v in u(0.02, 0.4) * u(0.3, 1.0, 3))
    return Identity(
        male=male,
        age=age,
        modes=tuple(float(v) for v in n(0, 1, MODES).clip(-2.2, 2.2)),
        bumps=tuple(_bump(rng, 0.0) for _ in range(BUMPS))
        + tuple(_bump(rng, float(rng.choice([-1, 1]))) for _ in range(4)),
        melanin=melanin,
        undertone=_clipped_normal(rng, 0, 0.5, 1),
        redness=float(u(0.2, 1.0)),
        freckles=float(u(0.4, 1) if fair > 0.3 and u() < 0.3 else 0),
        moles=int(rng.integers(0, 6)),
        roughness=float(u(0.2, 1.0)),
        gloss=float(u(0.35, 1.0)),
        lip_tint=float(u(0, 1)),
        lipstick=float(u(0.35, 1) if not male and u() < 0.4 else 0),
        liner=float(u(0.2, 1) if not male and u() < 0.55 else 0),
        eye_tone=float(u() if fair > 0.25 and u() < 0.6 else u(0, 0.22)),
        eye_hue=float(u()),
        pupil=float(u(0.17, 0.26)),
        hair_style=style,
        hair_length=float(u(0, 1)),
        hair_volume=float(u(0, 1)),
        hair_wave=wave,
        hair_clump=float(u(0.3, 0.9)),
        hair_tone=float(u(0.1, 0.9)) if dyed else tone,
        hair_warmth=float(u(0.6, 1) if u() < 0.12 else u(0, 0.4)),
        grey=0.0 if dyed else greying,
        hairline=float(np.clip(n(0.25, 0.22) + (0.4 if male else 0.1) * wrinkled * u(), 0, 1)),
        parting=float(rng.choice([-1, 1]) * u(0.25, 0.55) if u() < 0.7 else u(-0.1, 0.1)),
        brow_width=float(np.clip(n(0.55 if male else 0.3, 0.2), 0, 1)),
        brow_density=float(u(0.45, 1.0)),
        brow_arch=_clipped_normal(rng, 0, 1, 1.8),
        beard=beard,
        beard_length=float(u()),
        beard_density=float(u(0.5, 1)),
        glasses=str(rng.choice(["none", "wire", "rim", "half"], p=[0.72, 0.12, 0.11, 0.05])),
        glasses_shape=float(u()),
        glasses_tone=(float(frame[0]), float(frame[1]), float(frame[2])),
        texture=int(rng.integers(2**31)),
    )


def _colour(rng: np.random.Generator, spread: float) -> np.ndarray:
    """A light's colour around white, warm to cool."""
    warmth = rng.normal(0, spread)
    return np.exp(np.array([warmth, 0.1 * rng.normal(0, spread), -warmth]))


def _expression(rng: np.random.Generator) -> tuple[float, ...]:
    u = rng.uniform
    kind = rng.choice(5, p=[0.28, 0.32, 0.14, 0.16, 0.10])
    opened = {2: u(0.2, 1), 1: max(0.0, u(-0.3, 0.45))}.get(int(kind), max(0.0, u(-0.25, 0.2)))
    smile = {1: u(0.35, 1.1), 2: u(-0.2, 0.6)}.get(int(kind), rng.normal(0, 0.12))
    pucker = u(0.3, 1) if kind == 3 else max(0.0, rng.normal(-0.1, 0.1))
    blink = u(0.55, 1) if u() < 0.05 else max(0.0, rng.normal(0.02, 0.12))
    brow = rng.normal(0, 0.85) if kind == 4 else rng.normal(0, 0.48)
    squint = max(0.0, rng.normal(0.1, 0.25)) + (0.3 * smile if kind == 1 else 0)
    return tuple(
        float(v)
        for v in (opened, smile, pucker, min(blink, 1.0), np.clip(brow, -1, 1.4), min(squint, 1.0), rng.normal(0, 0.25))
    )


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def sample_capture(seed: int, identity: int, image: int) -> CaptureParams:
    """Sample pose, expression, light and camera of one picture; the looks of the person do not enter.

    Parameters
    ----------
    seed, identity, image : int
        Not negative; the picture follows from the three.

    Returns
    -------
    CaptureParams
    """
    rng = np.random.default_rng([2, seed, identity, image])
    u, n = rng.uniform, rng.normal
    yaw = float(n(0, 15) if u() < 0.70 else rng.choice([-1, 1]) * u(20, 60))
    roll = float(n(0, 6))
    azimuth, height = n(0, 0.9), u(0.05, 1.0)
    light = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    if u() < 0.25:
        light = np.array([n(0, 0.35), u(0.2, 0.7), 1.0])
    light[2] = max(light[2], 0.12)
    light /= np.linalg.norm(light)
    side = np.array([-np.sign(light[0]) * u(0.4, 1.0), u(-0.1, 0.4), u(0.1, 0.9)])
    side /= np.linalg.norm(side)
    hard = u(0.4, 1.0)
    key = _colour(rng, 0.10) * 2.6 * hard
    sky = _colour(rng, 0.12) * u(0.30, 0.85) * (1.45 - 0.8 * hard)
    floor = sky * u(0.45, 0.85) * np.array([1.04, 1.0, 0.94])
    fill = _colour(rng, 0.06) * u(0.1, 0.7)
    return CaptureParams(
        yaw=float(np.clip(yaw, -60, 60)),
        pitch=_clipped_normal(rng, 0, 8, 21) - 2,
        roll=roll,
        distance=float(u(50, 130)),
        expression=_expression(rng),
        gaze=(_clipped_normal(rng, 0, 9, 22), _clipped_normal(rng, -1, 5, 12)),
        light=_triple(light),
        key=_triple(key),
        fill=_triple(fill),
        fill_side=_triple(side),
        sky=_triple(sky),
        floor=_triple(floor),
        glasses=bool(u() < 0.8),
        sway=_triple(n(0, 0.25, 3)),
        cloth=_triple(u(0.02, 0.6) * u(0.45, 1, 3)),
        jitter=tuple(float(v) for v in n(0, 0.5, 10)),
        exposure=float(np.exp(n(0, 0.24))),
        balance=_triple(_colour(rng, 0.075)),
        contrast=float(u(0.92, 1.25)),
        saturation=float(u(0.8, 1.12)),
        grey=bool(u() < 0.04),
        blur=float(abs(n(0, 0.31))),
        motion=float(max(0, n(-1.3, 0.95))),
        grain=float(np.exp(n(-4.75, 0.55))),
        vignette=float(max(0, n(0.06, 0.1))),
        quality=int(rng.integers(72, 97)),
        texture=int(rng.integers(2**31)),
    )


def near_duplicate(capture: CaptureParams, rng: np.random.Generator) -> CaptureParams:
    """The same picture once more, as the web has it: another codec, exposure or crop.

    Parameters
    ----------
    capture : CaptureParams
    rng : numpy.random.Generator

    Returns
    -------
    CaptureParams
        With one or two of quality, exposure and crop changed.
    """
    how = rng.permutation(3)[: int(rng.integers(1, 3))]
    if 0 in how:
        capture = replace(capture, quality=int(rng.integers(40, 97)))
    if 1 in how:
        capture = replace(
            capture, exposure=capture.exposure * float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.08, 0.3)))
        )
    if 2 in how:
        moved = np.array(capture.jitter).reshape(5, 2) + rng.normal(0, 1.0, 2)
        capture = replace(capture, jitter=tuple(float(v) for v in moved.ravel()))
    return capture


def degrade(capture: CaptureParams, rng: np.random.Generator) -> CaptureParams:
    """The picture out of a bad camera: blurred, noisy, dark or burnt, and compressed hard.

    Parameters
    ----------
    capture : CaptureParams
    rng : numpy.random.Generator

    Returns
    -------
    CaptureParams
    """
    u = rng.uniform
    dark = float(u(0.12, 0.4) if u() < 0.6 else u(1.8, 3.0)) if u() < 0.5 else 1.0
    return replace(
        capture,
        blur=float(u(1.4, 3.2)),
        motion=float(u(0, 3)),
        grain=capture.grain + float(u(0.0, 0.12)),
        exposure=capture.exposure * dark,
        quality=int(rng.integers(12, 45)),
    )
