"""Keys are found in the rows where a dictionary finds them."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.records.key_rows import row_lookup, rows_of

KEYS = st.lists(st.integers(-5, 25) | st.integers(-(2**63), 2**63 - 1), max_size=30)


@given(known=KEYS, wanted=KEYS)
def test_each_key_is_where_a_dictionary_has_it(known: list[int], wanted: list[int]) -> None:
    first: dict[int, int] = {}
    for row, key in enumerate(known):
        first.setdefault(key, row)
    found = rows_of(np.array(known, np.int64), np.array(wanted, np.int64))
    assert found.dtype == np.int64
    assert found.tolist() == [first.get(key, -1) for key in wanted]


@given(
    first=st.integers(-(2**63), 2**63 - 40), count=st.integers(1, 40), wanted=KEYS, near=st.lists(st.integers(-3, 45))
)
def test_keys_that_follow_one_another_are_counted(first: int, count: int, wanted: list[int], near: list[int]) -> None:
    asked = np.array([*wanted, *(key for key in (first + step for step in near) if -(2**63) <= key < 2**63)], np.int64)
    known = np.arange(first, first + count, dtype=np.int64)
    rows = [key - first if first <= key < first + count else -1 for key in asked.tolist()]
    assert rows_of(known, asked).tolist() == rows
    if first >= 0:
        places = np.array([key for key in asked.tolist() if key >= 0], np.uint64)
        assert rows_of(known.astype(np.uint64), places).tolist() == [
            row for row, key in zip(rows, asked.tolist(), strict=True) if key >= 0
        ]


def test_keys_that_follow_one_another_are_not_held() -> None:
    known = np.arange(10, 1000)
    held = weakref.ref(known)
    find = row_lookup(known)
    del known
    assert held() is None
    assert find(np.array([9, 10, 999, 1000])).tolist() == [-1, 0, 989, -1]


@given(known=KEYS, wanted=KEYS)
def test_keys_that_ascend_are_not_sorted_again(known: list[int], wanted: list[int]) -> None:
    ascending = np.array(sorted(known), np.int64)
    asked = np.array(wanted, np.int64)
    np.testing.assert_array_equal(rows_of(ascending, asked, ascending=True), rows_of(ascending, asked))


@given(
    known=st.lists(st.binary(min_size=4, max_size=4), max_size=20), wanted=st.lists(st.binary(min_size=4, max_size=4))
)
def test_hashes_are_keys_too(known: list[bytes], wanted: list[bytes]) -> None:
    found = rows_of(np.array(known, "S4"), np.array([*wanted, *known], "S4"))
    assert found.tolist() == [known.index(key) if key in known else -1 for key in (*wanted, *known)]


@pytest.mark.parametrize("ascending", [False, True])
def test_nothing_is_found_among_nothing(ascending: bool) -> None:
    nothing = np.zeros(0, np.int64)
    assert rows_of(nothing, np.array([3, 4]), ascending).tolist() == [-1, -1]
    assert rows_of(np.array([3, 4]), nothing, ascending).tolist() == []
