"""How the lower part of a mask hangs, and that its straps follow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from mask_faces import turned

from facekit.masks.catalogue import mask_type
from facekit.masks.drape import _follow
from facekit.masks.drape_kernels import HANG, PULL, lift
from facekit.masks.shell import COLUMNS, ROWS, build_shell, control_vertices

Floats = npt.NDArray[np.float32]
SCALE = np.float32(5)
AXES = np.eye(3, dtype=np.float32)


def lifted(corner: float, gape: float = 0.0) -> Floats:
    """Displacements (ROWS, COLUMNS, 3) in centimetres of the blue mask on a face that looks into the camera."""
    shell = build_shell(mask_type("surgical-blue").shape)
    count = COLUMNS * ROWS
    points = np.ascontiguousarray((shell.weights[:count] @ turned()[control_vertices()]).T)
    before = points.copy()
    normals = np.tile(np.array([0, 0, 1], np.float32), (count, 1))
    lift(points, normals, np.zeros(count, np.float32), shell.st, gape, corner, AXES, SCALE)
    return np.asarray((points - before).T.reshape(ROWS, COLUMNS, 3) / SCALE)


def test_without_it_nothing_moves() -> None:
    assert not lifted(0.0).any()


def test_it_goes_to_the_sides_alike_and_leaves_the_middle() -> None:
    moved = lifted(1.0)
    assert not moved[..., 1:].any()  # neither up or down nor to the viewer
    right = moved[..., 0]
    np.testing.assert_allclose(right, -right[:, ::-1], atol=1e-5)
    assert not right[:, COLUMNS // 2 - 1 : COLUMNS // 2 + 1].any()
    assert (right[:, COLUMNS // 2 :] >= 0).all()


def test_the_side_is_hollow_between_its_corners_and_the_lower_one_stands_off_more() -> None:
    side = lifted(1.0)[:, -1, 0]
    upper, lower, lowest = side[0], side[-1], side.min()
    assert lowest < upper < lower
    assert (np.diff(side[: np.argmin(side) + 1]) <= 0).all()
    assert (np.diff(side[np.argmin(side) :]) >= 0).all()
    assert upper == pytest.approx(PULL, abs=1e-4)
    assert lower == pytest.approx(1 + PULL, abs=1e-4)


def test_the_lower_edge_hangs_as_wide_beside_the_chin_as_at_the_corners() -> None:
    """A jaw draws in there; cloth that is held at the corners does not."""
    lower = lifted(1.0)[-1, COLUMNS // 2 :, 0]
    x = np.linspace(0, 1, COLUMNS // 2)
    np.testing.assert_allclose(lower, x * (HANG - (HANG - 1) * x**2) + PULL * x**5, atol=1e-5)
    assert lower[np.searchsorted(x, 0.6)] > 0.9
    assert (lifted(1.0)[:, COLUMNS // 2 + 6, 0][: ROWS // 3] < 0.15).all()  # not at the cheeks


def test_straps_start_where_the_grid_went_and_end_where_they_did() -> None:
    rng = np.random.default_rng(0)
    grid, straps, long = 12, np.array([3, 8], np.int32), 5
    points = rng.uniform(0, 100, (3, grid + len(straps) * long)).astype(np.float32)
    lines = points[:, grid:].reshape(3, len(straps), long)
    lines[:, :, 0] = points[:, straps]
    before, rests = lines.copy(), points[:, straps]
    points[:, :grid] += rng.uniform(-3, 3, (3, grid)).astype(np.float32)
    _follow(points, grid, straps, rests)
    np.testing.assert_allclose(lines[:, :, 0], points[:, straps], rtol=1e-6)
    np.testing.assert_array_equal(lines[:, :, -1], before[:, :, -1])
    moved = np.abs(lines - before)
    assert (np.diff(moved, axis=2) <= 1e-5).all()
