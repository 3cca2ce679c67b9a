"""Five points, the similarity transform between two sets of points, and ArcFace-aligned crops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facekit.errors import FacekitError
from facekit.faces.landmarks import FIVE_POINTS

__all__ = [
    "ARCFACE_SIDE",
    "ARCFACE_TEMPLATE",
    "POINT_OFFSETS",
    "align",
    "arcface_points",
    "five_points",
    "moved_points",
    "similarity_transform",
]

ARCFACE_TEMPLATE: NDArray[np.float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""(5, 2) float64: where aligned 112 x 112 crops have the eyes, the tip of the nose and the corners of the mouth.

(x, y) in pixels, pixel centres at integers, the point at the left of the picture first; the numbers are those of
InsightFace's ``arcface_dst`` (Deng et al., "ArcFace", CVPR 2019).
"""
ARCFACE_TEMPLATE.flags.writeable = False

ARCFACE_SIDE = 112


def five_points(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centres of the eyes, tip of the nose and corners of the mouth, in the order of `ARCFACE_TEMPLATE`.

    Parameters
    ----------
    vertices : (468, 3) float32
        A face mesh in pixels.

    Returns
    -------
    (5, 2) float32
        (x, y) in the same pixels.
    """
    return vertices[np.array(FIVE_POINTS), :2].mean(1, dtype=np.float32)


POINT_OFFSETS: NDArray[np.float64] = np.array([[-0.05, -0.1], [0.05, -0.1], [0.0, -0.7], [-0.3, -1.5], [0.3, -1.5]])
"""(5, 2) float64: from the points of a mesh to those of a detector of five points, pixels of the 112 x 112 crop.

Medians against RetinaFace on 1,053 faces, made equal on both sides; ``benchmarks/find_faces.py --calibrate`` finds
them. With them the points are off by 1.7 px (median; 4.1 at p95; 1.9 and 4.4 without), the crop by 1.4 degrees (4.1)
and 2.2% in scale (6.6).
"""
POINT_OFFSETS.flags.writeable = False


def arcface_points(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """The five points where detectors of five points put them, from which crops are aligned.

    Parameters
    ----------
    vertices : (468, 3) float32
        A face mesh in pixels.

    Returns
    -------
    (5, 2) float32
        `five_points` moved by `POINT_OFFSETS`, in the same pixels.
    """
    return moved_points(five_points(vertices), POINT_OFFSETS)


def moved_points(points: NDArray[np.floating], offsets: NDArray[np.floating]) -> NDArray[np.float32]:
    """Move five points by offsets that are counted in pixels of the aligned 112 x 112 crop.

    Parameters
    ----------
    points, offsets : (5, 2) floating

    Returns
    -------
    (5, 2) float32
    """
    matrix = similarity_transform(points, ARCFACE_TEMPLATE)
    return np.asarray(points + offsets @ np.linalg.inv(matrix[:, :2]).T, np.float32)


def similarity_transform(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rotation, uniform scale and shift that bring `source` nearest to `target` in the least squares; no mirroring.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991,
    equations 40-42.

    Parameters
    ----------
    source, target : (N, D) floating
        Corresponding points, at least D of them and not all in one place.

    Returns
    -------
    (D, D + 1) float64
        `points @ m[:, :D].T + m[:, D]` maps points.

    Raises
    ------
    FacekitError
        The shapes differ, or the source points determine no transform.
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if a.ndim != 2 or a.shape != b.shape:
        raise FacekitError(f"a similarity transform takes two (N, D) arrays of points, not {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise FacekitError("some of the points are not finite: they determine no transform")
    dimensions = a.shape[1]
    centre_a, centre_b = a.mean(0), b.mean(0)
    variance = np.square(a - centre_a).sum(1).mean()
    u, singular, vt = np.linalg.svd((b - centre_b).T @ (a - centre_a) / len(a))
    if not variance > 0 or singular[dimensions - 2] <= 1e-12 * singular[0]:
        raise FacekitError(f"these {len(a)} points lie too close to one place or line to determine a transform")
    signs = np.ones(dimensions)
    signs[-1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = u * signs @ vt
    scale = (singular * signs).sum() / variance
    return np.column_stack([scale * rotation, centre_b - scale * rotation @ centre_a])


def align(image: NDArray[np.uint8], points: NDArray[np.floating], side: int = ARCFACE_SIDE) -> NDArray[np.uint8]:
    """The ArcFace-aligned crop of the face that has `points`.

    Parameters
    ----------
    image : (H, W, 3) uint8 RGB
    points : (5, 2) floating
        (x, y) of the five points in pixels of `image`, in the order of `ARCFACE_TEMPLATE`.
    side : int
        Of the crop; the template is scaled from 112 about the corner of the picture.

    Returns
    -------
    (side, side, 3) uint8 RGB
        Bilinear; black where the crop reaches beyond the picture, as InsightFace's own crops are.
    """
    import cv2

    scale = side / ARCFACE_SIDE
    template = ARCFACE_TEMPLATE.astype(np.float32)  # in which crops were made from the first version on
    matrix = similarity_transform(points, (template + 0.5) * scale - 0.5)
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR), np.uint8)
