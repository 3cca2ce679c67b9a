"""wear_mask's arguments: any number will do, and whatever is none is refused by name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from mask_faces import picture, turned

from facekit.errors import ConfigError
from facekit.masks import wear_mask

THREES = [3, 3.0, np.float32(3), np.float64(3), np.int64(3), np.uint8(3), Fraction(3), np.array(3), (3, 3.0), [3, 3]]
RANGES = [np.array([3, 3]), (np.float32(3), np.int8(3))]


@pytest.mark.parametrize("three", [*THREES, *RANGES], ids=repr)
def test_any_real_number_or_two_of_them_will_do(three: Any) -> None:
    params = wear_mask(picture(), "kn95", vertices=turned(), tilt=three).params
    assert params == wear_mask(picture(), "kn95", vertices=turned(), tilt_range=(3.0, 3.0)).params
    assert params.tilt == 3


NO_NUMBERS = [
    "a",
    "12",
    None,
    (1,),
    (1, 2, 3),
    [],
    ("a", "b"),
    1j,
    {1: 2, 3: 4},
    np.zeros((2, 2)),
    np.array(["a", "b"]),
]


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"(?s)tilt is .*; it must be a number or a range"):
        wear_mask(picture(), vertices=turned(), tilt=wrong)


@pytest.mark.parametrize(
    "wrong", [float("nan"), np.float32("inf"), (3, float("nan")), 10**400, 99], ids=lambda one: str(one)[:9]
)
def test_numbers_beyond_the_range_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="tilt"):
        wear_mask(picture(), vertices=turned(), tilt=wrong)


@pytest.mark.parametrize("seed", [-1, np.int64(-1), 1.5, None, "1", [1, 2]])
def test_a_seed_is_a_whole_number_from_0(seed: Any) -> None:
    with pytest.raises(ConfigError, match=r"seed is .*; it must be a whole number from 0"):
        wear_mask(picture(), vertices=turned(), seed=seed)


def test_a_seed_of_numpy_is_that_number() -> None:
    assert (
        wear_mask(picture(), vertices=turned(), seed=np.int64(7)).params
        == wear_mask(picture(), vertices=turned(), seed=7).params
    )
