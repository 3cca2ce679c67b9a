"""Vectors without signal and ruinous results are refused with the figures; good vectors pass at published settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clean_packs import DrawnPack, make_pack, unit, vectors_of
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.clean import CleanSettings, clean_embeddings
from facekit.clean.plausibility import (
    MIN_AUC,
    Loss,
    Separation,
    _auc,
    check_loss,
    check_separation,
    low_threshold,
    measure_loss,
    measure_separation,
)
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.config import CleanConfig, CleanSummary
from facekit.jobs.clean.job import clean

SETTINGS = CleanSettings(threads=1)


def run(pack: DrawnPack, out: Path, vectors: np.ndarray | None = None, **options: Any) -> CleanSummary:
    features = pack.features
    if vectors is not None:
        features = pack.features.with_name("other.npy")
        np.save(features, vectors)
    return clean(CleanConfig(str(pack.folder), str(out), str(features), settings=SETTINGS, report=False, **options))


@given(
    high=st.lists(st.integers(0, 9), min_size=1, max_size=20), low=st.lists(st.integers(0, 9), min_size=1, max_size=20)
)
def test_the_auc_is_the_share_of_pairs_in_order(high: list[int], low: list[int]) -> None:
    pairs = [(one > other) + 0.5 * (one == other) for one in high for other in low]
    assert _auc(np.array(high), np.array(low)) == pytest.approx(np.mean(pairs))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 9999), noise=st.floats(0, 0.4), own=st.floats(0.55, 0.95), identities=st.integers(50, 90),
    gap=st.integers(1, 5),
)  # fmt: skip
def test_noisy_labels_pass_and_vectors_in_another_order_do_not(
    seed: int, noise: float, own: float, identities: int, gap: int
) -> None:
    """Whatever the noise, the strength and the numbers: signal lies above the limit, none below it."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, identities, identities * 12))
    person = np.where(rng.random(len(labels)) < noise, rng.integers(0, identities, len(labels)), labels)
    centre = unit(rng.standard_normal((identities, 64)))
    strange = unit(rng.standard_normal((len(labels), 64)))
    vectors = unit(own * centre[person] + np.sqrt(1 - own**2) * strange)
    good = measure_separation(vectors, labels * gap)
    assert good is not None
    assert good.auc > MIN_AUC + 0.02
    check_separation(good, SETTINGS)
    order = rng.permutation(len(labels))
    mixed = measure_separation(vectors[order], labels)
    with pytest.raises(FacekitError, match="Wrong model, preprocessing or order"):
        check_separation(mixed, SETTINGS)
    # Renamed labels and longer vectors are the same vectors under the same people.
    assert measure_separation(vectors * 3, labels + 7) == pytest.approx(measure_separation(vectors, labels), abs=1e-5)


def test_faces_that_do_not_count_are_not_looked_at() -> None:
    labels = np.repeat(np.arange(40), 10)
    vectors = vectors_of(labels, 1)
    usable = np.random.default_rng(0).random(len(labels)) < 0.7
    ruined = vectors.copy()
    ruined[~usable] = unit(np.random.default_rng(1).standard_normal((int((~usable).sum()), vectors.shape[1])))
    assert measure_separation(ruined, labels, usable) == measure_separation(vectors, labels, usable)
    blank = vectors.copy()
    blank[::3] = 0
    found = measure_separation(blank, labels)
    assert found is not None
    assert found.auc > 0.95
    assert found.pairs < 2000


def test_nothing_is_said_of_too_little() -> None:
    few = np.repeat(np.arange(9), 5)
    assert measure_separation(vectors_of(few, 0), few) is None
    alone = np.arange(200)
    assert measure_separation(vectors_of(alone, 0), alone) is None
    check_separation(None, SETTINGS)
    nothing = np.zeros((45, 8), np.float32)
    assert measure_separation(nothing, np.repeat(np.arange(15), 3)) is None


