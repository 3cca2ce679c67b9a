"""Drawn faces for the tests of worn masks: the mean face, posed, on a lit picture that is not square."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facekit.faces.topology import load_topology

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 120, 104


Point = tuple[float, float]


def turned(yaw: float = 0.0, pitch: float = 0.0, scale: float = 5.0, centre: Point = (51.5, 62.5)) -> Floats:
    """Vertices (468, 3) in pixels of the mean face turned by yaw and pitch in degrees."""
    y, p = np.radians([yaw, pitch])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    points = load_topology().positions.astype(np.float64) @ (about_y @ about_x).T * (scale, -scale, scale)
    return (points + np.array([*centre, 0.0])).astype(np.float32)


def picture(height: int = HEIGHT, width: int = WIDTH, grey: bool = False) -> Picture:
    """A picture of skin colours that brightens to the upper left, with a little grain."""
    rng = np.random.default_rng(3)
    down, right = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    light = 1.15 - 0.35 * down - 0.25 * right
    colour = np.array([150.0, 150.0, 150.0] if grey else [190.0, 142.0, 118.0])
    grain = rng.normal(0, 1.5, (height, width, 1))
    return np.clip(light[..., None] * colour + grain, 0, 255).astype(np.uint8)
