"""Where shards are cut, against trying every place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facekit.run import shards
from facekit.run.shards import Shard, cut


def cut_by_force(count: int, size: int, groups: list[int] | None) -> list[Shard]:
    """Each shard ends at the last allowed place at which an identity ends; at the last place where none does."""
    found: list[Shard] = []
    first = 0
    while first < count:
        places = range(first + 1, min(first + size, count) + 1)
        ends = [at for at in places if groups is None or at == count or groups[at - 1] != groups[at]]
        stop = max(ends or places)
        found.append(Shard(len(found), first, stop))
        first = stop
    return found


def shard_of_something(number: int, first: int, stop: int) -> Shard:
    """Empty shards would follow one another without end."""
    assert first < stop
    return Shard(number, first, stop)


identities = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 7)), max_size=25).map(
    lambda runs: [label for label, length in runs for _ in range(length)]
)


@given(identities, st.integers(1, 12), st.booleans())
@example([0, 0, 1, 1, 2, 2], 2, True)
@example([0, 0, 1, 1, 2, 2], 3, True)
@example([0, 1, 2, 2, 2, 2, 2, 0], 4, True)
@example([0] * 7, 3, False)
def test_shards_end_where_trying_every_place_ends_them(groups: list[int], size: int, grouped: bool) -> None:
    """They cover every position once, hold at most ``size``, and cut an identity only where it is larger than that."""
    labels = np.array(groups, np.int64) if grouped else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "Shard", shard_of_something)
        found = cut(len(groups), size, labels)
    assert found == cut_by_force(len(groups), size, groups if grouped else None)
