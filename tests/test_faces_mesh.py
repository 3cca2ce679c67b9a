"""The mesh model seen from outside: what must hold when a picture is flipped, scaled, moved or sent elsewhere."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photo import POINTS, face, photograph

from facekit.errors import ConfigError, PictureError
from facekit.faces.align import ARCFACE_TEMPLATE, five_points, similarity_transform
from facekit.faces.mesh import LiteRTMesh, Mesh, Region, aligned_region, pose, region_of, rounded
from facekit.faces.topology import load_topology

NOSE_TIP, EDGES, CHIN, TOP = 4, (234, 454), 152, 10


@pytest.fixture(scope="module")
def estimator() -> LiteRTMesh:
    return LiteRTMesh()


def canonical() -> np.ndarray:
    """The mean face in picture axes: x right, y down, z toward the viewer."""
    return load_topology().positions.astype(np.float64) * [1, -1, 1]


def mirror_of() -> np.ndarray:
    """For each vertex the one on the other side of the face."""
    positions = load_topology().positions
    distances = np.linalg.norm((positions * np.float32([-1, 1, 1]))[:, None] - positions[None], axis=2)
    assert distances.min(1).max() < 1e-4
    return distances.argmin(1)


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The mean face turned by pitch, then yaw, then roll; signs as `Pose` states them, one matrix an axis."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return canonical() @ (about_z @ about_y @ about_x).T


def mean_distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a[:, :2] - b[:, :2], axis=1).mean())


@given(st.floats(-80, 80), st.floats(-70, 70), st.floats(-170, 170), st.floats(0.1, 50), st.floats(-500, 500))
def test_pose_of_a_turned_mean_face_is_the_turn(yaw, pitch, roll, scale, shift):
    vertices = (turned(yaw, pitch, roll) * scale + shift).astype(np.float32)
    np.testing.assert_allclose(pose(vertices), (yaw, pitch, roll), atol=0.05)


def test_signs_of_the_pose():
    right, up, clockwise = turned(30, 0, 0), turned(0, 30, 0), turned(0, 0, 30)
    assert right[NOSE_TIP, 0] > right[list(EDGES), 0].mean(), "positive yaw looks to the right of the picture"
    assert up[NOSE_TIP, 1] < canonical()[NOSE_TIP, 1], "positive pitch looks up"
    assert clockwise[EDGES[1], 1] > clockwise[EDGES[0], 1], "positive roll is clockwise"


def test_the_photograph_that_everyone_has(estimator):
    """Regression: the astronaut's eyes, nose and mouth are found where an independent detector sees them."""
    mesh = estimator(face())
    assert mesh.presence > 20
    matrix = similarity_transform(POINTS, ARCFACE_TEMPLATE)
    assert np.linalg.norm(five_points(mesh.vertices) - (POINTS @ matrix[:, :2].T + matrix[:, 2]), axis=1).max() < 1.5
    assert np.abs(pose(mesh.vertices)).max() < 15
    x, y, z = mesh.vertices.T
    assert y[TOP] < y[NOSE_TIP] < y[CHIN]
    assert x[EDGES[0]] < x[NOSE_TIP] < x[EDGES[1]]
    assert z[NOSE_TIP] > z[list(EDGES)].max() + 20, "z is positive toward the viewer"


def test_faces_are_seen_counter_clockwise_with_y_up(estimator):
    """The triangles of a face looking at us wind as the canonical ones do: no axis is mirrored."""
    vertices = estimator(face()).vertices
    a, b, c = (vertices[load_topology().triangles[:, k], :2].astype(float) for k in range(3))
    doubled_area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    assert (doubled_area < 0).mean() > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_picture_gives_the_flipped_mesh(estimator, seed):
    image = face(seed)
    here, there = estimator(image).vertices, estimator(np.ascontiguousarray(image[:, ::-1])).vertices[mirror_of()]
    flipped = there * np.float32([-1, 1, 1]) + np.float32([image.shape[1] - 1, 0, 0])
    assert mean_distance(here, flipped) < 1.2
    assert abs(pose(here).yaw - pose(flipped).yaw) < 4


@pytest.mark.parametrize("side", [80, 224, 301])
def test_a_larger_picture_gives_a_larger_mesh(estimator, side):
    small, large = estimator(face(1)).vertices, estimator(face(1, side)).vertices
    back = (large + np.float32([0.5, 0.5, 0])) * np.float32(112 / side) - np.float32([0.5, 0.5, 0])
    assert mean_distance(small, back) < 1.0
    assert np.abs(small[:, 2] - back[:, 2]).mean() < 2.0


def test_a_narrow_crop_is_the_middle_of_a_square_one(estimator):
    image = face(2)
    whole, narrow = estimator(image).vertices, estimator(np.ascontiguousarray(image[:, 8:104])).vertices
    assert aligned_region((112, 96)) == Region(47.5, 65.5, 140)
    assert mean_distance(whole, narrow + np.float32([8, 0, 0])) < 1.5


@pytest.mark.parametrize("move", [(0, 0), (7, -12), (-12, 5)])
def test_the_mesh_moves_with_its_region(estimator, move):
    """A region inside the picture sees nothing else: cutting the picture elsewhere moves the mesh, no more."""
    dx, dy = move
    region = Region(222.5, 120.5, 150)
    cut = photograph()[30 + dy : 230 + dy, 140 + dx : 310 + dx]
    here = estimator(photograph(), region)
    there = estimator(np.ascontiguousarray(cut), region._replace(x=region.x - 140 - dx, y=region.y - 30 - dy))
    assert cut.shape[0] != cut.shape[1]
    moved = there.vertices + np.float32([140 + dx, 30 + dy, 0])
    np.testing.assert_allclose(moved, here.vertices, atol=1 / 16)
    assert there.presence == pytest.approx(here.presence, abs=1e-3)


