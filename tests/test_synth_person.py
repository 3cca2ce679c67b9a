"""Drawn people: sampling, geometry and the camera, each held to something it must keep."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from facekit.errors import ConfigError
from facekit.faces.align import ARCFACE_TEMPLATE
from facekit.faces.landmarks import EYES
from facekit.faces.mesh import LiteRTMesh, pose
from facekit.faces.topology import load_topology
from facekit.images import encode_jpeg
from facekit.synth import build_person, draw_person, render_compressed, sample_capture, sample_identity
from facekit.synth.anatomy import load_head
from facekit.synth.camera import rotation, similarity
from facekit.synth.modes import MODES as NAMED_MODES
from facekit.synth.person import Person
from facekit.synth.picture import render
from facekit.synth.radiance import render_radiance
from facekit.synth.sampling import HAIR_STYLES, MODES, CaptureParams, Identity
from facekit.synth.shape import express
from facekit.synth.strands import Strands

PLAIN = (0.0,) * 7


@pytest.fixture(scope="module")
def person() -> Person:
    return build_person(sample_identity(3, 1))


def still(capture: CaptureParams, **changes: object) -> CaptureParams:
    """A capture without jitter, expression or pose, changed as asked."""
    rest = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "expression": PLAIN, "jitter": (0.0,) * 10}
    return dataclasses.replace(capture, **{**rest, **changes})


def test_the_same_numbers_draw_the_same_picture() -> None:
    first = draw_person(5, 2, 3)
    draw_person(5, 3, 0)
    again = draw_person(5, 2, 3)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.vertices, again.vertices)
    assert first.truth == again.truth


def test_other_numbers_draw_other_pictures() -> None:
    drawn = [draw_person(*numbers).image for numbers in ((5, 2, 3), (6, 2, 3), (5, 3, 3), (5, 2, 4))]
    for k, one in enumerate(drawn):
        for other in drawn[k + 1 :]:
            assert np.abs(one.astype(int) - other).mean() > 5


def test_types_and_shapes() -> None:
    drawn = draw_person(5, 2, 3)
    assert (drawn.image.shape, drawn.image.dtype) == ((112, 112, 3), np.uint8)
    assert (drawn.vertices.shape, drawn.vertices.dtype) == ((468, 3), np.float32)
    assert np.isfinite(drawn.vertices).all()


@pytest.mark.parametrize("numbers", [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_negative_numbers_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="must not be negative"):
        draw_person(*numbers)


def test_identity_and_shot_are_records_of_plain_values() -> None:
    for record in (sample_identity(1, 2), sample_capture(1, 2, 3)):
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            flat = np.ravel(np.array(value, dtype=object)).tolist() if isinstance(value, tuple) else [value]
            assert all(type(v) in (int, float, bool, str) for v in flat), field.name


def test_every_kind_of_person_occurs() -> None:
    people = [sample_identity(9, k) for k in range(400)]
    assert {p.hair_style for p in people} == set(HAIR_STYLES)
    assert {p.beard for p in people if not p.male} == {"none"}
    assert 0.4 < np.mean([p.male for p in people]) < 0.6
    ages, melanin = [p.age for p in people], [p.melanin for p in people]
    assert min(ages) < 25
    assert max(ages) > 70
    assert np.histogram(melanin, bins=5, range=(0, 1))[0].min() > 40


def test_poses_reach_sixty_degrees_and_stay_there() -> None:
    yaw = np.array([sample_capture(9, 0, k).yaw for k in range(500)])
    assert 50 < np.abs(yaw).max() <= 60
    assert np.mean(np.abs(yaw) < 30) > 0.6
    assert abs(yaw.mean()) < 4


def test_the_shot_does_not_depend_on_the_person(person: Person) -> None:
    """No field of the person may be read from the background: it is drawn from the capture alone."""
    capture = sample_capture(3, 1, 0)
    other = build_person(dataclasses.replace(sample_identity(3, 8), hair_style="bald"))
    bald = person._replace(hair=other.hair)
    a, b = render_radiance(bald, capture)[0], render_radiance(other, capture)[0]
    corner = (slice(0, 6), slice(0, 3))
    assert np.array_equal(a[corner], b[corner])


def test_one_number_of_modes() -> None:
    assert len(NAMED_MODES) == MODES


def test_the_five_points_lie_on_the_template(person: Person) -> None:
    drawn = render(person, still(sample_capture(3, 1, 0)))
    eyes = [drawn.vertices[[*e.upper, *e.lower], :2].mean(axis=0) for e in EYES]
    mouth = drawn.vertices[[61, 291], :2]
    assert np.abs(np.stack([*eyes, *mouth]) - ARCFACE_TEMPLATE[[0, 1, 3, 4]]).max() < 5
    assert drawn.vertices[33, 0] < drawn.vertices[263, 0]
    assert drawn.vertices[10, 1] < drawn.vertices[152, 1]
    assert drawn.vertices[4, 2] > drawn.vertices[234, 2]


def test_the_similarity_is_undone_by_its_inverse() -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(size=(5, 2))
    turn, shift = 0.7, np.array([3.0, -2.0])
    linear = 2.5 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    frame = similarity(points, points @ linear.T + shift)
    np.testing.assert_allclose(frame, np.column_stack([linear, shift]), atol=1e-9)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(25, 0, 0), (0, 15, 0), (0, 0, 12), (-20, 8, -5)])
def test_angles_mean_what_the_mesh_estimator_means(yaw: float, pitch: float, roll: float) -> None:
    turn = rotation(yaw, pitch, roll)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    flipped = (load_topology().positions @ turn.T) * np.array([1, -1, 1], np.float32)
    found = pose(np.asarray(flipped, np.float32))
    np.testing.assert_allclose([found.yaw, found.pitch, found.roll], [yaw, pitch, roll], atol=2.5)


def test_the_truth_is_what_was_drawn(person: Person) -> None:
    """Angles read off the drawn mesh agree with the truth, whatever this person's bones add."""
    frontal = pose(render(person, still(sample_capture(3, 1, 0))).vertices)
    for k in range(12):
        capture = dataclasses.replace(sample_capture(3, 1, k), distance=130.0, expression=PLAIN)
        drawn = render(person, capture)
        found = pose(drawn.vertices)
        assert abs(found.yaw - frontal.yaw - drawn.truth.yaw) < 8
        assert abs(found.roll - frontal.roll - drawn.truth.roll) < 8


