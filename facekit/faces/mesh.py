"""Picture -> face mesh: the 468-point model (MediaPipe face_landmark, Apache-2.0) run by LiteRT."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, PictureError
from facekit.faces.landmarks import (
    CHIN,
    HAIRLINE,
    LEFT_EDGE,
    LEFT_EYE_CORNER,
    RIGHT_EDGE,
    RIGHT_EYE_CORNER,
)
from facekit.faces.litert import open_interpreter
from facekit.faces.topology import NUM_VERTICES, load_topology

__all__ = ["LiteRTMesh", "Mesh", "MeshEstimator", "Pose", "Region", "aligned_region", "pose", "region_of", "rounded"]

INPUT_SIDE = 192
SECOND_PASS_YAW = 15.0
STEP = 1 / 16
SHRINK_FROM = 2.0 * INPUT_SIDE
"""Side of a region, pixels, above which it is shrunk before it is sampled."""


class Mesh(NamedTuple):
    """A face as the model sees it.

    Attributes
    ----------
    vertices : (468, 3) float32
        Pixels of the picture: x right, y down, pixel centres at integers; z in the same unit, positive toward the
        viewer, zero near the middle of the head. Order and triangles as in `facekit.faces.topology`.
    presence : float
        Logit of "here is a bare face": median 23 on aligned bare faces; covered ones score lower.
    """

    vertices: NDArray[np.float32]
    presence: float


class Region(NamedTuple):
    """A square of the picture in which the model looks for the face.

    Attributes
    ----------
    x, y : float
        Its centre in pixels, pixel centres at integers.
    side : float
        Pixels.
    roll : float
        Degrees by which it is turned clockwise.
    """

    x: float
    y: float
    side: float
    roll: float = 0.0


class Pose(NamedTuple):
    """Where a face looks, in degrees.

    Attributes
    ----------
    yaw : float
        Positive: toward the right of the picture (the edge at the right of the picture is farther from the viewer).
    pitch : float
        Positive: up (the chin comes toward the viewer).
    roll : float
        Positive: clockwise in the picture.
    """

    yaw: float
    pitch: float
    roll: float


class MeshEstimator(Protocol):
    """Anything that finds a mesh in a picture; 3DDFA, PRNet or stored vertices come in as a callable like this."""

    def __call__(self, image: NDArray[np.uint8], /) -> Mesh:
        """The mesh of the one face in `image`, (H, W, 3) uint8 RGB."""
        ...


def pose(vertices: NDArray[np.float32]) -> Pose:
    """Yaw, pitch and roll from four vertices: both edges of the face, the hairline and the chin.

    The head is taken to be turned from the canonical mesh by pitch, then yaw, then roll (about x, y, z of the picture).

    Parameters
    ----------
    vertices : (468, 3) float32
        See `Mesh`.

    Returns
    -------
    Pose
        Yaw lies in [-90, 90]; a face turned farther than that reads as one turned back.
    """
    across = vertices[RIGHT_EDGE] - vertices[LEFT_EDGE]
    down = vertices[CHIN] - vertices[HAIRLINE]
    x, y, z = (float(c) for c in across)
    yaw, roll = math.atan2(-z, math.hypot(x, y)), math.atan2(y, x)
    u, v, w = (float(c) for c in down)
    u, v = u * math.cos(roll) + v * math.sin(roll), v * math.cos(roll) - u * math.sin(roll)
    w = w * math.cos(yaw) + u * math.sin(yaw)
    pitch = math.atan2(w, v) - _canonical_pitch()
    return Pose(math.degrees(yaw), (math.degrees(pitch) + 180) % 360 - 180, math.degrees(roll))


@cache
def _canonical_pitch() -> float:
    positions = load_topology().positions
    _, up, toward = positions[CHIN] - positions[HAIRLINE]
    return math.atan2(float(toward), -float(up))


def rounded(mesh: Mesh) -> Mesh:
    """The mesh as a cache keeps it, so that having a cache changes nothing.

    Parameters
    ----------
    mesh : Mesh

    Returns
    -------
    Mesh
        Vertices in steps of 1/16 px, the logit as a float32.
    """
    vertices = np.rint(mesh.vertices * np.float32(1 / STEP)) * np.float32(STEP) + np.float32(
        0
    )  # -0 becomes 0, as in int16
    return Mesh(vertices.astype(np.float32, copy=False), float(np.float32(mesh.presence)))


def aligned_region(shape: tuple[int, ...]) -> Region:
    """Where the face lies in an ArcFace-aligned crop: 140 of 112 px wide, centred 56 px from the left, 66 from the top.

    Parameters
    ----------
    shape : (H, W, ...)
        Of the picture. A narrower crop is taken to be the middle of a square one.
    """
    height, width = shape[:2]
    scale = height / 112
    return Region(width / 2 - 0.5, 66 * scale - 0.5, 140 * scale)


def region_of(vertices: NDArray[np.float32]) -> Region:
    """The region in which the model sees a face best: upright by the eye line, 1.5 times its longer side.

    Parameters
    ----------
    vertices : (468, 3) float32
        See `Mesh`.
    """
    points = vertices[:, :2]
    across = points[RIGHT_EYE_CORNER] - points[LEFT_EYE_CORNER]
    roll = math.atan2(float(across[1]), float(across[0]))
    turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]], np.float32)
    upright = points @ turn
    low, high = upright.min(0), upright.max(0)
    x, y = turn @ ((low + high) / 2)
    return Region(float(x), float(y), 1.5 * float((high - low).max()), math.degrees(roll))


class LiteRTMesh:
    """The face mesh model on one CPU thread.

    An instance is picklable (its interpreter is built again where it is first called) but not for several threads.

    Parameters
    ----------
    region : Region, optional
        Where the face lies in every picture; by default `aligned_region` of its size.
    second_pass_yaw : float
        Faces that look farther to the side, in degrees, are looked at again in the region their first mesh gives.
    """

    def __init__(self, region: Region | None = None, second_pass_yaw: float = SECOND_PASS_YAW) -> None:
        self.region = _checked(region)
        self.second_pass_yaw = second_pass_yaw
        self._model: _Model | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}

    def __call__(self, image: NDArray[np.uint8], region: Region | None = None) -> Mesh:
        """The mesh of the face in `region`.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB
        region : Region, optional
            Where this picture's face lies, instead of the estimator's own.

        Returns
        -------
        Mesh
            In steps of 1/16 px (see `rounded`). There always is one: whether it is a face is for `facekit.faces.gate`
            to say.

        Raises
        ------
        PictureError
            `image` is not an RGB picture.
        ConfigError
            `region` is no square.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise PictureError(f"a picture is (H, W, 3) uint8 RGB; this one is {image.shape} {image.dtype}")
        self._model = self._model or _Model()
        mesh = self._model.run(image, _checked(region) or self.region or aligned_region(image.shape))
        if abs(pose(mesh.vertices).yaw) > self.second_pass_yaw:
            mesh = self._model.run(image, region_of(mesh.vertices))
        return rounded(mesh)


