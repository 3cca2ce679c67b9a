"""The named ways in which faces differ, as Gaussian windows on the canonical mesh."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MODES", "PROPORTIONS", "Mode"]


class Mode(NamedTuple):
    """A Gaussian window on both sides of the face, and how far one standard deviation moves what is under it.

    Attributes
    ----------
    name : str
    centre : (x, y, z)
        cm; x = 0 is one window in the middle.
    sigma : float
        Width of the window, cm.
    move : (x, y, z)
        Displacement, cm.
    stretch : (x, y)
        Scales about the centre instead of moving.
    male_shift : float
        How many deviations the mean of men lies above that of women.
    """

    name: str
    centre: tuple[float, float, float]
    sigma: float
    move: tuple[float, float, float]
    stretch: tuple[float, float] = (0.0, 0.0)
    male_shift: float = 0.0


MODES = (
    Mode("face width", (0, 0, 0), 90, (0, 0, 0), (0.026, 0), 0.2),
    Mode("lower face length", (0, -9, 2), 5.0, (0, 0.42, 0), male_shift=-0.5),
    Mode("jaw width", (6.3, -5.8, -0.5), 2.9, (0.34, 0, 0), male_shift=0.9),
    Mode("jaw drop", (5.8, -6.3, 0), 2.2, (0, 0.32, 0), male_shift=-0.5),
    Mode("chin length", (0, -9, 4), 1.9, (0, -0.30, 0), male_shift=0.5),
    Mode("chin forward", (0, -8.4, 4.4), 2.2, (0, 0, 0.32)),
    Mode("chin width", (2.4, -8.8, 3.4), 1.7, (0.30, 0, 0), male_shift=0.9),
    Mode("cheekbone width", (6.4, 0.3, 1.5), 2.5, (0.30, 0, 0)),
    Mode("cheek fullness", (4.6, -3.0, 3.0), 2.1, (0.22, 0, 0.26), male_shift=-0.3),
    Mode("cheekbone forward", (4.4, 0.2, 3.8), 1.8, (0.05, 0, 0.25)),
    Mode("eye distance", (3.2, 2.6, 3.8), 1.7, (0.17, 0, 0)),
    Mode("eye height", (3.2, 2.6, 3.8), 2.2, (0, 0.22, 0)),
    Mode("eye size", (3.2, 2.6, 3.8), 1.25, (0, 0, 0), (0.05, 0.13), -0.6),
    Mode("eye tilt", (4.6, 2.7, 3.2), 1.0, (0, 0.15, 0), male_shift=-0.3),
    Mode("eye depth", (3.2, 2.8, 3.8), 1.6, (0, 0, 0.20), male_shift=-0.5),
    Mode("brow height", (3.4, 4.6, 4.4), 1.4, (0, 0.32, 0), male_shift=-0.8),
    Mode("brow ridge", (3.0, 4.4, 4.8), 1.7, (0, 0, 0.22), male_shift=0.9),
    Mode("brow slant", (5.0, 4.6, 3.6), 1.3, (0, 0.22, 0)),
    Mode("nose length", (0, -1.2, 6.8), 1.7, (0, -0.36, 0)),
    Mode("nose projection", (0, -0.9, 7.2), 1.5, (0, 0, 0.36), male_shift=0.5),
    Mode("nose width", (1.6, -1.2, 5.6), 0.9, (0.22, 0, 0), male_shift=0.5),
    Mode("nose bridge", (0, 2.6, 5.8), 1.3, (0, 0, 0.26), male_shift=0.5),
    Mode("nose hump", (0, 1.2, 6.7), 1.0, (0, 0, 0.18), male_shift=0.3),
    Mode("nose bridge width", (0.9, 1.8, 5.6), 1.0, (0.14, 0, 0)),
    Mode("nose upturn", (0, -0.9, 7.5), 0.9, (0, 0.22, 0.05)),
    Mode("mouth width", (2.4, -4.3, 4.3), 1.1, (0.15, 0, 0), male_shift=0.3),
    Mode("mouth height", (0, -4.3, 5.2), 2.0, (0, 0.24, 0)),
    Mode("mouth forward", (0, -4.3, 5.3), 1.7, (0, 0, 0.26)),
    Mode("upper lip", (0, -3.45, 5.9), 0.85, (0, 0.13, 0.07), male_shift=-0.5),
    Mode("lower lip", (0, -5.2, 5.5), 0.85, (0, -0.15, 0.08), male_shift=-0.4),
    Mode("forehead height", (0, 8.2, 4.4), 2.6, (0, 0.42, 0)),
    Mode("forehead slope", (0, 7.8, 4.2), 2.6, (0, 0, 0.36), male_shift=-0.4),
    Mode("temple width", (6.6, 5.5, 0.6), 2.4, (0.26, 0, 0)),
    Mode("face depth", (0, 0, -2), 5.0, (0, 0, 0.32)),
)
PROPORTIONS = (
    Mode("shorter chin", (0, -9.6, 3.6), 3.6, (0, 1.30, 0)),
    Mode("shorter jaw", (5.2, -7.2, 0.8), 2.8, (0, 0.75, 0)),
    Mode("narrower jaw", (5.6, -6.4, 0), 2.6, (-0.18, 0, 0)),
    Mode("lower lip", (0, -5.3, 5.5), 0.9, (0, 0.16, 0)),
    Mode("lower forehead", (0, 9.0, 4.0), 2.0, (0, -0.34, 0)),
    Mode("temple", (5.6, 7.2, 2.0), 1.6, (-0.06, -0.34, 0)),
    Mode("nose wings", (1.7, -1.3, 5.4), 0.8, (0.14, -0.13, 0)),
    Mode("nose tip", (0, -0.9, 7.3), 1.2, (0, -0.12, 0)),
    Mode("upper lids", (3.2, 3.1, 3.9), 0.8, (0, 0.10, 0)),
    Mode("inner corners", (2.0, 2.7, 3.8), 0.7, (-0.12, 0, 0)),
    Mode("mouth corners", (2.4, -4.3, 4.3), 0.9, (-0.10, 0.04, 0)),
)
"""From the canonical mesh to an average face: where the mesh model kept pointing elsewhere on drawn faces."""
