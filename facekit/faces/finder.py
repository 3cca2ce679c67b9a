"""Photograph -> the faces in it, each with a mesh and five points, of any size and turned any way.

A detector looks at views of the picture at several scales, upright and turned by quarters; its key points say where the
mesh model is to look, and what that does not call a face is dropped. benchmarks/find_faces.py prints how well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, PictureError
from facekit.faces.align import arcface_points
from facekit.faces.blazeface import VIEW_SIDE, BlazeFace, KeyPointFaces
from facekit.faces.detector import Detection, nms
from facekit.faces.landmarks import EYES
from facekit.faces.mesh import LiteRTMesh, Mesh, Region, region_of
from facekit.faces.views import to_picture, turned_back, view_sides, views

__all__ = ["FaceFinder", "eye_distance"]

LEAST_SHARE = 0.04
"""Eye distance over side of a view from which the detector finds a face."""
WIDEST_VIEW = 2.0
"""Of the picture's longer side: a face that fills the picture is too large in a view of the picture alone."""
TURNED_LOGIT = -2.0
"""Of the best candidate in a view, upright, from which the view is looked at turned too: of 192 faces turned any way
none is lost by it, nor by -1.5, and 36% of the looks are saved."""
LEAST_PRESENCE = 1.0
"""Covered faces are found too: 45 of 48 worn masks leave more, and what is no face has hardly ever as much."""
REFINEMENTS, STAYS = 4, 0.03
REGION_DOWN, REGION_SIDE = 0.1, 3.9


