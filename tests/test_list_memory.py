"""Looking at lists, comparing two and merging them takes some numbers a row: what they say lies in mapped files."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facekit.clean.lists import CleanList, Pictures
from facekit.images.perceptual import HASH_BYTES
from facekit.jobs.inputs.clean_list import read_list, write_list
from facekit.jobs.lists.compare import diff_lists
from facekit.jobs.lists.config import MergeConfig
from facekit.jobs.lists.merge import merge_lists
from facekit.jobs.lists.show import show_list

SMALL, LARGE = 150_000, 450_000


def written(path: Path, count: int, stored: int = 0) -> str:
    """A list of pictures that differ, 50 a person; stored in another way, they have other bytes, in another order."""
    rng = np.random.default_rng(7)
    payload = np.zeros((count, 16), np.uint8)
    payload[:, 8:] = np.arange(count, dtype=">u8")[:, None].view(np.uint8)
    shown = rng.integers(0, 256, (count, HASH_BYTES), dtype=np.uint8)
    if stored:
        payload[:, 0], shown = stored, np.random.default_rng(stored).permutation(shown)
        shown[:, 5] ^= 7
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
    assert show < 20
    assert diff < 2 * 30


def merging(lists: tuple[str, ...], vote: str, target: Path) -> Callable[[], object]:
    return lambda: merge_lists(MergeConfig(lists, str(target), vote, overwrite=True))


@pytest.mark.parametrize("vote", ["majority", "any", "all"])
def test_lists_of_the_same_pictures_are_merged_in_few_bytes_a_row(vote: str, tmp_path: Path) -> None:
    peaks = []
    for count in (SMALL, LARGE):
        lists = tuple(written(tmp_path / f"{name}{count}.list", count) for name in "ab")
        peaks.append(peak(merging(lists, vote, tmp_path / "merged.list")))
        assert len(read_list(tmp_path / "merged.list")) == count
    assert (peaks[1] - peaks[0]) / (2 * (LARGE - SMALL)) < 40


@pytest.mark.parametrize("stored", [(0, 1), (0, 1, 2)])
def test_pictures_that_are_found_by_what_they_show_take_few_bytes_too(stored: tuple[int, ...], tmp_path: Path) -> None:
    """Three lists too, so that nothing grows with rows times lists; each picture in all of them."""
    peaks = []
    for count in (40_000, 120_000):
        lists = tuple(written(tmp_path / f"{name}.list", count, name) for name in stored)
        peaks.append(peak(merging(lists, "majority", tmp_path / "merged.list")))
        assert len(read_list(tmp_path / "merged.list")) == count
    assert (peaks[1] - peaks[0]) / (len(stored) * 80_000) < 80