def _checked(region: Region | None) -> Region | None:
    if region is not None and not (all(map(math.isfinite, region)) and region.side > 0):
        raise ConfigError(f"{region} is no square: give finite numbers and a positive side, in pixels")
    return region


class _Model:
    """An interpreter with its buffers."""

    def __init__(self) -> None:
        content = files("facekit.assets.mesh").joinpath("face_landmark.tflite").read_bytes()
        self._interpreter = open_interpreter(content)
        self._input = self._interpreter.get_input_details()[0]["index"]
        sizes = {int(np.prod(d["shape"])): d["index"] for d in self._interpreter.get_output_details()}
        self._vertices, self._presence = sizes[3 * NUM_VERTICES], sizes[1]
        self._crop = np.empty((INPUT_SIDE, INPUT_SIDE, 3), np.uint8)
        self._values = np.empty((1, INPUT_SIDE, INPUT_SIDE, 3), np.float32)

    def run(self, image: NDArray[np.uint8], region: Region) -> Mesh:
        matrix = _picture_from_model(region)
        _crop(image, region, matrix, self._crop)
        np.multiply(self._crop, np.float32(1 / 255), out=self._values[0])
        self._interpreter.set_tensor(self._input, self._values)
        self._interpreter.invoke()
        raw = self._interpreter.get_tensor(self._vertices).reshape(NUM_VERTICES, 3)
        presence = float(self._interpreter.get_tensor(self._presence).item())
        return Mesh(_to_picture(raw, matrix, region.side / INPUT_SIDE), presence)


