"""The drawing kernels against slow, obvious references, on pictures that are not square."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.synth.person_kernels import darken, mix_colour, nearest_index
from facekit.synth.raster import rasterize, shadow_triangles, vertex_normals
from facekit.synth.strand_kernels import draw_strands, place_strands, shadow_strands
from facekit.synth.surfaces import EMPTY, STRAND, resolve

pytestmark = pytest.mark.kernels
HEIGHT, WIDTH = 11, 17
DARK = np.zeros((6, 3), np.float32)


def canvas() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = (HEIGHT, WIDTH)
    return np.full(shape, -1e9, np.float32), np.full(shape, EMPTY, np.int32), np.zeros((*shape, 2), np.float32)


def quad(depth: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles that share a diagonal, seen from the front (clockwise with y down)."""
    points = np.array([[2.3, 1.4, depth], [14.6, 2.2, depth], [13.1, 9.7, depth], [1.2, 8.8, depth]], np.float32)
    return points, np.array([[0, 2, 1], [0, 3, 2]], np.int32)


def inside(points: np.ndarray, x: float, y: float) -> np.ndarray:
    """Barycentric weights by solving the linear system in float64."""
    system = np.vstack([points[:, :2].T.astype(float), np.ones(3)])
    return np.linalg.solve(system, [x, y, 1.0])


def test_rasterize_covers_what_the_triangles_cover_once() -> None:
    points, triangles = quad()
    depth, ids, bary = canvas()
    rasterize(points, triangles, np.zeros(2, np.bool_), depth, ids, bary)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            weights = [inside(points[t], x, y) for t in triangles]
            covering = [k for k, w in enumerate(weights) if w.min() > 1e-4]
            if covering:
                assert ids[y, x] == covering[0]
                np.testing.assert_allclose(bary[y, x], weights[covering[0]][:2], atol=1e-4)
            elif max(w.min() for w in weights) < -1e-4:
                assert ids[y, x] == EMPTY


def test_rasterize_keeps_the_nearest_and_culls_backs() -> None:
    near, triangles = quad(2.0)
    far, _ = quad(1.0)
    points = np.concatenate([near, far])
    both = np.concatenate([triangles, triangles + 4])
    depth, ids, bary = canvas()
    rasterize(points, both[::-1].copy(), np.zeros(4, np.bool_), depth, ids, bary)
    assert set(np.unique(ids)) == {EMPTY, 2, 3}
    depth, ids, bary = canvas()
    rasterize(near, triangles[:, ::-1].copy(), np.array([False, True]), depth, ids, bary)
    assert set(np.unique(ids)) == {EMPTY, 1}


def test_rasterize_survives_what_lies_outside() -> None:
    points, triangles = quad()
    for shift in ((-40, 0), (40, 0), (0, -40), (0, 40), (-8, 5)):
        depth, ids, bary = canvas()
        rasterize(points + np.array([*shift, 0], np.float32), triangles, np.ones(2, np.bool_), depth, ids, bary)
        assert (ids >= EMPTY).all()


def test_normals_are_those_of_numpy() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(6, 3)).astype(np.float32)
    triangles = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 5]], np.int32)
    out = np.empty_like(points)
    vertex_normals(points, triangles, out)
    expected = np.zeros((6, 3))
    for a, b, c in triangles:
        expected[[a, b, c]] += np.cross(points[b] - points[a], points[c] - points[a])
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_nearest_is_brute_force() -> None:
    rng = np.random.default_rng(2)
    points, others = (rng.normal(size=(n, 3)).astype(np.float32) for n in (40, 13))
    out = np.empty(40, np.int64)
    nearest_index(points, others, out)
    np.testing.assert_array_equal(out, ((points[:, None] - others) ** 2).sum(axis=2).argmin(axis=1))


def test_painting_mixes_and_darkens() -> None:
    rng = np.random.default_rng(3)
    albedo = rng.uniform(size=(5, 7, 5)).astype(np.float32)
    share = rng.uniform(size=(5, 7)).astype(np.float32)
    colour = np.array([0.2, 0.5, 0.9], np.float32)
    mixed, darker = albedo.copy(), albedo.copy()
    mix_colour(mixed, share, colour)
    darken(darker, share, colour)
    expected = albedo[..., :3] * (1 - share[..., None]) + colour * share[..., None]
    np.testing.assert_allclose(mixed[..., :3], expected, atol=1e-6)
    np.testing.assert_allclose(darker[..., :3], albedo[..., :3] * (1 - share[..., None] * colour), atol=1e-6)
    np.testing.assert_array_equal(mixed[..., 3:], albedo[..., 3:])


def test_strands_stand_on_their_roots() -> None:
    rng = np.random.default_rng(4)
    points, roots = rng.normal(size=(3, 4, 3)).astype(np.float32), rng.normal(size=(3, 3)).astype(np.float32)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    sway, pivot = (rng.normal(size=3).astype(np.float32) for _ in range(2))
    out = np.empty_like(points)
    place_strands(points, roots, sway, turn, pivot, out)
    t = np.linspace(0, 1, 4)[None, :, None] ** 2
    np.testing.assert_allclose(out, (points + roots[:, None] + t * sway - pivot) @ turn.T, atol=1e-5)


