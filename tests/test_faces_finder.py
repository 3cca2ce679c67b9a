"""Faces in photographs: wherever, however large, turned any way; and what is decoded on the way there."""

from __future__ import annotations

import math
import pickle
from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photo import POINTS, face, photograph

from facekit.errors import ConfigError, PictureError
from facekit.faces.align import (
    ARCFACE_TEMPLATE,
    POINT_OFFSETS,
    arcface_points,
    five_points,
    moved_points,
    similarity_transform,
)
from facekit.faces.blazeface import CELLS, VIEW_SIDE, BlazeFace, KeyPointFaces, decoded
from facekit.faces.detector import largest
from facekit.faces.finder import TURNED_LOGIT, FaceFinder, eye_distance
from facekit.faces.views import OVERLAP, to_picture, turned_back, view_sides, views
from facekit.images import decode

EYES = float(np.linalg.norm(POINTS[1] - POINTS[0]))


@cache
def finder() -> FaceFinder:
    return FaceFinder()


def moved(matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The photograph under an affine map, with its border going on."""
    return cv2.warpAffine(photograph(), matrix, shape[::-1], flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def similarity(scale: float, degrees: float, centre: tuple[float, float]) -> np.ndarray:
    """The map that brings the face to a centre, that much larger, turned clockwise."""
    angle = math.radians(degrees)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([turn, np.array(centre) - turn @ POINTS.mean(0)])


# --- views ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 700), st.integers(1, 700), st.floats(20, 900))
def test_views_cover_every_pixel_and_what_fits_the_overlap_lies_whole_in_one(
    height: int, width: int, side: float
) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    seen = list(views(image, side, 64))
    for share_y in (0, 0.3, 0.77, 1):
        for share_x in (0, 0.41, 1):
            assert any(
                holds(view.x, view.scale[0], width, share_x) and holds(view.y, view.scale[1], height, share_y)
                for view in seen
            )


def holds(start: float, scale: float, length: int, share: float) -> bool:
    """Whether a view of 64 pixels holds, along one axis, a part as long as the overlap that lies at a share of all."""
    part = min((OVERLAP - 2 / 64) * 64 * scale, length)
    first = share * (length - part)
    return start - 1e-6 <= first and first + part <= start + 64 * scale + 1e-6


@given(st.integers(1, 6000), st.integers(1, 6000), st.floats(30, 600))
def test_sides_go_down_by_half_at_most_to_the_narrowest(height: int, width: int, narrowest: float) -> None:
    sides = view_sides((height, width, 3), 2.0, narrowest)
    assert sides[0] == pytest.approx(2 * max(height, width))
    assert all(0.499 < after / before < 1 for before, after in pairwise(sides))
    assert sides[-1] == pytest.approx(min(narrowest, sides[0]))


@given(st.integers(0, 7), st.floats(0, 64, width=32), st.floats(0, 64, width=32))
def test_points_turn_back_as_pixels_do(turns: int, x: float, y: float) -> None:
    image = np.zeros((64, 64), np.uint8)
    column, row = min(int(x), 63), min(int(y), 63)
    image[row, column] = 1
    turned = np.argwhere(np.rot90(image, turns))[0][::-1].astype(np.float32) + np.float32(0.5)
    assert turned_back(turned, turns, 64).tolist() == [column + 0.5, row + 0.5]


def test_a_point_of_a_view_lies_where_it_did_in_the_picture() -> None:
    image = np.zeros((900, 1300, 3), np.uint8)
    image[400:420, 700:720] = 255
    seen = [view for view in views(image, 400, 192) if (view.pixels > 200).sum() > 3 * 60]
    assert seen
    for view in seen:
        rows, columns = np.nonzero(view.pixels[..., 0] > 128)
        middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5], np.float32)
        assert np.abs(to_picture(middle, view) - (709.5, 409.5)).max() < 1.5


# --- decoding ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, CELLS - 1), st.integers(0, CELLS - 1), st.floats(-5, 5), st.floats(4, 80))
def test_a_candidate_is_counted_from_its_cell(column: int, row: int, shift: float, size: float) -> None:
    numbers = np.zeros((CELLS**2, 16), np.float32)
    logits = np.full(CELLS**2, -500, np.float32)
    place = row * CELLS + column
    numbers[place] = [shift, -shift, size, 2 * size, *np.arange(12)]
    logits[place] = 500
    faces = decoded(numbers, logits, 0.5)
    cell = (np.array([column, row]) + 0.5) * VIEW_SIDE / CELLS
    assert faces.scores.tolist() == [1.0]
    middle, half = cell + np.array([shift, -shift]), np.array([size / 2, size])
    assert faces.boxes[0] == pytest.approx(np.concatenate([middle - half, middle + half]), abs=1e-3)
    assert faces.points[0] == pytest.approx(np.arange(12).reshape(6, 2) + cell, abs=1e-3)


def test_of_overlapping_candidates_the_most_probable_stays() -> None:
    numbers, logits = np.zeros((CELLS**2, 16), np.float32), np.full(CELLS**2, -9, np.float32)
    numbers[:, 2:4] = 40
    logits[[100, 101, 130]] = 1, 2, 1.5
    faces = decoded(numbers, logits, 0.5)
    assert faces.scores == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1.5))])
    assert len(decoded(numbers, logits, 0.85).scores) == 1


# --- points -----------------------------------------------------------------------------------------------------------


@given(st.floats(0.2, 20), st.floats(-180, 180))
def test_offsets_are_of_the_crop_whatever_size_and_turn_the_face_has(scale: float, degrees: float) -> None:
    matrix = similarity(scale, degrees, (50, 70))
    points = ARCFACE_TEMPLATE @ matrix[:, :2].T + matrix[:, 2]
    expected = (ARCFACE_TEMPLATE + POINT_OFFSETS) @ matrix[:, :2].T + matrix[:, 2]
    assert moved_points(points, POINT_OFFSETS) == pytest.approx(expected, abs=1e-3 * max(scale, 1))


def test_the_points_of_a_mesh_are_those_of_an_independent_detector() -> None:
    found = largest(finder()(photograph()))
    assert found is not None
    assert found.mesh is not None
    assert (found.points == arcface_points(found.mesh.vertices)).all()
    matrix = similarity_transform(POINTS, ARCFACE_TEMPLATE)
    off = (found.points - POINTS) @ matrix[:, :2].T
    assert np.linalg.norm(off, axis=1).mean() < 2.5
    moved_by = (found.points - five_points(found.mesh.vertices)) @ matrix[:, :2].T
    assert moved_by == pytest.approx(POINT_OFFSETS, abs=0.1)


# --- finding ----------------------------------------------------------------------------------------------------------


def test_the_one_face_is_found_wherever_and_however_large_it_is() -> None:
    tight = photograph()[60:185, 170:280]
    for image, points in ((photograph(), POINTS), (tight, POINTS - (170, 60))):
        (found,) = finder()(image)
        assert np.abs(found.points - points).max() < 4
        left, top, right, bottom = found.box
        assert left < points[:, 0].min() < points[:, 0].max() < right
        assert top < points[:, 1].min() < points[:, 1].max() < bottom


@pytest.mark.parametrize("degrees", [0, 30, 75, 90, 135, 180, 225, 300])
def test_turned_any_way_the_points_turn_with_it(degrees: float) -> None:
    matrix = similarity(1.5, degrees, (300, 280))
    found = largest(finder()(moved(matrix, (560, 600))))
    assert found is not None
    assert np.abs(found.points - (POINTS @ matrix[:, :2].T + matrix[:, 2])).max() < 7


@pytest.mark.parametrize("eyes", [17, 43, 430])
def test_sizes_in_a_large_picture(eyes: float) -> None:
    """A face of about 40, 100 and 1,000 pixels; the eyes as far apart as they are."""
    matrix = similarity(eyes / EYES, 10, (900, 700))
    image = moved(matrix, (1500, 2000))
    found = largest(FaceFinder(quarters=(0,))(image))
    assert found is not None
    points = POINTS @ matrix[:, :2].T + matrix[:, 2]
    assert np.linalg.norm(found.points - points, axis=1).mean() < 0.12 * eyes
    apart = np.linalg.norm(found.points[1] - found.points[0])
    assert apart == pytest.approx(eyes, rel=0.1)


def test_many_faces_each_once_and_the_largest_first() -> None:
    small = cv2.resize(photograph()[:256, 90:346], (160, 160), interpolation=cv2.INTER_AREA)
    picture = np.full((420, 600, 3), 120, np.uint8)
    picture[:256, :256] = photograph()[:256, 90:346]
    for x, y in ((280, 20), (440, 20), (280, 230), (440, 230), (40, 258)):
        picture[y : y + 160, x : x + 160] = small
    faces = finder()(picture)
    assert len(faces) == 6
    assert faces[0].points.mean(0) == pytest.approx(POINTS.mean(0) - (90, 0), abs=3)
    sizes = [eye_distance(each.mesh.vertices) for each in faces if each.mesh is not None]
    assert sizes == sorted(sizes, reverse=True)


def test_nothing_is_found_where_nobody_is() -> None:
    from skimage import data

    rng = np.random.default_rng(0)
    assert finder()(np.full((90, 150, 3), 128, np.uint8)) == []
    assert finder()(rng.integers(0, 256, (300, 200, 3), np.uint8)) == []
    for picture in (data.chelsea(), data.coffee(), data.rocket()):
        assert finder()(np.ascontiguousarray(picture)) == []


def test_what_shows_nothing_like_a_face_is_not_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    look = BlazeFace.with_best_logit

    def counted(self: BlazeFace, view: np.ndarray) -> tuple[KeyPointFaces, float]:
        found = look(self, view)
        looks.append(found[1])
        return found

    monkeypatch.setattr(BlazeFace, "with_best_logit", counted)
    empty = np.full((1200, 1600, 3), 128, np.uint8)
    assert FaceFinder()(empty) == []
    count = len(looks)
    looks.clear()
    FaceFinder(quarters=(0,))(empty)
    assert count < 1.5 * len(looks), "hardly a view of it is turned"
    looks.clear()
    FaceFinder()(photograph())
    turned = sum(each >= TURNED_LOGIT for each in looks)
    assert turned >= 4, "and where there is a face all four are looked at"
    upside_down = np.ascontiguousarray(photograph()[::-1, ::-1])
    assert len(FaceFinder()(upside_down)) == 1
    assert FaceFinder(quarters=(0,))(upside_down) == []


def test_a_box_gives_the_face_in_it_and_where_none_is_found_a_guess() -> None:
    both = np.concatenate([photograph()[:300], photograph()[:300]], 1)
    right = finder().in_box(both, np.array([512 + 170, 60, 512 + 275, 180]))
    assert np.abs(right.points - (POINTS + np.array([512, 0]))).max() < 4
    nothing = finder().in_box(np.full((200, 200, 3), 90, np.uint8), np.array([50, 50, 120, 120]))
    assert nothing.score == 0
    assert nothing.mesh is not None
    assert nothing.mesh.presence < 1


def test_a_finder_is_picklable_and_checks_what_it_is_given() -> None:
    again = pickle.loads(pickle.dumps(finder()))
    assert (again(face())[0].points == finder()(face())[0].points).all()
    with pytest.raises(PictureError, match="uint8 RGB"):
        finder()(np.zeros((10, 10), np.uint8))
    with pytest.raises(ConfigError, match="least_eye_distance is 0"):
        FaceFinder(least_eye_distance=0)
    with pytest.raises(ConfigError, match="least_score is 1"):
        FaceFinder(least_score=1)


def test_faces_in_photographs_of_real_people(shared: Path) -> None:
    """At least one in each of 48, and none in them that an upside-down look does not find too."""
    for path in sorted((shared / "data" / "photos").rglob("*.jpg"))[::3]:
        image = decode(path.read_bytes())
        upright, turned = finder()(image), finder()(np.ascontiguousarray(np.rot90(image, 2)))
        assert len(upright) == len(turned) >= 1
        middle = np.array(image.shape[1::-1]) / 2
        nearest = min(upright, key=lambda found: float(np.linalg.norm(found.points.mean(0) - middle)))
        assert np.linalg.norm(nearest.points.mean(0) - middle) < 20
