"""How often the hash of lists takes two pictures of drawn people for one, by as many pictures as there is time for.

    python benchmarks/drawn_hashes.py draw WORK [--pictures 1000000] [--minutes 55]
    python benchmarks/drawn_hashes.py compare WORK

``draw`` keeps no picture: each is drawn, compressed, decoded and hashed, and 40 bytes of it go to WORK, 1,000 pictures
a file. Given again it goes on where it was stopped, at whatever moment that was. ``compare`` compares all pairs of what
is there, apart for pairs of one person and of two, by how many of 256 bits of brightness differ; it too goes on. Pairs
that are nearest are drawn again, to see whether they show one thing; the index that ``facekit apply`` uses must find
the same ones within the limit.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from time import process_time, time
from typing import Any

import cv2
import numba
import numpy as np
from list_hashes import alike, hashes_of

from facekit.clean.hash_index import LIMIT, near_pairs
from facekit.images.perceptual import HASH_BYTES, LUMA_BYTES
from facekit.synth import build_person, draw_person, render_compressed, sample_capture, sample_identity

SEED, IMAGES, PEOPLE = 20, 25, 40
"""Of a file: 40 people with 25 pictures each, who follow from the seed and their numbers."""
PICTURES = IMAGES * PEOPLE
FAR, CLOSE = 60, 30
"""Bits up to which pairs are counted, and up to which they are named and looked at."""
ROWS, NAMED = 1 << 14, 1 << 16
SHOWN = (7, LIMIT, 20, 25, 30, 40, 50, 60)


def drawn_file(work: Path, number: int) -> Path:
    return work / f"hashes-{number:06}.npy"


def write_whole(path: Path, array: np.ndarray) -> None:
    """A file that is there is whole."""
    aside = path.with_suffix(".part")
    with open(aside, "wb") as file:
        np.save(file, array)
    os.replace(aside, path)


def draw_file(number: int) -> np.ndarray:
    """Hashes of 40 people, (1000, 40)."""
    images = []
    for identity in range(number * PEOPLE, (number + 1) * PEOPLE):
        person = build_person(sample_identity(SEED, identity))
        captures = (sample_capture(SEED, identity, image) for image in range(IMAGES))
        images.append(hashes_of([render_compressed(person, capture).image for capture in captures]))
    return np.concatenate(images)


def draw(work: Path, pictures: int, minutes: float) -> None:
    work.mkdir(parents=True, exist_ok=True)
    end, done, spent = time() + 60 * minutes, 0, process_time()
    for number in range(pictures // PICTURES):
        if time() > end:
            break
        if not drawn_file(work, number).exists():
            write_whole(drawn_file(work, number), draw_file(number))
            done += PICTURES
            print(
                f"{(number + 1) * PICTURES:,} pictures, {(process_time() - spent) / done * 1e3:.1f} ms each", flush=True
            )


def read_hashes(work: Path) -> np.ndarray:
    """What is there without a gap, (N, 40)."""
    found = []
    while drawn_file(work, len(found)).exists():
        found.append(np.load(drawn_file(work, len(found))))
    return np.concatenate([np.zeros((0, HASH_BYTES), np.uint8), *found])


@numba.njit(cache=True, nogil=True)
def ones(word):
    """How many bits of 64 are set; LLVM makes one instruction of it."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True, nogil=True)
