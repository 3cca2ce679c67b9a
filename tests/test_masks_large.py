"""Large faces: the same masks, without the facets, the joints and the blur that only show when they are large."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from mask_faces import HEIGHT, WIDTH, picture, turned

from facekit.masks import TYPES, render_worn, sample_params
from facekit.masks.catalogue import mask_type, table
from facekit.masks.drape_kernels import relief
from facekit.masks.large import LARGE, doublings, fine_slopes, magnified, refined, refinement
from facekit.masks.render import _filters, _finish
from facekit.masks.scene import SceneEstimate
from facekit.masks.shell import COLUMNS, ROWS, STRAP_POINTS, Shell, build_shell
from facekit.masks.textures import crease_slopes, texture_level

GRID, TIMES = COLUMNS * ROWS, (2, 4)


def grid(rows: np.ndarray, times: int) -> np.ndarray:
    """The points of a refined shell's grid, by row and column."""
    down, across = times * (ROWS - 1) + 1, 2 * (times * (COLUMNS // 2 - 1) + 1)
    return rows[: down * across].reshape(down, across, -1)


def halves(points: np.ndarray, step: int) -> np.ndarray:
    """Every `step`-th row and column of both halves."""
    return np.concatenate([half[::step, ::step] for half in np.split(points, 2, axis=1)], axis=1)


@pytest.fixture(params=["surgical-blue", "kn95"])
def shell(request: pytest.FixtureRequest) -> Shell:
    return build_shell(mask_type(request.param).shape)


@pytest.mark.parametrize("times", TIMES)
def test_a_finer_grid_holds_the_coarse_one_and_lies_between_its_points(shell: Shell, times: int) -> None:
    fine = refined(shell, times)
    for rows, coarse in ((fine.weights, shell.weights[:GRID]), (fine.st, shell.st)):
        kept = halves(grid(rows, times), times)
        assert np.abs(kept - coarse.reshape(ROWS, COLUMNS, -1)).max() < 1e-6
    assert np.abs(fine.weights.sum(1) - 1).max() < 1e-4  # a face that moves carries every point along
    straps = fine.weights[len(fine.st) :].reshape(len(fine.strap_sides), -1, fine.weights.shape[1])
    assert np.abs(straps[:, ::times] - shell.weights[GRID:].reshape(len(straps), STRAP_POINTS, -1)).max() < 1e-6
    s = grid(fine.st, times)[..., 0]
    assert np.allclose(np.diff(s[:, : s.shape[1] // 2], axis=1), 0.5 / (times * (COLUMNS // 2 - 1)), atol=1e-5)
    assert len(fine.triangles) == 2 * times**2 * (ROWS - 1) * (COLUMNS - 2)
    assert refined(shell, 1) is shell


def test_folds_across_the_grid_have_no_facets(shell: Shell) -> None:
    """Their height on the finest grid, and between the points of coarser ones: of a quarter of the step a tenth off."""
    folds = np.array([[0.5, 0.5, 0.7, 0.3, 0.05, 0.3], [0.3, 0.7, -0.6, 0.2, 0.05, 0.3]], np.float32)

    def heights(times: int) -> np.ndarray:
        st = refined(shell, times).st
        out = np.empty(len(st), np.float32)
        relief(st, folds, 0.0, 3.0, 0.0, out)
        return grid(out, times)[..., 0]

    finest, off = heights(16), {}
    for times in (1, 4):
        half = heights(times)[:, : times * (COLUMNS // 2 - 1) + 1]
        size = 16 // times
        rows, columns = np.arange(finest.shape[0]) / size, np.arange(finest.shape[1] // 2) / size
        across, down = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
        between = cv2.remap(half, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        off[times] = np.abs(between - finest[:, : finest.shape[1] // 2]).max()
    assert off[4] < 0.15 * off[1]


@pytest.mark.parametrize("type", TYPES)
def test_a_large_picture_shows_the_mask_of_the_small_one(type: str) -> None:
    params, times = sample_params(np.random.default_rng(5), type), 6
    small = render_worn(picture(), turned(8), params)
    enlarged = cv2.resize(picture(), (WIDTH * times, HEIGHT * times), interpolation=cv2.INTER_CUBIC)
    vertices = (turned(8) + np.array([0.5, 0.5, 0], np.float32)) * np.float32(times) - np.array([0.5, 0.5, 0], np.float32)  # fmt: skip # noqa: E501
    large = render_worn(enlarged, vertices.astype(np.float32), params)
    both = (large.image, large.coverage)
    shrunk, coverage = (cv2.resize(one, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for one in both)
    assert np.abs(coverage - small.coverage).mean() < 0.01
    assert np.abs(shrunk.astype(int) - small.image).mean() < 4


@pytest.mark.parametrize("name", sorted(table()["texture"]))
def test_a_magnified_texture_is_the_texture_and_never_brighter_at_an_edge(name: str) -> None:
    level, two_tone = texture_level(name, 0)
    large, same = magnified(name, 1)
    assert same == two_tone
    assert large.shape == (level.shape[0] * 2, level.shape[1] * 2, 4)
    shrunk = cv2.resize(large, level.shape[1::-1], interpolation=cv2.INTER_AREA)
    inside = level[..., 3] > 0.99
    assert np.abs(shrunk - level)[inside].mean() < 0.02
    assert large[..., 3].min() >= 0
    assert large[..., 3].max() <= 1
    around = cv2.dilate(level, np.ones((5, 5), np.uint8))
    highest = cv2.resize(around, large.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    whole = cv2.erode(large[..., 3], np.ones((5, 5), np.uint8)) > 0.999
    assert (large[..., 1:3] <= highest[..., 1:3] + 1e-3)[whole].all()


def test_magnified_ink_is_as_sharp_as_it_was() -> None:
    """Steps per pixel: twice as large, a line may not be half as steep."""
    level, large = texture_level("n95-valve-middle", 0)[0], magnified("n95-valve-middle", 1)[0]
    steepest = [float(np.abs(np.diff(texels[..., 1:3], axis=1)).max()) for texels in (level, large)]
    assert steepest[1] > 0.7 * steepest[0]


def test_finer_slopes_are_periodic_and_the_same_where_they_were() -> None:
    fine, slopes = fine_slopes(1), crease_slopes()
    times = fine.shape[0] // slopes.shape[0]
    assert np.abs(cv2.resize(fine, slopes.shape[:2], interpolation=cv2.INTER_AREA) - slopes).mean() < 0.05
    steps = np.abs(np.diff(fine, axis=1)).max()
    assert np.abs(fine[:, 0] - fine[:, -1]).max() <= steps
    assert steps < 2 * np.abs(np.diff(slopes, axis=1)).max() / times
    assert fine_slopes(0) is slopes


def test_small_faces_need_none_of_it_and_larger_ones_more() -> None:
    scales = np.linspace(1, 100, 400)
    for steps in ([refinement(s) for s in scales], [doublings(s) for s in scales]):
        assert steps == sorted(steps)
        assert len(set(steps)) == 3
    assert (refinement(LARGE), doublings(LARGE)) == (1, 0)


def scene(edge_ratio: float) -> SceneEstimate:
    terms = np.array([0.3, 0.3, -0.3, 0.1, 0.0], np.float32)
    return SceneEstimate(terms, np.full(3, 0.3, np.float32), np.zeros(56, np.float32), 0.9, 40.0, 20.0, edge_ratio, 6.0)


def test_blur_and_shadow_grow_with_a_large_face_and_never_beyond_what_its_picture_has() -> None:
    """White cloth; an edge ratio of .06 is a blur of about four pixels, one of .6 none."""
    params = sample_params(np.random.default_rng(3), "surgical-white")
    widths = {s: [len(taps) for taps in _filters(scene(0.06), params, s)] for s in (4.0, LARGE, 20.0, 60.0)}
    blurs, shadows = ([width[k] for width in widths.values()] for k in (0, 2))
    assert blurs == sorted(blurs)
    assert blurs[0] == blurs[1] < blurs[2] < 14
    assert shadows == sorted(shadows)
    assert shadows[3] > 5 * shadows[1]
    sharp = {len(_filters(scene(0.6), params, scale)[0]) for scale in widths}
    assert len(sharp) == 1
    finishes = [_finish(scene(0.3), params, scale) for scale in widths]
    shifts = [(finish.shift_x, finish.shift_y) for finish in finishes]
    assert shifts[:2] == [(-1, 2), (-1, 2)]
    assert shifts[3] == (-8, 16)
