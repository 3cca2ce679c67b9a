"""One view of a picture -> faces with six key points: BlazeFace (Bazarevsky et al., arXiv:1907.05047) run by LiteRT.

The model is MediaPipe's for the full range of distances; see assets/faces/NOTICE. What a large picture needs besides,
views at several scales and the same face seen twice, is for `facekit.faces.finder`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces.detector import nms
from facekit.faces.litert import open_interpreter

__all__ = ["VIEW_SIDE", "BlazeFace", "KeyPointFaces", "decoded"]


MODEL = "face_detection_full_range.tflite"
VIEW_SIDE, CELLS = 192, 48
"""Pixels of a view's side, and cells along it; each cell has one candidate."""
LOGIT_LIMIT = 80.0
SAME_FACE = 0.3
"""Intersection over union above which two candidates are one face."""


class KeyPointFaces(NamedTuple):
    """The faces in a view, the most probable first.

    Attributes
    ----------
    scores : (N,) float32
        Probability of a face.
    boxes : (N, 4) float32
        Left, top, right, bottom.
    points : (N, 6, 2) float32
        (x, y) of the eye, eye, tip of the nose, middle of the mouth, ear and ear; of the pairs that one first which is
        at the left of an upright picture. All in pixels of the view, counted from the edge of its first one.
    """

    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]


@cache
def _centres() -> NDArray[np.float32]:
    """(C, 2) float32: (x, y) of each cell's centre, row by row."""
    y, x = np.indices((CELLS, CELLS), np.float32)
    return (np.stack([x, y], -1).reshape(-1, 2) + np.float32(0.5)) * np.float32(VIEW_SIDE / CELLS)


def decoded(numbers: NDArray[np.float32], logits: NDArray[np.float32], least: float) -> KeyPointFaces:
    """The faces in the model's answer.

    Parameters
    ----------
    numbers : (C, 16) float32
        Of each candidate: centre, width and height, six key points, in pixels; the sizes apart relative to its cell.
    logits : (C,) float32
    least : float
        Probability from which a candidate counts.

    Returns
    -------
    KeyPointFaces
        Without those that share more than `SAME_FACE` with a more probable one.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)))
    keep = np.flatnonzero(scores >= least)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    cells = _centres()[keep]
    centres, sizes = numbers[keep, :2] + cells, numbers[keep, 2:4]
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)
    points = numbers[keep, 4:].reshape(-1, 6, 2) + cells[:, None]
    chosen = nms(boxes, SAME_FACE)
    return KeyPointFaces(scores[keep][chosen].astype(np.float32), boxes[chosen], points[chosen])


class BlazeFace:
    """The model on one CPU thread.

    An instance is picklable (its interpreter is built again where it is first called) but not for several threads.

    Parameters
    ----------
    least_score : float
        Probability from which something counts as a face.
    """

    def __init__(self, least_score: float = 0.5) -> None:
        self.least_score = least_score
        self._interpreter: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_interpreter": None}

    def __call__(self, view: NDArray[np.uint8]) -> KeyPointFaces:
        """The faces in a view, (192, 192, 3) uint8 RGB."""
        return self.with_best_logit(view)[0]

    def with_best_logit(self, view: NDArray[np.uint8]) -> tuple[KeyPointFaces, float]:
        """The faces in a view, and the logit of its best candidate, whether that is one or not."""
        if self._interpreter is None:
            self._open()
        self._interpreter.set_tensor(self._input, view[None].astype(np.float32) * np.float32(1 / 127.5) - np.float32(1))
        self._interpreter.invoke()
        numbers, logits = (self._interpreter.get_tensor(index)[0] for index in self._outputs)
        return decoded(numbers, logits[:, 0], self.least_score), float(logits.max())

    def _open(self) -> None:
        content = files("facekit.assets.faces").joinpath(MODEL).read_bytes()
        self._interpreter = open_interpreter(content)
        self._input = self._interpreter.get_input_details()[0]["index"]
        widths = {int(found["shape"][-1]): found["index"] for found in self._interpreter.get_output_details()}
        self._outputs = widths[16], widths[1]
