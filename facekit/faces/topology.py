"""The canonical face mesh: 468 vertices, texture coordinates and triangles (MediaPipe; see assets/mesh/NOTICE)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["NUM_VERTICES", "Topology", "load_topology", "spread_vertices"]

NUM_VERTICES = 468


class Topology(NamedTuple):
    """What every face mesh shares.

    Attributes
    ----------
    positions : (468, 3) float32
        A mean face in centimetres: x right (in the picture), y UP, z toward the viewer.
    uv : (468, 2) float32
        Texture coordinates in [0, 1]: u right, v DOWN. The mesh is a closed disc without holes there.
    triangles : (898, 3) int32
        Corners, counter-clockwise in `positions` seen by the viewer.
    """

    positions: NDArray[np.float32]
    uv: NDArray[np.float32]
    triangles: NDArray[np.int32]


@cache
def load_topology() -> Topology:
    """The mesh that ships with facekit.

    Returns
    -------
    Topology
        The same read-only arrays at every call. Source: MediaPipe's canonical face model (assets/mesh/NOTICE).
    """
    with files("facekit.assets.mesh").joinpath("topology.npz").open("rb") as stream, np.load(stream) as arrays:
        mesh = Topology(arrays["positions"], arrays["uv"], arrays["triangles"].astype(np.int32))
    for array in mesh:
        array.flags.writeable = False
    return mesh


def spread_vertices(allowed: NDArray[np.int64], chosen: list[int], count: int) -> list[int]:
    """Vertices spread evenly over the mean face: each is the one farthest from all before it.

    Parameters
    ----------
    allowed : (A,) int64
        Where they may lie.
    chosen : list of int
        Those to begin with, at least one; they come first.
    count : int
        How many there are in the end, those included.

    Returns
    -------
    list of int
        Source: farthest-point sampling, Eldar et al. 1997.
    """
    positions = load_topology().positions.astype(np.float64)
    spread = list(chosen)
    distance = np.min([np.linalg.norm(positions[allowed] - positions[v], axis=1) for v in spread], axis=0)
    while len(spread) < count:
        spread.append(int(allowed[np.argmax(distance)]))
        distance = np.minimum(distance, np.linalg.norm(positions[allowed] - positions[spread[-1]], axis=1))
    return spread
