"""The shell's shape and its tables against independent measurements of the mean face."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.faces.topology import load_topology
from facekit.masks import shell
from facekit.masks.catalogue import TYPES, mask_type
from facekit.masks.shell import COLUMNS, ROWS, ShellShape, build_shell, control_vertices

FACE = load_topology().positions.astype(np.float64)
SEAM = 0.3  # of the way from the upper edge down, after which a mask is as taut as its type says


def controls() -> np.ndarray:
    return FACE[control_vertices()]


def test_a_vertex_that_jumps_is_followed_but_not_all_the_way() -> None:
    """The smoothing of the interpolation: a mesh jitters from vertex to vertex, cloth does not."""
    weights = shell._carry(controls()).astype(np.float64)
    own = np.diag(weights)
    assert own.min() > 0.8
    assert own.max() < 0.97
    assert np.abs(weights.sum(1) - 1).max() < 1e-4
    neighbours = weights - np.diag(own)
    assert (neighbours.sum(1) > 0.03).all(), "what one vertex lacks comes from its neighbours"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_noise_of_the_mesh_is_damped_at_every_vertex(seed: int) -> None:
    weights = shell._carry(controls()).astype(np.float64)
    noise = np.random.default_rng(seed).normal(size=len(weights))
    assert np.linalg.norm(weights @ noise) < 0.97 * np.linalg.norm(noise)


def angles(points: np.ndarray) -> np.ndarray:
    """(N, 2): azimuth and elevation in degrees about the point inside the head that outlines are given from."""
    x, y, z = (points - shell.CENTRE).T
    return np.stack([np.degrees(np.arctan2(x, z)), np.degrees(np.arctan2(y, np.hypot(x, z)))], -1)


@given(st.floats(0.3, 1.0), st.floats(60, 95))
@settings(max_examples=6, deadline=None)
def test_the_upper_edge_is_pressed_onto_the_face_and_the_rest_is_as_taut_as_it_should_be(
    taut: float, wide: float
) -> None:
    """Where the surface lies between skin and wrap: less than half way at the edge, `tautness` of it from `SEAM` on."""
    shape = dataclasses.replace(mask_type("surgical-blue").shape, tautness=taut, half_width=wide, clearance=0.0)
    coordinates, points = shell._grid(dataclasses.replace(shape, cup=0.0, ridge=0.0))
    reach = np.linalg.norm(points - shell.CENTRE, axis=1)
    directions = (points - shell.CENTRE) / reach[:, None]
    wrap, skin = shell._wrap_radius(directions), shell._skin_radius(directions)
    hollow = wrap - skin > 0.15  # nan where there is no skin
    share, t = ((reach - skin) / (wrap - skin))[hollow], coordinates[hollow, 1]
    assert np.abs(share[t > SEAM] - taut).max() < 1e-6
    assert np.abs(share[t == 0] - 0.4 * taut).max() < 1e-6
    between = (t > 0) & (t < SEAM)
    assert between.sum() > 10
    assert ((share[between] > 0.4 * taut) & (share[between] < taut)).all()
    order = np.argsort(t[between], kind="stable")
    assert (np.diff(share[between][order]) > -1e-9).all()


@pytest.mark.parametrize("type", TYPES)
def test_what_may_hide_the_mask_is_all_that_is_not_under_it(type: str) -> None:
    """A triangle of the face beside the outline can hide the mask, one under it cannot; a few degrees are left open."""
    made = build_shell(mask_type(type).shape)
    grid = angles(made.weights[: COLUMNS * ROWS].astype(np.float64) @ controls()).reshape(ROWS, COLUMNS, 2)
    outline = np.concatenate([grid[0], grid[1:, -1], grid[-1, -2::-1], grid[-2:0:-1, 0]]).astype(np.float32)
    triangles = load_topology().triangles
    hides = {tuple(t) for t in made.occluders.tolist()}
    assert hides < {tuple(t) for t in triangles.tolist()}
    for triangle, middle in zip(triangles.tolist(), angles(FACE[triangles].mean(1)), strict=True):
        inside = cv2.pointPolygonTest(outline, middle.tolist(), True)  # degrees, negative outside
        assert inside < 1 or tuple(triangle) not in hides, (triangle, inside)
        assert inside > -5 or tuple(triangle) in hides, (triangle, inside)


def test_a_narrower_mask_can_be_hidden_by_more_of_the_face() -> None:
    shape = mask_type("kn95").shape
    narrow = dataclasses.replace(shape, half_width=0.6 * shape.half_width)
    wide, less = ({tuple(t) for t in shell._occluders(s).tolist()} for s in (shape, narrow))
    assert wide < less


def test_the_plain_shape_is_the_one_that_types_are_measured_against() -> None:
    """`tautness`, `clearance`, `cup`, `ridge`: lengths and shares that add up along each ray."""
    base = ShellShape(80, ((0, 30), (80, 10)), ((0, -70), (80, -20)), clearance=0.0)
    rays = {}
    for name, changed in {
        "base": {},
        "clearance": {"clearance": 0.5},
        "cup": {"cup": 1.0},
        "ridge": {"ridge": 1.0},
    }.items():
        _, points = shell._grid(dataclasses.replace(base, **changed))
        rays[name] = np.linalg.norm(points - shell.CENTRE, axis=1).reshape(ROWS, COLUMNS)
    assert np.abs(rays["clearance"] - rays["base"] - 0.5).max() < 1e-9
    for name in ("cup", "ridge"):
        lift = rays[name] - rays["base"]
        assert lift.min() > -1e-9
        assert 0.9 < lift.max() <= 1.05
        assert np.unravel_index(lift.argmax(), lift.shape)[1] in (COLUMNS // 2 - 1, COLUMNS // 2)
