"""All pairs above a threshold, against the full product in float64, on every path."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.clean import approximate, gathered_rows
from facekit.clean import pairs as search
from facekit.clean.approximate import approximate_pairs, find_pairs
from facekit.clean.pairs import Pairs, pairs_above, pairs_between
from facekit.errors import FacekitError


def rows_with_pairs(seed: int, count: int, width: int, effective: int, scale: bool = False) -> np.ndarray:
    """Draw directions of which a tenth has a near copy at a similarity from .5 to 1."""
    rng = np.random.default_rng(seed)
    x = np.zeros((count, width))
    x[:, :effective] = rng.standard_normal((count, effective))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    some = rng.permutation(count)[: count // 5 * 2].reshape(-1, 2)
    cosine = rng.uniform(0.5, 1, len(some))[:, None]
    x[some[:, 1]] = cosine * x[some[:, 0]] + np.sqrt(1 - cosine**2) * x[some[:, 1]]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    if scale:
        x *= rng.uniform(0.5, 1.6, (count, 1))
    return x.astype(np.float32)


def brute_force(left: np.ndarray, right: np.ndarray, threshold: float, upper: bool) -> set[tuple[int, int]]:
    product = left.astype(np.float64) @ right.astype(np.float64).T
    i, j = np.nonzero(product >= threshold)
    return {(int(a), int(b)) for a, b in zip(i, j) if not upper or a < b}


def listed(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.left.tolist(), pairs.right.tolist()))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    count=st.integers(1, 400),
    width=st.sampled_from([2, 33, 128]),
    threshold=st.sampled_from([-0.2, 0.3, 0.75, 0.95]),
    scale=st.booleans(),
)
def test_the_pairs_of_the_full_product(seed: int, count: int, width: int, threshold: float, scale: bool) -> None:
    x = rows_with_pairs(seed, count, width, width, scale)
    found = pairs_above(x, threshold)
    assert listed(found) == brute_force(x, x, threshold, True)
    assert np.all(found.left < found.right)
    exact = np.einsum("ij,ij->i", x[found.left].astype(np.float64), x[found.right].astype(np.float64))
    np.testing.assert_allclose(found.similarity, exact, rtol=0, atol=1e-12)
    key = found.left * count + found.right
    assert np.all(np.diff(key) > 0)


@pytest.mark.parametrize(("effective", "scale"), [(256, False), (256, True), (40, False)])
def test_the_filter_by_leading_columns_loses_no_pair(effective: int, scale: bool) -> None:
    x = rows_with_pairs(1, 3000, 256, effective, scale)
    heads = search._heads(x, x, 0.7499, True)
    assert heads[0].shape[1] < 256, "the filter was not used: this test would show nothing"
    found = pairs_above(x, 0.75)
    assert len(found.left) > 100
    assert listed(found) == brute_force(x, x, 0.75, True)
    other = rows_with_pairs(2, 2500, 256, effective, scale)
    other[:50] = x[:50]
    assert listed(pairs_between(x, other, 0.75)) == brute_force(x, other, 0.75, False)


def test_threads_and_blocks_change_nothing() -> None:
    x = rows_with_pairs(4, 3000, 128, 128)
    one = pairs_above(x, 0.6, threads=1)
    for engine in (None, search.Processor(257)):
        again = pairs_above(x, 0.6, threads=3, engine=engine)
        for a, b in zip(one[:3], again[:3]):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("block_rows", [700, 4096])
def test_an_engine_that_is_handed_in_takes_the_same_path(block_rows: int) -> None:
    """What a job with a graphics card hands in, on the processor here."""
    from facekit.embeddings.torch_blocks import TorchBlocks

    x = rows_with_pairs(5, 2500, 256, 256)
    one, two = pairs_above(x, 0.7), pairs_above(x, 0.7, engine=TorchBlocks("cpu", block_rows))
    for a, b in zip(one[:3], two[:3]):
        np.testing.assert_array_equal(a, b)
    y = rows_with_pairs(6, 1100, 256, 256)
    y[:90] = x[:90]
    one, two = pairs_between(x, y, 0.6), pairs_between(x, y, 0.6, engine=TorchBlocks("cpu", block_rows))
    assert len(one.left) >= 90
    for a, b in zip(one[:3], two[:3]):
        np.testing.assert_array_equal(a, b)


def test_approximate_search_finds_most_and_says_how_many() -> None:
    x = rows_with_pairs(6, 6000, 64, 64)
    exact = pairs_above(x, 0.75)
    found = approximate_pairs(x, 0.75, probed_share=0.25, sample=3000)
    assert listed(found) <= listed(exact)
    true_recall = len(found.left) / len(exact.left)
    assert true_recall > 0.9
    assert found.recall == pytest.approx(true_recall, abs=0.03)
    everything = approximate_pairs(x, 0.75, probed_share=1.0, sample=100)
    assert listed(everything) == listed(exact)
    assert everything.recall == 1.0


def test_approximate_search_finds_every_pair_within_the_lists_that_it_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rows_with_pairs(9, 2000, 32, 32, scale=True)
    lists = approximate._build(x, 1, 0.05)
    index = lists.index.quantizer
    of_row = index.search(x, 1)[1][:, 0]
    looked_at = np.zeros((len(x), index.ntotal), bool)
    np.put_along_axis(looked_at, index.search(x, lists.probed)[1], True, axis=1)
    near = x.astype(np.float64) @ x.astype(np.float64).T >= 0.7
    i, j = np.nonzero(np.triu(near & (looked_at[:, of_row] | looked_at[:, of_row].T), 1))
    assert 100 < len(i) < np.triu(near, 1).sum(), "all pairs or none: this test would show nothing"
    for module, name, size in ((approximate, "QUERY_ROWS", 64), (approximate, "BLOCK_ROWS", 7),
                               (gathered_rows, "MAPPED_ABOVE", 0)):  # fmt: skip
        monkeypatch.setattr(module, name, size)
        found = approximate_pairs(x, 0.7, probed_share=0.05, threads=2)
        assert listed(found) == set(zip(i.tolist(), j.tolist()))


def test_approximate_search_holds_no_copy_of_the_centres_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered_rows, "MAPPED_ABOVE", 1 << 10)
    x = rows_with_pairs(10, 3000, 32, 32)
    lists = approximate._build(x, 1, 0.1)
    assert lists.index.ntotal == 0, "faiss has a copy of its own"
    base = lists.rows
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(getattr(base, "obj", base), mmap.mmap)
    np.testing.assert_array_equal(lists.rows, x[lists.order])


def test_approximate_search_refuses_more_pairs_than_memory_is_meant_for() -> None:
    x = rows_with_pairs(11, 500, 16, 16)
    with pytest.raises(FacekitError, match="more than 10 pairs"):
        approximate_pairs(x, -1.0, max_pairs=10)


def test_the_size_decides_between_exact_and_approximate() -> None:
    x = rows_with_pairs(7, 1500, 64, 64)
    assert find_pairs(x, 0.7).recall == 1.0
    assert listed(find_pairs(x, 0.7, approximate_above=1000)) <= listed(pairs_above(x, 0.7))


def test_bad_input() -> None:
    x = rows_with_pairs(8, 50, 16, 16)
    assert len(pairs_above(x[:0], 0.5).left) == 0
    assert len(pairs_above(x[:1], 0.5).left) == 0
    with pytest.raises(FacekitError, match="more than 10 pairs"):
        pairs_above(x, -1.0, max_pairs=10)
    x[3, 3] = np.inf
    with pytest.raises(FacekitError, match="not finite"):
        pairs_above(x, 0.5)
