"""A vision transformer and a convolutional network, trained for the same CPU time.

    python benchmarks/vit_learns.py --drawn 30 24 6 --seconds 60
    python benchmarks/vit_learns.py --packs TRAIN TEST --seconds 240

With --drawn PEOPLE IMAGES MORE so many drawn people are trained on, and found in MORE other pictures of each: rank-1
against the centres of what was trained on. With --packs TRAIN and TEST are of different people. Each network trains by
`cosface-small` with the optimizer and the rates that suit it, on one thread, for as many epochs as a short trial says
will take that time; the rate falls to 0 over them. Beside TAR of all pairs of TEST stand the losses of the first and
the last steps, the CPU time it took, and what the network scores before it has learned anything. Each run is a line of
JSON in --results.
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
from recipes import embedded_by, rank_one, train_one
from tails import draw

from facekit.evaluate import FaceSet, verify_all
from facekit.records import open_pack

BATCH = 32
COMMON = ("channels_last=true", "threads=1", "scale=16", f"batch={BATCH}")
NETWORKS = {
    "tiny, SGD": ("backbone=tiny", "lr=.1"),
    "tiny, AdamW": ("backbone=tiny", "optimizer=adamw", "lr=.003", "weight_decay=.05"),
    "vit_xs, AdamW": ("backbone=vit_xs", "optimizer=adamw", "lr=.001", "weight_decay=.1", "clip=5"),
}
TRIAL = 12
FARS = (1e-2, 1e-3)


def losses(run: Path) -> tuple[float, float]:
    """The first and the last of the log."""
    with open(run / "log.csv", encoding="utf-8", newline="") as file:
        found = [float(row["value"]) for row in csv.DictReader(file) if row["name"] == "loss"]
    return found[0], found[-1]


def timed(pack: Path, seed: int, changes: tuple[str, ...], out: Path) -> float:
    """Train, and return CPU seconds."""
    started = time.process_time()
    train_one("bcl", "cosface-small", pack, seed, (*COMMON, *changes), out)
    return time.process_time() - started


def score(run: Path, train: Path, test: Path, same_people: bool) -> dict[str, float]:
    """TAR over all pairs of the test, and rank-1 of its pictures where its people were trained on."""
    sides = []
    for path in (test, train) if same_people else (test,):
        with open_pack(path) as pack:
            vectors = embedded_by(run, pack, pack.keys, np.zeros(len(pack.keys), np.bool_)).vectors
            sides.append(FaceSet(vectors, pack.labels))
    found = {f"TAR@{point.far:g}": point.tar for point in verify_all(sides[0], None, FARS).points}
    if same_people:
        vectors, labels = (np.concatenate([getattr(side, name) for side in sides]) for name in ("vectors", "labels"))
        probe = np.arange(len(labels)) < len(sides[0].labels)
        found["rank-1"] = float(rank_one(vectors, labels, probe).mean())
    return found


def draw_packs(scratch: Path, people: int, images: int, more: int) -> tuple[Path, Path]:
    """Packs of the same drawn people, other pictures in each."""
    who = np.arange(people)
    for name, numbers in (("train", range(images)), ("test", range(1000, 1000 + more))):
        draw(scratch / name, 18, who, [numbers] * people)
    return scratch / "train", scratch / "test"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--drawn", type=int, nargs=3, metavar=("PEOPLE", "IMAGES", "MORE"))
    given.add_argument("--packs", type=Path, nargs=2, metavar=("TRAIN", "TEST"))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        train, test = draw_packs(Path(scratch), *options.drawn) if options.drawn else options.packs
        with open_pack(train) as pack:
            images = len(pack.keys)
        for name in options.networks:
            changes, out = NETWORKS[name], Path(scratch) / name.replace(", ", "-")
            start = timed(train, options.seed, (*changes, "max_steps=1"), out)
            untrained = score(out, train, test, bool(options.drawn))
            each = (timed(train, options.seed, (*changes, f"max_steps={TRIAL}"), out) - start) / (TRIAL - 1)
            epochs = max(1, round(options.seconds / each / (images // BATCH)))
            wanted = (*changes, f"epochs={epochs}", "warmup=.5", "log_every=2")
            row: dict[str, Any] = {"network": name, "seed": options.seed, "untrained": untrained, "epochs": epochs}
            row["cpu_seconds"] = round(timed(train, options.seed, wanted, out))
            row |= {"losses": losses(out), "scores": score(out, train, test, bool(options.drawn))}
            print(json.dumps(row), flush=True)
            if options.results:
                with open(options.results, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
