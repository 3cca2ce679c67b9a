"""Verification over all pairs at the size of the MFR challenge: CPU time, memory, and the same numbers from a sort.

python benchmarks/evaluate_scale.py            7,000 masked against 14,000 bare faces, 97 million pairs
python benchmarks/evaluate_scale.py --large    also 100,000 against 100,000, 10^10 pairs (minutes)
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from facekit.evaluate import AllPairs, FaceSet, verify_all

DIMENSIONS = 512
FARS = (1e-4, 1e-6)


def drawn(rng: np.random.Generator, count: int, centres: np.ndarray) -> FaceSet:
    """Faces around the centres of their people; cosine to the centre about .4, of a hard set."""
    labels = rng.integers(0, len(centres), count)
    vectors = centres[labels] + rng.normal(size=(count, DIMENSIONS)).astype(np.float32) * np.float32(2.2)
    return FaceSet(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels)


def sorted_points(probe: FaceSet, gallery: FaceSet) -> list[float]:
    """TARs the short way: every similarity in memory, sorted."""
    similarity = probe.vectors @ gallery.vectors.T
    same = probe.labels[:, None] == gallery.labels
    genuine, impostor = similarity[same], np.sort(similarity[~same])
    limits = [impostor[-int(round(far * len(impostor), 6)) - 1] for far in FARS]
    return [float((genuine > limit).mean()) for limit in limits]


def memory() -> float:
    """Highest resident size so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(name: str, scores: AllPairs, seconds: float, before: float) -> None:
    pairs = scores.genuine + scores.impostor
    tars = ", ".join(f"{point.tar:.4f} at {point.far:g} ({point.false_accepts:,} accepted)" for point in scores.points)
    print(f"{name}: {pairs:,} pairs, {seconds:.1f} CPU-s, {pairs / seconds / 1e6:.0f} M pairs/CPU-s, "
          f"{memory() - before:.0f} MiB above the peak of drawing the faces; TAR {tars}")  # fmt: skip


def measure(name: str, probe: FaceSet, gallery: FaceSet) -> float:
    before, started = memory(), time.process_time()
    scores = verify_all(probe, gallery, FARS)
    seconds = time.process_time() - started
    report(name, scores, seconds, before)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    large = parser.parse_args().large
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(7000, DIMENSIONS)).astype(np.float32)
    probe, gallery = drawn(rng, 7000, centres), drawn(rng, 14000, centres)
    verify_all(probe.take(np.arange(300)), gallery, (0.1,))  # compiles
    seconds = measure("7k x 14k, streamed", probe, gallery)
    if large:
        measure("100k x 100k, streamed", drawn(rng, 100_000, centres), drawn(rng, 100_000, centres))
    before, started = memory(), time.process_time()
    expected = sorted_points(probe, gallery)
    baseline = time.process_time() - started
    print(f"7k x 14k, sorted in memory: {baseline:.1f} CPU-s ({baseline / seconds:.1f} times the streamed), "
          f"{memory() - before:.0f} MiB more; TAR {expected}")  # fmt: skip


if __name__ == "__main__":
    main()
