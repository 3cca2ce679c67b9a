"""Open-set identification and templates against the plainest loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.errors import ConfigError
from facekit.evaluate import FaceSet, aggregate, identify_open_set

seeds = st.integers(0, 2**32)


def faces(rng: np.random.Generator, count: int, people: range, sources: bool = False) -> FaceSet:
    """Vectors with components of -1, 0 and 1: many equal similarities."""
    vectors = rng.integers(-1, 2, (count, 5)).astype(np.float64)
    vectors[~vectors.any(axis=1), 0] = 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(people.start, people.stop, count)
    return FaceSet(vectors.astype(np.float32), labels, rng.integers(0, 8, count) if sources else None)


@settings(max_examples=80, deadline=None)
@given(seeds, st.booleans(), st.sampled_from([0.1, 0.25, 1.0]))
def test_tpir_by_brute_force(seed: int, sources: bool, fpir: float) -> None:
    rng = np.random.default_rng(seed)
    probe, gallery = faces(rng, 40, range(12), sources), faces(rng, 15, range(6), sources)
    strangers, mated, found, perhaps = [], 0, [], []  # perhaps: equal but for the rounding of one product or the other
    for i in range(40):
        best = {True: -np.inf, False: -np.inf}
        for j in range(15):
            if not sources or probe.sources[i] != gallery.sources[j]:
                mate = bool(probe.labels[i] == gallery.labels[j])
                best[mate] = max(best[mate], float(probe.vectors[i] @ gallery.vectors[j]))
        if best[True] == -np.inf:
            strangers.append(best[False])
        else:
            mated += 1
            if best[True] > best[False] + 1e-6:
                found.append(best[True])
            if best[True] > best[False] - 1e-6:
                perhaps.append(best[True])
    if not mated or len(strangers) * fpir < 1:
        with pytest.raises(ConfigError):
            identify_open_set(probe, gallery, (fpir,))
        return
    allowed = int(fpir * len(strangers))
    limit = sorted(strangers, reverse=True)[allowed] if allowed < len(strangers) else -np.inf
    scores = identify_open_set(probe, gallery, (fpir,))
    assert (scores.mated, scores.nonmated) == (mated, len(strangers))
    assert sum(value > limit for value in strangers) <= allowed
    wanted = [sum(value > edge for value in values) / mated
              for values, edge in ((found, limit + 1e-6), (perhaps, limit - 1e-6))]  # fmt: skip
    assert wanted[0] <= scores.points[0].tpir <= wanted[1]
    assert scores.points[0].threshold == pytest.approx(limit, abs=1e-6)


def test_what_an_open_set_needs() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="without a mate"):
        identify_open_set(faces(rng, 9, range(1)), faces(rng, 9, range(1)))
    with pytest.raises(ConfigError, match="with a mate"):
        identify_open_set(faces(rng, 9, range(1)), faces(rng, 9, range(1, 2)))
    with pytest.raises(ConfigError, match=r"FPIR 0.01 needs at least 100 probes without a mate"):
        identify_open_set(faces(rng, 40, range(9)), faces(rng, 9, range(4)))
    with pytest.raises(ConfigError, match="outside"):
        identify_open_set(faces(rng, 40, range(9)), faces(rng, 9, range(4)), (0.0,))
    with pytest.raises(ConfigError, match="dimensions"):
        identify_open_set(FaceSet(np.eye(3), np.arange(3)), FaceSet(np.eye(4), np.arange(4)))


@settings(max_examples=60, deadline=None)
@given(seeds, st.booleans())
def test_templates_by_brute_force(seed: int, by_norm: bool) -> None:
    """The loops of the protocol: frames of a medium to their mean, media added, the sum normalised."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    vectors = rng.normal(size=(count, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    templates, media = rng.integers(5, 12, count), rng.integers(0, 4, count)
    norms = rng.uniform(1, 30, count)
    found = aggregate(vectors, templates, media, norms if by_norm else None)
    assert found.ids.tolist() == sorted(set(templates.tolist()))
    for template, vector in zip(found.ids.tolist(), found.vectors, strict=True):
        total = np.zeros(4)
        for medium in sorted({m for t, m in zip(templates, media, strict=True) if t == template}):
            frames = [
                vectors[i] * (norms[i] if by_norm else 1)
                for i in range(count)
                if templates[i] == template and media[i] == medium
            ]
            total += sum(frames) / len(frames)
        np.testing.assert_allclose(vector, total / np.linalg.norm(total), atol=1e-6)


def test_templates_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="template 3: its vectors cancel"):
        aggregate(np.array([[1.0, 0], [-1.0, 0]]), np.array([3, 3]), np.array([1, 2]))
    with pytest.raises(ConfigError, match="as many"):
        aggregate(np.eye(2), np.array([3]), np.array([1, 2]))
