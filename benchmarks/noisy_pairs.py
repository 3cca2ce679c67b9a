"""Pairs with noise: each picture of a ``.bin`` with Gaussian noise of its own, before masks are put on.

python benchmarks/noisy_pairs.py lfw.bin noisy-lfw.bin --deviation 20
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from facekit.images import decode, encode_jpeg
from facekit.records.bins import read_bins, write_bins


def noisy(payload: bytes, number: int, deviation: float) -> bytes:
    """The picture with noise of that many grey levels, as a JPEG of quality 95."""
    picture = decode(payload)
    noise = np.random.default_rng([7, number]).normal(0, deviation, picture.shape)
    return encode_jpeg(np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8), 95)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("destination")
    parser.add_argument("--deviation", type=float, default=20.0)
    options = parser.parse_args(argv)
    pairs = read_bins(options.source)
    payloads = [noisy(payload, number, options.deviation) for number, payload in enumerate(pairs.payloads)]
    write_bins(options.destination, payloads, pairs.same)


if __name__ == "__main__":
    main()