class FaceFinder:
    """Finds the faces of a photograph; a `facekit.faces.detector.Detector`.

    An instance is picklable but not for several threads.

    Parameters
    ----------
    least_eye_distance : float
        Pixels between the eyes from which a face is looked for. The time grows with the inverse of its square.
    least_score, least_presence : float
        Probability that the detector gives a face, and logit that the mesh model gives it, from which it counts.
    quarters : sequence of int
        Quarter turns in which the picture is looked at; a face is found up to 45 degrees from each. What shows nothing
        like a face as it is is not turned, if that comes first. ``(0,)`` takes a third of the time, where all faces are
        upright.

    Raises
    ------
    ConfigError
        A number is outside what is allowed.
    """

    def __init__(
        self,
        least_eye_distance: float = 16.0,
        least_score: float = 0.5,
        least_presence: float = LEAST_PRESENCE,
        quarters: Sequence[int] = (0, 1, 2, 3),
    ) -> None:
        if not least_eye_distance > 0:
            raise ConfigError(f"least_eye_distance is {least_eye_distance}; it must be above 0 pixels")
        if not 0 < least_score < 1:
            raise ConfigError(f"least_score is {least_score}; it must be a probability between 0 and 1")
        self.least_eye_distance, self.least_presence = least_eye_distance, least_presence
        self.quarters = tuple(quarters)
        self._blaze = BlazeFace(least_score)
        self._mesh = LiteRTMesh(second_pass_yaw=math.inf)

    def __call__(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces of a photograph.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB

        Returns
        -------
        list of Detection
            The largest first, each with its mesh.

        Raises
        ------
        PictureError
            `image` is not an RGB picture.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise PictureError(f"a picture is (H, W, 3) uint8 RGB; this one is {image.shape} {image.dtype}")
        narrowest = min(self.least_eye_distance / LEAST_SHARE, max(image.shape[:2]))
        sides = view_sides(image.shape, WIDEST_VIEW, narrowest)
        return _distinct(self._found(image, sides))

    def _found(self, image: NDArray[np.uint8], sides: Sequence[float]) -> list[Detection]:
        """The faces in views of some sides; one may be among them twice."""
        scores, boxes, points = self._candidates(image, sides)
        order = np.argsort(-scores, kind="stable")
        chosen = order[nms(boxes[order])]
        found = [self._face(image, float(scores[row]), points[row]) for row in chosen.tolist()]
        return [face for face in found if face is not None]

    def in_box(self, image: NDArray[np.uint8], box: NDArray[np.floating]) -> Detection:
        """The face that a box holds, which the caller knows to be one.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB
        box : (4,) floating
            Left, top, right, bottom in pixels.

        Returns
        -------
        Detection
            The largest face found in the box and around it; where none is, what the mesh model takes an upright face
            in it for, with score 0: whether that is a face is for `facekit.faces.gate` to say.
        """
        left, top, right, bottom = (float(edge) for edge in box)
        reach = 0.5 * max(right - left, bottom - top)
        corner = max(math.floor(left - reach), 0), max(math.floor(top - reach), 0)
        part = image[corner[1] : max(math.ceil(bottom + reach), 0), corner[0] : max(math.ceil(right + reach), 0)]
        for face in self(part) if part.size else []:
            middle = face.points.mean(0) + corner
            if left <= middle[0] <= right and top <= middle[1] <= bottom and face.mesh is not None:
                vertices = face.mesh.vertices + np.array([*corner, 0], np.float32)
                return detection_of(Mesh(vertices, face.mesh.presence), face.score)
        region = Region((left + right) / 2, (top + bottom) / 2, 3 * reach)
        return detection_of(refined(image, self._mesh(image, region), self._mesh), 0.0)

    def _candidates(self, image: NDArray[np.uint8], sides: Sequence[float]) -> KeyPointFaces:
        """All that is found in any view, in pixels of the picture; the same face in several views."""
        side, scores = VIEW_SIDE, [np.empty(0, np.float32)]
        boxes, points = [np.empty((0, 4), np.float32)], [np.empty((0, 6, 2), np.float32)]
        for view_side in sides:
            for view in views(image, view_side, side):
                likely = math.inf
                for turns in self.quarters:
                    if turns != 0 and likely < TURNED_LOGIT:
                        continue
                    faces, best = self._blaze.with_best_logit(np.rot90(view.pixels, turns))
                    likely = best if turns == 0 else likely
                    corners = faces.boxes.reshape(-1, 2, 2)
                    moved = to_picture(turned_back(corners, turns, side), view)
                    scores.append(faces.scores)
                    boxes.append(np.concatenate([moved.min(1), moved.max(1)], 1))
                    points.append(to_picture(turned_back(faces.points, turns, side), view))
        return KeyPointFaces(np.concatenate(scores), np.concatenate(boxes), np.concatenate(points))

    def _face(self, image: NDArray[np.uint8], score: float, points: NDArray[np.float32]) -> Detection | None:
        mesh = self._mesh(image, region_of_points(points))
        mesh = refined(image, mesh, self._mesh)
        return detection_of(mesh, score) if mesh.presence >= self.least_presence else None


def refined(image: NDArray[np.uint8], mesh: Mesh, estimator: LiteRTMesh) -> Mesh:
    """Look again where the mesh says that the face is, until it stays there; a face that is lost is left at that."""
    region = region_of(mesh.vertices)
    for _ in range(REFINEMENTS):
        mesh = estimator(image, region)
        before, region = region, region_of(mesh.vertices)
        if math.hypot(region.x - before.x, region.y - before.y) < STAYS * before.side:
            break
    return mesh


def region_of_points(points: NDArray[np.float32]) -> Region:
    """Where the mesh model is to look for the face that has these key points.

    Parameters
    ----------
    points : (6, 2) float32
        (x, y) of the eyes, the tip of the nose, the mouth and the ears in pixels.

    Returns
    -------
    Region
        A face that is turned to the side has its eyes close together: its height counts then.
    """
    eyes = points[:2].astype(np.float64)
    across = eyes[1] - eyes[0]
    middle = eyes.mean(0)
    distance = max(math.hypot(*across), 0.9 * math.hypot(*(points[3] - middle)))
    roll = math.atan2(across[1], across[0])
    down = np.array([-math.sin(roll), math.cos(roll)])
    x, y = points[:4].astype(np.float64).mean(0) + REGION_DOWN * distance * down
    return Region(float(x), float(y), max(REGION_SIDE * distance, 1.0), math.degrees(roll))


def detection_of(mesh: Mesh, score: float) -> Detection:
    """A mesh as a face that was found; its box holds all vertices."""
    flat = mesh.vertices[:, :2]
    box = np.concatenate([flat.min(0), flat.max(0)])
    return Detection(score, box, arcface_points(mesh.vertices), mesh)


def eye_distance(vertices: NDArray[np.float32]) -> float:
    """Pixels between the centres of the eyes, in space, so that a turned head is no smaller one."""
    left, right = (vertices[list(eye.outline)].mean(0) for eye in EYES)
    return float(np.linalg.norm(right - left))


def _distinct(faces: Iterable[Detection]) -> list[Detection]:
    """One of those whose meshes came to lie on the same face, the largest face first."""
    kept: list[Detection] = []
    for face in sorted(faces, key=lambda face: -_presence(face)):
        middle = face.points.mean(0)
        near = (np.linalg.norm(other.points.mean(0) - middle) < 0.6 * _width(other) for other in kept)
        if not any(near):
            kept.append(face)
    return sorted(kept, key=lambda face: -_width(face))


def _presence(face: Detection) -> float:
    return face.mesh.presence if face.mesh is not None else -math.inf


def _width(face: Detection) -> float:
    return eye_distance(face.mesh.vertices) if face.mesh is not None else 0.0