def compare_rows(words, first, stop, images, far, close, counts, named):
    """Compare some rows with all that come before them.

    words (N, 4) uint64; counts (2, far + 1) int64 gets pairs of two people and of one, by bits; named (P, 2) int64 gets
    those within `close`. Returns how many those are, more than P where they found no room.
    """
    found = 0
    for one in range(first, stop):
        w0, w1, w2, w3 = words[one]
        for other in range(one):
            apart = ones(w0 ^ words[other, 0]) + ones(w1 ^ words[other, 1])
            if apart > far:
                continue
            apart += ones(w2 ^ words[other, 2])
            if apart > far:
                continue
            apart += ones(w3 ^ words[other, 3])
            if apart > far:
                continue
            counts[np.int64(one // images == other // images), apart] += 1
            if apart <= close:
                if found < len(named):
                    named[found, 0], named[found, 1] = other, one
                found += 1
    return found


def blocks_of(work: Path, words: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Counts and named pairs of each block of rows, kept in WORK."""
    for first in range(0, len(words), ROWS):
        stop = min(first + ROWS, len(words))
        path = work / f"pairs-{first}-{stop}.npy"
        if not path.exists():
            counts, named = np.zeros((2, FAR + 1), np.int64), np.empty((NAMED, 2), np.int64)
            found = compare_rows(words, first, stop, IMAGES, FAR, CLOSE, counts, named)
            if found > NAMED:
                raise SystemExit(f"{found:,} pairs of rows {first} to {stop} are within {CLOSE} bits: name fewer")
            write_whole(path, np.concatenate([counts.ravel(), named[:found].ravel()]))
        kept = np.load(path)
        yield kept[: 2 * (FAR + 1)].reshape(2, -1), kept[2 * (FAR + 1) :].reshape(-1, 2)


def look(pair: np.ndarray) -> bool:
    """Draw two pictures again: whether they show one thing, by what no hash sees."""
    one, other = (draw_person(SEED, int(row) // IMAGES, int(row) % IMAGES).image for row in pair)
    return alike(one, other)


def compare(work: Path) -> dict[str, Any]:
    hashes = read_hashes(work)
    luma = np.ascontiguousarray(hashes[:, :LUMA_BYTES])
    empty = int(np.count_nonzero(~luma.any(axis=1)))
    compare_rows(np.zeros((2, 4), np.uint64), 1, 2, 1, 0, 0, np.zeros((2, 1), np.int64), np.zeros((1, 2), np.int64))
    started = process_time()
    parts = list(blocks_of(work, luma.view(np.uint64)))
    seconds = process_time() - started
    counts, named = sum(part[0] for part in parts), np.concatenate([part[1] for part in parts])
    count = len(hashes)
    one = count // IMAGES * (IMAGES * (IMAGES - 1) // 2)
    pairs = {"two people": count * (count - 1) // 2 - one, "one person": one}
    apart = np.bitwise_count(luma[named[:, 0]] ^ luma[named[:, 1]]).sum(axis=1, dtype=np.int64)
    started = process_time()
    index = near_pairs(hashes, hashes)
    looked_up = process_time() - started
    within = {tuple(pair) for pair in named[apart <= LIMIT].tolist()}
    indexed = {(a, b) for a, b in zip(index.known.tolist(), index.wanted.tolist(), strict=True) if a < b}
    nearest = named[np.argsort(apart, kind="stable")]
    return {
        "pictures": count,
        "without a hash": empty,
        "pairs": pairs,
        "counts": dict(zip(pairs, np.cumsum(counts, axis=1)[:, list(SHOWN)].tolist(), strict=True)),
        "nearest": [
            {
                "bits": int(np.bitwise_count(luma[a] ^ luma[b]).sum()),
                "person and image": [[int(row) // IMAGES, int(row) % IMAGES] for row in (a, b)],
                "greys correlate by more than .95": look(np.array([a, b])),
            }
            for a, b in nearest[:40]
        ],
        "the index finds the same within the limit": indexed == within,
        "crowded": int(index.crowded.sum()),
        "seconds to compare": round(seconds, 1),
        "seconds by the index": round(looked_up, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("draw", "compare"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=1e6)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    if given.what == "draw":
        draw(given.work, given.pictures, given.minutes)
        return
    found = compare(given.work)
    print(json.dumps(found, indent=1))
    print("two people, within", SHOWN, ":", found["counts"]["two people"])


if __name__ == "__main__":
    main()
