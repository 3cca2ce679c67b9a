"""One view of a picture -> faces with six key points: BlazeFace (Bazarevsky et al., arXiv:1907.05047) run by LiteRT.

The models are MediaPipe's, two sizes of one idea; see assets/faces/NOTICE. What a large picture needs besides, views at
several scales and the same face seen twice, is for `facekit.faces.finder`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces.detector import nms
from facekit.faces.litert import open_interpreter

__all__ = ["FULL_RANGE", "SHORT_RANGE", "BlazeFace", "BlazeModel", "KeyPointFaces", "decoded"]


class BlazeModel(NamedTuple):
    """A model file, and how its candidates lie in a view.

    Attributes
    ----------
    file : str
        In assets/faces.
    side : int
        Pixels of the square view.
    grids : tuple of (int, int)
        Cells along a side of each feature map, and candidates a cell.
    """

    file: str
    side: int
    grids: tuple[tuple[int, int], ...]


SHORT_RANGE = BlazeModel("face_detection_short_range.tflite", 128, ((16, 2), (8, 6)))
FULL_RANGE = BlazeModel("face_detection_full_range.tflite", 192, ((48, 1),))

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
def _centres(model: BlazeModel) -> NDArray[np.float32]:
    """(C, 2) float32: (x, y) of each candidate's cell as a share of the side, row by row of each map."""
    maps = []
    for cells, candidates in model.grids:
        y, x = np.indices((cells, cells), np.float32)
        centres = np.stack([x, y], -1).reshape(-1, 2)
        maps.append(np.repeat((centres + np.float32(0.5)) / np.float32(cells), candidates, axis=0))
    return np.concatenate(maps)


def decoded(
    model: BlazeModel, numbers: NDArray[np.float32], logits: NDArray[np.float32], least: float
) -> KeyPointFaces:
    """The faces in a model's answer.

    Parameters
    ----------
    model : BlazeModel
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
    cells = _centres(model)[keep] * np.float32(model.side)
    centres, sizes = numbers[keep, :2] + cells, numbers[keep, 2:4]
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)
    points = numbers[keep, 4:].reshape(-1, 6, 2) + cells[:, None]
    chosen = nms(boxes, SAME_FACE)
    return KeyPointFaces(scores[keep][chosen].astype(np.float32), boxes[chosen], points[chosen])


class BlazeFace:
    """A BlazeFace model on one CPU thread.

    An instance is picklable (its interpreter is built again where it is first called) but not for several threads.

    Parameters
    ----------
    model : BlazeModel
    least_score : float
        Probability from which something counts as a face.
    """

    def __init__(self, model: BlazeModel, least_score: float = 0.5) -> None:
        self.model, self.least_score = model, least_score
        self._interpreter: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_interpreter": None}

    def __call__(self, view: NDArray[np.uint8]) -> KeyPointFaces:
        """The faces in a view, (side, side, 3) uint8 RGB."""
        if self._interpreter is None:
            self._open()
        self._interpreter.set_tensor(self._input, view[None].astype(np.float32) * np.float32(1 / 127.5) - np.float32(1))
        self._interpreter.invoke()
        numbers, logits = (self._interpreter.get_tensor(index)[0] for index in self._outputs)
        return decoded(self.model, numbers, logits[:, 0], self.least_score)

    def _open(self) -> None:
        content = files("facekit.assets.faces").joinpath(self.model.file).read_bytes()
        self._interpreter = open_interpreter(content)
        self._input = self._interpreter.get_input_details()[0]["index"]
        widths = {int(found["shape"][-1]): found["index"] for found in self._interpreter.get_output_details()}
        self._outputs = widths[16], widths[1]
