"""Names of files as one text: what a tuple of strings would be, in a fraction of its memory."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.records.name_list import AT_ONCE, NameList

# Any code point: os.fsdecode gives U+DC80 to U+DCFF for bytes that are no text, and Windows has other surrogates too.
NAMES = st.lists(st.text(st.characters(codec=None, exclude_categories=()), max_size=6))
BOUND = st.none() | st.integers(-9, 9)


@given(NAMES, BOUND, BOUND, BOUND.filter(lambda step: step != 0))
def test_it_is_what_a_tuple_is(names: list[str], first: int | None, stop: int | None, step: int | None) -> None:
    one, expected = NameList(names), tuple(names)
    assert (tuple(one), len(one), bool(one)) == (expected, len(expected), bool(expected))
    part = slice(first, stop, step)
    assert tuple(one[part]) == expected[part]
    assert one[part] == NameList(expected[part])
    assert [one[place] for place in range(-len(names), len(names))] == [*expected, *expected]
    assert all(name in one and one.index(name) == expected.index(name) for name in names)
    assert tuple(one.ascending()) == tuple(sorted(expected))
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != NameList([*names, ""])
    assert one != expected


@given(NAMES.filter(bool), st.data())
def test_any_order_can_be_taken(names: list[str], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(names) - 1)))
    assert list(NameList(names).take(np.array(places, np.int64))) == [names[place] for place in places]


@pytest.mark.parametrize("place", [3, -4])
def test_there_is_nothing_behind_the_last(place: int) -> None:
    with pytest.raises(IndexError, match=f"there are 3 names, none at {place}"):
        NameList("abc")[place]


def test_names_longer_than_one_go_follow_one_another() -> None:
    names = [f"{number % 7}/{number}" for number in range(2 * AT_ONCE + 5)]
    assert list(NameList(names)) == names
    assert list(NameList(names)[5:]) == names[5:]
    assert list(NameList(names).ascending()) == sorted(names)


def test_a_name_takes_its_bytes_and_eight() -> None:
    count = 50_000
    tracemalloc.start()
    names = NameList(f"person-{number:06d}/{number:06d}.jpg" for number in range(count))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    assert sum(map(len, names)) == 24 * count
    while_read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 1.15 * (24 + 8) * count  # room to grow: an eighth
    assert while_read - held < 200 * AT_ONCE
