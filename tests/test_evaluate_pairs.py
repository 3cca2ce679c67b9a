"""Scores of lists of pairs against the field's loop, scikit-learn and direct counting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from sklearn.model_selection import KFold

from facekit.errors import ConfigError
from facekit.evaluate import fold_accuracy, operating_points, verify_pairs
from facekit.evaluate.operating_points import allowed_accepts

lists = st.integers(0, 2**32).flatmap(lambda seed: st.tuples(st.just(seed), st.integers(4, 80), st.booleans()))


def pairs(seed: int, count: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(count) < 0.5
    same[:2] = [True, False]
    similarity = np.clip(rng.normal(0.2 + 0.4 * same, 0.25), -1, 1)
    return (np.round(similarity, 1) if ties else similarity), same


def field_accuracy(similarity: np.ndarray, same: np.ndarray, folds: int) -> list[float]:
    """The loop that InsightFace and its relatives run: squared distances, a grid of thresholds, unshuffled folds."""
    distance = 2 - 2 * similarity
    grid = np.arange(0, 4, 0.01)
    results = []
    for train, test in KFold(folds, shuffle=False).split(distance):
        right = [np.mean((distance[train] < limit) == same[train]) for limit in grid]
        results.append(np.mean((distance[test] < grid[int(np.argmax(right))]) == same[test]))
    return results


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 10), st.integers(1, 9), st.integers(1, 9))
def test_fold_accuracy_is_the_fields_in_lfws_order(seed: int, folds: int, genuine: int, impostor: int) -> None:
    """Blocks of genuine and impostor pairs; shuffled inside a block, the folds stay the same."""
    same = np.tile(np.repeat([True, False], [genuine, impostor]), folds)
    rng = np.random.default_rng(seed)
    similarity = np.clip(rng.normal(0.2 + 0.4 * same, 0.25), -1, 1)
    expected = field_accuracy(similarity, same, folds)
    order = rng.permuted(np.arange(len(same)).reshape(folds, -1), axis=1).ravel()
    for ours in (fold_accuracy(similarity, same, folds), fold_accuracy(similarity[order], same[order], folds)):
        assert np.allclose(ours.accuracies, expected)
        assert ours.mean == pytest.approx(np.mean(expected))
        assert ours.deviation == pytest.approx(np.std(expected))
        assert ours.thresholds.shape == (folds,)


def test_a_sorted_list_has_folds_of_both_kinds() -> None:
    rng = np.random.default_rng(1)
    same = np.repeat([True, False], [300, 500])
    similarity = rng.normal(0.2 + 0.4 * same, 0.2)
    blocks = np.arange(300).reshape(10, -1), np.arange(300, 800).reshape(10, -1)
    mixed = np.concatenate(blocks, axis=1).ravel()
    assert fold_accuracy(similarity, same).mean == fold_accuracy(similarity[mixed], same[mixed]).mean
    assert fold_accuracy(similarity, same).deviation < 0.05


@settings(max_examples=40, deadline=None)
@given(lists)
def test_exact_thresholds_are_the_best_there_are(given_: tuple[int, int, bool]) -> None:
    similarity, same = pairs(*given_)
    result = fold_accuracy(similarity, same, 2, exact=True)
    kinds = [np.array_split(np.flatnonzero(same == kind), 2) for kind in (True, False)]
    halves = [np.concatenate([kind[half] for kind in kinds]) for half in (0, 1)]
    for fold, (test, train) in enumerate((halves, halves[::-1])):
        best = max(np.mean((similarity[train] > limit) == same[train]) for limit in [*similarity, -2])
        limit = result.thresholds[fold]
        assert np.mean((similarity[train] > limit) == same[train]) == pytest.approx(best)
        assert np.mean((similarity[test] > limit) == same[test]) == pytest.approx(result.accuracies[fold])


@settings(max_examples=60, deadline=None)
@given(lists)
def test_operating_points_against_scikit_learn(given_: tuple[int, int, bool]) -> None:
    """TAR at a FAR is the highest TAR on the whole curve whose FAR is no more."""
    similarity, same = pairs(*given_)
    far, tar, _ = roc_curve(same, similarity, drop_intermediate=False)
    impostor = int((~same).sum())
    wanted = [k / impostor for k in range(1, impostor + 1)]
    scores = verify_pairs(similarity, same, wanted, folds=2)
    for point in scores.points:
        assert point.tar == tar[far <= point.far + 1e-12].max()
        assert point.false_accepts <= round(point.far * impostor)
    assert np.allclose(scores.roc.far, far)
    assert np.allclose(scores.roc.tar, tar)
    assert (scores.genuine, scores.impostor) == (int(same.sum()), impostor)


def test_float64_similarities_are_not_rounded() -> None:
    genuine, impostor = np.array([0.5 + 1e-12, 0.5]), np.array([0.5, 0.4])
    point = operating_points(genuine, impostor, (0.5,))[0]
    assert (point.threshold, point.true_accepts, point.false_accepts) == (0.4, 2, 1)
    assert operating_points(genuine, np.array([0.5, 0.5]), (0.5,))[0].true_accepts == 1


@pytest.mark.parametrize(("far", "impostor", "allowed"), [(1e-3, 3000, 3), (1e-4, 97_979_029, 9797), (0.29, 100, 29),
                                                         (1e-6, 10**10, 10**4), (1, 7, 7), (0.1, 10, 1)])  # fmt: skip
def test_allowed_accepts_is_decimal(far: float, impostor: int, allowed: int) -> None:
    assert allowed_accepts(far, impostor) == allowed


@given(st.integers(1, 10**9))
def test_the_far_that_a_refusal_names_is_granted(impostor: int) -> None:
    with pytest.raises(ConfigError) as caught:
        allowed_accepts(0.999 / impostor, impostor)
    if impostor > 1:
        assert allowed_accepts(float(str(caught.value).split("ask for ")[1].split()[0]), impostor) >= 1


def test_near_random_pairs_have_a_result() -> None:
    rng = np.random.default_rng(0)
    same = np.arange(600) % 2 == 0
    for similarity in (rng.normal(0, 0.05, 600), np.zeros(600), np.ones(600)):
        scores = verify_pairs(similarity, same, (1e-2,))
        assert 0.3 < scores.accuracy.mean < 0.7
        assert scores.points[0].tar < 0.1


YES = np.array([True, False, True, False])
BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: verify_pairs(np.array([0.5]), np.array([True])), "no impostor pair among 1"),
    (lambda: verify_pairs(np.zeros(4), np.zeros(4, bool)), "no genuine pair among 4"),
    (lambda: verify_pairs(np.zeros(0), np.zeros(0, bool)), "no genuine pair among 0"),
    (lambda: verify_pairs(np.zeros(4), YES), "10 folds for 2 genuine and 2 impostor pairs"),
    (lambda: fold_accuracy(np.zeros(4), YES, 1), "1 folds"),
    (lambda: verify_pairs(np.array([0, np.nan, 0, 0]), YES, folds=2), "finite"),
    (lambda: verify_pairs(np.zeros(3), YES), "\\(P,\\)"),
    (lambda: verify_pairs(np.zeros(4), YES.astype(int)), "bool"),
    (lambda: verify_pairs(np.zeros(4), YES, (0.1,), folds=2), "at least 10 impostor pairs and there are 2"),
    (lambda: operating_points(np.zeros(0), np.zeros(3), (0.5,)), "no genuine"),
    (lambda: operating_points(np.zeros(1), np.zeros(3), (1.5,)), "outside"),
    (lambda: operating_points(np.zeros(1), np.array([np.inf]), (1,)), "finite"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()
