"""Alignment: the transform against known ones and scikit-image, crops of pictures whose values are coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photo import POINTS, face, photograph

from facekit.errors import FacekitError
from facekit.faces.align import ARCFACE_TEMPLATE, align, five_points, similarity_transform
from facekit.faces.mesh import LiteRTMesh

seeds = st.integers(0, 2**32 - 1)


def rotation(rng: np.random.Generator, dimensions: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))
    q *= np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


@given(seeds, st.sampled_from([2, 3]), st.integers(3, 20), st.floats(0.01, 100))
def test_a_known_transform_is_found(seed, dimensions, count, scale):
    rng = np.random.default_rng(seed)
    points, turn, shift = (
        rng.normal(size=(count + 1, dimensions)),
        rotation(rng, dimensions),
        rng.normal(size=dimensions),
    )
    matrix = similarity_transform(points, scale * points @ turn.T + shift)
    np.testing.assert_allclose(matrix[:, :dimensions], scale * turn, atol=1e-6 * scale)
    np.testing.assert_allclose(matrix[:, dimensions], shift, atol=1e-6 * max(scale, 1))


@given(seeds)
def test_noisy_points_give_what_scikit_image_finds(seed):
    from skimage.transform import SimilarityTransform

    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(5, 2)) * 40, rng.normal(size=(5, 2)) * 30
    np.testing.assert_allclose(
        similarity_transform(source, target), SimilarityTransform.from_estimate(source, target).params[:2], atol=1e-6
    )


@given(seeds)
def test_no_other_transform_comes_nearer(seed):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    best = similarity_transform(source, target)

    def error(matrix: np.ndarray) -> float:
        return float(np.square(source @ matrix[:, :2].T + matrix[:, 2] - target).sum())

    a, b = best[0, 0], best[1, 0]
    for da, db, dx, dy in rng.normal(0, 0.05, (20, 4)):
        moved = np.array([[a + da, -b - db, best[0, 2] + dx], [b + db, a + da, best[1, 2] + dy]])
        assert error(moved) >= error(best) - 1e-9


@given(seeds)
def test_a_mirror_image_is_not_mirrored_back(seed):
    points = np.random.default_rng(seed).normal(size=(6, 2))
    assert np.linalg.det(similarity_transform(points, points * [-1, 1])[:, :2]) >= 0


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.zeros((5, 2)), np.ones((5, 2)), "determine"),
        (np.full((5, 3), 0.1), np.ones((5, 3)), "determine"),
        (np.eye(3)[:, :2], np.eye(4)[:, :2], r"\(3, 2\) and \(4, 2\)"),
        (np.zeros(4), np.zeros(4), r"\(N, D\)"),
        (np.full((5, 2), np.nan), np.ones((5, 2)), "determine"),
    ],
)
def test_points_that_determine_nothing_are_refused(source, target, message):
    with pytest.raises(FacekitError, match=message):
        similarity_transform(source, target)


@pytest.mark.parametrize("side", [56, 112, 200])
def test_a_crop_shows_what_lay_at_the_points(side):
    """In a picture whose red is x and green y, the crop has the points' own coordinates at the template's places."""
    picture = np.zeros((150, 230, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(230), np.arange(150)[:, None]
    angle, scale = 0.3, 1.4
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (ARCFACE_TEMPLATE - ARCFACE_TEMPLATE.mean(0)) @ turn.T * 0.5 + [110, 70]
    crop = align(picture, points, side)
    assert crop.shape == (side, side, 3)
    places = (ARCFACE_TEMPLATE + 0.5) * (side / 112) - 0.5
    for (x, y), point in zip(np.round(places).astype(int), points, strict=True):
        assert np.abs(crop[y, x, :2] - point).max() < 2


def test_the_points_of_an_aligned_face_are_its_template():
    """Aligning by the points that the mesh gives brings them to the template, as nearly as five points can come."""
    estimator = LiteRTMesh()
    first = five_points(estimator(face()).vertices)
    again = align(face(), first)
    matrix = similarity_transform(first, ARCFACE_TEMPLATE)
    expected = first @ matrix[:, :2].T + matrix[:, 2]
    assert np.linalg.norm(five_points(estimator(again).vertices) - expected, axis=1).mean() < 1.0


def test_five_points_of_the_photograph():
    aligned = align(photograph(), POINTS)
    matrix = similarity_transform(POINTS, ARCFACE_TEMPLATE)
    found = five_points(LiteRTMesh()(aligned).vertices)
    assert found.dtype == np.float32
    assert np.linalg.norm(found - (POINTS @ matrix[:, :2].T + matrix[:, 2]), axis=1).max() < 2
    assert found[0, 0] < found[1, 0], "the eye at the left of the picture comes first"
