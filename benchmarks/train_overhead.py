"""CPU time of facekit's loop against a bare loop over the same batches: one process, one thread, no workers.

    python benchmarks/train_overhead.py --images 1024 --repeats 5

The bare loop is what one would write by hand: the same network, margin and cross-entropy, torch's SGD, the same
pictures decoded and changed by the same functions. facekit's also has logs, checkpoints, schedules, and the plugin.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from facekit_bcl import BalancedCurricularMargin
from timing import machine, ratio, side_by_side
from torch.nn import functional

from facekit.images import decode, encode_jpeg
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
from facekit.records import Header, PackWriter, open_pack
from facekit.train.angular import cosine_matrix
from facekit.train.augment import apply_augmentation, draw_augmentation
from facekit.train.backbones import backbone
from facekit.train.plugin import load_plugin
from facekit.train.recipe import read_settings

SETTINGS = ("threads=1", "epochs=1", "log_every=20", "warmup=0", "batch=64")


def noise_pack(folder: Path, images: int) -> Path:
    """A pack of (112, 112) noise, four images a class."""
    rng = np.random.default_rng(0)
    with PackWriter(folder) as writer:
        for number in range(images):
            picture = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
            writer.write(Header(0, float(number // 4), writer.next_key, 0), encode_jpeg(picture, 80))
    return folder


def bare_loop(path: Path) -> None:
    """An epoch by hand."""
    pack, config = open_pack(path), read_settings(load_plugin("bcl"), "bcl-small", SETTINGS)
    keys, labels = pack.keys, pack.labels
    torch.manual_seed(0)
    network, margin = backbone("tiny", 128), BalancedCurricularMargin(np.bincount(labels), 48.0, 0.35)
    weight = torch.nn.Parameter(torch.randn(int(labels.max()) + 1, 128) * 0.01)
    optimizer = torch.optim.SGD([*network.parameters(), weight], lr=0.1, momentum=0.9, weight_decay=5e-4)
    order = np.random.default_rng(0).permutation(len(keys))
    for start in range(0, len(order) - 63, 64):
        rows = order[start : start + 64]
        planes = []
        for row in rows.tolist():
            change = draw_augmentation(np.random.default_rng([0, 0, row]), config.train)
            planes.append(apply_augmentation(decode(pack.read(int(keys[row])).payload), change))
        cosines = cosine_matrix(network(torch.from_numpy(np.stack(planes))), weight)
        target = torch.from_numpy(labels[rows])
        loss = functional.cross_entropy(margin(cosines, target), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        pack = noise_pack(Path(scratch) / "pack", options.images)
        number = iter(range(1000))

        def loop() -> None:
            out = Path(scratch) / f"run-{next(number)}"
            train(TrainConfig("bcl", str(pack), str(out), "bcl-small", SETTINGS))

        stages = {"bare": lambda: bare_loop(pack), "facekit": loop}
        times = side_by_side(stages, options.images, options.repeats)
        print(machine())
        print(*times.values(), f"facekit / bare {ratio(times['facekit'], times['bare']):.3f}", sep="\n")


if __name__ == "__main__":
    main()
