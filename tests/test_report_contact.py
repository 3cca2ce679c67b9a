from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facekit.images import decode
from facekit.report.contact import PAPER, Pair, contact_sheet


def plain(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.uint8(colour), (height, width, 3)).copy()


def share(sheet: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels of exactly this colour."""
    return int((sheet == np.uint8(colour)).all(2).sum())


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 5))
def test_every_pair_is_shown_whole_and_once(counts: list[int], columns: int) -> None:
    pair = Pair(plain(112, 112, (200, 10, 10)), plain(112, 112, (10, 10, 200)), "key 1")
    sheet = decode(contact_sheet({f"kind {n}": [pair] * count for n, count in enumerate(counts)}, columns))
    shown = sum(counts)
    assert share(sheet, (200, 10, 10)) == share(sheet, (10, 10, 200)) == shown * 144 * 144
    assert (sheet[[0, -1]] == np.uint8(PAPER)).all()
    assert (sheet[:, [0, -1]] == np.uint8(PAPER)).all()


def test_pictures_that_are_not_square_are_not_distorted() -> None:
    wide, high = plain(50, 100, (200, 10, 10)), plain(300, 150, (10, 10, 200))
    sheet = decode(contact_sheet({"kind": [Pair(wide, high, "")]}))
    assert share(sheet, (200, 10, 10)) == share(sheet, (10, 10, 200)) == 144 * 72
