"""The camera: pose, perspective and the similarity that brings the five points to the ArcFace template."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces.align import ARCFACE_TEMPLATE
from facekit.faces.landmarks import EYES, LEFT_MOUTH_CORNER, NOSE_TIP, RIGHT_MOUTH_CORNER
from facekit.synth.anatomy import load_head
from facekit.synth.chance import Shot

__all__ = ["View", "rotation", "similarity", "view"]

Array = NDArray[np.floating[Any]]
PIVOT = np.array([0, -1.0, -5.0], np.float32)


class View(NamedTuple):
    """A posed figure in front of the camera.

    Attributes
    ----------
    points : (V, 3) float32
        Camera axes in cm: x right, y up, z toward the camera; the origin is the head's pivot.
    turn : (3, 3) float32
        Head axes to camera axes.
    eye : (3,) float32
        The camera.
    frame : (2, 3) float64
        Similarity from the picture plane (cm at unit distance, y down) to crop pixels.
    roll : float
        Of the head in the crop, degrees.
    """

    points: Array
    turn: Array
    eye: Array
    frame: NDArray[np.float64]
    roll: float


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Head to camera axes from degrees; see :class:`facekit.synth.chance.Shot` for the signs."""
    y, p, r = np.radians([yaw, -pitch, -roll])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(turn_z @ turn_y @ turn_x, dtype=np.float32)


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares similarity (2, 3) from (n, 2) points to others (Umeyama 1991, no reflection)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    scale = (a**2).sum()
    cosine, sine = (a * b).sum() / scale, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / scale
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, target.mean(axis=0) - linear @ source.mean(axis=0)])


def plane(points: Array, distance: float) -> NDArray[np.float64]:
    """Perspective onto the plane at unit distance, y down, (n, 2)."""
    return np.stack([points[:, 0], -points[:, 1]], axis=1).astype(np.float64) / (distance - points[:, 2:]).astype(
        np.float64
    )


def _five_points(points: Array) -> Array:
    eyes = [points[[e.upper[0], e.upper[8], e.upper[4], e.lower[4]]].mean(axis=0) for e in EYES]
    nose = points[NOSE_TIP] * 0.5 + points[1] * 0.5
    return np.stack([*eyes, nose, points[LEFT_MOUTH_CORNER], points[RIGHT_MOUTH_CORNER]])


def view(figure: Array, shot: Shot) -> View:
    """Pose a figure (V, 3) in head axes and align its crop; the body follows the head half way."""
    head = load_head()
    turn = rotation(shot.yaw, shot.pitch, shot.roll)
    body = rotation(shot.yaw * 0.45, shot.pitch * 0.25, shot.roll * 0.4)
    centred = figure - PIVOT
    points = centred @ turn.T
    base = np.array([0, -6.0, -1.0], np.float32)
    for part in (head.neck, head.cloth):
        rest = centred[part]
        follow = np.clip((rest[:, 1:2] + 9.0) / 8.0, 0, 1)
        moved = (rest - base) @ body.T + base @ (0.5 * turn + 0.5 * body).T
        points[part] = follow * points[part] + (1 - follow) * moved
    five = plane(_five_points(points), shot.distance)
    frame = similarity(five, ARCFACE_TEMPLATE + np.array(shot.jitter).reshape(5, 2))
    tilt = float(np.degrees(np.arctan2(frame[1, 0], frame[0, 0])))
    eye = np.array([0, 0, shot.distance], np.float32)
    return View(np.ascontiguousarray(points, np.float32), turn, eye, frame, shot.roll + tilt)


def project(points: Array, seen: View) -> Array:
    """Camera cm to crop pixels and depth, (..., 3): pixel centres at integers, depth in pixels toward the viewer.

    Depth is measured from the pivot with the scale that holds there.
    """
    distance = seen.eye[2]
    inverse = np.float32(1) / (distance - points[..., 2])
    x, y = points[..., 0] * inverse, -points[..., 1] * inverse
    frame = seen.frame.astype(np.float32)
    scale = np.float32(np.hypot(frame[0, 0], frame[1, 0])) / distance
    out = np.empty_like(points)
    out[..., 0] = frame[0, 0] * x + frame[0, 1] * y + frame[0, 2]
    out[..., 1] = frame[1, 0] * x + frame[1, 1] * y + frame[1, 2]
    out[..., 2] = points[..., 2] * scale
    return out
