"""Worn masks: pure, replayable, confined to where they lie, lit like the face, in any size and on any thread."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from mask_faces import HEIGHT, WIDTH, picture, turned

from facekit.errors import ConfigError, NoFace
from facekit.faces.landmarks import EYES
from facekit.masks import TYPES, MaskParams, render_worn, sample_params, wear_mask

LUMA = np.array([0.299, 0.587, 0.114])


def drawn(type: str, seed: int = 0, **changes: object) -> MaskParams:
    return dataclasses.replace(sample_params(np.random.default_rng(seed), type), **changes)


def plain(type: str) -> MaskParams:
    """A mask without chance: no folds, creases, tilt or waves, so that symmetries are exact."""
    flat = {"folds": (), "creases": (0.0, 1.0, 0.0, 0.0, 0.0), "gather": (0.0, 3.0, 0.0), "edge": (0.0,) * 6}
    still = {
        "tilt": 0.0,
        "lines": (),
        "tint": 0.0,
        "halves": 0.0,
        "cast": (0.0, 0.0),
        "slide": (0.0, 0.0),
        "falloff": (0.0, 0.0, 0.0),
        "crispness": -3.0,
        "relief": (0.0, 0.0, -1.0),
    }
    return drawn(type, **flat, **still)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (40, 0), (-45, 10), (10, -25)])
def test_a_mask_covers_nose_mouth_and_chin_and_no_eye(type: str, yaw: float, pitch: float) -> None:
    vertices = turned(yaw, pitch)
    worn = render_worn(picture(), vertices, drawn(type))
    for vertex in (2, 13, 14, 17, 199):
        x, y = np.round(vertices[vertex, :2]).astype(int)
        assert worn.coverage[y, x] > (0.9 if abs(yaw) < 30 else 0.5), vertex
    for vertex in (159, 145, 386, 374, 10):
        x, y = np.round(vertices[vertex, :2]).astype(int)
        assert worn.coverage[y, x] < 0.1, vertex


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("yaw", [-18, 0, 12])
def test_no_eye_is_touched_on_a_head_that_leans_back(type: str, yaw: float) -> None:
    vertices = turned(yaw, -30)
    for seed in range(4):
        coverage = render_worn(picture(), vertices, drawn(type, seed)).coverage
        for eye in EYES:
            region = np.zeros(coverage.shape, np.uint8)
            cv2.fillPoly(region, [np.round(vertices[list(eye.outline), :2]).astype(np.int32)], 1)
            assert coverage[region > 0].mean() < 0.02, seed


@pytest.mark.parametrize("type", TYPES)
def test_outside_mask_and_shadow_every_byte_stays(type: str) -> None:
    bare, vertices = picture(), turned(20)
    shadowless = render_worn(bare, vertices, drawn(type, shadow=0.0))
    changed = (shadowless.image != bare).any(-1)
    assert not (changed & (shadowless.coverage == 0)).any()
    shadowed = render_worn(bare, vertices, drawn(type, shadow=0.5))
    darker = (shadowed.image != shadowless.image).any(-1)
    assert darker.any()
    assert (shadowed.image[darker] <= shadowless.image[darker]).all()
    assert np.array_equal(shadowed.image[:20], bare[:20])


def test_the_bare_picture_and_the_mesh_are_not_touched() -> None:
    bare, vertices = picture(), turned()
    kept = bare.copy(), vertices.copy()
    render_worn(bare, vertices, drawn("kn95"))
    assert np.array_equal(bare, kept[0])
    assert np.array_equal(vertices, kept[1])


@pytest.mark.parametrize("type", TYPES)
def test_a_logged_mask_is_made_again_to_the_byte(type: str) -> None:
    first = render_worn(picture(), turned(15), drawn(type, 3))
    again = render_worn(picture(), turned(15), MaskParams.from_json(first.params.to_json()))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.coverage, again.coverage)


def test_four_threads_draw_the_same_bytes_as_one() -> None:
    jobs = [(turned(yaw), drawn(TYPES[i % 8], i)) for i, yaw in enumerate(range(-40, 41, 5))]
    alone = [render_worn(picture(), *job).image for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: render_worn(picture(), *job).image, jobs * 3))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 3, together, strict=True))


def test_coverage_is_an_opacity_with_soft_edges() -> None:
    coverage = render_worn(picture(), turned(), drawn("surgical-white")).coverage
    assert coverage.dtype == np.float32
    assert coverage.shape == (HEIGHT, WIDTH)
    assert coverage.min() == 0
    assert 0.999 < coverage.max() <= 1
    steps = np.abs(np.diff(coverage, axis=0)).max(), np.abs(np.diff(coverage, axis=1)).max()
    assert max(steps) < 0.9


def test_a_grey_picture_stays_grey() -> None:
    for type in TYPES:
        image = render_worn(picture(grey=True), turned(), drawn(type)).image.astype(int)
        assert np.abs(image - image[..., :1]).max() == 0


def test_mirrored_face_and_light_give_the_mirrored_mask() -> None:
    vertices = turned(25)
    mirrored = turned(-25, centre=(WIDTH - 1 - 51.5, 62.5))
    bare = picture()
    for type in ("surgical-black", "n95-cup", "kn95"):
        params = plain(type)
        worn = render_worn(bare, vertices, params)
        other = render_worn(np.ascontiguousarray(bare[:, ::-1]), mirrored, params)
        assert np.abs(worn.coverage - other.coverage[:, ::-1]).mean() < 0.01
        both = (worn.coverage > 0.99) & (other.coverage[:, ::-1] > 0.99)
        difference = np.abs(worn.image.astype(int) - other.image[:, ::-1])[both]
        assert difference.mean() < 6


def test_the_mask_is_brighter_where_the_face_is() -> None:
    right = np.broadcast_to(np.linspace(0, 1, WIDTH), (HEIGHT, WIDTH))
    for light in (0.4 + 0.9 * right, 1.3 - 0.9 * right):
        bare = np.clip(light[..., None] * (170, 130, 105), 0, 255).astype(np.uint8)
        worn = render_worn(bare, turned(), plain("surgical-blue"))
        inside = worn.coverage > 0.99
        luma = worn.image[inside] @ LUMA
        assert np.corrcoef(luma, (bare @ LUMA)[inside])[0, 1] > 0.8


def test_exposure_follows_the_picture() -> None:
    levels = []
    for gain in (0.35, 0.6, 1.0):
        bare = (picture() * gain).astype(np.uint8)
        worn = render_worn(bare, turned(), plain("surgical-white"))
        levels.append((worn.image[worn.coverage > 0.99] @ LUMA).mean())
    assert levels[0] < levels[1] < levels[2]
    assert levels[0] < 0.8 * levels[2]


def test_the_types_keep_their_order_of_brightness() -> None:
    def level(type: str) -> float:
        shots = [render_worn(picture(), turned(), drawn(type, seed)) for seed in range(100)]
        return float(np.median([(w.image[w.coverage > 0.99] @ LUMA).mean() for w in shots]))

    assert level("surgical-white") > level("surgical-blue") > level("surgical-black") + 40
    assert level("n95-cup") > level("sponge-black") + 40


def test_a_picture_twice_as_large_wears_the_same_mask() -> None:
    params = drawn("cloth-pattern", 2)
    small = render_worn(picture(), turned(10), params)
    half = np.array([0.5, 0.5, 0.0])
    vertices = (turned(10) + half) * 2 - half
    large = render_worn(picture(2 * HEIGHT, 2 * WIDTH), vertices.astype(np.float32), params)
    halved = large.coverage.reshape(HEIGHT, 2, WIDTH, 2).mean((1, 3))
    assert np.abs(halved - small.coverage).mean() < 0.02


def test_the_far_side_is_hidden_by_the_face() -> None:
    """Turned to profile the far half of the mask is behind nose and cheek: less is seen of it than from the front."""
    params = plain("surgical-white")
    areas = [(render_worn(picture(), turned(yaw), params).coverage > 0.5).sum() for yaw in (0, 60)]
    assert areas[1] < 0.8 * areas[0]


def test_a_face_outside_the_picture_changes_nothing() -> None:
    bare = picture()
    worn = render_worn(bare, turned(centre=(900.0, -700.0)), drawn("kn95"))
    assert np.array_equal(worn.image, bare)
    assert not worn.coverage.any()


def test_a_face_half_outside_is_drawn_as_far_as_it_goes() -> None:
    worn = render_worn(picture(), turned(centre=(-5.0, 100.0)), drawn("kn95"))
    assert worn.coverage[:, :30].max() > 0.9


@pytest.mark.parametrize(
    ("image", "vertices", "message"),
    [
        (picture()[..., 0], turned(), r"\(H, W, 3\) uint8"),
        (picture().astype(np.float32), turned(), "float32"),
        (picture(), turned()[:400], "468"),
        (picture(), np.full((468, 3), np.nan, np.float32), "finite"),
    ],
)
def test_wrong_arrays_are_refused(image: np.ndarray, vertices: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        render_worn(image, vertices, drawn("kn95"))


def test_wear_mask_takes_a_mesh_or_finds_one_or_says_why_not() -> None:
    from photo import face

    given = wear_mask(picture(), "kn95", seed=4, vertices=turned())
    assert np.array_equal(given.image, render_worn(picture(), turned(), given.params).image)
    found = wear_mask(face(), "kn95", seed=4)
    assert (found.coverage > 0.9).sum() > 1500
    with pytest.raises(NoFace) as refused:
        wear_mask(np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8))
    assert refused.value.reason == "no_face"


def test_wear_mask_takes_numbers_or_ranges_for_its_options() -> None:
    assert wear_mask(picture(), vertices=turned(), tilt=7).params.tilt == 7
    assert 0.1 <= wear_mask(picture(), vertices=turned(), shadow=(0.1, 0.2)).params.shadow <= 0.2
    with pytest.raises(ConfigError, match=r"no option 'colour'.*tilt"):
        wear_mask(picture(), vertices=turned(), colour="red")
    with pytest.raises(ConfigError, match="bandana"):
        wear_mask(picture(), "bandana", vertices=turned())
