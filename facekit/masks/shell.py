"""The shell: a mask's surface, built once a type in centimetres on the mean face, carried onto any face by one matrix.

The mean face's lower part is wrapped in its convex hull (cloth under tension bridges hollows, so lips and the sides of
the nose do not print through), an outline given in azimuth and elevation cuts a grid out of that wrap, and a cup, ridge
or bulge lifts it. Each grid point then becomes a fixed linear combination of mesh vertices: a radial basis
interpolation with an affine part, so that a turned, scaled or moved face carries the shell along exactly and an opened
mouth or a narrow jaw bends it smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces.landmarks import CHIN, LEFT_EDGE, LIPS, RIGHT_EDGE
from facekit.faces.topology import load_topology, spread_vertices

__all__ = ["COLUMNS", "ROWS", "Shell", "ShellShape", "build_shell", "control_vertices", "grid_triangles"]

COLUMNS = 26  # two of them coincide on the middle line, so that a ridge can have a sharp crest
ROWS = 23
CENTRE = np.array([0.0, -2.5, 0.0])  # centimetres; every ray of the wrap starts here, inside the head
EAR_TOP = np.array([8.05, 1.9, -3.4])
EAR_LOBE = np.array([7.55, -2.6, -3.1])
CROWN = np.array([8.3, 4.6, -3.9])
NAPE = np.array([7.3, -4.4, -3.9])
STRAP_POINTS = 9
PLANES = 3000  # that wrap the face: neighbours are four degrees apart, a twentieth of a millimetre at the most
# Under the chin the face mesh ends; these points close the wrap toward the neck.
NECK = np.array([[0.0, -9.0, 0.2], [-3.0, -8.4, -0.6], [3.0, -8.4, -0.6], [-5.4, -6.6, -1.6], [5.4, -6.6, -1.6]])


@dataclass(frozen=True)
class ShellShape:
    """The geometry of one mask type on the mean face.

    Attributes
    ----------
    half_width : float
        Azimuth of the side edge, degrees from the middle line.
    top, bottom : tuple of (float, float)
        Outline as (azimuth, elevation) in degrees, azimuth ascending from 0; seen from a point inside the head.
    tautness : float
        1: the convex wrap; 0: the skin itself.
    clearance : float
        Distance of the cloth from the wrap, centimetres.
    cup : float
        Height of a dome over the middle, centimetres.
    ridge : float
        Height of a crest on the middle line, centimetres.
    straps : str
        ``"ears"`` (two loops), ``"head"`` (bands over and under the ears) or ``"none"``.
    """

    half_width: float
    top: tuple[tuple[float, float], ...]
    bottom: tuple[tuple[float, float], ...]
    tautness: float = 0.9
    clearance: float = 0.2
    cup: float = 0.0
    ridge: float = 0.0
    straps: str = "ears"


class Shell(NamedTuple):
    """A mask surface ready to be carried onto faces.

    Attributes
    ----------
    weights : (G, C) float32
        Grid points, then strap points, as combinations of the control vertices.
    st : (COLUMNS * ROWS, 2) float32
        Texture coordinates of the grid points in [0, 1]: s right, t down.
    triangles : (K, 3) int32
        Triangles of the grid.
    occluders : (L, 3) int32
        Face triangles that can hide the mask: those not under it.
    strap_sides : (B,) int32
        +1 right in the picture, -1 left; a strap has STRAP_POINTS rows of `weights`.
    """

    weights: NDArray[np.float32]
    st: NDArray[np.float32]
    triangles: NDArray[np.int32]
    occluders: NDArray[np.int32]
    strap_sides: NDArray[np.int32]


@cache
def control_vertices() -> NDArray[np.int32]:
    """The vertices that steer a shell, spread evenly over the face.

    Lips and eyes are left out, since they move under the cloth.

    Returns
    -------
    (C,) int32
        The same array at every call.
    """
    positions = load_topology().positions.astype(np.float64)
    eyes = (
        (positions[:, 1] > 1.7)
        & (np.abs(positions[:, 0]) > 1.2)
        & (np.abs(positions[:, 0]) < 4.6)
        & (positions[:, 1] < 3.6)
    )
    allowed = np.array([v for v in range(len(positions)) if v not in LIPS and not eyes[v]])
    begin = [int(v) for v in (1, 6, CHIN, LEFT_EDGE, RIGHT_EDGE)]
    return np.array(spread_vertices(allowed, begin, 120), np.int32)


def _directions(azimuth: NDArray[np.float64], elevation: NDArray[np.float64]) -> NDArray[np.float64]:
    azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    return np.stack([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], -1)


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """a @ b.T without BLAS, whose last bits depend on the number of threads."""
    return np.einsum("ik,jk->ij", a, b, optimize=False)


@cache
def _supporting_planes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit normals (N, 3) all around, and how far from CENTRE the lower face reaches along each."""
    positions = load_topology().positions.astype(np.float64)
    points = np.concatenate([positions[positions[:, 1] < 3.0], NECK]) - CENTRE
    turn = np.arange(PLANES) * np.pi * (3 - np.sqrt(5))
    height = 1 - (2 * np.arange(PLANES) + 1) / PLANES
    ring = np.sqrt(1 - height**2)
    normals = np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], -1)
    return normals, _dot(normals, points).max(1)


