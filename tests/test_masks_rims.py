"""Rims of glasses: painted ones come to lie in front of the mask, and nothing else does."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_faces import HEIGHT, WIDTH, picture, turned

from facekit.errors import ConfigError
from facekit.faces.landmarks import EYES, LEFT_EDGE, RIGHT_EDGE
from facekit.masks import TYPES, MaskOptions, Worn, render_worn, sample_params
from facekit.masks.rim_lines import MOST_STEPS, PLACES, RAYS, _strongest_line
from facekit.masks.rims import keep_rims

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

FINE = 8  # painted so many times as large
DARK, GOLD = (38, 34, 32), (250, 240, 205)


def lenses(vertices: Floats) -> list[tuple[npt.NDArray[np.float64], tuple[float, float]]]:
    """Middle and half axes of both, pixels; their lower rims lie where masks are."""
    out = []
    for eye in EYES:
        outer, inner = vertices[[eye.lower[0], eye.lower[-1]], :2].astype(np.float64)
        centimetre = np.linalg.norm(outer - inner) / 2.6
        out.append(((outer + inner) / 2 + [0, 0.7 * centimetre], (2.4 * centimetre, 2.0 * centimetre)))
    return out


def painted(vertices: Floats, width: float, joined: bool = True) -> npt.NDArray[np.float64]:
    """(H, W) how much of each pixel a frame covers; one that is not joined has neither bridge nor arms."""
    canvas = np.zeros((HEIGHT * FINE, WIDTH * FINE), np.uint8)
    thick, both = max(round(width * FINE), 1), lenses(vertices)

    def fine(point: npt.NDArray[np.float64]) -> tuple[int, int]:
        x, y = np.round((point + 0.5) * FINE).astype(int)
        return int(x), int(y)

    for middle, axes in both:
        cv2.ellipse(canvas, fine(middle), (round(axes[0] * FINE), round(axes[1] * FINE)), 0, 0, 360, 255, thick)
    if joined:
        (left, axes), (right, _) = both
        high, aside = np.array([0, -2]), np.array([axes[0], 0])
        cv2.line(canvas, fine(left + aside + high), fine(right - aside + high), 255, thick)
        for start, edge in ((left - aside, LEFT_EDGE), (right + aside, RIGHT_EDGE)):
            cv2.line(canvas, fine(start + high), fine(vertices[edge, :2].astype(float)), 255, thick)
    return cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) / 255


def with_frame(bare: Picture, alpha: npt.NDArray[np.float64], colour: tuple[int, int, int]) -> Picture:
    share = alpha[..., None]
    return np.round(bare * (1 - share) + np.array(colour) * share).astype(np.uint8)


def masked(image: Picture, vertices: Floats, monkeypatch: pytest.MonkeyPatch, type: str = "surgical-white") -> Worn:
    """As it would be with rims painted over."""
    with monkeypatch.context() as patch:
        patch.setattr("facekit.masks.render.keep_rims", lambda *_: 0.0)
        return render_worn(image, vertices, sample_params(np.random.default_rng(1), type, MaskOptions(rims=True)))


def kept(image: Picture, vertices: Floats, before: Worn) -> tuple[float, Picture, Floats]:
    """Share, picture and coverage with the rims in front."""
    out, coverage = before.image.copy(), before.coverage.copy()
    return keep_rims(image, vertices, coverage, out), out, coverage


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("yaw", [0, 25])
def test_without_rims_not_a_byte_changes(type: str, yaw: float, monkeypatch: pytest.MonkeyPatch) -> None:
    vertices = turned(yaw)
    before = masked(picture(), vertices, monkeypatch, type)
    after = render_worn(picture(), vertices, before.params)
    assert np.array_equal(after.image, before.image)
    assert np.array_equal(after.coverage, before.coverage)


@pytest.mark.parametrize(("colour", "level"), [(DARK, 1.0), (GOLD, 0.45)])
@pytest.mark.parametrize("width", [1.4, 2.6])
@pytest.mark.parametrize("yaw", [-20, 0, 10])
def test_a_painted_rim_lies_in_front_and_nothing_else(
    colour: tuple[int, int, int], level: float, width: float, yaw: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    vertices, skin = turned(yaw), (picture() * level).astype(np.uint8)
    alpha = painted(vertices, width)
    image = with_frame(skin, alpha, colour)
    before = masked(image, vertices, monkeypatch, "surgical-white" if colour == DARK else "surgical-black")
    share, out, coverage = kept(image, vertices, before)
    assert share == 1
    assert np.array_equal(render_worn(image, vertices, before.params).image, out)
    below = np.zeros(alpha.shape, bool)
    for middle, axes in lenses(vertices):
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        below |= (np.abs(x - middle[0]) < 0.6 * axes[0]) & (y > middle[1])
    rim = below & (alpha > 0.7) & (before.coverage > 0.9)
    assert rim.sum() >= 10
    distance = np.abs(image.astype(int) - out)[rim].mean() / np.abs(image.astype(int) - before.image)[rim].mean()
    assert distance < 0.35
    assert coverage[rim].mean() < 0.35
    far = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    assert np.array_equal(out[far], before.image[far])
    assert np.array_equal(coverage[far], before.coverage[far])
    bare = before.coverage == 0
    assert np.array_equal(out[bare], before.image[bare])
    assert (coverage <= before.coverage).all()


def test_lines_below_the_eyes_alone_are_wrinkles(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices = turned()
    image = with_frame(picture(), 0.4 * painted(vertices, 1.0, joined=False), (90, 60, 50))
    before = masked(image, vertices, monkeypatch)
    share, out, _ = kept(image, vertices, before)
    assert share == 0
    assert np.array_equal(out, before.image)


@pytest.mark.kernels
def test_a_mirrored_picture_keeps_the_mirrored_rim(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices = turned()
    image = with_frame(picture(), painted(vertices, 1.5), DARK)
    flat = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    whole = np.ones((HEIGHT, WIDTH), np.float32)
    mirrored = vertices * np.array([-1, 1, 1], np.float32) + np.array([WIDTH - 1, 0, 0], np.float32)
    order = np.arange(len(vertices))
    left, right = (np.array(eye.lower + eye.upper) for eye in EYES)
    order[left], order[right] = right, left
    one, other = whole.copy(), whole.copy()
    shares = (
        keep_rims(image, vertices, one, flat.copy()),
        keep_rims(np.ascontiguousarray(image[:, ::-1]), mirrored[order], other, flat.copy()),
    )
    assert shares == (1, 1)
    assert one.min() < 0.2
    assert np.abs(one - other[:, ::-1]).max() < 0.02


@pytest.mark.kernels
@pytest.mark.parametrize("centre", [(-30, 60), (0, 0), (104, 62), (52, 140), (52, -40), (1e7, -1e7), (20, 62)])
@pytest.mark.parametrize("scale", [0.5, 5.0, 60.0])
def test_a_face_that_is_cut_off_is_no_trouble(centre: tuple[float, float], scale: float) -> None:
    vertices, image = turned(scale=scale, centre=centre), with_frame(picture(), painted(turned(), 2.0), DARK)
    coverage, out = np.zeros((HEIGHT, WIDTH), np.float32), picture()
    assert 0 <= keep_rims(image, vertices, coverage, out) <= 1
    assert np.array_equal(out, picture())


@pytest.mark.kernels
def test_a_face_too_small_to_show_a_rim_has_none() -> None:
    vertices = turned()
    image = with_frame(picture(), painted(vertices, 2.0), DARK)
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    coverage, out = np.ones(small.shape[:2], np.float32), np.zeros_like(small)
    assert keep_rims(small, vertices / 2, coverage, out) == 0
    assert not out.any()


@pytest.mark.kernels
@settings(max_examples=30, deadline=None)
@given(
    first=st.integers(0, PLACES - 1),
    steps=st.lists(st.integers(-MOST_STEPS, MOST_STEPS), min_size=RAYS - 1, max_size=RAYS - 1),
)
def test_a_planted_line_is_found(first: int, steps: list[int]) -> None:
    planted = [first]
    for step in steps:
        planted.append(min(max(planted[-1] + step, 0), PLACES - 1))
    contrast, path = np.zeros((RAYS, PLACES), np.float32), np.empty(RAYS, np.int32)
    contrast[np.arange(RAYS), planted] = 0.1
    _strongest_line(contrast, path)
    assert path.tolist() == planted


def test_a_drawn_person_with_thick_frames_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from facekit.synth.person import build_person
    from facekit.synth.picture import render
    from facekit.synth.sampling import sample_capture, sample_identity

    number = next(n for n in range(100) if sample_identity(0, n).glasses == "rim")
    person, capture = build_person(sample_identity(0, number)), sample_capture(0, number, 0)
    wearing, bare = (render(person, dataclasses.replace(capture, glasses=glasses)) for glasses in (True, False))
    before = masked(wearing.image, wearing.vertices, monkeypatch)
    share, _, coverage = kept(wearing.image, wearing.vertices, before)
    frame = (np.abs(wearing.image.astype(int) - bare.image).max(-1) > 60) & (before.coverage > 0.95)
    assert share == 1
    assert frame.sum() > 10
    assert coverage[frame].mean() < 0.6
    assert kept(bare.image, bare.vertices, masked(bare.image, bare.vertices, monkeypatch))[0] == 0


def test_they_are_painted_over_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices = turned(0)
    image = with_frame(picture(), painted(vertices, 2.6), DARK)
    bare = masked(image, vertices, monkeypatch)
    params = sample_params(np.random.default_rng(1), "surgical-white")
    assert not params.rims
    assert np.array_equal(render_worn(image, vertices, params).image, bare.image)
    assert not np.array_equal(render_worn(image, vertices, replace(params, rims=True)).image, bare.image)


@pytest.mark.parametrize("rims", [1, "yes", None])
def test_rims_are_asked_for_by_true(rims: object) -> None:
    with pytest.raises(ConfigError, match="it is True or False"):
        MaskOptions(rims=rims)  # type: ignore[arg-type]


def test_the_command_asks_for_them() -> None:
    from facekit.cli.mask import command, drawn_from

    given = command.make_context("mask", ["people", "masked", "--rims"]).params
    assert given["rims"] is True
    given = {name: given[name] for name in ("tilt", "shadow", "light", "nose_out", "under_chin", "prints", "rims")}
    assert drawn_from({**given, "types": "all", "textures": None})["options"] == MaskOptions(rims=True)
