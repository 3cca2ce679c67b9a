"""Error against reject rate, against the whole matrix of similarities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.errors import ConfigError
from facekit.evaluate import FaceSet, misses_after_rejecting, rejection, verify_all

SHARES = (0.0, 0.3, 0.5, 0.9)


def faces(seed: int, count: int, people: int, sources: bool, noise: float = 1.5) -> FaceSet:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, people, count)
    centres = np.random.default_rng(9).normal(size=(people, 6))
    vectors = centres[labels] + rng.normal(0, noise, (count, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return FaceSet(vectors.astype(np.float32), labels, rng.integers(0, 30, count) if sources else None)


def brute(probe: FaceSet, gallery: FaceSet, quality: Any, far: float) -> list[float]:
    """A pair at a time."""
    threshold = verify_all(probe, gallery, (far,)).points[0].threshold
    limits = [[float(np.quantile(side, share)) for side in quality] for share in SHARES]
    found: list[list[bool]] = [[] for _ in SHARES]
    for i in range(len(probe)):
        for j in range(len(gallery)):
            same_photo = probe.sources is not None and gallery.sources is not None
            if probe.labels[i] != gallery.labels[j] or (same_photo and probe.sources[i] == gallery.sources[j]):
                continue
            score = math.fsum(float(a) * float(b) for a, b in zip(probe.vectors[i], gallery.vectors[j], strict=True))
            for number, (least, most) in enumerate(limits):
                if quality[0][i] >= least and quality[1][j] >= most:
                    found[number].append(score <= threshold)
    return [sum(rows) / len(rows) if rows else math.nan for rows in found]


@given(st.integers(0, 10**6), st.integers(2, 9), st.booleans(), st.sampled_from([1, 7, 1 << 21]))
@settings(deadline=None, max_examples=40)
def test_misses_equal_those_of_the_whole_matrix(seed: int, people: int, sources: bool, block: int) -> None:
    probe, gallery = faces(seed, 41, people, sources), faces(seed + 1, 33, people, sources)
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=41), rng.integers(0, 4, 33).astype(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejection, "BLOCK", block)
        found = misses_after_rejecting(probe, gallery, quality, 0.1, SHARES)
    # The threshold is itself a similarity, of an impostor: no genuine pair lies at it.
    np.testing.assert_allclose(found, brute(probe, gallery, quality, 0.1), atol=1e-12)


def test_no_block_is_larger_than_allowed_and_every_genuine_pair_is_in_one() -> None:
    probe, gallery = np.array([3, 1, 3, 3, 0, 3, 8]), np.array([3, 3, 1, 7, 0, 0, 3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejection, "BLOCK", 6)
        blocks = list(rejection._blocks(probe, gallery))
    assert all(len(mine) * len(others) <= 6 for mine, others in blocks)
    pairs = sorted((i, j) for mine, others in blocks for i in mine.tolist() for j in others.tolist())
    assert pairs == [(i, j) for i in range(7) for j in range(7) if probe[i] == gallery[j]]


def test_rejecting_by_the_truth_leaves_no_miss_and_all_of_one_side_is_nan() -> None:
    probe, gallery = faces(1, 60, 5, False, 0.6), faces(2, 60, 5, False, 0.6)
    threshold = verify_all(probe, gallery, (0.1,)).points[0].threshold
    score = probe.vectors.astype(np.float64) @ gallery.vectors.T.astype(np.float64)
    worst = np.where(probe.labels[:, None] == gallery.labels, score, np.inf).min(1)
    share = float((worst <= threshold).mean())
    assert 0.2 < share < 0.95
    misses = misses_after_rejecting(probe, gallery, (worst, np.zeros(60)), 0.1, (0.0, share + 1 / 60))
    assert misses[0] > 0
    assert misses[1] == 0
    alone = FaceSet(probe.vectors, np.where(np.arange(60) == 0, probe.labels, 99), None)
    last = misses_after_rejecting(alone, gallery, (np.arange(60.0), np.zeros(60)), 0.1, (0.0, 0.5))
    assert not math.isnan(last[0])
    assert math.isnan(last[1])


def test_another_number_of_qualities_is_refused() -> None:
    probe = faces(1, 20, 3, False)
    with pytest.raises(ConfigError, match="qualities of 19 and 20 faces for 20 and 20"):
        misses_after_rejecting(probe, probe, (np.zeros(19), np.zeros(20)), 0.1, SHARES)
