"""The compiled kernels of worn masks against slow, obvious references."""

from __future__ import annotations

import numpy as np
import pytest
from mask_faces import turned

from facekit.faces import landmarks
from facekit.masks import drape, drape_kernels, dye, finish, raster, render, scene, surface
from facekit.masks.dye import LineLight, line_light
from facekit.masks.raster import FAR, SAMPLES, Window

pytestmark = pytest.mark.kernels
F32 = np.float32
LANDMARKS, BORDER = render._landmarks(), render._border()


def scattered(seed: int, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """A jittered grid of points in a 9 x 7 pixel picture and its triangles, front toward the viewer."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0.6, 8.2, 4), np.linspace(0.4, 6.3, 3))
    points = np.stack([x.ravel(), y.ravel(), rng.uniform(-3, 3, 12)], -1)
    points[:, :2] += rng.uniform(-0.4, 0.4, (12, 2))
    cells = [(r * 4 + c, r * 4 + c + 1, r * 4 + c + 4, r * 4 + c + 5) for r in range(2) for c in range(3)]
    triangles = [t for a, b, c, d in cells for t in ((a, c, b), (b, c, d))]
    return points.astype(F32), np.array(triangles, np.int32)


def reference_depth(
    points: np.ndarray, triangles: np.ndarray, height: int, width: int, slack: float = 0.0
) -> np.ndarray:
    depth = np.full((height, width), -np.inf)
    for a, b, c in points[triangles].astype(np.float64):
        for j in range(height):
            for i in range(width):
                x, y = (i + 0.5) / SAMPLES - 0.5, (j + 0.5) / SAMPLES - 0.5
                try:
                    w = np.linalg.solve(np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1, 1, 1]]), (x, y, 1))
                except np.linalg.LinAlgError:
                    continue
                if w.min() >= -slack:
                    depth[j, i] = max(depth[j, i], w @ (a[2], b[2], c[2]))
    return depth


@pytest.mark.parametrize("seed", range(4))
def test_the_depth_buffer_is_that_of_a_slow_rasteriser(seed: int) -> None:
    points, triangles = scattered(seed)
    window = Window(0, 0, 9, 7)
    depth = np.full((14, 18), FAR, F32)
    raster._occlude(points, triangles, *window[:2], depth)
    expected = reference_depth(points, triangles, 14, 18)
    inside = np.isfinite(expected)
    assert np.abs(depth[inside] - expected[inside]).max() < 1e-2
    assert (depth[~np.isfinite(reference_depth(points, triangles, 14, 18, 0.01))] == FAR).all()


def test_triangles_turned_away_hide_nothing() -> None:
    points, triangles = scattered(0)
    depth = np.full((14, 18), FAR, F32)
    raster._occlude(points, triangles[:, ::-1].copy(), 0, 0, depth)
    assert (depth == FAR).all()


def draw(
    points: np.ndarray, triangles: np.ndarray, texture: np.ndarray, nearest: bool, face: float = -1e9
) -> np.ndarray:
    st = np.stack([(points[:, 0] + 0.5) / 9, (points[:, 1] + 0.5) / 7], -1).astype(F32)
    layer, depth = np.zeros((14, 18, 4), F32), np.full((14, 18), FAR, F32)
    hidden = np.full((14, 18), face, F32)
    args = (np.ones(len(points), F32), triangles, texture, (0.0, 0.0), nearest, 0, 0, 0.5, hidden, depth, layer)
    raster._draw_shell(np.ascontiguousarray(points.T), st, *args)
    return layer


@pytest.mark.parametrize("seed", range(4))
def test_neighbouring_triangles_leave_no_gap(seed: int) -> None:
    points, triangles = scattered(seed)
    layer = draw(points, triangles, np.ones((6, 6, 4), F32), False)
    inside, nearly = (np.isfinite(reference_depth(points, triangles, 14, 18, slack)) for slack in (0.0, 0.01))
    assert layer[..., 3][inside].min() > 0.9999
    assert not layer[..., 3][~nearly].any()


def test_lines_and_light_tint_up_to_the_same_limit() -> None:
    """Kernels of two files, which compile in nothing of each other's."""
    assert dye.MOST_TINTED == raster.MOST_TINTED


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("light", [0.2, 0.7, 1.0, 1.3, 2.5])
def test_red_and_blue_grow_with_the_light_up_to_a_limit(nearest: bool, light: float) -> None:
    points, triangles = scattered(1)
    st = np.full((len(points), 2), 0.5, F32)
    layer, depth, hidden = np.zeros((14, 18, 4), F32), np.full((14, 18), FAR, F32), np.full((14, 18), FAR, F32)
    args = (np.full(len(points), light, F32), triangles, np.ones((6, 6, 4), F32), (0.5, -0.2), nearest, 0, 0, 0.5)
    raster._draw_shell(np.ascontiguousarray(points.T), st, *args, hidden, depth, layer)
    shares = 1 + np.clip((light - 1) * np.array([0.5, 0.0, -0.2]), -0.35, 0.35)
    inside = layer[..., 3] > 0.999
    assert inside.sum() > 60
    assert np.abs(layer[..., :3] - light * shares)[inside].max() < 1e-5


def test_a_texture_is_sampled_bilinearly_and_nearby() -> None:
    """A texture that is linear in s and t comes out as the same linear function of the picture."""
    points, triangles = scattered(1)
    columns, rows = 18, 14
    s, t = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    texture = np.zeros((rows + 2, columns + 2, 4), F32)
    texture[1:-1, 1:-1] = np.stack([s, t, s * 0 + 0.25, s * 0 + 1], -1)
    y, x = np.mgrid[:14, :18]
    for nearest, tolerance in ((False, 1e-3), (True, 0.05)):
        layer = draw(points, triangles, texture, nearest)
        inside = layer[..., 3] > 0.999
        assert inside.sum() > 60
        assert np.abs(layer[..., 0] - (x + 0.5) / 18)[inside].max() < tolerance
        assert np.abs(layer[..., 1] - (y + 0.5) / 14)[inside].max() < tolerance


def test_a_nearer_face_hides_the_shell() -> None:
    points, triangles = scattered(2)
    assert not draw(points, triangles, np.ones((6, 6, 4), F32), True, face=10.0).any()


@pytest.mark.parametrize("radius", [2, 4, 6])
@pytest.mark.parametrize("channels", [1, 4])
def test_the_blur_is_a_convolution(channels: int, radius: int) -> None:
    rng = np.random.default_rng(0)
    taps, height, width = rng.random(radius + 1).astype(F32), 2 * radius + 8, 2 * radius + 11
    plane = np.zeros((height, width, channels), F32)
    plane[radius:-radius, radius:-radius] = rng.random((8, 11, channels))
    out = np.zeros_like(plane)
    finish._blur(plane, taps, np.full(plane.size, np.nan, F32), out)
    line = np.concatenate([taps[:0:-1], taps]).astype(np.float64)
    rows = np.apply_along_axis(lambda column: np.convolve(column, line, "same"), 0, plane)
    expected = np.apply_along_axis(lambda row: np.convolve(row, line, "same"), 1, rows)
    inside = (slice(radius, -radius), slice(radius, -radius))
    assert np.abs(out[inside] - expected[inside]).max() < 1e-4
    finish._blur(plane, taps, np.empty(plane.size, F32), plane)
    assert (plane[inside] == out[inside]).all()


def test_dyeing_without_creases_mixes_the_inks() -> None:
    rng = np.random.default_rng(1)
    level, inks = rng.random((5, 7, 4)).astype(F32), rng.random((3, 3)).astype(F32)
    out = np.full((7, 9, 4), 9, F32)
    flat = np.array([0, 0, 0.7, 0.3, 0.1, 0.2], F32)
    slopes, plain = rng.standard_normal((8, 8, 2)).astype(F32), line_light(np.zeros((0, 14), F32), 5, 7)
    dye.dye(level, inks, True, slopes, flat, plain, (0.3, -0.3), out)
    tone, first, second, cover = (level[..., k : k + 1].astype(np.float64) for k in range(4))
    colour = inks[0] + first * (inks[1] - inks[0].astype(np.float64))
    expected = cover * tone * (colour + second * (inks[2] - colour))
    assert np.abs(out[1:-1, 1:-1, :3] - expected).max() < 1e-5
    assert np.array_equal(out[1:-1, 1:-1, 3:], cover.astype(F32))
    assert not out[0].any()
    assert not out[-1].any()
    assert not out[:, 0].any()
    assert not out[:, -1].any()


def test_the_finish_averages_as_many_samples_as_are_drawn() -> None:
    """`finish._settle` is written for two an axis; change both together."""
    assert SAMPLES == 2


def test_settling_averages_in_linear_light_and_encodes() -> None:
    to_levels = np.linspace(0, 100, 4098).astype(F32)  # 25 levels a unit of light
    samples = np.zeros((4, 6, 4), F32)
    samples[:2, :2] = (0.5, 1.0, 2.0, 1.0)
    samples[0, 2] = (0.4, 0.4, 0.4, 0.4)
    out = np.zeros((4, 5, 4), F32)
    finish._settle(samples, (2.0, 1.0, 0.5), 0.0, (0.0, 0.0), to_levels, 1, out)
    unit = 25 * 4097 / 4096
    assert np.allclose(out[1, 1], (unit, unit, unit, 1), rtol=2e-3)
    assert np.allclose(out[1, 2], (0.1 * 2 * unit, 0.1 * unit, 0.05 * unit, 0.1), rtol=2e-3)
    assert not out[2, 1:4].any()


def test_a_cast_warms_one_side_and_cools_the_other() -> None:
    samples = np.ones((16, 24, 4), F32)
    out = np.zeros((10, 14, 4), F32)
    to_levels = np.linspace(0, 100, 4098).astype(F32)
    finish._settle(samples, (1.0, 1.0, 1.0), 0.0, (0.4, 0.0), to_levels, 1, out)
    warmth = (out[1:-1, 1:-1, 0] / out[1:-1, 1:-1, 2]).mean(0)
    assert (np.diff(warmth) > 0).all()
    assert warmth[0] < 0.75 < 1.3 < warmth[-1]
    assert np.ptp(out[1:-1, 1:-1, 1]) < 1e-4


def test_lines_multiply_the_cloth_and_shade_has_a_colour_of_its_own() -> None:
    rng = np.random.default_rng(3)
    level, inks, flat = rng.random((5, 7, 4)).astype(F32), rng.random((3, 3)).astype(F32), np.zeros(6, F32)
    slopes, plain = np.zeros((8, 8, 2), F32), line_light(np.zeros((0, 14), F32), 5, 7)
    light = LineLight(*(rng.uniform(0.3, 1.4, plane.shape).astype(F32) for plane in plain))
    before, after = np.empty((2, 7, 9, 4), F32)
    dye.dye(level, inks, True, slopes, flat, plain, (0.6, -0.4), before)
    dye.dye(level, inks, True, slopes, flat, light, (0.6, -0.4), after)
    factor = (light.along * light.beside[:, :5].T)[..., None]
    warm = np.clip((factor - 1) * np.array([0.6, 0, -0.4]), -0.35, 0.35)
    assert (abs(warm) == 0.35).any()
    assert np.abs(after[1:-1, 1:-1, :3] - before[1:-1, 1:-1, :3] * factor * (1 + warm)).max() < 1e-5
    assert np.array_equal(after[..., 3], before[..., 3])


def lined(*row: float, down: bool = False) -> np.ndarray:
    """(64, 64): light across a line, seen as if it ran from left to right."""
    light = line_light(np.array([row], F32), 64, 64)
    assert ((light.along != 1).any(), (light.beside != 1).any()) == (down, not down)
    return light.along.T if down else light.beside[:, :64].T


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("down", [False, True])
def test_a_line_is_dark_with_a_bright_lip_above_and_a_shade_below(down: bool, mirrored: bool) -> None:
    ends = [0.5, 0.1, 0.5, 0.9] if down else [0.1, 0.5, 0.9, 0.5]
    reach = -0.2 if mirrored else 0.2
    plane = lined(*ends, 0.0, 0.0, 0.02, reach, 0.3, 0.2, 0.2, 1.0, 1.0, 1.0, down=down)
    assert (plane[:, :5] == 1).all()  # it ends where it ends
    assert (plane[:, -5:] == 1).all()
    across = plane[::-1, 32] if mirrored else plane[:, 32]
    assert abs(int(across.argmin()) - 32) <= 1
    assert across.min() < 0.75
    assert 26 <= across.argmax() <= 30
    assert across.max() > 1.1
    assert (np.diff(across[18:28]) >= 0).all()  # the lip fades upward, the shade downward
    assert (np.diff(across[36:46]) >= 0).all()
    assert 0.8 < across[36] < 1
    assert across[:17].tolist() == [1] * 17
    assert across[47:].tolist() == [1] * 17


def test_a_line_fades_toward_an_end_without_strength_and_narrows() -> None:
    plane = lined(0.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.05, 0.05, 0.5, 0.0, 0.0, 1.0, 0.5, 0.0)
    depth = 1 - plane.min(0)
    assert (np.diff(depth) <= 1e-6).all()
    assert depth[0] > 0.4
    assert depth[-1] < 0.02
    wide = (plane < 1 - 0.5 * depth).sum(0)
    assert wide[2] > 1.5 * wide[-6]


def test_a_pleat_casts_a_wider_shade_where_it_gapes() -> None:
    plane = lined(0.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.01, 0.25, 0.0, 0.0, 0.4, 1.0, 0.5, 0.0)
    wide = (plane < 1 - 0.1 * (1 - plane.min(0))).sum(0)
    assert (np.diff(wide[:56]) <= 0).all()
    assert wide[1] > 1.6 * wide[55]


def test_a_line_bows_to_one_side_and_sways_to_both() -> None:
    bowed = lined(0.0, 0.5, 1.0, 0.5, 0.2, 0.0, 0.02, 0.02, 0.5, 0.0, 0.0, 1.0, 1.0, 1.0).argmin(0)
    swayed = lined(0.0, 0.5, 1.0, 0.5, 0.0, 0.3, 0.02, 0.02, 0.5, 0.0, 0.0, 1.0, 1.0, 1.0).argmin(0)
    assert abs(bowed[32] - (32 + 0.2 * 64)) <= 1
    assert abs(swayed[32] - 32) <= 1
    assert swayed[12] > 35
    assert swayed[51] < 29


def test_the_shadow_may_fall_where_an_even_odd_fill_says() -> None:
    rng = np.random.default_rng(4)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 36))
    vertices = np.zeros((468, 3), F32)
    oval = np.array(landmarks.OVAL, np.int32)
    reach = rng.uniform(4, 9, 36)
    vertices[oval, 0], vertices[oval, 1] = 11 + reach * np.cos(angle), 8 + reach * np.sin(angle)
    vertices[landmarks.CHIN] = (11, 400, 0)  # far below: no neck in the picture
    out = np.full((17, 23), 5, F32)
    finish._shadow_reach(vertices, BORDER, Window(0, 0, 23, 17), F32(1), out)
    polygon = vertices[oval, :2].astype(np.float64)
    for y in range(17):
        for x in range(23):
            a, b = polygon, np.roll(polygon, -1, 0)
            crossing = (a[:, 1] <= y) != (b[:, 1] <= y)
            at = a[:, 0] + (y - a[:, 1]) / np.where(crossing, b[:, 1] - a[:, 1], 1) * (b[:, 0] - a[:, 0])
            inside = (crossing & (at > x)).sum() % 2 == 1
            if np.abs(at[crossing] - x).min(initial=1) > 1e-3:
                assert out[y, x] == inside