def test_expressions_move_what_they_name(person: Person) -> None:
    def face(**strength: float) -> np.ndarray:
        names = ("open", "smile", "pucker", "blink", "brow", "squint", "skew")
        return express(person.skull, tuple(strength.get(n, 0.0) for n in names))

    rest = face()
    assert rest[13, 1] - rest[14, 1] < 0.25
    opened = face(open=1.0)
    assert opened[13, 1] - opened[14, 1] > 1.2
    np.testing.assert_allclose(opened[10], rest[10], atol=0.05)
    assert face(smile=1.0)[291, 0] > rest[291, 0] + 0.2
    assert face(pucker=1.0)[291, 0] < rest[291, 0] - 0.2
    shut = face(blink=1.0)
    assert shut[159, 1] - shut[145, 1] < 0.1
    assert face(brow=1.0)[105, 1] > rest[105, 1] + 0.3
    assert face(brow=-1.0)[107, 1] < rest[107, 1] - 0.15


def test_the_mouth_opening_shows_in_the_picture(person: Person) -> None:
    capture = still(sample_capture(3, 1, 0), blur=0.0, motion=0.0)
    closed, opened = (
        render_radiance(person, dataclasses.replace(capture, expression=(o, 0, 0, 0, 0, 0, 0)))[0] for o in (0.0, 1.0)
    )
    change = np.abs(opened - closed).mean(axis=2)
    assert change[85:110, 45:67].mean() > 4 * change[25:40, 45:67].mean()


def test_the_shadow_falls_on_the_side_away_from_the_light(person: Person) -> None:
    capture = still(sample_capture(3, 1, 0), fill=(0.0,) * 3)
    lights = [(side * 0.8, 0.0, 0.6) for side in (-1, 1)]
    left, right = (
        render_radiance(person, dataclasses.replace(capture, light=light))[0].mean(axis=2) for light in lights
    )
    cheek = (slice(62, 82), slice(26, 38)), (slice(62, 82), slice(74, 86))
    assert left[cheek[0]].mean() > 1.5 * left[cheek[1]].mean()
    assert right[cheek[1]].mean() > 1.5 * right[cheek[0]].mean()


