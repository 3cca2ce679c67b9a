"""How often the hash of lists takes two pictures for one, and how often it does not know a picture again.

    python benchmarks/list_hashes.py PACK [PACK...] [--most N]

Of the pictures of all packs together. False matches: all pairs, by how many of 256 bits of brightness differ; apart,
the pairs that are one picture: whose 64 x 64 grey versions correlate by more than .95, looked at where 40 bits or
fewer differ. Misses: each picture of at most N, stored in another way, against its own hash. Aggregates are printed and
nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from time import process_time

import cv2
import numpy as np

from facekit.clean.hash_index import LIMIT, near_pairs
from facekit.images import decode, encode_jpeg, encode_stored
from facekit.images.perceptual import HASH_BYTES, LUMA_BYTES, are_swapped, bit_distances, perceptual_hash
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.source_records import read_records

SHOWN = (7, 15, 20, 30, 40, 50, 60)
SAME, CLOSE = 0.95, 40


def jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: decode(encode_jpeg(image, quality))


def resized(pixels: int, quality: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    def change(image: np.ndarray) -> np.ndarray:
        size = image.shape[1] + pixels, image.shape[0] + pixels
        other = cv2.resize(image, size, interpolation=cv2.INTER_AREA if pixels < 0 else cv2.INTER_LINEAR)
        return other if quality is None else jpeg(quality)(other)

    return change


def png(image: np.ndarray) -> np.ndarray:
    return decode(encode_stored(np.ascontiguousarray(image[..., ::-1]), ".png", 3))


def shifted(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[2:, 2:])


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "PNG": png,
    "JPEG 95": jpeg(95),
    "JPEG 75": jpeg(75),
    "JPEG 50": jpeg(50),
    "4 pixels smaller": resized(-4),
    "6 pixels larger": resized(6),
    "8 pixels smaller, JPEG 75": resized(-8, 75),
    "half as large, JPEG 95": resized(-56, 95),
    "2 pixels cut off at two sides (not promised)": shifted,
}


def pictures(packs: list[str]) -> Iterator[np.ndarray]:
    for pack in packs:
        source, _ = open_source(pack, layout="flat")
        for record, _ in read_records(source):
            yield decode(record.payload)


def hashes_of(images: list[np.ndarray]) -> np.ndarray:
    return np.frombuffer(b"".join(map(perceptual_hash, images)), np.uint8).reshape(-1, HASH_BYTES)


def all_pairs(hashes: np.ndarray) -> np.ndarray:
    """How many pairs differ in how many bits, (257,)."""
    signs = np.unpackbits(hashes[:, :LUMA_BYTES], axis=1).astype(np.float32) * 2 - 1
    bits, counts = signs.shape[1], np.zeros(signs.shape[1] + 1, np.int64)
    for first in range(0, len(signs), 1000):
        some = signs[first : first + 1000]
        apart = np.rint((bits - some @ signs[first:].T) / 2).astype(np.int64)
        later = np.arange(apart.shape[1])[None] > np.arange(len(some))[:, None]
        counts += np.bincount(apart[later], minlength=bits + 1)
    return counts


def close_pairs(hashes: np.ndarray) -> np.ndarray:
    """Pairs that differ in `CLOSE` bits or fewer, (P, 2)."""
    found = [np.zeros((0, 2), np.int64)]
    for first in range(0, len(hashes), 100):
        apart = bit_distances(hashes[first : first + 100, None, :LUMA_BYTES], hashes[None, :, :LUMA_BYTES])
        one, other = np.nonzero(apart <= CLOSE)
        found.append(np.stack([one + first, other], axis=1)[other > one + first])
    return np.concatenate(found)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures are one, by what no hash sees: every pixel of 64 x 64."""
    grey = [cv2.resize(each, (64, 64), interpolation=cv2.INTER_AREA).mean(axis=2).ravel() for each in (one, other)]
    return bool(np.corrcoef(grey)[0, 1] > SAME)


def report_pairs(images: list[np.ndarray], hashes: np.ndarray) -> None:
    counts, total = np.cumsum(all_pairs(hashes)), len(hashes) * (len(hashes) - 1) // 2
    close = close_pairs(hashes)
    apart = bit_distances(hashes[close[:, 0], :LUMA_BYTES], hashes[close[:, 1], :LUMA_BYTES])
    same = np.array([alike(images[a], images[b]) for a, b in close.tolist()], np.bool_)
    print(f"{len(hashes):,} pictures, {total:,} pairs")
    for bits in SHOWN:
        one = int(np.count_nonzero(same & (apart <= bits)))
        said = f", {one:,} of them one picture" if bits <= CLOSE else ""
        print(f"  {bits:3} bits or fewer: {counts[bits]:,} pairs{said}")


def report_changes(images: list[np.ndarray], hashes: np.ndarray) -> None:
    for name, change in CHANGES.items():
        for swap in (False, True):
            turned = [np.ascontiguousarray(image[..., ::-1]) if swap else image for image in images]
            other = hashes_of([change(image) for image in turned])
            apart = bit_distances(hashes[:, :LUMA_BYTES], other[:, :LUMA_BYTES])
            told, missed = int(are_swapped(hashes, other).sum()), int((apart > LIMIT).sum())
            words = f"{name}{', channels swapped' if swap else ''}"
            print(f"  {words}: mean {apart.mean():.2f}, most {apart.max()}, missed {missed}, said swapped {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", nargs="+")
    parser.add_argument("--most", type=int, default=5121)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    images = list(pictures(given.packs))
    started = process_time()
    hashes = hashes_of(images)
    each = (process_time() - started) / len(images)
    report_pairs(images, hashes)
    started = process_time()
    found = near_pairs(hashes, hashes)
    looked = (process_time() - started) / len(images)
    print(f"  {each * 1e6:.0f} microseconds to hash a decoded picture, {looked * 1e6:.0f} to look one up")
    print(f"  the index finds {(len(found.wanted) - len(images)) // 2:,} pairs")
    print(f"of {min(given.most, len(images)):,} of them stored in another way, bits that change:")
    report_changes(images[: given.most], hashes[: given.most])


if __name__ == "__main__":
    main()
