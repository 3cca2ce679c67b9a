"""The camera: pose, perspective and the similarity that brings the five points to the ArcFace template."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces.align import ARCFACE_TEMPLATE
from facekit.faces.landmarks import EYES, LEFT_MOUTH_CORNER, NOSE_TIP, RIGHT_MOUTH_CORNER
from facekit.synth.anatomy import load_head, turn
from facekit.synth.sampling import CaptureParams

__all__ = ["View", "place_camera", "rotation", "similarity"]

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
    """Head axes to camera axes.

    Parameters
    ----------
    yaw, pitch, roll : float
        Degrees; see :class:`facekit.synth.sampling.CaptureParams` for the signs.

    Returns
    -------
    (3, 3) float32
        ``points @ m.T`` turns points; yaw is applied after pitch, and roll last.
    """
    y, p, r = np.radians([yaw, -pitch, -roll])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(turn_z @ turn_y @ turn_x, dtype=np.float32)


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least-squares similarity between points of the plane, without mirroring.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991, in its
    closed form for two dimensions.

    Parameters
    ----------
    source, target : (N, 2) float64
        Corresponding points, not all in one place.

    Returns
    -------
    (2, 3) float64
        ``points @ m[:, :2].T + m[:, 2]`` maps points.
    """
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    scale = (a**2).sum()
    cosine, sine = (a * b).sum() / scale, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / scale
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, target.mean(axis=0) - linear @ source.mean(axis=0)])


def to_unit_plane(points: Array, distance: float) -> NDArray[np.float64]:
    """Perspective projection onto the plane at unit distance from the camera.

    Parameters
    ----------
    points : (N, 3) float32
        Camera axes, cm.
    distance : float
        Of the camera from the pivot, cm.

    Returns
    -------
    (N, 2) float64
        x right, y down.
    """
    return np.stack([points[:, 0], -points[:, 1]], axis=1).astype(np.float64) / (distance - points[:, 2:]).astype(
        np.float64
    )


def _five_points(points: Array) -> Array:
    eyes = [points[[e.upper[0], e.upper[8], e.upper[4], e.lower[4]]].mean(axis=0) for e in EYES]
    nose = points[NOSE_TIP] * 0.5 + points[1] * 0.5
    return np.stack([*eyes, nose, points[LEFT_MOUTH_CORNER], points[RIGHT_MOUTH_CORNER]])


def place_camera(figure: Array, capture: CaptureParams) -> View:
    """Pose a figure and align its crop; the body follows the head half way.

    Parameters
    ----------
    figure : (V, 3) float32
        Head axes, cm; see `facekit.synth.shape.assemble_figure`.
    capture : CaptureParams

    Returns
    -------
    View
    """
    head = load_head()
    head_turn = rotation(capture.yaw, capture.pitch, capture.roll)
    body = rotation(capture.yaw * 0.45, capture.pitch * 0.25, capture.roll * 0.4)
    centred = figure - PIVOT
    points = turn(centred, head_turn)
    base = np.array([0, -6.0, -1.0], np.float32)
    for part in (head.neck, head.cloth):
        rest = centred[part]
        follow = np.clip((rest[:, 1:2] + 9.0) / 8.0, 0, 1)
        moved = turn(rest - base, body) + turn(base, 0.5 * head_turn + 0.5 * body)
        points[part] = follow * points[part] + (1 - follow) * moved
    five = to_unit_plane(_five_points(points), capture.distance)
    frame = similarity(five, ARCFACE_TEMPLATE + np.array(capture.jitter).reshape(5, 2))
    tilt = float(np.degrees(np.arctan2(frame[1, 0], frame[0, 0])))
    eye = np.array([0, 0, capture.distance], np.float32)
    return View(np.ascontiguousarray(points, np.float32), head_turn, eye, frame, capture.roll + tilt)


def project(points: Array, view: View) -> Array:
    """Camera axes to pixels of the crop.

    Parameters
    ----------
    points : (..., 3) float32
        Camera axes, cm.
    view : View

    Returns
    -------
    (..., 3) float32
        x right, y down, pixel centres at integers; depth in pixels toward the viewer, measured from the pivot with the
        scale that holds there.
    """
    distance = view.eye[2]
    inverse = np.float32(1) / (distance - points[..., 2])
    x, y = points[..., 0] * inverse, -points[..., 1] * inverse
    frame = view.frame.astype(np.float32)
    scale = np.float32(np.hypot(frame[0, 0], frame[1, 0])) / distance
    out = np.empty_like(points)
    out[..., 0] = frame[0, 0] * x + frame[0, 1] * y + frame[0, 2]
    out[..., 1] = frame[1, 0] * x + frame[1, 1] * y + frame[1, 2]
    out[..., 2] = points[..., 2] * scale
    return out
