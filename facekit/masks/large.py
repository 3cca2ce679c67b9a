"""What large faces need besides: a finer grid, so that folds are smooth; larger textures with the fibres of the cloth.

Small faces are drawn without any of it, since one grid cell is four pixels of a 112-pixel crop and one texel less than
one.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.masks.shell import COLUMNS, ROWS, STRAP_POINTS, Shell, grid_triangles
from facekit.masks.textures import TEXTURE_SIZE, crease_slopes, texture_level

__all__ = ["LARGE", "doublings", "fine_slopes", "magnified", "refined", "refinement"]

Floats = NDArray[np.float32]

LARGE = 8.0
"""Pixels per centimetre from which a face is large: an aligned crop of about 170 pixels."""
WIDE = 20.0
"""Centimetres across a mask that is laid flat."""
FIBRES_SIDE = 256
FIBRES = 0.035
"""Deviation of the brightness from fibre to fibre; less and the cloth looks like plastic."""
OVERSHOOT = 1.0
"""Of what blurring takes away: it is added once more, so that a line of ink is as sharp as in a larger picture."""


def refinement(scale: float) -> int:
    """How many cells of the finer grid lie along one of the coarse one.

    Parameters
    ----------
    scale : float
        Pixels per centimetre.
    """
    return 1 if scale <= LARGE else 2 if scale <= 2 * LARGE else 4


def refined(shell: Shell, times: int) -> Shell:
    """A shell whose grid and straps have more points, on a smooth surface through the points that it has.

    Parameters
    ----------
    shell : Shell
    times : int
        1 gives the shell itself.

    Returns
    -------
    Shell
        Of ``times * (ROWS - 1) + 1`` rows and ``2 * (times * (COLUMNS // 2 - 1) + 1)`` columns; the points that it had
        are among them.
    """
    if times == 1:
        return shell
    grid, straps = COLUMNS * ROWS, len(shell.strap_sides)
    weights, st = (_refined_grid(rows[:grid], times) for rows in (shell.weights, shell.st))
    lines = shell.weights[grid:].reshape(straps, STRAP_POINTS, shell.weights.shape[1]).swapaxes(0, 1)
    strap_weights = _smooth(lines, times).swapaxes(0, 1).reshape(-1, weights.shape[1])
    rows, columns = times * (ROWS - 1) + 1, 2 * (times * (COLUMNS // 2 - 1) + 1)
    every = np.concatenate([weights, strap_weights])
    return shell._replace(weights=every, st=st, triangles=grid_triangles(columns, rows))


def _refined_grid(rows: Floats, times: int) -> Floats:
    """(COLUMNS * ROWS, n) -> the same of the finer grid; the halves apart, since a ridge may run between them."""
    down = _smooth(rows.reshape(ROWS, COLUMNS, -1), times).swapaxes(0, 1)
    halves = np.concatenate([_smooth(half, times) for half in np.split(down, 2)])
    return np.ascontiguousarray(halves.swapaxes(0, 1).reshape(-1, rows.shape[1]))


def _smooth(points: Floats, times: int) -> Floats:
    """(n, ...) -> (times * (n - 1) + 1, ...): Catmull-Rom splines through the points, straight on beyond the ends."""
    ends = 2 * points[:1] - points[1:2], 2 * points[-1:] - points[-2:-1]
    padded = np.concatenate([ends[0], points, ends[1], ends[1]]).astype(np.float64)
    cell, step = np.divmod(np.arange(times * (len(points) - 1) + 1), times)
    u = (step / times).reshape(-1, *[1] * (points.ndim - 1))
    before, first, second, after = (padded[cell + k] for k in range(4))
    cubic = 3 * (first - second) + after - before
    square = 2 * before - 5 * first + 4 * second - after
    return np.asarray(first + 0.5 * u * (second - before + u * (square + u * cubic)), np.float32)


def doublings(scale: float) -> int:
    """How often a texture must be doubled so that it has about a texel a pixel.

    Parameters
    ----------
    scale : float
        Pixels per centimetre.
    """
    texels = TEXTURE_SIZE[1] / WIDE
    return 0 if scale <= 0.65 * texels else 1 if scale <= 1.3 * texels else 2


@lru_cache(maxsize=2)
def magnified(name: str, times: int) -> tuple[Floats, bool]:
    """A texture larger than it was drawn, as `facekit.masks.textures.texture_level` gives it.

    The two that were asked for last are kept: four times as wide, each takes 50 MB.

    Parameters
    ----------
    name : str
    times : int
        Doublings of its sides.

    Returns
    -------
    (S, T, 4) float32
        Lines are as sharp as they would be drawn, and the cloth has fibres.
    bool
        See `texture_level`.

    Raises
    ------
    ConfigError, PictureError
        See `facekit.masks.textures.load_texture`.
    """
    level, two_tone = texture_level(name, 0)
    if times == 0:
        return level, two_tone
    premultiplied = np.concatenate([level[..., :3] * level[..., 3:], level[..., 3:]], -1)
    large = _sharply_resized(premultiplied, 1 << times)
    large[..., :3] /= np.maximum(large[..., 3:], np.float32(1e-6))
    side = -(-max(large.shape[:2]) // FIBRES_SIDE)
    fibres = np.tile(_fibres(), (side, side))[: large.shape[0], : large.shape[1], None]
    large[..., : 1 if two_tone else 3] *= 1 + np.float32(FIBRES) * fibres
    return large, two_tone


def _sharply_resized(level: Floats, times: int) -> Floats:
    """Cubic, then sharpened within what the texels around hold, so that nothing rings."""
    import cv2

    size = level.shape[1] * times, level.shape[0] * times
    large = np.asarray(cv2.resize(level, size, interpolation=cv2.INTER_CUBIC), np.float32)
    window = np.ones((3, 3), np.uint8)
    around: list[Any] = [cv2.erode(level, window), cv2.dilate(level, window)]
    low, high = (cv2.resize(limit, size, interpolation=cv2.INTER_LINEAR) for limit in around)
    large += np.float32(OVERSHOOT) * (large - cv2.GaussianBlur(large, (0, 0), 0.8 * times))
    return np.clip(large, low, high)


@cache
def _fibres() -> Floats:
    """(n, n), periodic, of deviation 1: short threads in all directions."""
    frequency = np.fft.fftfreq(FIBRES_SIDE)
    across, down = np.meshgrid(frequency, frequency)
    rng, total = np.random.default_rng(0), np.zeros((FIBRES_SIDE, FIBRES_SIDE))
    for angle in np.linspace(0, np.pi, 5, endpoint=False):
        along, beside = across * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - across * np.sin(angle)
        thread = np.exp(-((40 * along) ** 2) - (5 * beside) ** 2)
        one = np.fft.ifft2(np.fft.fft2(rng.standard_normal(total.shape)) * thread).real
        total += one / one.std()
    return np.asarray((total - total.mean()) / total.std(), np.float32)


@cache
def fine_slopes(times: int) -> Floats:
    """`facekit.masks.textures.crease_slopes` as a texture of so many doublings needs them: smooth between the values.

    Parameters
    ----------
    times : int
        Doublings of the texture's sides.

    Returns
    -------
    (n, n, 2) float32
        The same array at every call.
    """
    import cv2

    slopes, around = crease_slopes(), 4
    if times == 0:
        return slopes
    finer = 2 << times
    padded = np.pad(slopes, ((around, around), (around, around), (0, 0)), "wrap")
    large = cv2.resize(padded, (0, 0), fx=finer, fy=finer, interpolation=cv2.INTER_CUBIC)
    inside = slice(around * finer, (around + slopes.shape[0]) * finer)
    return np.ascontiguousarray(large[inside, inside], np.float32)
