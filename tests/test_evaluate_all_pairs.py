"""Streaming verification and identification against brute force over every pair, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from facekit.errors import ConfigError, FacekitError
from facekit.evaluate import FaceSet, all_pairs, by_group, identify, masked_protocol, verify_all
from facekit.evaluate.all_pairs import _value


def exact_faces(rng: np.random.Generator, count: int, people: int, sources: bool = False) -> FaceSet:
    """Vectors of 16 entries +-1/4: unit norm, and products are multiples of 1/8, exact in float32."""
    centres = rng.choice([-0.25, 0.25], (people, 16))
    labels = rng.integers(0, people, count)
    flips = np.where(rng.random((count, 16)) < 0.15, -1, 1)
    own = rng.integers(0, max(1, count // 2), count) if sources else None
    return FaceSet((centres[labels] * flips).astype(np.float32), labels, own)


def brute_force(probe: FaceSet, gallery: FaceSet | None) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of genuine and impostor pairs, pair by pair."""
    other, found = probe if gallery is None else gallery, ([], [])
    for i in range(len(probe)):
        for j in range(i + 1 if gallery is None else 0, len(other)):
            if probe.sources is None or other.sources is None or probe.sources[i] != other.sources[j]:
                similarity = float(probe.vectors[i].astype(np.float64) @ other.vectors[j].astype(np.float64))
                found[int(probe.labels[i] != other.labels[j])].append(similarity)
    return np.array(found[0]), np.array(found[1])


def check_points(scores: all_pairs.AllPairs, genuine: np.ndarray, impostor: np.ndarray) -> None:
    """What an operating point means, counted directly."""
    assert (scores.genuine, scores.impostor) == (len(genuine), len(impostor))
    for point in scores.points:
        allowed = math.floor(Fraction(str(point.far)) * len(impostor))
        assert point.false_accepts == (impostor > point.threshold).sum() <= allowed
        assert point.true_accepts == (genuine > point.threshold).sum()
        assert point.tar == point.true_accepts / len(genuine)
        if point.threshold > -np.inf:
            assert point.threshold in impostor
            assert (impostor >= point.threshold).sum() > allowed
        else:
            assert allowed == len(impostor)


