"""Centres and merges: chains are guarded, sizes are accounted for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.clean.centres import choose_main, concentration, size_aware_rows
from facekit.clean.cluster import find_nodes
from facekit.clean.identity_groups import group_by_identity
from facekit.clean.merge import merge_groups
from facekit.clean.pairs import Pairs, pairs_above
from facekit.clean.robust import DEFAULT_MERGE, calibrate_merge
from facekit.clean.settings import CleanSettings
from facekit.clean.vectors import unit
from facekit.errors import ConfigError


def on_a_circle(degrees: list[float]) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


def test_a_chain_is_not_one_person() -> None:
    rows = on_a_circle([0, 36, 72])  # neighbours at .81, the ends at .31
    pairs = pairs_above(rows, 0.75)
    assert len(pairs.left) == 2
    assert len(set(merge_groups(3, pairs, guard="none"))) == 1
    assert len(set(merge_groups(3, pairs, guard="complete"))) == 2
    assert len(set(merge_groups(3, pairs, guard="recheck", sums=rows, threshold=0.8))) == 2


def test_the_most_similar_pair_is_joined_first() -> None:
    rows = on_a_circle([0, 36, 60])
    group = merge_groups(3, pairs_above(rows, 0.75), guard="complete")
    assert group.tolist() == [0, 1, 1]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 9999), count=st.integers(1, 60), threshold=st.floats(0.2, 0.95))
def test_complete_groups_hold_only_similar_pairs_and_cannot_grow(seed: int, count: int, threshold: float) -> None:
    rows = unit(np.random.default_rng(seed).standard_normal((count, 4)).astype(np.float32))
    pairs = pairs_above(rows, threshold)
    group = merge_groups(count, pairs, guard="complete")
    near = rows.astype(np.float64) @ rows.astype(np.float64).T >= threshold
    for a in np.unique(group):
        inside = np.flatnonzero(group == a)
        assert a == inside.min()
        assert near[np.ix_(inside, inside)].all()
        for b in np.unique(group[group > a]):
            assert not near[np.ix_(inside, np.flatnonzero(group == b))].all(), "two groups could still be joined"


def test_groups_without_guard_are_connected_components() -> None:
    rows = unit(np.random.default_rng(1).standard_normal((200, 4)).astype(np.float32))
    pairs = pairs_above(rows, 0.9)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(pairs.left)), (pairs.left, pairs.right)), shape=(200, 200))
    _, expected = connected_components(graph, directed=False)
    found = merge_groups(200, pairs, guard="none")
    np.testing.assert_array_equal(np.unique(found, return_inverse=True)[1], np.unique(expected, return_inverse=True)[1])


def test_merging_refuses_what_it_cannot_do() -> None:
    nothing = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    assert merge_groups(3, nothing).tolist() == [0, 1, 2]
    with pytest.raises(ConfigError, match="complete"):
        merge_groups(3, nothing, guard="mutual")
    with pytest.raises(ConfigError, match="sums"):
        merge_groups(3, nothing, guard="recheck")


def test_the_largest_cluster_is_chosen_and_ties_go_to_the_tighter() -> None:
    vectors = np.concatenate([on_a_circle([0, 1, 2, 90, 91]), on_a_circle([0, 30, 180, 181])])
    labels = np.array([0] * 5 + [1] * 4)
    identities = group_by_identity(labels)
    nodes = find_nodes(vectors, identities, CleanSettings(eps=0.2, threads=1))
    main = choose_main(nodes, 2)
    inside = nodes.of_row == main[identities.of_row]
    np.testing.assert_array_equal(inside, [1, 1, 1, 0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("rho", [0.5, 0.75])
def test_size_aware_similarity_does_not_depend_on_size(rho: float) -> None:
    """Two labels of one person with n faces each: the cosine of their means grows with n, the size-aware stays 1."""
    rng = np.random.default_rng(0)
    width, plain, aware = 256, [], []
    for n in (2, 5, 40):
        direction = unit(rng.standard_normal((200, width)).astype(np.float32))
        noise = unit(rng.standard_normal((200 * 2 * n, width)).astype(np.float32)).reshape(200, 2, n, width)
        faces = rho * direction[:, None, None] + np.sqrt(1 - rho**2) * noise
        sums = faces.sum(2).reshape(400, width).astype(np.float32)
        size = np.full(400, n)
        assert concentration(sums, size).pooled == pytest.approx(rho, abs=0.03)
        centres, rows = unit(sums), size_aware_rows(sums, size)
        plain.append(float(np.einsum("ij,ij->i", centres[::2], centres[1::2]).mean()))
        aware.append(float(np.einsum("ij,ij->i", rows[::2], rows[1::2]).mean()))
    assert plain[0] < plain[1] - 0.08 < plain[2] - 0.16
    np.testing.assert_allclose(aware, 1, atol=0.05)


def test_the_merge_threshold_is_the_valley() -> None:
    rng = np.random.default_rng(0)
    look_alikes, duplicates = rng.normal(0.68, 0.04, 60), rng.normal(0.93, 0.03, 120)
    found = calibrate_merge(np.concatenate([look_alikes, duplicates]))
    assert 0.77 < found < 0.86
    shifted = calibrate_merge(np.concatenate([look_alikes + 0.06, duplicates + 0.05]))
    assert found < shifted < 0.92
    assert calibrate_merge(look_alikes) == DEFAULT_MERGE
    assert calibrate_merge(np.zeros(0)) == DEFAULT_MERGE
