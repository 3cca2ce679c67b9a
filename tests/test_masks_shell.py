"""The shell: exact under affine motion, symmetric, facing outward, over nose, mouth and chin and clear of the eyes."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.faces.landmarks import LIPS
from facekit.faces.topology import load_topology
from facekit.masks.catalogue import TYPES, mask_type
from facekit.masks.shell import COLUMNS, ROWS, STRAP_POINTS, Shell, build_shell, control_vertices

GRID = COLUMNS * ROWS
EYES = (33, 133, 145, 159, 263, 362, 374, 386)


def points(shell: Shell, positions: np.ndarray) -> np.ndarray:
    return shell.weights.astype(np.float64) @ positions[control_vertices()]


@pytest.fixture(params=TYPES)
def shell(request: pytest.FixtureRequest) -> Shell:
    return build_shell(mask_type(request.param).shape)


def test_an_affine_motion_of_the_face_carries_the_shell_along_exactly(shell: Shell) -> None:
    rng = np.random.default_rng(0)
    face = load_topology().positions.astype(np.float64)
    matrix, shift = rng.normal(size=(3, 3)), rng.normal(size=3) * 50
    moved, expected = points(shell, face @ matrix.T + shift), points(shell, face) @ matrix.T + shift
    assert np.abs(moved - expected).max() < 1e-3


def test_the_shell_is_symmetric_as_the_mean_face_is(shell: Shell) -> None:
    grid = points(shell, load_topology().positions.astype(np.float64))[:GRID].reshape(ROWS, COLUMNS, 3)
    assert np.abs(grid - grid[:, ::-1] * (-1, 1, 1)).max() < 0.15


def test_texture_coordinates_run_right_and_down(shell: Shell) -> None:
    st = shell.st.reshape(ROWS, COLUMNS, 2)
    assert (np.diff(st[..., 0], axis=1) >= 0).all()
    assert (np.diff(st[..., 1], axis=0) > 0).all()
    assert st.min() == 0
    assert st.max() == 1


def test_triangles_cover_every_cell_once_and_face_outward(shell: Shell) -> None:
    assert len(shell.triangles) == 2 * (ROWS - 1) * (COLUMNS - 2)
    face = load_topology().positions.astype(np.float64)
    grid = points(shell, face)[:GRID]
    a, b, c = (grid[shell.triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    outward = ((a + b + c) / 3 - (0, -2.5, 0)) * normals
    assert (outward.sum(1) > 0).mean() > 0.99
    area = np.linalg.norm(normals, axis=1) / 2
    assert area.min() > 1e-4


def test_no_lip_steers_a_shell_and_controls_are_distinct() -> None:
    controls = control_vertices()
    assert not LIPS & set(controls.tolist())
    assert len(np.unique(controls)) == len(controls)


def test_the_shell_lies_over_nose_mouth_and_chin_and_under_the_eyes(shell: Shell) -> None:
    face = load_topology().positions.astype(np.float64)
    grid = points(shell, face)[:GRID].reshape(ROWS, COLUMNS, 3)
    top = grid[0, np.abs(grid[0, :, 0]) < 4.8]
    for vertex in EYES:
        assert face[vertex, 1] > top[np.argmin(np.abs(top[:, 0] - face[vertex, 0])), 1] + 0.5
    middle = grid[:, COLUMNS // 2]
    for vertex in (4, 13, 152):  # tip of the nose, lips, chin
        nearest = np.argmin(np.abs(middle[:, 1] - face[vertex, 1]))
        assert middle[nearest, 2] > face[vertex, 2] - 0.1 or vertex == 152
    assert middle[:, 1].min() < face[152, 1]
    assert middle[-1, 2] < face[152, 2]
    assert middle[0, 1] > face[4, 1] + 1


def test_the_mouth_opens_under_the_cloth_without_tearing_it(shell: Shell) -> None:
    face = load_topology().positions.astype(np.float64).copy()
    jaw = face[:, 1] < -4.5
    opened = face.copy()
    opened[jaw, 1] -= 1.5 * np.clip((-4.5 - face[jaw, 1]) / 2, 0, 1)
    before, after = (points(shell, f)[:GRID].reshape(ROWS, COLUMNS, 3) for f in (face, opened))
    assert after[-1, COLUMNS // 2, 1] < before[-1, COLUMNS // 2, 1] - 1  # the lower edge follows the chin
    assert np.abs(after[0] - before[0]).max() < 0.25  # the upper edge stays
    stretch = np.linalg.norm(np.diff(after, axis=0), axis=-1) / np.linalg.norm(np.diff(before, axis=0), axis=-1)
    assert stretch.max() < 2.2
    assert stretch.min() > 0.6


def test_straps_start_at_the_mask_and_end_near_the_ears(shell: Shell) -> None:
    face = load_topology().positions.astype(np.float64)
    strands = points(shell, face)[GRID:].reshape(len(shell.strap_sides), STRAP_POINTS, 3)
    grid = points(shell, face)[:GRID]
    for strand, side in zip(strands, shell.strap_sides, strict=True):
        assert np.linalg.norm(grid - strand[0], axis=1).min() < 0.5
        assert side * strand[-1, 0] > 6.5
        assert strand[-1, 2] < -2.4


def test_nothing_under_the_mask_can_hide_it(shell: Shell) -> None:
    hiding = set(shell.occluders.ravel().tolist())
    assert not hiding & {4, 1, 2, 13, 14, 17, 61, 291, 199, 152}  # nose, mouth, chin
    assert {168, 33, 263, 10} <= hiding  # bridge between the eyes, corners of the eyes, forehead