@pytest.mark.kernels
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 8), st.booleans(), st.booleans(), st.integers(1, 9))
def test_all_pairs_equal_brute_force(
    seed: int, count: int, people: int, sources: bool, alone: bool, block: int
) -> None:
    """Whatever the block size, sources and ties."""
    rng = np.random.default_rng(seed)
    probe = exact_faces(rng, count, people, sources)
    gallery = None if alone else exact_faces(rng, max(1, count // 2), people, sources)
    genuine, impostor = brute_force(probe, gallery)
    fars = [far for far in (0.01, 0.1, 0.3, 1.0) if far * len(impostor) >= 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_pairs, "BLOCK", block)
        if not len(genuine) or not fars:
            with pytest.raises(ConfigError, match=r"no genuine pair|impostor pairs"):
                verify_all(probe, gallery, fars or (0.1,))
            return
        scores = verify_all(probe, gallery, fars)
    check_points(scores, genuine, impostor)
    similarity = np.concatenate([genuine, impostor])
    far, tar, _ = roc_curve(np.repeat([1, 0], [len(genuine), len(impostor)]), similarity, drop_intermediate=False)
    assert np.allclose(scores.roc.far, far)
    assert np.allclose(scores.roc.tar, tar)


def test_the_order_of_the_faces_and_the_progress() -> None:
    rng = np.random.default_rng(3)
    faces, order, seen = exact_faces(rng, 300, 20), rng.permutation(300), []
    scores = verify_all(faces, fars=(0.01, 0.1), advance=seen.append)
    assert verify_all(faces.take(order), fars=(0.01, 0.1)).points == scores.points
    assert sum(seen) == 2 * 300 * 300


@pytest.mark.kernels
def test_thresholds_are_exact_to_the_last_bit() -> None:
    """Similarities that differ in the last bit of a float32 are told apart, of both signs and around zero."""
    base = np.float32([0.25, -0.25, 1e-6, 0.99])
    values = np.unique(np.concatenate([base, np.nextafter(base, np.float32(2)), np.nextafter(base, np.float32(-2))]))
    angles = np.sqrt(np.maximum(0, 1 - values.astype(np.float64) ** 2))
    gallery = FaceSet(np.stack([values, angles], 1).astype(np.float32), np.arange(1, len(values) + 1))
    probe = FaceSet(np.float32([[1, 0], [1, 0]]), np.array([0, 1]))
    for rank in range(1, len(values)):
        point = verify_all(probe.take(np.array([0, 1])), gallery, (rank / (2 * len(values) - 1),)).points[0]
        both = np.sort(np.concatenate([values, values[1:]]))[::-1]
        assert point.threshold == both[rank]
        assert point.false_accepts == (both > both[rank]).sum()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_float_comes_back_from_its_rank(value: float) -> None:
    bits = int(np.float32(value).view(np.uint32))
    rank = bits | 0x80000000 if bits < 0x80000000 else ~bits & 0xFFFFFFFF
    assert _value(rank) == np.float32(value)


def test_constant_and_random_embeddings_have_stated_results() -> None:
    labels = np.repeat(np.arange(50), 2)
    same = FaceSet(np.tile(np.float32([[0.6, 0.8]]), (100, 1)), labels)
    point = verify_all(same, fars=(0.01,)).points[0]
    assert (point.tar, point.false_accepts) == (0, 0)  # all tie with the threshold, and ties are rejected
    assert identify(same, same).accuracy == {1: 0, 5: 0}
    numbered = FaceSet(same.vectors, labels, np.arange(100))
    assert identify(numbered, numbered).accuracy == {1: 0, 5: 0}
    vectors = np.random.default_rng(0).normal(size=(400, 32))
    random = FaceSet(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.arange(400) // 2)
    scores = verify_all(random, fars=(1e-4, 0.1))
    assert scores.points[1].tar == pytest.approx(0.1, abs=0.07)
    assert scores.points[0].tar < 0.03


def test_two_passes_that_differ_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = exact_faces(np.random.default_rng(1), 50, 5)
    blocks, calls = all_pairs.blocks_of, []

    def unsteady(*given: object) -> object:
        calls.append(1)
        for block in blocks(*given):
            if len(calls) == 2:
                block.bits[:] = np.float32(0.125).view(np.uint32)
            yield block

    monkeypatch.setattr(all_pairs, "blocks_of", unsteady)
    with pytest.raises(FacekitError, match="not repeatable"):
        verify_all(faces, fars=(0.1,))


@pytest.mark.kernels
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 8), st.booleans(), st.integers(1, 300))
def test_identification_equals_sorting(seed: int, count: int, people: int, sources: bool, block: int) -> None:
    rng = np.random.default_rng(seed)
    probe, gallery = exact_faces(rng, count, people, sources), exact_faces(rng, 20, people, sources)
    right, without = {1: 0, 3: 0}, 0
    for i, (vector, label) in enumerate(zip(probe.vectors, probe.labels, strict=True)):
        allowed = gallery.sources != probe.sources[i] if sources else np.full(20, True)
        similarity, labels = gallery.vectors[allowed] @ vector, gallery.labels[allowed]
        without += label not in labels
        # Sorted by similarity, others before one's own among equals.
        order = sorted(range(len(labels)), key=lambda k: (-similarity[k], labels[k] == label))
        for rank in right:
            right[rank] += label in labels[order[:rank]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_pairs, "BLOCK", block)
        if without == len(probe):
            with pytest.raises(ConfigError, match="none of"):
                identify(probe, gallery)
            return
        scores = identify(probe, gallery, (1, 3))
    assert (scores.probes, scores.without_mate, scores.gallery) == (count - without, without, 20)
    assert scores.accuracy == {rank: right[rank] / (count - without) for rank in right}


def test_the_masked_protocol_is_made_of_its_parts() -> None:
    """Masked copies share their source with an original, and are never compared with it."""
    bare = exact_faces(np.random.default_rng(5), 60, 12)
    flips = np.where(np.random.default_rng(6).random((60, 16)) < 0.2, -1, 1)
    vectors = np.concatenate([bare.vectors, (bare.vectors * flips).astype(np.float32)])
    faces = FaceSet(vectors, np.tile(bare.labels, 2), np.tile(np.arange(60), 2))
    masked = np.repeat([False, True], 60)
    scores = masked_protocol(faces, masked, 0.01, 0.001)
    across = brute_force(faces.take(masked), faces.take(~masked))
    assert len(across[0]) + len(across[1]) == 60 * 59
    check_points(scores.masked, *across)
    # MR-All is of bare faces alone: masked ones, at the same threshold, may not pull it down.
    check_points(scores.bare, *brute_force(bare, None))
    assert scores.bare.genuine + scores.bare.impostor == 60 * 59 // 2
    assert scores.score == 0.25 * scores.masked.points[0].tar + 0.75 * scores.bare.points[0].tar
    for wrong in (np.ones(120, bool), np.zeros(120, bool), masked[:3], masked.astype(int)):
        with pytest.raises(ConfigError, match="masked"):
            masked_protocol(faces, wrong)
    with pytest.raises(ConfigError, match="at least 10,000 impostor"):
        masked_protocol(faces, masked)


def test_groups_are_scored_by_themselves() -> None:
    faces = exact_faces(np.random.default_rng(8), 90, 9)
    groups = np.array(["b", "a", ""]).astype("U5")[np.arange(90) % 3]
    groups[0] = "alone"
    scores = by_group(faces, groups, (0.01,))
    assert list(scores) == ["a", "alone", "b"]
    assert "no genuine pair" in scores["alone"]
    check_points(scores["a"], *brute_force(faces.take(groups == "a"), None))
    unasked = by_group(faces, np.where(groups == "a", "Children", groups))
    assert "FAR 0.0001 needs" in unasked["Children"]
    assert "FAR 1e-6 needs" in unasked["b"]
    with pytest.raises(ConfigError, match="90 strings"):
        by_group(faces, groups[:4], (0.01,))


ONE = np.float32([[1, 0]])
FACES = FaceSet(np.float32([[1, 0], [1, 0], [0, 1]]), np.array([0, 0, 1]))
BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: FaceSet(np.zeros((2, 3)), np.array([0, 1])), "vector 0 has norm 0"),
    (lambda: FaceSet(np.float32([[1, 0], [np.nan, 0]]), np.array([0, 1])), "vector 1 has norm nan"),
    (lambda: FaceSet(np.float32([1, 0]), np.array([0, 1])), "must be \\(N, D\\)"),
    (lambda: FaceSet(ONE, np.array([0.0])), "labels must be 1 integers"),
    (lambda: FaceSet(ONE, np.array([0, 1])), "labels must be 1 integers"),
    (lambda: FaceSet(ONE, np.array([0]), np.array([-1])), "sources must be 1 integers from 0"),
    (lambda: verify_all(FACES, fars=(0,)), "outside"),
    (lambda: verify_all(FACES, fars=(0.1,)), "at least 10 impostor pairs and there are 2: ask for 0.5 or more"),
    (lambda: verify_all(FaceSet(ONE, np.array([3])), fars=(0.1,)), "no genuine pair"),
    (lambda: verify_all(FACES.take(np.array([0, 1])), fars=(0.1,)), "there are 0: add pictures"),
    (lambda: verify_all(FACES, FaceSet(np.float32([[1]]), np.array([0])), (0.5,)), "2 dimensions and the gallery 1"),
    (lambda: verify_all(FaceSet(np.empty((0, 2)), np.empty(0, int))), "no genuine pair"),
    (lambda: verify_all(FACES, FaceSet(np.empty((0, 2)), np.empty(0, int))), "no genuine pair"),
    (lambda: identify(FACES, FaceSet(ONE, np.array([9]))), "none of 3 probes"),
    (lambda: identify(FACES, FaceSet(np.float32([[1]]), np.array([0]))), "dimensions"),
    (lambda: identify(FACES, FACES, (0,)), "1 or more"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()