def _crop(image: NDArray[np.uint8], region: Region, matrix: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
    """Sample the region into `out`, (192, 192, 3), bilinearly; the picture's border goes on outside it."""
    import cv2

    left, top = region.x + 0.5 - region.side / 2, region.y + 0.5 - region.side / 2
    x, y, side, (height, width) = math.floor(left), math.floor(top), math.floor(region.side), image.shape[:2]
    inner = image[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)]
    if side > SHRINK_FROM:
        _crop_shrunk(image, region, out)
        return
    whole = (x, y, side) == (left, top, region.side) and region.roll == 0
    if not whole or not inner.size or side > 2 * max(height, width):
        sampling = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(image, _between_centres(matrix), out.shape[:2], out, sampling, cv2.BORDER_REPLICATE)
        return
    # Whole pixels, as in aligned crops: padding and resizing takes a quarter of the time of warping.
    if x < 0 or y < 0 or x + side > width or y + side > height:
        above, below, before, after = -y, y + side - height, -x, x + side - width
        widths = max(above, 0), max(below, 0), max(before, 0), max(after, 0)
        inner = np.asarray(cv2.copyMakeBorder(inner, *widths, cv2.BORDER_REPLICATE), np.uint8)
    cv2.resize(inner, out.shape[:2], out, interpolation=cv2.INTER_LINEAR)


def _crop_shrunk(image: NDArray[np.uint8], region: Region, out: NDArray[np.uint8]) -> None:
    """Shrink the part of the picture that holds the region by area first, since bilinear sampling would alias."""
    import cv2

    reach, (height, width) = math.ceil(0.75 * region.side), image.shape[:2]
    middle_x = min(max(region.x, 0.0), width - 1.0)
    middle_y = min(max(region.y, 0.0), height - 1.0)
    left, top = max(math.floor(middle_x) - reach, 0), max(math.floor(middle_y) - reach, 0)
    part = image[top : math.ceil(middle_y) + reach + 1, left : math.ceil(middle_x) + reach + 1]
    factor = SHRINK_FROM / region.side
    size = max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor))
    small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    across, down = size[0] / part.shape[1], size[1] / part.shape[0]
    x, y = (region.x + 0.5 - left) * across - 0.5, (region.y + 0.5 - top) * down - 0.5
    matrix = _between_centres(_picture_from_model(Region(x, y, SHRINK_FROM, region.roll)))
    sampling = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(small, matrix, out.shape[:2], out, sampling, cv2.BORDER_REPLICATE)


@lru_cache(maxsize=16)
def _picture_from_model(region: Region) -> NDArray[np.float64]:
    """(2, 3): from the model's coordinates (0 to 192, edge to edge) to pixels of the picture (centres at integers)."""
    scale, roll = region.side / INPUT_SIDE, math.radians(region.roll)
    turn = scale * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    corner = np.array([region.x, region.y]) - turn @ np.full(2, INPUT_SIDE / 2)
    return np.column_stack([turn, corner])


def _between_centres(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same map from the model's pixel centres at integers, as cv2 counts."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ np.full(2, 0.5)])


def _to_picture(raw: NDArray[np.float32], matrix: NDArray[np.float64], scale: float) -> NDArray[np.float32]:
    vertices = np.empty((NUM_VERTICES, 3), np.float32)
    vertices[:, :2] = raw[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    vertices[:, 2] = raw[:, 2] * -scale  # the model counts depth away from the viewer
    return vertices
