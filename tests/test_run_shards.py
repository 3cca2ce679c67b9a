from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.run.shards import LARGEST, cut, shard_size


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 12))
def test_shards_follow_each_other_and_end_at_identity_boundaries(sizes: list[int], size: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)
    shards = cut(len(groups), size, groups)
    stops = [shard.stop for shard in shards]
    assert [shard.first for shard in shards] == [0, *stops][: len(shards)]
    assert stops[-1:] == [len(groups)][: len(stops)]
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert all(0 < shard.stop - shard.first <= size for shard in shards)
    for shard in shards[:-1]:
        inside = groups[shard.stop - 1] == groups[shard.stop]
        assert not inside or len(set(groups[shard.first : shard.stop].tolist())) == 1


@given(st.integers(0, 10**8))
def test_shard_size_is_bounded_and_gives_enough_shards(count: int) -> None:
    size = shard_size(count)
    assert 1 <= size <= LARGEST
    assert count < 64 * 64 or size == LARGEST or count / size > 60


def test_a_shard_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        cut(3, 0)
