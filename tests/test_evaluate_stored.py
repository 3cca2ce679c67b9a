"""Galleries, templates and all pairs of folders of vectors: scored as in memory and by brute force, out of memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_evaluate_mapped_pairs as drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.clean import gathered_rows
from facekit.embeddings import ArrayVectors, VectorRows, open_features
from facekit.errors import ConfigError
from facekit.evaluate import (
    FaceSet,
    Roc,
    aggregate,
    all_pairs,
    all_pairs_intervals,
    faces,
    identify,
    identify_open_set,
    templates,
    verify_all,
)
from facekit.jobs.evaluate import mapped_faces
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.job import evaluate
from facekit.jobs.inputs.model import ModelChoice

WIDTH = 128


def exact(rng: np.random.Generator, count: int) -> np.ndarray:
    """Vectors of 16 entries +-1/4, alike by people: unit norm, and products are exact in float32."""
    centres = rng.choice([-0.25, 0.25], (6, 16))
    flips = np.where(rng.random((count, 16)) < 0.15, -1, 1)
    return (centres[rng.integers(0, 6, count)] * flips).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 40), max_size=4), st.integers(1, 50), st.booleans())
def test_stored_vectors_score_as_brute_force_does(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int], block: int, sources: bool
) -> None:
    rng = np.random.default_rng(seed)
    vectors, labels = exact(rng, 40), rng.integers(0, 6, 40)
    source = rng.integers(0, 20, 40) if sources else None
    folder = drawn.write_features(tmp_path_factory.mktemp("f") / "f", vectors, np.arange(40), sorted(cuts))
    stored = FaceSet(VectorRows(open_features(folder)), labels, source)
    held = FaceSet(vectors, labels, source)
    keep = rng.random(40) < 0.5
    sides = [(some.take(keep), some.take(np.flatnonzero(~keep))) for some in (stored, held)]
    np.testing.assert_array_equal(sides[0][0].vectors[:], sides[1][0].vectors)
    similarity = vectors[keep].astype(np.float64) @ vectors[~keep].T.astype(np.float64)
    apart = np.True_ if source is None else source[keep, None] != source[~keep]
    alike = labels[keep, None] == labels[~keep]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_pairs, "BLOCK", block)
        for score in (verify_all, lambda *two: all_pairs_intervals(*two, verify_all(*two), 5), identify):
            found, wanted = (_or_error(score, *two) for two in sides)
            assert str(found) == str(wanted)
        scores, ranks = _or_error(verify_all, *sides[0]), _or_error(identify, *sides[0])
        openly = _or_error(lambda *two: identify_open_set(*two, (0.5,)), *sides[0])
    if not isinstance(scores, str):
        assert (scores.genuine, scores.impostor) == ((alike & apart).sum(), (~alike & apart).sum())
        for point in scores.points:
            assert point.tar == (similarity[alike & apart] > point.threshold).mean()
            assert point.false_accepts == (similarity[~alike & apart] > point.threshold).sum()
    own, other = (np.where(kind & apart, similarity, -np.inf).max(1, initial=-np.inf) for kind in (alike, ~alike))
    mated = np.isfinite(own)
    ahead = (~alike & apart & (similarity >= own[:, None])).sum(1)[mated]
    if not isinstance(ranks, str):
        assert ranks.accuracy == {1: (ahead < 1).mean(), 5: (ahead < 5).mean()}
    if not isinstance(openly, str):
        limit = openly.points[0].threshold
        assert openly.points[0].tpir == (mated & (own > other) & (own > limit)).sum() / mated.sum()


def _or_error(score: Callable[..., Any], *sides: FaceSet) -> Any:
    try:
        return score(*sides)
    except ConfigError as error:
        return str(error)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 30), st.booleans())
def test_templates_of_some_at_a_time_are_those_of_all(seed: int, count: int, at_once: int, by_norm: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors, ids, media = drawn.unit(seed, count, 5), rng.integers(0, 9, count), rng.integers(0, 4, count)
    norms = rng.uniform(1, 30, count) if by_norm else None
    whole = aggregate(vectors, ids, media, norms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "AT_ONCE", at_once)
        patch.setattr(gathered_rows, "MAPPED_ABOVE", 40)
        some = aggregate(VectorRows(ArrayVectors(vectors)), ids, media, norms, gathered_rows.gather_rows)
    np.testing.assert_array_equal(some.ids, whole.ids)
    np.testing.assert_array_equal(some.vectors, whole.vectors)
    for row, name in enumerate(whole.ids.tolist()):
        total = np.zeros(5)
        for medium in set(media[ids == name].tolist()):
            inside = (ids == name) & (media == medium)
            weights = np.ones(count) if norms is None else norms
            total += (vectors[inside] * weights[inside, None]).astype(np.float64).mean(0)
        np.testing.assert_allclose(whole.vectors[row], total / np.linalg.norm(total), atol=1e-6)


def grown(small: int, large: int, make: Callable[[int], EvalConfig], runs: int = 1) -> float:
    """Bytes that a face more adds to the highest that an evaluation allocates: to the lowest of some runs.

    What waits in a cycle for the collector, whenever that comes, is on top in some of them.
    """
    _peak(make(small))  # imports and compiles
    peaks = [min(_peak(make(count)) for _ in range(runs)) for count in (small, large)]
    return (peaks[1] - peaks[0]) / (large - small)


def _peak(config: EvalConfig) -> int:
    gc.collect()
    tracemalloc.start()
    evaluate(config)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], str]:
    """Writes a folder of vectors, three a person; what is looked at at once is little."""
    monkeypatch.setattr(drawn, "EACH", 3)
    monkeypatch.setattr(all_pairs, "BLOCK", 256)
    monkeypatch.setattr(faces, "AT_ONCE", 256)
    monkeypatch.setattr(templates, "AT_ONCE", 256)
    monkeypatch.setattr(mapped_faces, "BLOCK", 1 << 16)
    monkeypatch.setattr(gathered_rows, "MAPPED_ABOVE", 1 << 16)
    # A curve has a point for each of a million bins in which there are pairs: of the few pairs here, as many as these.
    monkeypatch.setattr(all_pairs, "roc_from_counts", lambda *_: Roc(np.zeros(0), np.zeros(0)))

    def made(count: int) -> str:
        folder = tmp_path / str(count)
        if not folder.exists():
            vectors = drawn.unit(count, count, WIDTH)
            drawn.write_features(folder, vectors, np.arange(count), list(range(512, count, 512)))
        return str(folder)

    return made


def test_all_pairs_hold_few_bytes_a_face(write: Callable[[int], str]) -> None:
    """Besides 512 of its vector, of which there were two."""

    def make(count: int) -> EvalConfig:
        return EvalConfig(write(count), ModelChoice(""), fars=(1e-5,), bootstrap=2)

    assert grown(1_500, 4_000, make) < 100


def test_a_gallery_holds_few_bytes_a_face(write: Callable[[int], str]) -> None:
    def make(count: int) -> EvalConfig:
        sides = {"gallery": write(count), "probe": write(300)}
        return EvalConfig(write(count), ModelChoice(""), fars=(1e-3,), bootstrap=2, **sides)

    assert grown(4_000, 9_000, make) < 100


def test_templates_hold_few_bytes_a_face(tmp_path: Path, write: Callable[[int], str]) -> None:
    def make(count: int) -> EvalConfig:
        rows, pairs = range(count), range(0, count // 2 - 1, 2)
        listed, paired = tmp_path / f"{count}.txt", tmp_path / f"{count}-pairs.txt"
        listed.write_text("".join(f"{row}.jpg {row // 2} {row}\n" for row in rows))
        paired.write_text("".join(f"{one} {one + 1} {one // 2 % 2}\n" for one in pairs))
        given = {"templates": str(listed), "pairs": str(paired)}
        return EvalConfig(write(count), ModelChoice(""), fars=(1e-2,), bootstrap=0, **given)

    assert grown(4_000, 12_000, make, runs=4) < 100
