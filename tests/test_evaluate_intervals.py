"""Intervals and folds by person: against lists in which people really stand as often as they were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from facekit.errors import ConfigError
from facekit.evaluate import (
    FaceSet,
    FoldChoice,
    Resampling,
    all_pairs_bootstrap,
    all_pairs_intervals,
    bootstrap,
    fold_accuracy,
    operating_points,
    people_of_pairs,
    verify_all,
    verify_pairs,
)
from facekit.evaluate.bootstrap import Interval, WeightedPairs, draw_weights, interval_of, weighted_tars
from facekit.evaluate.folds import folds_by_person, folds_by_run

seeds = st.integers(0, 2**32)


def pair_list(seed: int, count: int = 60, people: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Similarities with ties, whether it is one person, and who."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, people, (count, 2))
    who[: count // 2, 1] = who[: count // 2, 0]
    who = rng.permutation(who)
    same = who[:, 0] == who[:, 1]
    return np.round(rng.normal(0.2 + 0.4 * same, 0.3), 1), same, who


def repeated(values: np.ndarray, weights: np.ndarray, who: np.ndarray) -> np.ndarray:
    """Each pair as often as the bootstrap has it in its list."""
    times = [weights[a] if a == b else weights[a] * weights[b] for a, b in who.tolist()]
    return np.repeat(values, times)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_a_weighted_tar_is_that_of_the_list_with_people_repeated(seed: int) -> None:
    similarity, same, who = pair_list(seed)
    weights = next(draw_weights(9, 1, seed))
    assert weights.sum() == 9
    genuine, impostor = (WeightedPairs(similarity[keep], who[keep]) for keep in (same, ~same))
    own, other = (repeated(similarity[keep], weights, who[keep]) for keep in (same, ~same))
    assume(len(own) and len(other) >= 10)
    found = weighted_tars(genuine, impostor, weights, (0.1, 0.3, 1.0))
    assert found == pytest.approx([point.tar for point in operating_points(own, other, (0.1, 0.3, 1.0))])


@settings(max_examples=25, deadline=None)
@given(seeds, st.booleans())
def test_intervals_of_a_list_by_brute_force(seed: int, by_person: bool) -> None:
    """Each replicate: pairs really repeated, every limit tried on what decides a fold."""
    similarity, same, who = pair_list(seed, 80, 30)
    try:
        folds = folds_by_person(same, who, 3) if by_person else folds_by_run(same, 3)
    except ConfigError:
        assume(False)
    choice = FoldChoice(3, who if by_person else None)
    found = verify_pairs(similarity, same, (0.1,), choice, Resampling(who, 7, seed)).intervals
    limits, tars, accuracies = 1 - np.arange(0, 4, 0.01) / 2, [], []
    names = np.unique(who)
    number = np.searchsorted(names, who)
    for weights in draw_weights(len(names), 7, seed):
        own, other = (repeated(similarity[keep], weights, number[keep]) for keep in (same, ~same))
        if len(own) and len(other) >= 10:
            tars.append(operating_points(own, other, (0.1,))[0].tar)
        elif len(own):
            limit = other.max(initial=-np.inf)
            tars.append(float((own > limit).mean()))
        scores = []
        for fold in folds:
            parts = [
                (repeated(similarity[p], weights, number[p]), repeated(same[p], weights, number[p]))
                for p in (fold.train, fold.test)
            ]
            right = [((parts[0][0] > limit) == parts[0][1]).sum() for limit in limits]
            if len(parts[1][0]):
                scores.append(((parts[1][0] > limits[int(np.argmax(right))]) == parts[1][1]).mean())
        accuracies.append(np.mean(scores))
    assert found.tars[0] == pytest.approx(interval_of(np.array(tars)))
    assert found.accuracy == pytest.approx(interval_of(np.array(accuracies)))


def faces(seed: int, count: int, people: int, sources: bool) -> FaceSet:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, people, count)
    vectors = np.random.default_rng(7).normal(size=(people, 6))[labels] + rng.normal(size=(count, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return FaceSet(vectors.astype(np.float32), labels, rng.integers(0, count // 2, count) if sources else None)


@settings(max_examples=30, deadline=None)
@given(seeds, st.booleans(), st.booleans())
def test_intervals_of_all_pairs_by_brute_force(seed: int, sources: bool, two: bool) -> None:
    """Against the list of all pairs; sources that two people share, and sets with and without a gallery."""
    probe = faces(seed, 40, 8, sources)
    gallery = faces(seed + 1, 25, 8, sources) if two else None
    other = gallery or probe
    fars = (0.05, 0.3)
    scores = verify_all(probe, gallery, fars)
    found = all_pairs_intervals(probe, gallery, scores, 6, seed)
    rows, columns = np.triu_indices(40, 1) if gallery is None else np.indices((40, 25)).reshape(2, -1)
    if sources:
        apart = probe.sources[rows] != other.sources[columns]
        rows, columns = rows[apart], columns[apart]
    similarity = np.einsum("ij,ij->i", probe.vectors[rows], other.vectors[columns])
    who = np.stack([probe.labels[rows], other.labels[columns]], 1)
    names = np.unique(np.concatenate([probe.labels, other.labels]))
    number, same = np.searchsorted(names, who), who[:, 0] == who[:, 1]
    expected = []
    for weights in draw_weights(len(names), 6, seed):
        own, impostor = (repeated(similarity[keep], weights, number[keep]) for keep in (same, ~same))
        expected.append([point.tar for point in operating_points(own, impostor, fars)])
    for interval, column in zip(found, np.array(expected).T, strict=True):
        assert interval == pytest.approx(interval_of(column))


def test_of_a_large_set_the_most_similar_impostors_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing fewer changes nothing; a FAR whose threshold is known well keeps it."""
    home = all_pairs_bootstrap
    probe = faces(3, 300, 40, sources=False)
    scores = verify_all(probe, None, (0.001, 0.01))
    everything = all_pairs_intervals(probe, None, scores, 20)
    monkeypatch.setattr(home, "SPARE", 3)
    monkeypatch.setattr(home, "LEAST", 60)
    assert all_pairs_intervals(probe, None, scores, 20) == everything
    monkeypatch.setattr(home, "MOST_IMPOSTOR", 300)
    short = all_pairs_intervals(probe, None, scores, 20)
    assert short[0] == everything[0]
    assert short[1] != everything[1]
    (low, high), tar = short[1], scores.points[1].tar
    assert low <= tar <= high
    monkeypatch.setattr(home, "MOST_GENUINE", 10)
    assert all_pairs_intervals(probe, None, scores, 20) == (None, None)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Scores of people who are alike within themselves: intervals by pairs would cover much less."""
    covered = {"people": 0, "pairs": 0}
    for trial in range(120):
        rng = np.random.default_rng(trial)
        ease = rng.normal(0, 1, 40)
        who = np.repeat(np.arange(40), 12)
        genuine = ease[who] + 0.3 * rng.normal(size=480)
        truth = 0.5  # of a person drawn at random, the share above 0
        for name, people in (("people", who), ("pairs", np.arange(480))):
            values = []
            order = WeightedPairs(genuine, np.stack([people, people], 1))
            for weights in draw_weights(int(people.max()) + 1, 60, trial):
                sums = order.sums(weights)
                values.append(sums[order.above(0.0) - 1] / sums[-1])
            low, high = interval_of(np.array(values))
            covered[name] += low <= truth <= high
    assert covered["people"] >= 104
    assert covered["pairs"] <= 75


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 4))
def test_folds_by_person_share_nobody(seed: int, count: int) -> None:
    _, same, who = pair_list(seed, 80, 40)
    try:
        folds = folds_by_person(same, who, count)
    except ConfigError:
        assume(False)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(80))
    order = list(dict.fromkeys(who.ravel().tolist()))
    for number, fold in enumerate(folds):
        assert not set(who[fold.test].ravel()) & set(who[fold.train].ravel())
        rest = set(range(80)) - set(fold.train) - set(fold.test)
        assert all(set(who[pair]) & set(who[fold.test].ravel()) for pair in rest)
        assert {order.index(person) * count // len(order) for person in who[fold.test, 0]} == {number}


def test_accuracy_over_folds_by_person_by_hand() -> None:
    rng = np.random.default_rng(4)
    people = np.concatenate([np.repeat(np.arange(60), 2).reshape(-1, 2), np.arange(60).reshape(-1, 2)])
    same = people[:, 0] == people[:, 1]
    similarity = rng.normal(0.2 + 0.3 * same, 0.25)
    found = fold_accuracy(similarity, same, FoldChoice(5, people))
    distance, grid = 2 - 2 * similarity, np.arange(0, 4, 0.01)
    for fold in range(5):
        test = (people[:, 0] * 5) // 60 == fold
        train = ~np.isin(people, people[test]).any(axis=1)
        right = [np.mean((distance[train] < limit) == same[train]) for limit in grid]
        limit = grid[int(np.argmax(right))]
        assert found.accuracies[fold] == pytest.approx(np.mean((distance[test] < limit) == same[test]))
        assert found.thresholds[fold] == pytest.approx(1 - limit / 2)


def test_folds_that_cannot_be() -> None:
    same = np.array([True, True, False, False])
    with pytest.raises(ConfigError, match="3 folds for 2 people"):
        folds_by_person(same, np.array([[0, 0], [1, 1], [0, 1], [1, 0]]), 3)
    with pytest.raises(ConfigError, match="fold 0 is left 0 pairs without its people"):
        folds_by_person(same, np.array([[0, 0], [1, 1], [0, 1], [1, 0]]), 2)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 40))
def test_people_of_a_list_are_its_connected_pictures(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    pictures, same = rng.integers(0, 30, (count, 2)), rng.random(count) < 0.6
    group = {number: {number} for number in range(30)}
    for (a, b), one in zip(pictures.tolist(), same.tolist(), strict=True):
        if one:
            joined = group[a] | group[b]
            for number in joined:
                group[number] = joined
    expected = [[min(group[number]) for number in pair] for pair in pictures.tolist()]
    assert people_of_pairs(pictures, same).tolist() == expected


def test_what_is_nan_is_left_out() -> None:
    assert interval_of(np.array([np.nan, 0.5, 0.5])) == Interval(0.5, 0.5)
    assert np.isnan(interval_of(np.array([np.nan]))).all()
    assert bootstrap.affordable(1000, 10) == 1000
    assert bootstrap.affordable(1000, 1 << 28) == 100
    assert bootstrap.affordable(50, 1 << 28) == 50
