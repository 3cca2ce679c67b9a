"""The perceptual hash, and the index that finds hashes that are near."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.filters import gaussian

import facekit.clean.hash_index as hash_index
from facekit.clean.hash_index import LIMIT, near_pairs
from facekit.errors import PictureError
from facekit.images import decode, encode_jpeg
from facekit.images.perceptual import CHROMA_BYTES, HASH_BYTES, LUMA_BYTES, are_swapped, bit_distances, perceptual_hash


def picture(seed: int, height: int = 112, width: int = 96) -> np.ndarray:
    """Smooth coloured noise, as rough as a face."""
    noise = gaussian(np.random.default_rng(seed).normal(size=(height, width, 3)), 3, channel_axis=2)
    return np.clip(128 + 500 * noise + [30, 0, -30], 0, 255).astype(np.uint8)


def hashes(*pictures: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"".join(map(perceptual_hash, pictures)), np.uint8).reshape(-1, HASH_BYTES)


CHANGES = {
    "quality 95": lambda image: decode(encode_jpeg(image, 95)),
    "quality 75": lambda image: decode(encode_jpeg(image, 75)),
    "4 pixels smaller": lambda image: cv2.resize(image, None, fx=108 / 112, fy=108 / 112, interpolation=cv2.INTER_AREA),
    "6 pixels larger": lambda image: cv2.resize(image, None, fx=118 / 112, fy=118 / 112),
    "smaller and quality 75": lambda image: decode(encode_jpeg(cv2.resize(image, (92, 108)), 75)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_stored_in_another_way_has_nearly_the_same_hash(change: str) -> None:
    one = hashes(*map(picture, range(40)))
    other = hashes(*(CHANGES[change](picture(seed)) for seed in range(40)))
    apart = bit_distances(one[:, :LUMA_BYTES], other[:, :LUMA_BYTES])
    assert apart.max() <= LIMIT
    assert not are_swapped(one, other).any()
    strangers = bit_distances(one[1:, :LUMA_BYTES], other[:-1, :LUMA_BYTES])
    assert strangers.min() > 4 * LIMIT


@pytest.mark.parametrize("change", CHANGES)
def test_changed_channels_keep_the_brightness_and_are_told(change: str) -> None:
    pictures = [picture(seed) for seed in range(20)]
    one = hashes(*pictures)
    other = hashes(*(CHANGES[change](np.ascontiguousarray(image[..., ::-1])) for image in pictures))
    assert bit_distances(one[:, :LUMA_BYTES], other[:, :LUMA_BYTES]).max() <= LIMIT
    assert are_swapped(one, other).all()


def test_without_colour_nothing_is_swapped_and_without_contrast_there_is_no_hash() -> None:
    grey = np.repeat(picture(0)[..., :1], 3, axis=2)
    assert not are_swapped(hashes(grey), hashes(decode(encode_jpeg(grey, 75)))).any()
    assert hashes(grey)[0, -CHROMA_BYTES:].sum() == 0
    for flat in (np.zeros((50, 40, 3), np.uint8), np.full((50, 40, 3), 255, np.uint8), picture(0) // 200):
        assert perceptual_hash(flat) == bytes(HASH_BYTES)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 0, 3), np.uint8), np.zeros((4, 4, 3))])
def test_what_is_no_picture_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(PictureError, match="a picture is an"):
        perceptual_hash(bad)


def brute(known: np.ndarray, wanted: np.ndarray, limit: int) -> set[tuple[int, int, int]]:
    """All pairs compared, bit by bit."""
    bits = [np.unpackbits(each[:, :LUMA_BYTES], axis=1).astype(int) for each in (wanted, known)]
    apart = np.abs(bits[0][:, None] - bits[1][None]).sum(axis=2)
    return {
        (i, j, int(apart[i, j]))
        for i, j in zip(*np.nonzero(apart <= limit), strict=True)
        if bits[0][i].any() and bits[1][j].any()
    }


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(0, 40), st.integers(0, LIMIT))
def test_the_index_finds_what_comparing_all_finds(seed: int, known: int, wanted: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    there = rng.integers(0, 256, (known, HASH_BYTES)).astype(np.uint8)
    bits = np.unpackbits(there[rng.integers(0, known, wanted)] if known else np.zeros((wanted, HASH_BYTES), np.uint8))
    bits = bits.reshape(wanted, 8 * HASH_BYTES)
    for row in bits:  # as many bits as matter are turned over, anywhere or side by side
        many, start = int(rng.integers(0, LIMIT + 4)), int(rng.integers(0, 8 * LUMA_BYTES - 20))
        places = rng.permutation(8 * LUMA_BYTES)[:many] if rng.random() < 0.5 else start + np.arange(many)
        row[places] ^= 1
    asked = np.packbits(bits, axis=1).reshape(wanted, HASH_BYTES)
    there[rng.random(known) < 0.1] = 0
    found = near_pairs(there, asked, limit)
    pairs = list(zip(found.wanted.tolist(), found.known.tolist(), found.distance.tolist(), strict=True))
    assert set(pairs) == brute(there, asked, limit)
    assert len(pairs) == len(set(pairs))
    assert pairs == sorted(pairs, key=lambda pair: (pair[0], pair[2], pair[1]))
    assert not found.crowded.any()


def test_a_hash_that_very_many_share_is_said_to_be_crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_index, "_CROWD", 5)
    rng = np.random.default_rng(0)
    alone, crowd = rng.integers(0, 256, (2, 1, HASH_BYTES)).astype(np.uint8)
    found = near_pairs(np.concatenate([np.repeat(crowd, 6, axis=0), alone]), np.concatenate([crowd, alone]))
    assert found.crowded.tolist() == [True, False]
    assert (found.wanted.tolist(), found.known.tolist()) == ([1], [6])


def test_a_limit_that_would_miss_pairs_is_refused() -> None:
    none = np.zeros((0, HASH_BYTES), np.uint8)
    with pytest.raises(ValueError, match="up to 15 bits"):
        near_pairs(none, none, LIMIT + 1)
    assert len(near_pairs(none, none).wanted) == 0