def test_vectors_that_are_all_alike_are_refused_where_they_would_merge() -> None:
    """They may still tell labels apart: what counts is that strangers are as alike as merged identities."""
    labels = np.repeat(np.arange(30), 8)
    vectors = vectors_of(labels, 2)
    alike = unit(vectors + 3 * unit(np.ones((1, vectors.shape[1]))))
    found = measure_separation(alike, labels)
    assert found is not None
    assert found.auc > 0.9
    with pytest.raises(FacekitError, match=rf"all alike.*{found.across:.2f}.*0.75 alike are merged"):
        check_separation(found, SETTINGS)
    check_separation(found, CleanSettings(inter=0.99, union=0.99))


@given(across=st.floats(-1, 1), intra=st.floats(-1, 1) | st.just("auto"))
def test_a_threshold_that_strangers_pass_is_named(across: float, intra: float | str) -> None:
    said = low_threshold(Separation(0.9, across, 0.9, 900), CleanSettings(intra=intra))
    assert (said is not None) == (intra != "auto" and across >= float(intra))
    assert said is None or f"{across:.2f} alike (median), so an intra of {intra:g} drops few" in said


def test_a_pack_whose_strangers_are_alike_gets_a_hint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pack = make_pack(tmp_path)
    vectors = np.load(pack.features)
    run(pack, tmp_path / "apart")
    assert not caplog.messages
    alike = unit(vectors + vectors.mean(0) / np.linalg.norm(vectors.mean(0)))
    run(pack, tmp_path / "alike", alike, allow_loss=0.9)
    assert [message for message in caplog.messages if "choose --intra auto" in message]


@given(images=st.floats(0, 1), identities=st.floats(0, 1), allowed=st.floats(0, 1))
def test_more_than_was_allowed_is_refused(images: float, identities: float, allowed: float) -> None:
    if max(images, identities) <= allowed:
        check_loss(Loss(images, identities), allowed)
        return
    with pytest.raises(FacekitError, match=rf"{images:.0%} of the images and {identities:.0%} of the identities"):
        check_loss(Loss(images, identities), allowed)


def test_the_loss_counts_faces_and_identities() -> None:
    labels = np.repeat(np.arange(20), 6)
    d = clean_embeddings(vectors_of(labels // 2, 3), labels, SETTINGS)
    assert measure_loss(d) == (0.0, 0.5)
    dropped = np.arange(len(labels)) % 6 == 0
    action = np.where(dropped, 2, d.action_code).astype(np.int8)
    harsh = dataclasses.replace(d, action_code=action, new_label=np.where(dropped, -1, d.new_label))
    assert measure_loss(harsh) == pytest.approx((1 / 6, 0.5))


def test_a_pack_is_not_cleaned_by_vectors_without_signal(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    vectors = np.load(pack.features)
    good = run(pack, tmp_path / "good")
    assert good.images_out > 0.8 * good.images
    for name, bad, message in (
        ("order", vectors[np.random.default_rng(0).permutation(len(vectors))], "do not tell the labels apart"),
        ("model", unit(np.random.default_rng(1).standard_normal(vectors.shape)), "do not tell the labels apart"),
        ("collapsed", unit(vectors + 9 * vectors.mean(0) / np.linalg.norm(vectors.mean(0))), "all alike"),
    ):
        with pytest.raises(FacekitError, match=message):
            run(pack, tmp_path / name, bad)
        assert not (tmp_path / name).exists()
        assert not (tmp_path / f"{name}.partial").exists()


def test_a_result_that_takes_too_much_is_refused_until_it_is_allowed(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    harsh = dataclasses.replace(SETTINGS, intra=0.9)
    config = CleanConfig(str(pack.folder), str(tmp_path / "out"), str(pack.features), settings=harsh, report=False)
    with pytest.raises(FacekitError, match=r"cleaning takes \d+% of the images .* --allow-loss"):
        clean(config)
    assert not (tmp_path / "out").exists()
    done = clean(dataclasses.replace(config, allow_loss=1.0))
    assert done.images_out < done.images / 2
    with pytest.raises(ConfigError, match=r"allow_loss is 1.5"):
        dataclasses.replace(config, allow_loss=1.5)


def test_the_refusal_says_the_figures() -> None:
    with pytest.raises(FacekitError, match=r"are 0.21 alike, .* 0.20 .* in 51% of cases"):
        check_separation(Separation(0.21, 0.2, 0.51, 900), SETTINGS)
