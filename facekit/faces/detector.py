"""What a detector of faces gives, and which of several answers count. `facekit.faces.finder` has the one that ships."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from facekit.faces.mesh import Mesh

__all__ = ["Detection", "Detector", "largest", "nms"]


class Detection(NamedTuple):
    """A face in a picture.

    Attributes
    ----------
    score : float
        Probability that it is one.
    box : (4,) float32
        Left, top, right, bottom in pixels.
    points : (5, 2) float32
        (x, y) of eyes, tip of the nose and corners of the mouth, pixel centres at integers, the point at the left of
        an upright picture first.
    mesh : Mesh, optional
        Where the detector gives one.
    """

    score: float
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    mesh: Mesh | None = None


class Detector(Protocol):
    """Anything that finds faces and their five points."""

    def __call__(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces of an (H, W, 3) uint8 RGB picture, in any order."""
        ...


def largest(faces: list[Detection]) -> Detection | None:
    """The face with the largest box.

    Parameters
    ----------
    faces : list of Detection

    Returns
    -------
    Detection or None
        None where there is no face; of equally large ones the first.
    """
    return max(faces, key=lambda face: float(np.prod(face.box[2:] - face.box[:2])), default=None)


def nms(boxes: NDArray[np.float32], iou_threshold: float = 0.4) -> list[int]:
    """Greedy non-maximum suppression.

    Parameters
    ----------
    boxes : (N, 4) float32
        Left, top, right, bottom in pixels, in descending order of score.
    iou_threshold : float
        Intersection over union with a better box that is kept, above which a box is dropped.

    Returns
    -------
    list of int
        Rows that are kept, ascending.
    """
    chosen: list[int] = []
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for i in range(len(boxes)):
        others = boxes[chosen]
        sides = np.minimum(others[:, 2:], boxes[i, 2:]) - np.maximum(others[:, :2], boxes[i, :2])
        shared = np.prod(np.clip(sides, 0, None), axis=1)
        if not (shared > iou_threshold * (areas[chosen] + areas[i] - shared)).any():
            chosen.append(i)
    return chosen
