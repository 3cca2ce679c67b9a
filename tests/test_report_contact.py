from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.images import decode, encode_jpeg
from facekit.jobs.synth import sheet as synth_sheet
from facekit.records import Header, PackWriter
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


@pytest.mark.parametrize(
    ("labels", "each", "columns", "more"), [(3, 2, 5, ""), (14, 7, 7, ", the first 12 shown"), (2, 30, 8, "")]
)
def test_a_drawn_pack_s_sheet_is_as_wide_as_its_rows_and_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: int, each: int, columns: int, more: str
) -> None:
    with PackWriter(tmp_path / "pack", "insightface") as writer:
        for label in np.repeat(np.arange(labels), each).tolist():
            writer.write(Header(0, float(label), writer.next_key, 0), encode_jpeg(plain(112, 112, (200, 10, 10))))
    drawn = []
    real = synth_sheet.picture_rows
    monkeypatch.setattr(synth_sheet, "picture_rows", lambda *given: drawn.append(given) or real(*given))
    synth_sheet.draw_sheet(tmp_path / "pack", tmp_path / "sheet.png")
    title, rows, wide = drawn[0]
    assert (wide, len(rows)) == (columns, min(labels, 12))
    assert title == f"{labels * each} drawn pictures under {labels} labels{more}"
    sheet = decode((tmp_path / "sheet.png").read_bytes())
    assert (sheet[:, -1] == np.uint8(PAPER)).all()
    assert not (sheet[:, : 24 + columns * 118 - 8] == np.uint8(PAPER)).all((0, 2))[24:].all()
