"""A vision transformer and a convolutional network, trained for the same CPU time, on people they have not seen.

    python benchmarks/vit_learns.py TRAIN TEST --seconds 240

TRAIN and TEST are packs of different people. Each network trains by `cosface-small` with the optimizer and the rates
that suit it, on one thread, for as many epochs as a short trial says will take that time; the rate falls to 0 over
them. Beside TAR of all bare pairs of TEST stand the loss of the first and the last steps and the CPU time it took; the
first row is a network that has learned nothing. Each run is a line of JSON in --results.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from recipes import embedded_by, train_one

from facekit.evaluate import FaceSet, verify_all
from facekit.records import open_pack

COMMON = ("channels_last=true", "threads=1", "scale=32")
NETWORKS = {
    "tiny, SGD": ("backbone=tiny", "lr=.1"),
    "tiny, AdamW": ("backbone=tiny", "optimizer=adamw", "lr=.003", "weight_decay=.05"),
    "vit_xs, AdamW": ("backbone=vit_xs", "optimizer=adamw", "lr=.001", "weight_decay=.1", "clip=5"),
}
TRIAL = 12
FARS = (1e-2, 1e-3)


def losses(run: Path) -> tuple[float, float]:
    """Of the first and the last line of the log."""
    with open(run / "log.csv", encoding="utf-8", newline="") as file:
        found = [float(row["loss"]) for row in csv.DictReader(file) if row.get("loss")]
    return found[0], found[-1]


def timed(pack: Path, seed: int, changes: tuple[str, ...], out: Path) -> float:
    """Train, and return CPU seconds."""
    started = time.process_time()
    train_one("bcl", "cosface-small", pack, seed, (*COMMON, *changes), out)
    return time.process_time() - started


def score(run: Path, test: Path) -> dict[str, float]:
    """TAR over all pairs of people that were not trained on."""
    with open_pack(test) as pack:
        vectors = embedded_by(run, pack, pack.keys, np.zeros(len(pack.keys), np.bool_)).vectors
        faces = FaceSet(vectors, pack.labels)
    return {f"TAR@{point.far:g}": point.tar for point in verify_all(faces, None, FARS).points}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    with open_pack(options.train) as pack:
        images = len(pack.keys)
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.networks:
            changes, out = NETWORKS[name], Path(scratch) / name.replace(", ", "-")
            start = timed(options.train, options.seed, (*changes, "max_steps=1"), out)
            untrained = score(out, options.test)
            each = (timed(options.train, options.seed, (*changes, f"max_steps={TRIAL}"), out) - start) / (TRIAL - 1)
            epochs = max(1, round(options.seconds / each / (images // 64)))
            given = (*changes, f"epochs={epochs}", "warmup=.5", "log_every=10")
            row: dict[str, Any] = {"network": name, "seed": options.seed, "untrained": untrained, "epochs": epochs}
            row["cpu_seconds"] = round(timed(options.train, options.seed, given, out))
            row |= {"losses": losses(out), "scores": score(out, options.test)}
            print(json.dumps(row), flush=True)
            if options.results:
                with open(options.results, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
