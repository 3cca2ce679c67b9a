"""Sorting and counting in blocks: the same as numpy over whole columns, in memory for the distinct values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facekit.records import distinct as module
from facekit.records.distinct import ascends, blocks, count_distinct, count_pairs, distinct, distinct_of, places_in
from facekit.records.key_rows import row_lookup, rows_of

numbers = arrays(np.int64, st.integers(0, 60), elements=st.integers(-4, 9))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows at a time, so that few rows are many blocks."""
    monkeypatch.setattr(blocks, "__defaults__", (7,))
    monkeypatch.setattr(module, "AT_ONCE", 7)


@given(numbers)
def test_distinct_values_and_their_counts_are_those_of_numpy(values: np.ndarray) -> None:
    known, counts = np.unique(values, return_counts=True)
    assert distinct(values).tolist() == known.tolist()
    found = count_distinct(values[part] for part in blocks(len(values)))
    assert found.values.tolist() == known.tolist()
    assert found.counts.tolist() == counts.tolist()
    assert places_in(known, values).tolist() == np.searchsorted(known, values).tolist()
    assert ascends(values) == bool((np.diff(values) >= 0).all())
    assert ascends(values, strictly=True) == bool((np.diff(values) > 0).all())


@given(numbers, st.randoms(use_true_random=False))
def test_pairs_are_counted_as_by_hand(one: np.ndarray, draw: object) -> None:
    rng = np.random.default_rng(draw.randrange(2**32))  # type: ignore[attr-defined]
    two, inside = rng.integers(-3, 4, len(one)), rng.random(len(one)) < 0.7
    expected: dict[tuple[int, int], int] = {}
    for a, b in zip(one[inside].tolist(), two[inside].tolist()):
        expected[a, b] = expected.get((a, b), 0) + 1
    found = zip(*(column.tolist() for column in count_pairs(one, two, inside)))
    assert [((a, b), count) for a, b, count in found] == sorted(expected.items())


@given(numbers, numbers)
def test_keys_are_found_where_they_first_stand(known: np.ndarray, wanted: np.ndarray) -> None:
    places = {key: len(known) - 1 - row for row, key in enumerate(known[::-1].tolist())}
    expected = [places.get(key, -1) for key in wanted.tolist()]
    assert rows_of(known, wanted).tolist() == row_lookup(known)(wanted).tolist() == expected
    ordered = np.unique(known)
    assert ordered[rows_of(ordered, known, ascending=True)].tolist() == known.tolist()


def test_nothing_is_no_special_case() -> None:
    assert distinct_of([]).tolist() == []
    assert [column.tolist() for column in count_distinct([])] == [[], []]
    assert not np.isin(rows_of(np.zeros(0, np.int64), np.arange(3)), [0, 1, 2]).any()
