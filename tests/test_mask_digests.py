"""The ledger's promise: the same parameters give the same picture, and the same seed chooses the same pictures.

Pixels are compared within one level, not bit by bit: numpy and BLAS, which carry shells onto the mean face, choose
their instructions by the processor, and so the order of sums; exp and log are those of the compiler's library. What
follows is the last bit of a float, which at most turns a level into its neighbour: of 21.6 million values none
differed where numba was held to generic instructions, and eight, by one level, where numpy and BLAS were held below
AVX too. What a plan chooses rests on whole numbers and numpy's generator alone, and is exact.
"""

from __future__ import annotations

import mask_digests as digests
import numpy as np
import pytest

from facekit.masks import TYPES
from facekit.masks.params import VERSION

GOLDEN, PIXELS = digests.kept(), digests.strips()
CURE = "raise VERSION in facekit/masks/params.py (and say why), then run: python tests/mask_digests.py"


def test_the_golden_pixels_are_of_this_version() -> None:
    assert GOLDEN["version"] == VERSION, f"the golden pixels were made with another version; {CURE}"


@pytest.mark.parametrize("type", TYPES)
def test_the_same_parameters_give_the_same_picture_within_one_level(type: str) -> None:
    found = digests.rendered(GOLDEN, type)
    assert digests.distance(found, PIXELS[type]) <= digests.LEVELS, f"{type} is drawn otherwise; if on purpose, {CURE}"


@pytest.mark.parametrize("type", TYPES)
def test_the_golden_pixels_show_a_mask(type: str) -> None:
    changed = np.abs(PIXELS[type].astype(int) - digests.picture()).max(-1) > digests.LEVELS
    assert 0.2 < changed.mean() < 0.8
    assert len({PIXELS[other].tobytes() for other in TYPES}) == len(TYPES)


@pytest.mark.parametrize("mode", digests.PLANS)
def test_the_same_seed_chooses_the_same_pictures_and_types(mode: str) -> None:
    assert digests.chosen(mode) == GOLDEN["plans"][mode]
