"""Thresholds from the data, streaming scores and the sweep."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.clean.calibrate import calibrate_eps, calibrate_intra
from facekit.clean.identity_groups import group_by_identity, iterate_chunks
from facekit.clean.outliers import score_faces
from facekit.clean.sweep import sweep_thresholds
from facekit.errors import ConfigError


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("width", [64, 256])
def test_the_intra_threshold_has_the_false_accept_rate_asked_for(width: int) -> None:
    rng = np.random.default_rng(0)
    centres = unit(rng.standard_normal((300, width)))
    groups = np.repeat(np.arange(300), 20)
    vectors = unit(0.8 * centres[groups] + 0.6 * unit(rng.standard_normal((6000, width))))
    scores = score_faces(vectors, centres, groups)
    found = calibrate_intra(vectors, centres, groups, scores, rate=0.01)
    assert found is not None
    strangers = vectors @ centres.T
    strangers[np.arange(6000), groups] = np.nan
    assert np.nanmean(strangers >= found.threshold) == pytest.approx(0.01, abs=0.003)
    assert found.null_deviation == pytest.approx(1 / np.sqrt(width), rel=0.1)


def test_the_radius_follows_the_spread_of_strangers_and_ignores_a_few_duplicates() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(200), 15)
    for width in (64, 256):
        person = labels.copy()
        person[labels >= 190] -= 1
        centres = unit(rng.standard_normal((200, width)))
        vectors = unit(0.8 * centres[person] + 0.6 * unit(rng.standard_normal((3000, width))))
        found = calibrate_eps(vectors, group_by_identity(labels))
        assert found is not None
        assert found.threshold == pytest.approx(3.5 / np.sqrt(width), rel=0.15)


def test_too_little_to_calibrate() -> None:
    vectors = unit(np.random.default_rng(2).standard_normal((6, 8)))
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert calibrate_eps(vectors, group_by_identity(labels)) is None
    assert calibrate_eps(vectors, group_by_identity(np.zeros(6, np.int64))) is None
    assert calibrate_intra(vectors, vectors[:2], labels, np.ones(6, np.float32)) is None
    assert calibrate_intra(vectors, vectors[:1], labels * 0, np.ones(6, np.float32)) is None


@pytest.mark.parametrize("threads", [1, 4])
def test_scores_are_cosines(threads: int) -> None:
    rng = np.random.default_rng(3)
    vectors = (rng.standard_normal((20_000, 33)) * rng.uniform(0.1, 9, (20_000, 1))).astype(np.float32)
    centres = unit(rng.standard_normal((50, 33)))
    groups = rng.integers(-1, 50, 20_000)
    vectors[5] = 0
    groups[5] = 1
    found = score_faces(vectors, centres, groups, threads=threads)
    length = np.maximum(np.linalg.norm(vectors.astype(np.float64), axis=1), 1e-9)
    exact = np.einsum("ij,ij->i", vectors.astype(np.float64), centres[groups].astype(np.float64)) / length
    lost = (groups < 0) | (np.arange(20_000) == 5)
    np.testing.assert_array_equal(np.isnan(found), lost)
    np.testing.assert_allclose(found[~lost], exact[~lost], atol=2e-6)


def test_chunks_are_whole_identities_and_leave_nothing_out() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 90, 5000)
    identities = group_by_identity(labels)
    rows = []
    for chunk in iterate_chunks(identities, rows=170):
        assert chunk.starts[-1] >= 170 or chunk.identities.stop == len(identities.labels)
        np.testing.assert_array_equal(
            labels[chunk.rows], np.repeat(identities.labels[chunk.identities], np.diff(chunk.starts))
        )
        rows.append(chunk.rows)
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(5000))
    np.testing.assert_array_equal(identities.labels[identities.of_row], labels)


def test_the_sweep_counts_what_a_loop_counts() -> None:
    rng = np.random.default_rng(5)
    similarity, groups = rng.uniform(0, 1, 400).astype(np.float32), rng.integers(0, 60, 400)
    similarity[:5] = np.nan
    wrong, scored = rng.random(400) < 0.2, rng.random(400) < 0.9
    found = sweep_thresholds(similarity, groups, wrong=wrong, scored=scored)
    assert found.threshold.tolist() == [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]
    for k, t in enumerate(found.threshold):
        keep = [s >= t for s in similarity]
        assert found.images[k] == sum(keep)
        assert found.identities[k] == len({g for g, inside in zip(groups, keep) if inside})
        hit = sum(1 for i in range(400) if scored[i] and wrong[i] and not keep[i])
        dropped = sum(1 for i in range(400) if scored[i] and not keep[i])
        assert found.precision[k] == pytest.approx(hit / dropped)
        assert found.recall[k] == pytest.approx(hit / (wrong & scored).sum())
        expected = 2 / (1 / found.precision[k] + 1 / found.recall[k])
        assert found.f1[k] == pytest.approx(expected)
    assert np.all(np.diff(found.images) <= 0)
    assert np.isnan(sweep_thresholds(similarity, groups).f1).all()
    for bad in ([], [1.5]):
        with pytest.raises(ConfigError, match="from -1 to 1"):
            sweep_thresholds(similarity, groups, thresholds=np.array(bad))
