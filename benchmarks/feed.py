"""Whether decoding and handing over keeps a network busy that takes no time: images a second a core against decoding.

    python benchmarks/feed.py [--images N] [--threads N]

A stand-in network answers at once. Measured are what brings pictures to it (reading, decoding, stacking, handing over
between threads) and the whole job of `facekit embed` (and the network's input as float32, norms, rows, vectors on the
disk). Against both stands one thread that decodes the same pictures from memory, by `facekit.images.decode`, and by
OpenCV alone. Rates are those of CPU seconds, all threads together, which other work on the machine hardly changes; what
a thread waits for is told by the wall clock, which is printed too. The stages take turns; each figure is a median.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

from facekit.embeddings import Preprocessing
from facekit.embeddings.engine import NetworkOutput
from facekit.images import decode
from facekit.jobs.embed.feed import AHEAD, decoded_batches
from facekit.jobs.embed.shard import EmbedTask, EmbedWorker, start_worker
from facekit.jobs.inputs.ledger import read_flags
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.inputs.source import Source, open_source
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.job import synth
from facekit.records import Header, PackWriter, open_pack
from facekit.run.shards import Shard, cut
from facekit.synth.plan import PackSpec

DIMENSIONS, REPEATS = 512, 7

Work = Callable[[EmbedTask], Shard]


class Immediate:
    """A network that answers at once."""

    preprocessing, takes_flag, model_hash = Preprocessing(), False, "0" * 32

    def __init__(self, _: ModelChoice) -> None:
        self._vectors = np.random.default_rng(0).normal(size=(4096, DIMENSIONS)).astype(np.float32)

    def run(self, planes: np.ndarray, _: np.ndarray) -> NetworkOutput:
        return NetworkOutput(self._vectors[: len(planes)], None)


def make_pack(folder: Path, images: int) -> Path:
    """A pack of drawn faces, 200 pictures again and again."""
    synth(SynthConfig(str(folder / "drawn"), PackSpec(20, 10), workers=len(os.sched_getaffinity(0))))
    with open_pack(folder / "drawn") as pack:
        payloads = [pack.read(key).payload for key in pack.keys.tolist()]
    with PackWriter(folder / "pack", "flat") as writer:
        for number in range(images):
            writer.write(Header(0, 0.0, number, 0), payloads[number % len(payloads)])
    return folder / "pack"


class Spent(NamedTuple):
    """Seconds a picture."""

    cpu: float
    wall: float


def decoding(payloads: list[bytes], alone: bool) -> Spent:
    """One thread that decodes pictures in memory."""
    import cv2

    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    cpu, wall = process_time(), perf_counter()
    for payload in payloads:
        if alone:
            cv2.imdecode(np.frombuffer(payload, np.uint8), flags)
        else:
            decode(payload)
    return Spent((process_time() - cpu) / len(payloads), (perf_counter() - wall) / len(payloads))


def feeding(source: Source, work: Work, folder: Path) -> Spent:
    """From the pack to the network, and from there to the disk."""
    flags = read_flags(source)
    cpu, wall = process_time(), perf_counter()
    for shard in cut(len(source), 4096):
        span = shard.first, shard.stop
        work(EmbedTask(shard, folder / f"{shard.number:08d}", source.slice(*span), flags.slice(*span)))
    return Spent((process_time() - cpu) / len(source), (perf_counter() - wall) / len(source))


def handing(source: Source, threads: int) -> Spent:
    """From the pack to batches of pictures, as the network is given them."""
    cpu, wall = process_time(), perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for shard in cut(len(source), 4096):
            part = source.slice(shard.first, shard.stop)
            for _ in decoded_batches(part, 64, Immediate.preprocessing.check, pool, AHEAD * threads):
                pass
    return Spent((process_time() - cpu) / len(source), (perf_counter() - wall) / len(source))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        source, _ = open_source(str(make_pack(Path(place), given.images)), layout="flat")
        work = start_worker(EmbedWorker(ModelChoice("immediate"), ("cpu",), given.threads, Immediate))
        payloads = [record.payload for record, _ in read_records(source)]
        rounds = [
            (
                decoding(payloads, True),
                decoding(payloads, False),
                handing(source, given.threads),
                feeding(source, work, Path(place)),
            )
            for _ in range(REPEATS)
        ][1:]
    names = ("OpenCV alone", "decode", "handed over", "whole job")
    cpu = [float(np.median([one.cpu for one in stage])) for stage in zip(*rounds, strict=True)]
    wall = [float(np.median([one.wall for one in stage])) for stage in zip(*rounds, strict=True)]
    for name, seconds, waited in zip(names, cpu, wall, strict=True):
        print(f"{name:14}{1 / seconds:>10,.0f} images a CPU second{1 / waited:>10,.0f} a second by the clock")
    shares = f"handed over / decode {cpu[1] / cpu[2]:.1%}, whole job / decode {cpu[1] / cpu[3]:.1%}"
    print(f"{given.threads} threads: {shares}")


if __name__ == "__main__":
    main()
