"""Looking at lists, and comparing two, takes what their rows take and little more."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facekit.clean.lists import CleanList, Pictures
from facekit.images.perceptual import HASH_BYTES
from facekit.jobs.inputs.clean_list import write_list
from facekit.jobs.lists.compare import diff_lists
from facekit.jobs.lists.show import show_list

SMALL, LARGE = 150_000, 450_000


def written(path: Path, count: int) -> str:
    """A list of pictures that differ, 50 a person."""
    rng = np.random.default_rng(7)
    payload = np.zeros((count, 16), np.uint8)
    payload[:, 8:] = np.arange(count, dtype=">u8")[:, None].view(np.uint8)
    shown = rng.integers(0, 256, (count, HASH_BYTES), dtype=np.uint8)
    nothing, voter = np.zeros(count, np.int8), np.ones(count, np.uint64)
    about = {"voters": [{"who": path.stem, "model": "m"}]}
    identity = np.arange(count, dtype=np.int64) // 50
    write_list(path, CleanList(Pictures(payload, shown), nothing, nothing, identity, voter, voter, about))
    return str(path)


def peak(look: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    look()
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


def test_a_list_is_shown_and_compared_in_a_hundred_bytes_a_row(tmp_path: Path) -> None:
    peaks = []
    for count in (SMALL, LARGE):
        one, other = (written(tmp_path / f"{name}{count}.list", count) for name in "ab")
        found = diff_lists(one, other)
        assert (found.both, found.same, found.only_one) == (count, count, 0)
        peaks.append((peak(lambda one=one: show_list(one)), peak(lambda one=one, other=other: diff_lists(one, other))))
    show, diff = (np.diff(peaks, axis=0)[0] / (LARGE - SMALL)).tolist()
    assert show < 100
    assert diff < 2 * 100