def test_a_planted_light_is_found_among_outliers() -> None:
    rng = np.random.default_rng(2)
    normals = rng.standard_normal((200, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals[:, 2] = np.abs(normals[:, 2])
    basis = np.concatenate([np.ones((200, 1)), normals, rng.uniform(-1, 1, (200, 1))], 1).astype(F32)
    truth = np.array([0.3, 0.05, -0.08, 0.1, 0.04])
    luminance = (basis @ truth).astype(F32)
    luminance[::17] = 0.02  # hair
    seen = np.ones(200, F32)
    seen[5] = 0
    luminance[5] = 99  # out of sight: must not count at all
    terms = np.zeros(5, F32)
    weight = scene._fit(basis, luminance, seen, terms)
    assert np.abs(terms - truth).max() < 0.03
    assert weight[5] == 0
    assert weight[::17].max() < 0.3 < np.median(weight)


def test_normals_of_a_sphere_point_outward() -> None:
    columns, rows = 8, 7
    u, v = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
    points = np.stack([np.sin(u) * np.cos(v), np.sin(v), np.cos(u) * np.cos(v)]).reshape(3, -1).astype(F32)
    normals = np.empty((columns * rows, 3), F32)
    surface.grid_normals(points, columns, rows, 1, F32(0), normals)
    assert (normals * points.T).sum(1).min() > 0.9
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def reference_need(points: np.ndarray, columns: int, vertices: np.ndarray, frame: surface.Frame) -> tuple[float, ...]:
    """How far down the picture the mask must come, and that direction: every lid against every piece of cloth above."""
    down = -frame.axes[1, :2].astype(float) / np.linalg.norm(frame.axes[1, :2])
    right = np.array([down[1], -down[0]])
    lids = vertices[LANDMARKS.lids, :2].astype(float)
    widths = np.abs((lids[:, -1] - lids[:, 0]) @ right)
    rows = points[:2, : columns * drape.TOP_ROWS].T.astype(float).reshape(drape.TOP_ROWS, columns, 2)
    need = 0.0
    for eye in range(2):
        for lid in lids[eye] if 3 * widths[eye] >= widths[1 - eye] else ():
            for a, b in ((row[c], row[c + 1]) for row in rows for c in range(columns - 1)):
                beside = lid @ right + np.linspace(-1, 1, 401) * drape_kernels.LID_SIDE * frame.scale
                shares = (beside - a @ right) / (b @ right - a @ right)
                shares = shares[(shares >= 0) & (shares <= 1)]
                if len(shares):
                    edge = (a @ down + shares * (b @ down - a @ down)).min()
                    need = max(need, lid @ down + drape_kernels.LID_GAP * frame.scale - edge)
    return min(need, drape_kernels.MOST_LOWERED * frame.scale), *down


@pytest.mark.parametrize(("yaw", "pitch", "height"), [(0, 0, 0), (0, 0, 9), (12, -20, 14), (-60, 5, 9), (0, -30, 40)])
def test_the_mask_comes_down_as_far_as_the_lids_want(yaw: float, pitch: float, height: float) -> None:
    vertices, columns = turned(yaw, pitch), 9
    frame, rng = surface.face_frame(vertices, LANDMARKS), np.random.default_rng(4)
    across, down = np.meshgrid(np.linspace(-35, 35, columns), np.linspace(-8 - height, 30 - height, 6))
    points = np.stack([across + 51, down + 62 + across**2 / 90, 0 * down]).reshape(3, -1)
    points = (points + rng.normal(0, 0.3, points.shape)).astype(F32)
    need, *direction = reference_need(points, columns, vertices, frame)
    assert (need > 0) == (height > 0)
    before = points.copy()
    drape_kernels.lower(points, columns, drape.TOP_ROWS, vertices, LANDMARKS.lids, *frame)
    moved = points - before
    assert np.allclose(moved[:2], need * np.array(direction)[:, None], atol=2e-2)
    assert not moved[2].any()


def test_folds_are_highest_on_their_line_and_gone_far_away() -> None:
    s, t = np.meshgrid(np.linspace(0, 1, 21), np.linspace(0, 1, 21))
    st = np.stack([s.ravel(), t.ravel()], -1).astype(F32)
    heights = np.empty(len(st), F32)
    drape_kernels.relief(st, np.array([[0.5, 0.5, 0.0, 0.2, 0.05, 0.3]], F32), 0.0, 3.0, 0.0, heights)
    grid = heights.reshape(21, 21)
    assert abs(grid[10, 10] - 0.3) < 1e-6
    assert grid.argmax() == 10 * 21 + 10
    assert grid[0].max() == 0
    assert grid[10, 0] == 0
    assert grid[9, 10] < grid[11, 10]  # steep above, slow below
    flat = np.ones(len(st), F32)
    drape_kernels.relief(st, np.zeros((0, 6), F32), 0.0, 3.0, 0.0, flat)
    assert not flat.any()