def draw_strand(points: np.ndarray, width: float, depth: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """One strand in a camera 100 cm away whose samples are centimetres, in white ambient light."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    lights = DARK.copy()
    lights[4:] = 1
    lights[[0, 2], 2] = 1
    frame = np.array([[100, 0, 8], [0, 100, 5]], np.float32)
    count = np.ones((1, points.shape[1]), np.float32)
    matrix, shadow = np.zeros((3, 4), np.float32), np.full((4, 4), -1e6, np.float32)
    draw_strands(
        points, np.full((1, 3), 0.5, np.float32), count, count, np.array([width], np.float32), np.ones(1, np.float32),
        np.float32(0), lights, matrix, shadow, np.array([0, 0, 100], np.float32), frame, np.float32(1), depth, ids, rgb,
    )  # fmt: skip
    return rgb


@pytest.mark.parametrize(("width", "rows"), [(1.0, 1), (3.0, 3)])
def test_a_level_strand_is_as_wide_as_asked(width: float, rows: int) -> None:
    points = np.array([[[-6, 0, 0], [0, 0, 0], [6, 0, 0]]], np.float32)
    depth, ids, _ = canvas()
    rgb = draw_strand(points, width, depth, ids)
    drawn = ids == STRAND
    assert drawn[:, 2:14].sum(axis=0).tolist() == [rows] * 12
    assert not drawn[:, :2].any()
    np.testing.assert_allclose(rgb[drawn], 0.5 * 1.35, atol=1e-4)


def test_strands_hide_behind_what_is_nearer_and_leave_the_picture() -> None:
    points = np.array([[[-60, 0, 0], [0, 0.4, 0], [60, -30, 0]]], np.float32)
    depth, ids, _ = canvas()
    depth[:, 5:9] = 0.5
    draw_strand(points, 2.0, depth, ids)
    assert (ids == STRAND).any()
    assert not (ids[:, 5:9] == STRAND).any()


def test_shadows_are_cast_by_triangles_and_strands() -> None:
    points, triangles = quad(3.0)
    shadow = np.full((12, 12), -1e6, np.float32)
    shadow_triangles(points, triangles, shadow)
    np.testing.assert_allclose(shadow[5, 5], 3.0, atol=1e-5)
    assert shadow[0, 0] == np.float32(-1e6)
    matrix = np.concatenate([np.eye(3), np.zeros((3, 1))], axis=1).astype(np.float32)
    shadow_strands(np.array([[[1, 10, 4], [9, 10, 4], [30, 10, 4]]], np.float32), matrix, 1, shadow)
    assert shadow[10, 9] == 4
    assert shadow[10, 0] == np.float32(-1e6)


@pytest.mark.parametrize("material", [0, 1])
def test_a_plain_surface_under_even_light_has_its_own_colour(material: int) -> None:
    """Sky and ground alike, no key: what comes out is albedo times light; where nothing is, the ground shows."""
    factor, out = 2, np.empty((4, 7, 3), np.float32)
    points, triangles = quad()
    points[:, :2] = [[-50, -50], [60, -50], [60, 60], [-50, 60]]
    ids = np.full((8, 14), EMPTY, np.int32)
    bary = np.zeros((8, 14, 2), np.float32)
    rasterize(points, triangles, np.ones(2, np.bool_), np.full((8, 14), -1e9, np.float32), ids, bary)
    ids[:, :4] = EMPTY
    ids[:, 4:6], rgb = STRAND, np.full((8, 14, 3), 0.7, np.float32)
    vertices = np.zeros((4, 9), np.float32)
    vertices[:, 2], vertices[:, 6:8] = 1, 1.5
    atlas = np.zeros((4, 4, 5), np.float32)
    atlas[..., :3], atlas[..., 3] = [0.3, 0.2, 0.1], 1
    lights = DARK.copy()
    lights[4:] = 0.8
    lights[[0, 2], 2] = 1
    resolve(
        ids, bary, rgb, triangles, np.full(2, material, np.uint8), vertices, atlas, np.zeros((2, 6, 3), np.float32),
        np.zeros((6, 3), np.float32), lights, np.zeros((3, 4), np.float32), np.full((8, 8), -1e6, np.float32),
        np.array([0, 0, 100], np.float32), np.full((4, 7, 3), 0.9, np.float32), np.ones(3, np.float32), factor, out,
    )  # fmt: skip
    np.testing.assert_allclose(out[:, :2], 0.9, atol=1e-6)
    np.testing.assert_allclose(out[:, 2], 0.7, atol=1e-6)
    np.testing.assert_allclose(out[:, 3:], np.broadcast_to([0.24, 0.16, 0.08], (4, 4, 3)), atol=1e-3)