def test_supersampling_converges(person: Person) -> None:
    """More samples a pixel change little: nothing is drawn a pixel off. (Strands are at least a sample wide.)"""
    capture = still(sample_capture(3, 1, 0))
    bare = person._replace(
        hair=Strands(*(a[:1] for a in person.hair)), face_hair=Strands(*(a[:1] for a in person.face_hair))
    )
    coarse, fine = render_radiance(bare, capture, factor=2)[0], render_radiance(bare, capture, factor=6)[0]
    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.99


def test_the_figure_is_indexed_within_bounds() -> None:
    head = load_head()
    count = len(head.uv)
    assert head.triangles.min() == 0
    assert head.triangles.max() == count - 1
    assert len(head.materials) == len(head.two_sided) == len(head.triangles)
    assert [head.skull.start, head.ears.start, head.neck.start, head.cloth.start, count] == [
        468, head.skull.stop, head.ears.stop, head.neck.stop, head.cloth.stop,
    ]  # fmt: skip


def test_every_style_and_frame_draws() -> None:
    identity = sample_identity(3, 4)
    for style in HAIR_STYLES:
        one = dataclasses.replace(identity, hair_style=style, glasses="rim", beard="full", male=True)
        image = render_compressed(build_person(one), still(sample_capture(3, 4, 0), glasses=True)).image
        assert 15 < image.mean() < 240
        assert image.std() > 12


def test_the_picture_has_been_through_its_codec() -> None:
    """Decoding and encoding again at the capture's quality changes almost nothing: the picture is a decoded JPEG."""
    person, capture = build_person(sample_identity(3, 1)), sample_capture(3, 1, 0)
    raw, coded = render(person, capture).image, render_compressed(person, capture).image
    again = len(encode_jpeg(coded, capture.quality))
    assert not np.array_equal(raw, coded)
    assert abs(again - len(encode_jpeg(raw, capture.quality))) < 0.04 * again


def test_the_mesh_model_agrees_with_what_was_drawn() -> None:
    estimate = LiteRTMesh()
    errors = []
    for identity in range(4):
        for image in range(3):
            capture = dataclasses.replace(sample_capture(21, identity, image), yaw=8.0 * (image - 1))
            drawn = render_compressed(build_person(sample_identity(21, identity)), capture)
            mesh = estimate(drawn.image)
            assert mesh.presence > 5
            errors.append(np.linalg.norm((mesh.vertices - drawn.vertices)[:, :2], axis=1).mean())
    assert np.median(errors) < 2.6
    assert max(errors) < 5


def test_identities_are_identities() -> None:
    """Two pictures of a person have the same bones: at rest and seen alike, the same mesh to the pixel."""
    identity: Identity = sample_identity(3, 5)
    captures = [still(sample_capture(3, 5, k), distance=80.0) for k in (0, 1)]
    one, two = (render(build_person(identity), s).vertices for s in captures)
    np.testing.assert_array_equal(one, two)
    other = render(build_person(sample_identity(3, 6)), captures[0]).vertices
    assert np.linalg.norm((one - other)[:, :2], axis=1).mean() > 0.7


RENDER = """
import hashlib
from facekit.synth import build_person, sample_capture, sample_identity
from facekit.synth.radiance import render_radiance
for identity in (0, 4):
    radiance, vertices, _ = render_radiance(build_person(sample_identity(3, identity)), sample_capture(3, identity, 1))
    print(hashlib.sha256(radiance.tobytes() + vertices.tobytes()).hexdigest())
"""


def test_the_compiler_for_another_processor_draws_the_same_bits() -> None:
    """No sum is reordered and nothing contracted, so which samples a strand covers does not depend on the target."""
    found = []
    for name in (None, "generic"):
        own = {key: value for key, value in os.environ.items() if key != "NUMBA_CPU_NAME"}
        environment = own if name is None else {**own, "NUMBA_CPU_NAME": name}
        done = subprocess.run(
            [sys.executable, "-c", RENDER], env=environment, capture_output=True, text=True, check=True
        )
        found.append(done.stdout.split())
    assert found[0] == found[1]
    assert len(set(found[0])) == 2
