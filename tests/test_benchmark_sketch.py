"""The sketch of a benchmark's pictures: as far apart as they are, and said in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from writing_commands import call

from facekit.errors import PictureError
from facekit.images import decode
from facekit.jobs.benchmark import job
from facekit.jobs.benchmark.plan import make_plan
from facekit.jobs.benchmark.presets import PRESETS, PUBLISHED, Published
from facekit.jobs.benchmark.shard import draw_faces
from facekit.jobs.benchmark.sketch import ALIKE_TO, NUMBERS, distance, sketch
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.source_records import read_records


def pictures(seed: int, count: int = 40) -> np.ndarray:
    """(N, 32, 48, 3): their fields are of 2 x 3 pixels."""
    return np.random.default_rng(seed).integers(40, 200, (count, 32, 48, 3)).astype(np.uint8)


def means_of(images: np.ndarray) -> np.ndarray:
    """By loops: the mean of each field and channel."""
    rows, columns = images.shape[1] // 16, images.shape[2] // 16
    found = np.zeros((len(images), 16, 16, 3))
    for row in range(16):
        for column in range(16):
            part = images[:, row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
            found[:, row, column] = part.reshape(len(images), -1, 3).mean(axis=1)
    return found


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 30]))
def test_it_keeps_distances(seed: int, by: int) -> None:
    one, rng = pictures(seed), np.random.default_rng([seed, 1])
    other = (one + rng.integers(-by, by + 1, one.shape)).astype(np.uint8)
    true = float(np.sqrt(np.mean((means_of(one) - means_of(other)) ** 2)))
    found = distance(sketch(one), sketch(other))
    assert 0.4 * true < found < 1.7 * true  # 32 numbers: an eighth is one deviation
    assert distance(sketch(one), sketch(one)) == 0


def test_the_order_counts_and_a_level_here_and_there_hardly() -> None:
    one = pictures(0)
    assert len(sketch(one)) == NUMBERS
    assert distance(sketch(one), sketch(one[::-1])) > 10
    other, rng = one.copy(), np.random.default_rng(1)
    other[rng.random(one.shape) < 1e-3] += 1
    assert 0 < distance(sketch(one), sketch(other)) < ALIKE_TO
    assert distance(sketch(one), sketch(one + np.uint8(1))) > ALIKE_TO


def test_fields_of_unequal_sizes_are_refused() -> None:
    with pytest.raises(PictureError, match="no 16 x 16 fields"):
        sketch(np.zeros((1, 33, 48, 3), np.uint8))


SAID = {0.0: "byte for byte", 0.02: "the published pictures but for 0.020 levels", 0.5: "NOT the published pictures"}


def test_a_folder_says_how_far_it_is_from_the_published_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = ["benchmark", "make", tmp_path / "tiny", "--preset", "drawn-tiny", "--workers", 1, "--overwrite"]
    assert "no digest of it is published" in call(make).out
    about = json.loads((tmp_path / "tiny" / "benchmark.json").read_text())
    assert (about["published"], about["apart"]) == (None, None)
    source, _ = open_source(str(tmp_path / "tiny"), layout="flat")
    found = sketch(decode(record.payload) for record, _ in read_records(source))
    for moved, words in SAID.items():
        content = about["content"] if moved == 0 else "0" * 32
        known = Published(about["name"], content, tuple(value + moved for value in found))
        monkeypatch.setattr(job, "PUBLISHED", {"drawn-tiny": known})
        assert words in call(make).out
        made = json.loads((tmp_path / "tiny" / "benchmark.json").read_text())
        assert made["published"] == (moved == 0)
        assert made["apart"] == pytest.approx(moved, abs=1e-3)


def test_every_published_benchmark_has_a_sketch() -> None:
    assert all(len(known.sketch) == NUMBERS for known in PUBLISHED.values())


FIRST = (
    -101.159, 70.39, -219.579, -184.19, 49.515, -188.698, 2.943, 34.209, -58.085, 19.543, 56.796,
    -101.268, -136.095, -64.069, 10.443, 21.59, -29.383, 104.489, -101.315, 32.152, -123.836, 87.667,
    37.311, 225.525, -73.343, -158.037, 67.246, 118.014, -147.039, 17.398, 7.601, -297.285,
)  # fmt: skip
"""Of the first person's pictures, all roles, as they were when the published benchmark was drawn."""


def test_what_is_drawn_is_what_was_published() -> None:
    spec = PRESETS["drawn-mfr-v1"]
    plan = make_plan(spec)
    found = sketch(altered.image for _, altered in draw_faces(spec, plan, 0, len(plan.slots)))
    assert distance(found, FIRST) < ALIKE_TO, (
        "what facekit draws has changed: give the benchmark another name (a version of mask parameters, or of the "
        "spec), draw it, put its digest and sketch into PUBLISHED, and measure again what benchmarks/README.md says"
    )
