"""What a pack's layout says: which labels are whole, and where the identity records begin."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facekit.records.layout import EXACT_FLOAT32, first_identity_key, whole_labels

WHOLE = st.integers(-(1 << 64), 1 << 64).map(float)


@given(st.lists(st.floats() | WHOLE, max_size=20))
def test_whole_labels_are_those_that_an_integer_holds(labels: list[float]) -> None:
    expected = [math.isfinite(one) and one == int(one) and abs(int(one)) < 1 << 62 for one in labels]
    assert whole_labels(np.array(labels)).tolist() == expected
    assert [bool(whole_labels(np.float64(one))) for one in labels] == expected


@given(
    images=st.integers(1, 60) | st.integers(EXACT_FLOAT32 - 3, 1 << 27),
    identities=st.integers(1, 40),
    lost=st.sets(st.integers(-30, 30), max_size=8),
    seed=st.integers(0, 99),
)
def test_the_first_identity_is_found_where_float32_has_rounded_it(
    images: int, identities: int, lost: set[int], seed: int
) -> None:
    """Also with keys in any order, and with some of them gone; no record behind the first identity is looked at."""
    low = max(images - 50, 0)
    keys = np.setdiff1d(np.arange(low, images + identities + 1), [images + one for one in lost if one <= 0])
    looked: list[int] = []

    def are_identities(some: np.ndarray) -> Iterator[bool]:
        for key in some.tolist():
            looked.append(key)
            yield key > images

    shuffled = np.random.default_rng(seed).permutation(keys)
    assert first_identity_key(int(np.float32(images + 1)), shuffled, are_identities) == images + 1
    assert sum(key > images for key in looked) <= 1
    assert not looked or images + 1 > EXACT_FLOAT32


def test_a_pack_without_identities_says_what_it_claims_or_what_comes_next() -> None:
    def none_is(some: np.ndarray) -> Iterator[bool]:
        return iter([False] * len(some))

    claimed = 3 * EXACT_FLOAT32
    assert first_identity_key(claimed, np.arange(5), none_is) == claimed
    assert first_identity_key(claimed, np.array([claimed - 2, claimed - 1]), none_is) == claimed
