"""Which samples the rasteriser draws: all of a mesh without gaps, what the face hides, and how much light they get."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from facekit.masks import raster
from facekit.masks.raster import FAR, SAMPLES, Strap, Tables, Window

pytestmark = pytest.mark.kernels
F32 = np.float32
QUAD = np.array([[0, 2, 1], [1, 2, 3]], np.int32)  # two triangles, the diagonal from the upper right to the lower left
WHITE = np.ones((6, 6, 4), F32)


def at_samples(points: list[tuple[float, float]]) -> np.ndarray:
    """(n, 3) pixels of a window at the origin, from places counted in samples: centres at integers."""
    flat = (np.array(points, np.float64) + 0.5) / SAMPLES - 0.5
    return np.concatenate([flat, np.zeros((len(points), 1))], 1).astype(F32)


def covered(points: np.ndarray, triangles: np.ndarray, width: int, height: int) -> np.ndarray:
    """(rows, columns) bool: samples that are drawn."""
    shape = (SAMPLES * height, SAMPLES * width)
    layer, depth = np.zeros((*shape, 4), F32), np.full(shape, FAR, F32)
    hidden, light = np.full(shape, FAR, F32), np.ones(len(points), F32)
    args = (light, triangles, WHITE, (0.0, 0.0), True, 0, 0, 0.0, hidden, depth, layer)
    raster._draw_shell(np.ascontiguousarray(points.T), np.full((len(points), 2), 0.5, F32), *args)
    return layer[..., 3] > 0


@given(st.integers(1, 63), st.integers(1, 63))
@example(14, 26)
@example(14, 46)
@example(6, 42)
@example(22, 42)
@example(9, 63)
@settings(max_examples=30, deadline=None)
def test_edges_through_sample_centres_leave_no_gap(across: int, down: int) -> None:
    """Where an edge runs exactly through centres, rounding may put them on the far side of it for both neighbours.

    The examples are sizes of which that is true.
    """
    corners = at_samples([(0, 0), (across, 0), (0, down), (across, down)])
    assert covered(corners, QUAD, 32, 32)[1:down, 1:across].all()


SHIFTS = st.tuples(st.integers(-40, 40), st.integers(-40, 40))


@given(st.tuples(st.integers(2, 13), st.integers(2, 13)), SHIFTS, st.integers(3, 12))
@settings(max_examples=60, deadline=None)
def test_a_fan_about_a_point_covers_its_inside(size: tuple[int, int], shift: tuple[int, int], spokes: int) -> None:
    """Triangles about one point, corners on an ellipse: no sample well inside it is left out, wherever it lies."""
    middle = np.array([7 + shift[0] / 97, 7 + shift[1] / 89])
    angle = np.linspace(0, 2 * np.pi, spokes, endpoint=False)
    rim = middle + np.stack([np.cos(angle) * size[0] / 2, -np.sin(angle) * size[1] / 2], -1)
    points = at_samples([tuple(p) for p in [middle, *rim]])
    triangles = np.array([(0, 1 + i, 1 + (i + 1) % spokes) for i in range(spokes)], np.int32)
    drawn = covered(points, triangles, 8, 8)
    y, x = np.mgrid[:16, :16]
    after = np.roll(rim, -1, 0)
    sides = [(b[1] - a[1]) * (x - a[0]) - (b[0] - a[0]) * (y - a[1]) for a, b in zip(rim, after, strict=True)]
    inside = np.all([side > 1e-3 for side in sides], axis=0)
    assert drawn[inside].all()


def scene(shell_z: float, face_z: float, scale: float, straps: int = 0) -> np.ndarray:
    """Samples of a flat shell over half of a 10 x 8 window, and of a flat face over all of it, at given depths."""
    shell = np.array([[0.5, 0.5], [5.5, 0.5], [0.5, 7.5], [5.5, 7.5]])
    grid = np.concatenate([shell, np.full((4, 1), shell_z)], 1)
    strap = np.array([[5.5, 4.0, shell_z], [6.5, 4.0, shell_z], [7.5, 4.0, shell_z]])
    points = np.concatenate([grid, *[strap] * straps]).T.astype(F32)
    face = np.array([[-5, -5], [15, -5], [-5, 15], [15, 15]])
    vertices = np.concatenate([face, np.full((4, 1), face_z)], 1).astype(F32)
    tables = Tables(QUAD, QUAD, np.ones(straps, np.int32))
    st_ = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], F32)
    given_ = (np.ascontiguousarray(points), st_, np.ones(4, F32), (0, 1), WHITE, (0.0, 0.0), tables)
    look = Strap(1.0, 0.9, 1.0, 1.0, 1.0)
    return raster.draw(vertices, *given_, look, 3, Window(0, 0, 10, 8), F32(scale), False)


@given(st.floats(0.02, 2.0), st.floats(2.0, 9.0), st.floats(-40, 40))
@settings(max_examples=60, deadline=None)
def test_the_face_hides_the_shell_only_where_it_is_clearly_nearer(gap: float, scale: float, depth: float) -> None:
    """The mesh is not exact to a millimetre: cloth that lies on the face must not be cut by it. `gap`: centimetres."""
    assume(abs(gap - 0.35) > 0.02)
    shown = scene(depth, depth + gap * scale, scale)[..., 3] > 0
    assert shown.sum() == (0 if gap > 0.35 else (scene(depth, -1e6, scale)[..., 3] > 0).sum())
    assert (scene(depth, depth - gap * scale, scale)[..., 3] > 0).any(), "a face behind it hides nothing"


@given(st.floats(0.02, 2.0), st.floats(2.0, 9.0))
@settings(max_examples=30, deadline=None)
def test_the_face_hides_straps_only_where_it_is_clearly_nearer(gap: float, scale: float) -> None:
    assume(abs(gap - 0.5) > 0.02)
    with_straps, without = (scene(0, gap * scale, scale, straps)[..., 3] > 0 for straps in (1, 0))
    assert (with_straps & ~without).any() == (gap < 0.5)


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2])
def test_a_smooth_strap_has_no_joints(turn: float) -> None:
    """Colour over coverage depends on the distance from the line alone; else the first of two pieces shows its end."""
    way = np.linspace(0, 1, 9)[:, None] * 16 * np.array([np.cos(turn), np.sin(turn)]) + 4
    points = np.ascontiguousarray(np.concatenate([way, np.zeros((9, 1))], 1).T, F32)
    look = (1.5, 0.9, (1.0, 1.0, 1.0))

    def brightness(smooth: bool) -> np.ndarray:
        depth, layer = np.full((52, 52), FAR, F32), np.zeros((52, 52, 4), F32)
        whole, lights = np.ones(1, np.int32), (F32(1 / 0.9), F32(1 / 0.9))
        hidden = (0, 0, 1.0, depth.copy(), depth, layer)
        raster._draw_straps(points, 0, 9, whole, *look, lights, *hidden, np.empty_like(depth), smooth)
        y, x = np.nonzero(layer[..., 3] > 0.05)
        place = (np.stack([x, y], -1) + 0.5) / raster.SAMPLES - 0.5 - 4
        along, across = place @ [np.cos(turn), np.sin(turn)], place @ [-np.sin(turn), np.cos(turn)]
        inside = (along > 0) & (along < 16)
        found = layer[y, x, 0] / layer[y, x, 3]
        return np.abs(found - (1 - 0.35 * (across / 1.5) ** 2))[inside]

    assert brightness(True).max() < 1e-3
    assert brightness(False).max() > 0.02


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_cloth_seen_from_inside_is_not_drawn(seed: int) -> None:
    """A triangle turned away from the viewer is the inside of the far arm, which the head hides."""
    rng = np.random.default_rng(seed)
    corners = at_samples([tuple(p) for p in rng.uniform(0, 15, (3, 2))])
    points, light = np.ascontiguousarray(corners.T), rng.uniform(0.3, 1.5, 3).astype(F32)
    layers = []
    for triangle in ([0, 1, 2], [0, 2, 1]):
        layer, depth = np.zeros((16, 16, 4), F32), np.full((16, 16), FAR, F32)
        args = (np.array([triangle], np.int32), WHITE, (0.0, 0.0), True, 0, 0, 0.0, depth.copy(), depth, layer)
        raster._draw_shell(points, np.full((3, 2), 0.5, F32), light, *args)
        layers.append(layer)
    area = np.linalg.det(np.concatenate([corners[:, :2], np.ones((3, 1))], 1))
    front, back = layers if area < 0 else layers[::-1]
    assert not back.any()
    inside = abs(area) > 8 * np.hypot(*(corners[[1, 2, 0], :2] - corners[:, :2]).T).max()  # wider than a few samples
    assert (front[..., 3] > 0).any() or not inside