def test_unaligned_photographs_need_a_region_only(estimator):
    vertices = estimator(photograph(), Region(222, 120, 190)).vertices
    assert np.linalg.norm(five_points(vertices) - POINTS, axis=1).max() < 2.5


def test_padding_and_warping_see_the_same(estimator):
    """A region of whole pixels is padded and resized, any other is warped; a hair of roll tells the two apart."""
    image, region = face(3), aligned_region((112, 112))
    padded, warped = estimator(image, region), estimator(image, region._replace(roll=1e-7))
    assert mean_distance(padded.vertices, warped.vertices) < 0.15


@pytest.mark.parametrize("roll", [-40.0, 25.0])
def test_a_turned_region_undoes_the_turn_of_the_picture(estimator, roll):
    import cv2

    centre, image = (222.0, 120.0), photograph()
    matrix = cv2.getRotationMatrix2D(centre, -roll, 1)
    rotated = cv2.warpAffine(image, matrix, image.shape[1::-1])
    upright, turned_back = estimator(image, Region(*centre, 190)), estimator(rotated, Region(*centre, 190, roll))
    expected = upright.vertices[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert mean_distance(turned_back.vertices, expected) < 1.0
    assert pose(turned_back.vertices).roll == pytest.approx(pose(upright.vertices).roll + roll, abs=2)


def test_looking_twice_mends_a_badly_placed_region():
    image, off = photograph(), Region(222 + 30, 120 - 20, 240)
    best = LiteRTMesh(second_pass_yaw=0)(image, Region(222, 120, 190)).vertices
    once = LiteRTMesh(second_pass_yaw=90)(image, off).vertices
    twice = LiteRTMesh(second_pass_yaw=0)(image, off).vertices
    assert mean_distance(twice, best) < 0.6 * mean_distance(once, best)


@given(st.floats(-80, 80), st.floats(1, 30))
def test_the_second_region_is_upright_around_the_face(roll, scale):
    vertices = (turned(0, 0, roll) * scale).astype(np.float32)
    region, upright = region_of(vertices), canonical() * scale
    assert region.roll == pytest.approx(roll, abs=0.05)
    assert region.side == pytest.approx(1.5 * np.ptp(upright[:, :2], axis=0).max(), rel=0.03)
    assert np.hypot(*(vertices[:, :2] - [region.x, region.y]).T).max() < region.side / 2 * np.sqrt(2)


def _bytes_of(estimator: LiteRTMesh) -> list[bytes]:
    return [estimator(face(seed)).vertices.tobytes() for seed in range(3)]


def test_another_process_finds_the_same_bytes(estimator):
    here = _bytes_of(estimator)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_bytes_of, (estimator,)) == here
    assert _bytes_of(LiteRTMesh()) == here
    assert _bytes_of(estimator) == here, "nothing is carried from one picture to the next"


def test_pickling_leaves_the_interpreter_behind(estimator):
    estimator(face())
    assert len(pickle.dumps(estimator)) < 1000


def test_a_result_is_not_a_view_of_a_buffer(estimator):
    first = estimator(face(0)).vertices
    kept = first.copy()
    estimator(face(1))
    np.testing.assert_array_equal(first, kept)
    assert (first.dtype, first.shape) == (np.float32, (468, 3))


def test_the_model_says_nothing(capfd):
    LiteRTMesh()(face())
    assert capfd.readouterr() == ("", "")


def test_vertices_are_what_a_cache_keeps(estimator):
    mesh = estimator(face(5))
    assert (mesh.vertices * 16 == np.rint(mesh.vertices * 16)).all()
    odd = Mesh(mesh.vertices + np.float32(0.03), 1 / 3)
    assert np.abs(rounded(odd).vertices - odd.vertices).max() <= 1 / 32 + 1e-5
    assert rounded(rounded(odd)).presence == rounded(odd).presence == np.float32(1 / 3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 300, 3), (300, 5, 3), (2, 2, 3)])
def test_any_picture_has_some_mesh(estimator, shape):
    vertices = estimator(np.full(shape, 90, np.uint8)).vertices
    assert vertices.shape == (468, 3)
    assert np.isfinite(vertices).all()


@pytest.mark.parametrize(
    "region", [Region(1e4, 1e4, 50), Region(-400, 20, 30), Region(56, 56, 1), Region(56, 56, 5000)]
)
def test_any_square_can_be_looked_at(estimator, region):
    assert np.isfinite(estimator(face(), region).vertices).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((112, 112), np.uint8),
        np.zeros((112, 112, 4), np.uint8),
        np.zeros((112, 112, 3), np.float32),
        np.zeros((0, 112, 3), np.uint8),
        np.zeros((1, 112, 112, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(estimator, image):
    with pytest.raises(PictureError, match="RGB"):
        estimator(image)


@pytest.mark.parametrize(
    "region", [Region(0, 0, 0), Region(0, 0, -3), Region(float("nan"), 0, 9), Region(0, 0, float("inf"))]
)
def test_what_is_no_square_is_refused(estimator, region):
    with pytest.raises(ConfigError, match="no square"):
        estimator(face(), region)
    with pytest.raises(ConfigError, match="no square"):
        LiteRTMesh(region)
