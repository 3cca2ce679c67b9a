"""Clusters inside identities, against scikit-learn and against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import DBSCAN

from facekit.clean import cluster as cluster_module
from facekit.clean import kernels, purify, tree_kernels
from facekit.clean.cluster import cluster_identities, find_nodes
from facekit.clean.identity_groups import group_by_identity
from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError, FacekitError


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def people(seed: int, sizes: list[int], width: int = 24, spread: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Draw identities of two blurred directions each, so that clusters, bridges and noise all occur."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)) * 3, sizes)
    centres = rng.standard_normal((len(sizes), 2, width))
    noise = rng.standard_normal((len(labels), width)) * spread
    return unit(centres[labels // 3, rng.integers(0, 2, len(labels))] + noise), labels


def sklearn_labels(vectors: np.ndarray, labels: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    found = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = labels == label
        found[rows] = DBSCAN(eps=eps, min_samples=min_samples, metric="cosine").fit_predict(vectors[rows])
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    eps=st.sampled_from([0.05, 0.3, 0.55, 0.8, 1.1]),
    min_samples=st.integers(1, 7),
    spread=st.sampled_from([0.3, 0.9, 2.0]),
)
def test_labels_are_those_of_sklearn(seed: int, sizes: list[int], eps: float, min_samples: int, spread: float) -> None:
    vectors, labels = people(seed, sizes, spread=spread)
    order = np.random.default_rng(seed).permutation(len(labels))
    vectors, labels = vectors[order], labels[order]
    found = cluster_identities(vectors, labels, eps=eps, min_samples=min_samples)
    np.testing.assert_array_equal(found, sklearn_labels(vectors, labels, eps, min_samples))


@pytest.mark.parametrize("min_samples", [2, 4])
def test_an_identity_larger_than_a_strip(min_samples: int) -> None:
    vectors, labels = people(3, [kernels.STRIP * 2 + 77, 5], spread=3.0)
    eps = 0.35
    found = cluster_identities(vectors, labels, eps=eps, min_samples=min_samples)
    expected = sklearn_labels(vectors, labels, eps, min_samples)
    assert len(np.unique(expected)) > 3, "too simple to show anything"
    np.testing.assert_array_equal(found, expected)


def test_length_of_the_vectors_does_not_matter() -> None:
    vectors, labels = people(5, [20, 30, 7])
    scale = np.random.default_rng(0).uniform(0.1, 30, (len(labels), 1)).astype(np.float32)
    np.testing.assert_array_equal(cluster_identities(vectors * scale, labels), cluster_identities(vectors, labels))


@pytest.mark.parametrize("threads", [1, 3])
def test_nodes_are_the_clusters_with_their_sums(threads: int) -> None:
    vectors, labels = people(7, [1, 2, 3, 25, 40, 12] * 30, spread=1.1)
    identities = group_by_identity(labels)
    nodes = find_nodes(vectors, identities, CleanSettings(eps=0.4, threads=threads))
    assert np.array_equal(nodes.size, np.bincount(nodes.of_row[nodes.of_row >= 0], minlength=len(nodes.size)))
    total = np.zeros_like(nodes.sums, np.float64)
    np.add.at(total, nodes.of_row[nodes.of_row >= 0], vectors[nodes.of_row >= 0])
    np.testing.assert_allclose(nodes.sums, total, atol=1e-5)
    inside = nodes.of_row >= 0
    np.testing.assert_array_equal(nodes.identity[nodes.of_row[inside]], identities.of_row[inside])
    reference = sklearn_labels(vectors, labels, 0.4, 2)
    for identity, label in enumerate(identities.labels):
        mine, rows = nodes.identity == identity, labels == label
        if reference[rows].max() >= 0:
            assert not nodes.fallback[mine].any()
            np.testing.assert_array_equal(nodes.of_row[rows] >= 0, reference[rows] >= 0)
            assert mine.sum() == reference[rows].max() + 1
        else:
            assert mine.sum() == 1
            assert nodes.fallback[mine].all()
            assert nodes.size[mine][0] == 1


def test_the_fallback_is_the_medoid() -> None:
    angle = np.radians([0, 80, 160])
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    nodes = find_nodes(vectors, group_by_identity(np.zeros(3, np.int64)), CleanSettings(eps=0.55, threads=1))
    assert nodes.fallback.tolist() == [True]
    np.testing.assert_array_equal(nodes.of_row, [-1, 0, -1])


def test_hdbscan_finds_two_people() -> None:
    rng = np.random.default_rng(0)
    centres = unit(rng.standard_normal((2, 32)))
    vectors = unit(np.repeat(centres, 20, 0) + 0.05 * rng.standard_normal((40, 32)))
    found = cluster_identities(vectors, np.zeros(40, np.int64), method="hdbscan", min_samples=5)
    assert set(found[:20]) == {found[0]}
    assert set(found[20:]) == {found[20]}
    assert found[0] != found[20]
    assert min(found[0], found[20]) >= 0


def test_refuses_what_is_not_finite_or_not_known() -> None:
    vectors, labels = people(1, [5, 5])
    with pytest.raises(ConfigError, match="dbscan"):
        cluster_identities(vectors, labels, method="kmeans")
    vectors[7, 3] = np.nan
    with pytest.raises(FacekitError, match="row 7 is not finite"):
        cluster_identities(vectors, labels)


def test_exact_similarity_adds_in_order() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 100)).astype(np.float32)
    total = 0.0
    for x, y in zip(a.astype(np.float64), b.astype(np.float64)):
        total += x * y
    assert kernels.exact_similarity(a, b) == total


@pytest.mark.parametrize("min_samples", [2, 5])
@pytest.mark.parametrize("copies", [0, 30])
@pytest.mark.parametrize("seed", range(3))
def test_hdbscan_of_a_spanning_tree_is_that_of_all_distances(
    monkeypatch: pytest.MonkeyPatch, seed: int, copies: int, min_samples: int
) -> None:
    """The partition and its numbers, also with faces whose vectors are the same."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((rng.integers(1, 7), 64)))
    strength = rng.uniform(0.3, 0.9, (200, 1)) / 8
    vectors = unit(0.8 * centres[rng.integers(0, len(centres), 200)] + strength * rng.standard_normal((200, 64)))
    vectors[rng.integers(0, 200, copies)] = vectors[rng.integers(0, 200, copies)]
    found = []
    for above in (10**9, 10):
        monkeypatch.setattr(cluster_module, "TREE_ABOVE", above)
        found.append(cluster_identities(vectors, np.zeros(200, np.int64), method="hdbscan", min_samples=min_samples))
    np.testing.assert_array_equal(*found)
    firsts = [int(np.argmax(found[0] == number)) for number in range(found[0].max() + 1)]
    assert firsts == sorted(firsts)


@pytest.mark.kernels
@given(st.integers(2, 30), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_spanning_tree_is_as_short_as_that_of_scipy(count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32)
    left, right, squares = np.empty(count - 1, np.int64), np.empty(count - 1, np.int64), np.empty(count - 1)
    tree_kernels.spanning_tree(rows, left, right, squares)
    all_distances = squareform(pdist(rows.astype(np.float64)))
    np.testing.assert_allclose(np.sqrt(squares), all_distances[left, right], rtol=1e-12)
    assert np.isclose(np.sqrt(squares).sum(), minimum_spanning_tree(all_distances).sum())
    assert connected_components(coo_matrix((squares + 1, (left, right)), (count, count)), directed=False)[0] == 1


def test_a_label_with_more_faces_than_a_person_has_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(purify, "PLAUSIBLE_FACES", 30)
    vectors, labels = people(1, [20, 40, 31])
    purify.clean_embeddings(vectors, labels, CleanSettings(threads=1))
    (said,) = [record.getMessage() for record in caplog.records if "plausibly" in record.getMessage()]
    assert said.startswith("label 3 has 40 faces")
    assert "2 labels have more than 30" in said
