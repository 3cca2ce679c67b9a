"""Rows that are put together as they come: the same as concatenated, out of memory, and kept where the disk is full."""

from __future__ import annotations

import errno
import gc
import tracemalloc
from typing import IO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.clean import gathered_rows
from facekit.clean.gathered_rows import GatheredRows


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(0, 400), st.integers(0, 9), st.booleans())
def test_batches_come_back_as_they_were_added(counts: list[int], most: int, writes: int, full: bool) -> None:
    rng = np.random.default_rng(sum(counts))
    batches = [rng.standard_normal((count, 3), dtype=np.float32) for count in counts]
    left = writes

    def write(file: IO[bytes], rows: np.ndarray) -> None:
        nonlocal left
        left -= 1
        if full and left < 0:
            file.write(rows.tobytes()[: rows.nbytes // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        file.write(rows.tobytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathered_rows, "MAPPED_ABOVE", most)
        patch.setattr(gathered_rows, "_write", write)
        spooled = GatheredRows()
        for batch in batches:
            spooled.add(batch)
        np.testing.assert_array_equal(spooled.array(), np.concatenate(batches))


def test_vectors_in_a_file_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered_rows, "MAPPED_ABOVE", 1 << 16)
    gc.collect()
    tracemalloc.start()
    spooled = GatheredRows()
    for number in range(500):
        spooled.add(np.full((64, 128), number, np.float32))
    vectors = spooled.array()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000
    np.testing.assert_array_equal(vectors[::64, 0], np.arange(500))
