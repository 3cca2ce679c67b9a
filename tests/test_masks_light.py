"""What is read of the light in the bare picture, and the shadow that the mask casts by it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mask_faces import HEIGHT, WIDTH, turned

from facekit.faces.topology import load_topology
from facekit.masks import render_worn, sample_params
from facekit.masks.exposure import TYPICAL_COLOUR, exposure_of_white
from facekit.masks.finish import _compose
from facekit.masks.params import MaskParams
from facekit.masks.render import _depth, _finish
from facekit.masks.scene import SceneEstimate, estimate_scene, face_tables
from facekit.masks.surface import face_normals
from facekit.masks.textures import to_linear

F32 = np.float32
QUANTILE = 0.97  # of the luma, that stands for white


def normals_of(vertices: np.ndarray) -> np.ndarray:
    normals = np.empty_like(vertices)
    face_normals(vertices, load_topology().triangles, normals)
    return normals


def estimate(image: np.ndarray) -> SceneEstimate:
    return estimate_scene(image, to_linear(), turned(), normals_of(turned()), face_tables())


@given(st.floats(0, 1), st.integers(0, 200), st.integers(1, 55), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_white_point_is_a_high_quantile_of_the_picture(share: float, dark: int, more: int, seed: int) -> None:
    """Of a grey picture with a bright part: the bright level where it is over 3% of the picture, else the other."""
    rng = np.random.default_rng(seed)
    luma = np.where(rng.random((HEIGHT, WIDTH)) < share, dark + more, dark).astype(np.uint8)
    read = np.sort(luma[::3, ::3], axis=None)
    assume(abs((read == dark).mean() - QUANTILE) > 0.005)
    expected = read[int(np.ceil(QUANTILE * read.size)) - 1]
    assert estimate(np.repeat(luma[..., None], 3, -1)).white == to_linear()[expected]


def scene(light: tuple[float, float]) -> SceneEstimate:
    """A face lit from the direction (x, y) of the picture; y points down."""
    terms = np.array([0.3, 0.3 * light[0], 0.3 * light[1], 0.1, 0.0], F32)
    return SceneEstimate(terms, np.full(3, 0.3, F32), np.zeros(56, F32), 0.9, 40.0, 20.0, 0.3, 6.0)


@pytest.mark.parametrize("x", [-0.9, -0.3, 0.0, 0.3, 0.9])
@pytest.mark.parametrize("y", [-0.9, -0.3, 0.0, 0.3, 0.9])
def test_the_shadow_falls_away_from_the_light_and_never_up(x: float, y: float) -> None:
    finish = _finish(scene((x, y)), sample_params(np.random.default_rng(0), "kn95"), 5.0)
    assert finish.shift_x == -np.sign(x)
    assert finish.shift_y == 1 + (y < 0)


@pytest.mark.parametrize(("shift_x", "shift_y"), [(0, 0), (1, 0), (-1, 0), (0, 1), (1, 1), (-2, 1)])
def test_the_shadow_is_the_spread_coverage_moved(shift_x: int, shift_y: int) -> None:
    """White skin under a blob of spread coverage: what is darkened is that blob, moved right and down by the shift."""
    pad, image = 3, np.full((12, 14, 3), 200, np.uint8)
    spread = np.zeros((12 + 2 * pad, 14 + 2 * pad), F32)
    spread[pad + 5, pad + 6] = 1
    shadow = (0.5, shift_x, shift_y)
    coverage, out = np.zeros((12, 14), F32), image.copy()
    layer, reach = np.zeros((*spread.shape, 4), F32), np.ones((12, 14), F32)
    _compose(image, layer, spread, reach, pad, *shadow, 0, 0, coverage, out)
    assert np.argwhere(out[..., 0] < 200).tolist() == [[5 + shift_y, 6 + shift_x]]
    assert out[5 + shift_y, 6 + shift_x, 0] == 100
    assert not coverage.any()


def lit_from(side: int) -> np.ndarray:
    """A face whose every pixel is lit by the normal of the nearest vertex, more where that looks to `side`."""
    vertices = turned()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    nearest = ((x[..., None] - vertices[:, 0]) ** 2 + (y[..., None] - vertices[:, 1]) ** 2).argmin(-1)
    light = 0.5 + 0.4 * side * normals_of(vertices)[nearest, 0]
    return (light[..., None] * (190, 142, 118)).astype(np.uint8)


def balance(side: int, seed: int) -> float:
    """How much of a mask's shadow lies right of its middle, minus that on the left, of a face lit from `side`.

    Straps have shadows of their own, on both sides.
    """
    bare = lit_from(side)
    params = sample_params(np.random.default_rng(seed), "surgical-white")
    params = dataclasses.replace(params, tilt=0.0, strap_radius=0.0)
    dark, plain = (render_worn(bare, turned(), dataclasses.replace(params, shadow=s)) for s in (0.6, 0.0))
    lost = ((plain.image.astype(float) - dark.image) / bare.clip(1)).mean(-1) * (dark.coverage < 0.02)
    middle = round((dark.coverage * np.arange(WIDTH)).sum() / dark.coverage.sum())
    return float((lost[:, middle + 1 :].sum() - lost[:, :middle].sum()) / lost.sum())


@given(st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_the_shadow_lies_on_the_side_turned_from_the_light(seed: int) -> None:
    """The same mask under light from the left and from the right."""
    assert balance(-1, seed) > balance(1, seed) + 0.2


def skin_of(red: float, blue: float) -> SceneEstimate:
    colour = 0.2 * np.array(TYPICAL_COLOUR, F32) * np.array([red, 1, blue], F32)
    return scene((0.0, 0.0))._replace(skin=colour, tint_spread=20.0)


def warmth(red: float, blue: float, cloth: float) -> float:
    """Logarithm of red over blue that white has beside such skin."""
    r, _, b = exposure_of_white(skin_of(red, blue), 0.0, cloth)
    return float(np.log(r / b))


@given(st.floats(0.75, 1.3), st.floats(0.75, 1.3), st.floats(0.02, 0.9), st.floats(0.02, 0.9))
@settings(max_examples=200, deadline=None)
def test_dark_cloth_follows_the_colour_of_the_light_more_than_white(
    red: float, blue: float, one: float, other: float
) -> None:
    """By twice as much at the most, never in the other direction, and never more than the skin."""
    dark, light = sorted((one, other))
    mine, others = (warmth(red, blue, cloth) for cloth in (dark, light))
    assert abs(mine) >= abs(others) - 1e-6
    assert mine * others >= -1e-9
    assert abs(mine) <= min(2 * abs(warmth(red, blue, 1.0)), abs(np.log(red / blue))) + 1e-6


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_colour_that_no_skin_has_is_that_of_the_light(sign: int) -> None:
    """Beyond what skins differ by, white changes by as much as the skin, and below it by less than half."""
    at = np.linspace(0.05, 1.2, 47) * sign / 2
    logs = np.array([warmth(float(np.exp(x)), float(np.exp(-x)), 0.9) for x in at])
    slopes = np.diff(logs) / np.diff(2 * at)
    middles = np.abs(at[1:] + at[:-1])
    assert (slopes[middles < 0.75] < 0.5).all()
    assert (slopes[(middles > 0.85) & (middles < 0.95)] > 0.9).all()


def inked(*ink: float, depth: float = 0.5) -> MaskParams:
    params = sample_params(np.random.default_rng(0), "surgical-blue")
    return dataclasses.replace(params, inks=(ink, ink, ink), interreflection=depth)  # type: ignore[arg-type]


def test_shade_has_more_of_the_cloths_own_colour() -> None:
    """Each channel as a power of the light: by half of how much more of it than of green the cloth throws back."""
    red, blue = _depth(inked(0.3, 0.5, 0.7), 0.0)
    assert red == pytest.approx(0.5 * np.log(0.5 / 0.3))
    assert blue == pytest.approx(0.5 * np.log(0.5 / 0.7))
    assert _depth(inked(0.5, 0.5, 0.5), 0.0) == (0, 0), "grey cloth has no colour"
    assert np.isfinite(_depth(inked(0.0, 0.5, 0.0), 0.0)).all(), "cloth without red or blue"
    assert _depth(inked(0.0, 0.0, 0.0), 0.0) == (0, 0)
    assert _depth(inked(0.3, 0.5, 0.7, depth=0.0), 0.0) == (0, 0)
    assert _depth(inked(0.3, 0.5, 0.7), 1.0) == (0, 0), "nor has a grey picture"


def test_dark_cloth_lights_itself_less() -> None:
    dark, half, bright = (_depth(inked(*(share * c for c in (0.3, 0.5, 0.7))), 0.0)[0] for share in (0.05, 0.4, 1.4))
    assert 0 < dark < 0.1 * bright
    assert dark < half < bright
    assert bright == pytest.approx(0.5 * np.log(0.5 / 0.3))
