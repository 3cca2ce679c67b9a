"""The measures by which masks are judged, on the mean face, where the answers are known."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from facekit.faces.topology import load_topology

SHAPE = (112, 100)


@pytest.fixture(scope="module")
def measures() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "mask_measures.py"
    spec = importlib.util.spec_from_file_location("mask_measures", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mean_face(yaw: float) -> np.ndarray:
    y = np.radians(yaw)
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    vertices = load_topology().positions * [1, -1, 1] @ about_y.T
    return np.rint((vertices * 5 + [50, 60, 0]) * 16).astype(np.float32) / 16


def test_a_frontal_face_shows_everything(measures):
    seen = measures.look_at(mean_face(0), load_topology().triangles, SHAPE)
    assert all(seen.visible[part].all() for part in (measures.CHIN, *measures.EYES, *measures.BROWS))
    assert seen.visible[measures.NOSE].mean() > 0.85, "nostrils look down"


def test_a_profile_hides_its_far_side(measures):
    """Toward the right of the picture the eye with the larger x is the far one; mirrored the other way."""
    for yaw, (near, far) in ((70, measures.EYES), (-70, measures.EYES[::-1])):
        visible = measures.look_at(mean_face(yaw), load_topology().triangles, SHAPE).visible
        assert visible[near].all()
        assert visible[far].mean() < 0.5


def test_what_lies_outside_the_picture_is_not_visible(measures):
    vertices = mean_face(0) + np.float32([0, 30, 0])
    visible = measures.look_at(vertices, load_topology().triangles, SHAPE).visible
    assert not visible[vertices[:, 1] > SHAPE[0] - 1].any()


def test_edge_on_triangles_hide_nothing(measures):
    """Two coinciding corners high above the face: a triangle without area."""
    vertices, triangles = mean_face(0), load_topology().triangles
    flat = np.concatenate([vertices, vertices[:1] + np.float32([0, 0, 500])])
    more = np.concatenate([triangles, [[468, 468, 468]]])
    np.testing.assert_array_equal(
        measures.look_at(flat, more, SHAPE).visible[:468], measures.look_at(vertices, triangles, SHAPE).visible
    )


def test_coverage_of_parts_and_leak(measures):
    vertices = mean_face(0)
    seen = measures.look_at(vertices, load_topology().triangles, SHAPE)
    below_nose = np.zeros(SHAPE, np.float32)
    below_nose[int(vertices[measures.MOUTH, 1].min()) - 1 :] = 1
    counts = measures.covered(below_nose, vertices, seen.visible)
    assert counts["mouth"][0] == counts["mouth"][1] > 0
    assert counts["chin"] == (len(measures.CHIN),) * 2
    assert counts["nose"][0] < counts["nose"][1]
    assert measures.leak(seen.inside.astype(np.float32), seen.inside) == 0
    assert measures.leak(np.ones(SHAPE, np.float32), seen.inside) == pytest.approx(1 - seen.inside.mean(), abs=1e-6)
    assert measures.intrusion(below_nose, vertices, seen.visible, measures.EYES) == 0
    assert measures.intrusion(np.ones(SHAPE, np.float32), vertices, seen.visible, measures.EYES) == 1


def test_shading_is_one_for_the_same_light_and_minus_one_for_the_opposite(measures):
    light = np.tile(np.linspace(60, 200, SHAPE[1])[None, :, None], (SHAPE[0], 1, 3)).astype(np.uint8)
    coverage = np.zeros(SHAPE, np.float32)
    coverage[50:100, 20:80] = 1
    assert measures.shading_correlation(light, light // 2, coverage) > 0.99
    assert measures.shading_correlation(light, light[:, ::-1], coverage) < -0.99
    assert np.isnan(measures.shading_correlation(light, light, np.zeros(SHAPE, np.float32)))
