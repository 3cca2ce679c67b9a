"""Lists are merged a block at a time, in mapped files, into what whole arrays and all pairs of pictures give."""

from __future__ import annotations

import os
import tempfile

import numpy as np
import pytest
from list_votes_reference import find, merge

from facekit.clean import hash_index, list_joining
from facekit.clean.list_matching import find_pictures
from facekit.clean.list_votes import merged_list
from facekit.clean.lists import CleanList, Pictures, make_list
from facekit.images.perceptual import HASH_BYTES
from facekit.records import mapped_array as mapping
from facekit.records.mapped_array import mapped_array

COLUMNS = ("action_code", "reason_code", "identity", "known_by", "said_by")


def changed(shown: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """With some bits turned over."""
    flat = np.unpackbits(shown)
    flat[rng.permutation(len(flat))[: rng.integers(0, most)]] ^= 1
    return np.packbits(flat)


def drawn_world(rng: np.random.Generator) -> Pictures:
    """A few pictures, of which some show nearly the same as others."""
    count = int(rng.integers(1, 25))
    payload, shown = (rng.integers(0, 256, (count, width)).astype(np.uint8) for width in (16, HASH_BYTES))
    for row in np.flatnonzero(rng.random(count) < 0.4).tolist():
        shown[row] = changed(shown[rng.integers(0, row + 1)], rng, 12)
    return Pictures(payload, shown)


def drawn_list(rng: np.random.Generator, world: Pictures, number: int) -> CleanList:
    """Some of them, repeatedly, stored anew or without a hash, by several voters of whom some were outvoted."""
    count, voters = int(rng.integers(0, 25)), int(rng.integers(1, 4))
    rows = rng.integers(0, len(world), count)
    payload, shown = (column[rows].copy() for column in world)
    for row in np.flatnonzero(rng.random(count) < 0.4).tolist():
        payload[row, 0] = rng.integers(0, 256)
        shown[row] = changed(shown[row], rng, 17)
        shown[row, 32:] ^= 255 * np.uint8(rng.random() < 0.3)
    shown[rng.random(count) < 0.05] = 0
    identity = rng.integers(-1, max(count // 3, 1), count)
    action = np.where(identity < 0, rng.integers(2, 4, count), rng.integers(0, 2, count)).astype(np.int8)
    reason, known = rng.integers(0, 3, count).astype(np.int8), rng.integers(1, 2**voters, count).astype(np.uint64)
    said = known & rng.integers(0, 2**voters, count).astype(np.uint64)
    about = {"voters": [{"who": f"{number}.{voter}"} for voter in range(voters)]}
    return make_list(Pictures(payload, shown), action, reason, identity, about, known, said)


@pytest.mark.parametrize("seed", range(40))
def test_blocks_and_files_decide_what_whole_arrays_do(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_joining, "ROWS", 1 + seed % 7)
    monkeypatch.setattr(mapping, "MAPPED_ABOVE", 0 if seed % 2 else 1 << 20)
    rng = np.random.default_rng(seed)
    world = drawn_world(rng)
    lists = [drawn_list(rng, world, number) for number in range(int(rng.integers(1, 6)))]
    before = [[getattr(each, name).copy() for name in COLUMNS] for each in lists]
    for listed in lists[1:]:
        found = find_pictures(lists[0], listed.pictures)
        assert (found.rows.tolist(), found.keys.tolist()) == find(lists[0], listed.pictures)
    for vote in ("majority", "any", "all"):
        found, wanted = merged_list(lists, vote), merge(lists, vote)
        for name in COLUMNS:
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=f"{vote} {name}")
        np.testing.assert_array_equal(found.pictures.payload_hash, wanted.pictures.payload_hash)
        np.testing.assert_array_equal(found.pictures.perceptual, wanted.pictures.perceptual)
        assert found.about == wanted.about
    for each, columns in zip(lists, before, strict=True):  # whose arrays the result may share
        for name, column in zip(COLUMNS, columns, strict=True):
            np.testing.assert_array_equal(getattr(each, name), column)


def test_doubt_is_told_across_blocks_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest picture and the one that says something else are found by other parts of their hashes."""
    monkeypatch.setattr(hash_index, "_ROWS", 1)
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, 256, HASH_BYTES).astype(np.uint8)
    for apart, told in ((1, False), (2, False), (3, True)):
        shown = np.stack([wanted, wanted])
        shown[0, 0] ^= 0b11  # two bits in the first part: only later ones find it
        shown[1, 4 : 4 * (2 + apart) : 4] ^= 1
        shown[1, 31] ^= 1
        payload, codes = np.array([[1] * 16, [2] * 16], np.uint8), np.zeros(2, np.int8)
        listed = make_list(Pictures(payload, shown), codes, codes, np.arange(2), {"voters": [{}]})
        asked = Pictures(np.full((1, 16), 3, np.uint8), wanted[None])
        found = find_pictures(listed, asked)
        assert (found.rows.tolist(), found.keys.tolist()) == find(listed, asked)
        assert (found.rows[0] == 0) == told


def test_rows_without_room_stay_in_memory(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapping, "_take_room", full)
    monkeypatch.setattr(mapping, "MAPPED_ABOVE", 0)
    found = mapped_array((3, 2), np.uint8)
    assert found.tolist() == [[0, 0]] * 3
    assert f"6 bytes stay in memory: {tempfile.gettempdir()} has no room" in caplog.text
    found[1] = 7


@pytest.mark.parametrize("fallocate", [True, False])
def test_mapped_arrays_are_zeros_to_write_to(fallocate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "MAPPED_ABOVE", 100)
    monkeypatch.setattr(mapping, "_ZEROS", 64)
    if not fallocate:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    for shape, kind in (((50, 16), np.uint8), (1000, np.int64), (3, np.int8), (0, np.int64)):
        found = mapped_array(shape, kind)
        np.testing.assert_array_equal(found, np.zeros(shape, kind))
        found[:] = 1
        assert found.dtype == kind
        assert found.sum() == found.size