def _wrap_radius(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from CENTRE to the convex wrap of the lower face: the smallest over many supporting planes."""
    normals, support = _supporting_planes()
    facing = _dot(directions, normals)
    return np.asarray(np.where(facing > 0.05, support / np.maximum(facing, 0.05), np.inf).min(1))


def _skin_radius(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from CENTRE to the face along each direction; nan where the mesh is missed."""
    topology = load_topology()
    corners = topology.positions.astype(np.float64)[topology.triangles] - CENTRE
    edge_1, edge_2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = np.cross(directions[:, None], edge_2[None])
    determinant = (cross * edge_1).sum(-1)
    safe = np.where(np.abs(determinant) < 1e-12, np.inf, determinant)
    u = (-corners[:, 0] * cross).sum(-1) / safe
    q = np.cross(-corners[:, 0], edge_1)
    v = _dot(directions, q) / safe
    distance = (edge_2 * q).sum(-1) / safe
    hit = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (distance > 0)
    reach = np.where(hit, distance, -np.inf).max(1)
    return np.where(np.isfinite(reach), reach, np.nan)


def _outline(anchors: tuple[tuple[float, float], ...], azimuth: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth curve through the anchors (monotone cubic would overshoot nothing; a smoothed polyline does as well)."""
    points = np.array(anchors)
    fine = np.linspace(0, points[-1, 0], 181)
    curve = np.interp(fine, points[:, 0], points[:, 1])
    kernel = np.hanning(31) / np.hanning(31).sum()
    padded = np.concatenate([curve[30:0:-1], curve, 2 * curve[-1] - curve[-2:-32:-1]])
    return np.interp(np.abs(azimuth), fine, np.convolve(padded, kernel, "same")[30:-30])


def _grid(shape: ShellShape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Texture coordinates and points (COLUMNS * ROWS, 3) of the surface in canonical centimetres."""
    half = np.linspace(0, 1, COLUMNS // 2)
    s = np.concatenate([-half[::-1], half])
    t = np.linspace(0, 1, ROWS)
    azimuth = shape.half_width * s
    top, bottom = _outline(shape.top, azimuth), _outline(shape.bottom, azimuth)
    elevation = top + (bottom - top) * t[:, None]
    directions = _directions(np.broadcast_to(azimuth, elevation.shape), elevation).reshape(-1, 3)
    blocks = np.array_split(directions, 12)  # a few megabytes at a time
    wrap, skin = (np.concatenate([radius(block) for block in blocks]) for radius in (_wrap_radius, _skin_radius))
    s_grid, t_grid = np.broadcast_to(s, elevation.shape).ravel(), np.repeat(t, COLUMNS)
    tautness = shape.tautness * (
        0.4 + 0.6 * np.clip(t_grid / 0.3, 0, 1) ** 1.5
    )  # the upper edge is pressed onto nose and cheeks
    radius = wrap + (1 - tautness) * np.where(np.isnan(skin), 0.0, np.minimum(skin, wrap) - wrap)
    dome = np.clip(1 - s_grid**2, 0, 1) * np.clip(4 * t_grid * (1 - t_grid), 0, 1)
    crest = np.clip(1 - np.abs(s_grid) / 0.75, 0, 1) * np.clip(4 * (t_grid + 0.04) * (1 - t_grid), 0, 1) ** 0.8
    radius = radius + shape.clearance + shape.cup * dome**0.75 + shape.ridge * crest
    st = np.stack([(s_grid + 1) / 2, t_grid], -1)
    return st, CENTRE + directions * radius[:, None]


def _strap(start: NDArray[np.float64], end: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """A taut line from a corner of the mask to the ear, lying on the side of the head."""
    mirrored = end * np.array([side, 1.0, 1.0])
    along = np.linspace(0, 1, STRAP_POINTS)[:, None]
    points = start + (mirrored - start) * along
    points[:, 0] += side * 0.35 * np.sin(np.pi * along[:, 0])
    return points


def _straps(points: NDArray[np.float64], shape: ShellShape) -> tuple[list[NDArray[np.float64]], list[int]]:
    grid = points.reshape(ROWS, COLUMNS, 3)
    if shape.straps == "none":
        return [], []
    ends = (EAR_TOP, EAR_LOBE) if shape.straps == "ears" else (CROWN, NAPE)
    rows = (1, ROWS - 2) if shape.straps == "ears" else (ROWS // 4, ROWS // 2 + 2)
    lines, sides = [], []
    for side, column in ((-1, 0), (1, COLUMNS - 1)):
        for row, end in zip(rows, ends, strict=True):
            lines.append(_strap(grid[row, column], end, side))
            sides.append(side)
    return lines, sides


def _solve(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian elimination with pivots, without LAPACK: the same bits for any number of threads."""
    a, n = np.concatenate([matrix, right], 1), len(matrix)
    for k in range(n):
        pivot = k + int(np.argmax(np.abs(a[k:, k])))
        a[[k, pivot]] = a[[pivot, k]]
        a[k] /= a[k, k]
        column = a[:, k].copy()
        column[k] = 0
        a -= column[:, None] * a[k]
    return a[:, n:]


def _carry(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """(G, C) weights of the biharmonic interpolation with an affine part (kernel |r|, slightly smoothed)."""
    controls = load_topology().positions.astype(np.float64)[control_vertices()]
    count = len(controls)
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = -np.linalg.norm(controls[:, None] - controls[None], axis=-1) + 0.15 * np.eye(count)
    system[:count, count], system[:count, count + 1 :] = 1, controls
    system[count:, :count] = system[:count, count:].T
    right = np.zeros((count + 4, len(points)))
    right[:count] = -np.linalg.norm(controls[:, None] - points[None], axis=-1)
    right[count], right[count + 1 :] = 1, points.T
    return np.ascontiguousarray(_solve(system, right)[:count].T.astype(np.float32))


def grid_triangles(columns: int, rows: int) -> NDArray[np.int32]:
    """(K, 3) triangles of a grid of points, row by row; none between the two columns in the middle, which coincide."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (row * columns + column)[column != columns // 2 - 1]
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)]).astype(np.int32)


def _occluders(shape: ShellShape) -> NDArray[np.int32]:
    """Face triangles whose middle is outside the outline, with two degrees to spare."""
    topology = load_topology()
    middle = topology.positions.astype(np.float64)[topology.triangles].mean(1) - CENTRE
    azimuth = np.degrees(np.arctan2(middle[:, 0], middle[:, 2]))
    elevation = np.degrees(np.arcsin(middle[:, 1] / np.linalg.norm(middle, axis=1)))
    clipped = np.clip(azimuth, -shape.half_width, shape.half_width)
    under = (elevation < _outline(shape.top, clipped) + 2) & (elevation > _outline(shape.bottom, clipped) - 2)
    under &= np.abs(azimuth) < shape.half_width + 2
    return np.ascontiguousarray(topology.triangles[~under])


@cache
def build_shell(shape: ShellShape) -> Shell:
    """Build the surface of one type.

    It takes about a tenth of a second and is kept for the life of the process.

    Parameters
    ----------
    shape : ShellShape

    Returns
    -------
    Shell
    """
    st, points = _grid(shape)
    lines, sides = _straps(points, shape)
    weights = _carry(np.concatenate([points, *lines]))
    triangles = grid_triangles(COLUMNS, ROWS)
    return Shell(weights, st.astype(np.float32), triangles, _occluders(shape), np.array(sides, np.int32))
