"""Mesh -> may a mask be worn here? One short word says why not.

The limits were chosen on 5,121 aligned photographs, of which 98% pass, against the same faces with painted lower halves
and masks, turned upside down, and against noise, flat colour and other things; benchmarks/gate_quality.py prints the
rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.faces.landmarks import LEFT_EYE_CORNER, RIGHT_EYE_CORNER
from facekit.faces.mesh import Mesh, Pose, pose
from facekit.faces.topology import NUM_VERTICES, load_topology

__all__ = ["REASONS", "GateLimits", "gate"]

REASONS = ("no_face", "covered", "profile", "mesh", "outside", "small")
"""Every word `gate` can answer."""


@dataclass(frozen=True)
class GateLimits:
    """What a mesh must satisfy; every limit is of a single quantity, so that a refusal can be explained.

    Attributes
    ----------
    face_presence : float
        Logit below which there is no face at all (``"no_face"``).
    bare_presence : float
        Logit that a frontal face must reach to count as uncovered (``"covered"``). Faces turned to the side score
        lower: `presence_per_degree` is taken off for every degree of yaw, down to `side_presence`.
    presence_per_degree, side_presence : float
    side_yaw : float
        Degrees of yaw from which a low presence is called ``"profile"``: the mesh is not to be trusted there.
    max_yaw, max_roll : float
        Degrees (``"profile"``, ``"mesh"``).
    max_stretch : float
        Largest over smallest singular value of the affine map from the canonical mesh (``"mesh"``). Some collections
        stretch their crops: masks fit those as well, measured up to 1.6.
    max_residual : float
        Root mean square distance from that map, in centimetres of the canonical mesh (``"mesh"``).
    min_inside : float
        Fraction of the vertices inside the picture (``"outside"``).
    min_eye_distance : float
        Pixels between the outer corners of the eyes, in space, so that yaw does not shorten it (``"small"``).

    Raises
    ------
    ConfigError
        A limit is out of its range.
    """

    face_presence: float = 0.0
    bare_presence: float = 15.0
    presence_per_degree: float = 0.24
    side_presence: float = 6.0
    side_yaw: float = 25.0
    max_yaw: float = 45.0
    max_roll: float = 60.0
    max_stretch: float = 1.6
    max_residual: float = 1.0
    min_inside: float = 0.85
    min_eye_distance: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_yaw <= 90:
            raise ConfigError(f"max_yaw is {self.max_yaw}; give degrees from 0 to 90")
        if not 0 <= self.min_inside <= 1:
            raise ConfigError(f"min_inside is {self.min_inside}; give a fraction from 0 to 1")
        if self.max_stretch < 1:
            raise ConfigError(f"max_stretch is {self.max_stretch}; a ratio of singular values is at least 1")


def gate(mesh: Mesh, shape: tuple[int, ...], limits: GateLimits = GateLimits()) -> str | None:
    """Why no mask can be worn on the face of `mesh`, or None when one can.

    Parameters
    ----------
    mesh : Mesh
        An estimator without a presence logit gives infinity.
    shape : (H, W, ...)
        Of the picture.
    limits : GateLimits

    Returns
    -------
    str or None
        One of `REASONS`: nothing like a face; a face already covered; turned too far; a mesh that no face has; too much
        of the face outside the picture; too few pixels.
    """
    if math.isnan(mesh.presence) or mesh.presence < limits.face_presence:
        return "no_face"
    if mesh.vertices.shape != (NUM_VERTICES, 3) or not np.isfinite(mesh.vertices).all():
        return "mesh"
    turned = pose(mesh.vertices)
    return (
        _check_presence(mesh.presence, turned, limits)
        or _check_geometry(mesh.vertices, turned, limits)
        or _check_framing(mesh.vertices, shape, limits)
    )


def _check_presence(presence: float, turned: Pose, limits: GateLimits) -> str | None:
    yaw = abs(turned.yaw)
    needed = max(limits.bare_presence - limits.presence_per_degree * yaw, limits.side_presence)
    if presence < needed:
        return "profile" if yaw >= limits.side_yaw else "covered"
    return "profile" if yaw > limits.max_yaw else None


def _check_geometry(vertices: NDArray[np.float32], turned: Pose, limits: GateLimits) -> str | None:
    stretch, residual = _affine_fit(vertices)
    sound = stretch <= limits.max_stretch and residual <= limits.max_residual and abs(turned.roll) <= limits.max_roll
    return None if sound else "mesh"


def _check_framing(vertices: NDArray[np.float32], shape: tuple[int, ...], limits: GateLimits) -> str | None:
    height, width = shape[:2]
    x, y = vertices[:, 0], vertices[:, 1]
    inside = (x >= -0.5) & (y >= -0.5) & (x < width - 0.5) & (y < height - 0.5)
    if inside.mean() < limits.min_inside:
        return "outside"
    eyes = float(np.linalg.norm(vertices[RIGHT_EYE_CORNER] - vertices[LEFT_EYE_CORNER]))
    return "small" if eyes < limits.min_eye_distance else None


def _affine_fit(vertices: NDArray[np.float32]) -> tuple[float, float]:
    """Stretch and residual of the affine map from the canonical mesh; a mirrored or flat one has infinite stretch."""
    scatter, inverse = _canonical()
    centred = (vertices - vertices.mean(0)).astype(np.float64)
    matrix = inverse @ centred
    largest, _, smallest = np.linalg.svd(matrix, compute_uv=False).tolist()
    determinant = float(np.linalg.det(matrix))
    if determinant <= 0 or smallest < 1e-6 * largest:
        return math.inf, math.inf
    unexplained = float(
        np.vdot(centred, centred) - np.vdot(matrix, scatter @ matrix)
    )  # Pythagoras in the least squares
    return largest / smallest, math.sqrt(max(unexplained, 0) / NUM_VERTICES) / determinant ** (1 / 3)


@cache
def _canonical() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the canonical mesh with y down, centred: its scatter matrix, (3, 3), and its pseudo-inverse, (3, 468)."""
    positions = load_topology().positions * np.array([1.0, -1.0, 1.0])
    positions -= positions.mean(0)
    return positions.T @ positions, np.linalg.pinv(positions)
