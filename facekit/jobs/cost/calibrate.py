"""A short calibration: every command at two small sizes, as a process of its own, on drawn pictures.

What a command costs is a constant and a rate a record; two sizes give both. CPU seconds are the system's own
count of the process and its children; its anonymous memory is looked at a hundred times a second.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facekit.errors import FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.cost.config import CostConfig
from facekit.records import Header, PackWriter, open_pack, pack_record
from facekit.records.framing import frame
from facekit.records.tar_shards import TarWriter

__all__ = ["Material", "Rate", "calibrate", "centre_pair_seconds", "core_gigaflops"]

MOST_BYTES, MOST, FEWEST = 160 << 20, 100_000, 10_000
"""Of the larger pack; larger ones take minutes, in smaller ones the start of a process hides the rate."""

FACES = (48, 240)
"""Pictures of the packs that are masked, embedded and read for training: a thousandth of a second each and more."""

TIMES = 3
"""That a command of a second is run at each size; fetch, which takes ten, once."""

CENTRES = (12_000, 24_000)
"""That are compared with one another."""

LOOK = 0.01
"""Seconds between two looks at the memory of a process."""

NOISE, STRANGERS = 0.5, 1 / 16


class Rate(NamedTuple):
    """What a step costs.

    Attributes
    ----------
    cpu, wall : float
        Seconds a record.
    start_cpu, start_wall : float
        Seconds of a run without records.
    disk : float
        Bytes a record of what it leaves.
    memory : float
        Bytes of the process at the larger of the two sizes, which blocks and libraries take, and records little.
    """

    cpu: float
    wall: float
    start_cpu: float
    start_wall: float
    disk: float
    memory: float


class _Run(NamedTuple):
    records: int
    cpu: float
    wall: float
    memory: int
    disk: int


class Material(NamedTuple):
    """What the commands are measured on: for each of two sizes a folder with ``pack``, ``vectors.npy``, ``tars``."""

    folders: tuple[Path, Path]
    records: tuple[int, int]
    faces: tuple[Path, Path]


def calibrate(config: CostConfig, folder: Path) -> dict[str, Rate]:
    """Measure the rates of all steps; about half a minute.

    Parameters
    ----------
    config : CostConfig
        With the size of the pictures.
    folder : Path
        An empty folder for a few hundred megabytes.

    Returns
    -------
    dict from str to Rate
        ``fetch``, ``convert``, ``mask``, ``clean``, ``apply``, ``read``, and ``embed`` where there is a model.

    Raises
    ------
    FacekitError
        A command failed.
    """
    made = make_material(config, folder)
    sizes = [*zip(made.folders, made.records, strict=True)]

    def of_records(name: str, words: Callable[[Path], list[str]]) -> Rate:
        times = 1 if name == "fetch" else TIMES
        return _rate(*(_least(at, words(at), at / f"out-{name}", count, times) for at, count in sizes))

    def of_faces(name: str, words: Callable[[Path], list[str]]) -> Rate:
        runs = [_run(at, words(at), at / f"out-{name}", count) for at, count in zip(made.faces, FACES)]
        return _rate(*runs)

    convert = ["convert", "{at}/pack", "{at}/out-convert"]
    # Below 200,000 pictures the report compares both modes, which large packs are not asked to pay for.
    clean = ["clean", "{at}/pack", "{at}/out-clean", "--features", "{at}/vectors.npy", "--no-report"]
    given = {
        "fetch": ["convert", "{at}/tars", "{at}/out-fetch", "--workers", "1"],
        "convert": convert,
        "clean": [*clean, "--allow-loss", "1"],
        "apply": ["apply", "{at}/pack", "{at}/out-clean", "{at}/out-apply"],
    }
    rates = {name: of_records(name, partial(_placed, words)) for name, words in given.items()}
    ratio = ["--mode", "replace", "--ratio", "1", "--workers", "1"]
    rates["mask"] = of_faces("mask", lambda at: ["mask", f"{at}/pack", f"{at}/out-mask", *ratio])
    if config.model is not None:
        model = ["--model", config.model, "--threads", "1", "--workers", "1"]
        rates["embed"] = of_faces("embed", lambda at: ["embed", f"{at}/pack", f"{at}/out-embed", *model])
    rates["read"] = _reading(made.faces[1] / "pack")
    return rates


def _placed(words: list[str], at: Path) -> list[str]:
    """The words of a command with the folder that they speak of."""
    return [word.format(at=at) for word in words]


def _rate(small: _Run, large: _Run) -> Rate:
    more = large.records - small.records
    cpu, wall = (max(0.0, (b - a) / more) for a, b in ((small.cpu, large.cpu), (small.wall, large.wall)))
    starts = max(0.0, small.cpu - cpu * small.records), max(0.0, small.wall - wall * small.records)
    return Rate(cpu, wall, *starts, (large.disk - small.disk) / more, large.memory)


def _least(at: Path, words: list[str], output: Path, records: int, times: int) -> _Run:
    """Of several runs the one with the fewest CPU seconds: other work on the machine only adds."""
    runs = []
    for _ in range(times):
        shutil.rmtree(output, ignore_errors=True)
        runs.append(_run(at, words, output, records))
    return min(runs, key=lambda run: run.cpu)


def _run(at: Path, words: list[str], output: Path, records: int) -> _Run:
    """Run a command to its end, and say what it cost."""
    log, started = at / "log", time.perf_counter()
    with open(log, "wb") as told:
        process = subprocess.Popen([sys.executable, "-m", "facekit", *words], stdout=told, stderr=told)
        done, memory = 0, 0
        while not done:
            # Not ru_maxrss: that begins with what the parent had when it started the process.
            memory = max(memory, _anonymous(process.pid))
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            time.sleep(0 if done else LOOK)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise FacekitError(
            f"facekit {words[0]} failed while it was measured: {log.read_text('utf-8', 'replace')[-800:]}"
        )
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return _Run(records, usage.ru_utime + usage.ru_stime, wall, memory, size)


def _anonymous(process: int) -> int:
    """Bytes of a process that are its own, pages of mapped files apart; 0 where it is gone."""
    try:
        told = Path(f"/proc/{process}/status").read_text("ascii", "replace")
    except OSError:
        return 0
    return int(told.partition("RssAnon:")[2].split()[0]) * 1024 if "RssAnon:" in told else 0


def make_material(config: CostConfig, folder: Path) -> Material:
    """Draw people, and make packs of records, tars and vectors of two sizes."""
    large = min(MOST, max(FEWEST, MOST_BYTES // config.picture_bytes))
    records, drawn = (large // 5, large), folder / "drawn"
    _run(folder, ["synth", str(drawn), "--identities", "6", "--images", "8"], drawn, 48)
    with open_pack(drawn) as pack:
        faces = [pack.read(int(key)).payload for key in pack.keys]
    folders, of_faces = [], []
    for count, few in zip(records, FACES):
        at = folder / str(count)
        (at / "tars").mkdir(parents=True)
        _write_records(at, count, config)
        _write_vectors(at / "vectors.npy", count, config)
        folders.append(at)
        of_faces.append(folder / f"faces-{few}")
        with PackWriter(of_faces[-1] / "pack") as writer:
            for number in range(few):
                writer.write(Header(0, float(number // 8), number + 1, 0), faces[number % len(faces)])
    return Material((folders[0], folders[1]), records, (of_faces[0], of_faces[1]))


def _write_records(at: Path, count: int, config: CostConfig) -> None:
    """A pack and gzipped tars of pictures that are as large as asked for: random bytes, which nothing can compress."""
    rng, small = np.random.default_rng(0), encode_jpeg(np.full((8, 8, 3), 90, np.uint8), 50)
    picture = (small + rng.bytes(max(config.picture_bytes - len(small), 0)))[: config.picture_bytes]
    labels = np.arange(count) // config.per_identity
    frames = [frame(pack_record(Header(0, 0.0, 0, 0), picture))]
    size = len(frames[0])
    with PackWriter(at / "pack") as writer:
        for first in range(0, count, 1000):
            some = labels[first : first + 1000]
            block = bytearray(frames[0] * len(some))
            writer.append_block(block, np.arange(len(some)) * size, some, new_ids=True, relabel=True, in_place=True)
    with TarWriter(at / "tars", count) as tars:
        for number in range(count):
            tars.write(number, Header(0, float(labels[number]), number, 0), picture)
    for path in (at / "tars").glob("*.tar"):
        with open(path, "rb") as plain, gzip.open(f"{path}.gz", "wb", 1) as packed:
            while piece := plain.read(1 << 20):
                packed.write(piece)
        path.unlink()


def _write_vectors(path: Path, count: int, config: CostConfig) -> None:
    """Faces around the centre of their identity, some of somebody else."""
    rng, width = np.random.default_rng([1, count]), config.dimensions
    labels = np.arange(count) // config.per_identity
    centres = rng.standard_normal((int(labels[-1]) + 1, width), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    strength = np.where(rng.random(count) < STRANGERS, 0, 0.8).astype(np.float32)[:, None]
    noise = rng.standard_normal((count, width), np.float32) / np.float32(width**0.5)
    np.save(path, (strength * centres[labels] + np.float32(NOISE) * noise).astype(np.float16))


def _reading(pack: Path) -> Rate:
    """What training reads: a record, its picture, augmented; as a rate of one core."""
    from facekit.train.config import LoopConfig
    from facekit.train.samples import TrainingSet

    samples = TrainingSet(str(pack), LoopConfig())
    for index in range(min(16, len(samples))):
        samples[index]
    started, before = time.perf_counter(), time.process_time()
    for index in range(len(samples)):
        samples[index]
    cpu, wall = time.process_time() - before, time.perf_counter() - started
    return Rate(cpu / len(samples), wall / len(samples), 0.0, 0.0, 0.0, 0.0)


def centre_pair_seconds(dimensions: int) -> float:
    """CPU seconds of a pair more in the search over pairs of centres; what a search begins with is in both sizes."""
    from facekit.clean import pairs_above

    rows = np.random.default_rng(2).standard_normal((CENTRES[1], dimensions), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs_above(rows[:2000], 0.75)

    def seconds(count: int) -> float:
        before = time.process_time()
        pairs_above(rows[:count], 0.75)
        return time.process_time() - before

    small, large = (min(seconds(count) for _ in range(TIMES)) for count in CENTRES)
    return max(large - small, 0.0) / ((CENTRES[1] ** 2 - CENTRES[0] ** 2) / 2)


def core_gigaflops() -> float:
    """10^9 floating point operations a second that one core does in a product of float32 matrices."""
    a = np.random.default_rng(3).standard_normal((1024, 1024), np.float32)
    _ = a @ a
    before, times = time.process_time(), 5
    for _ in range(times):
        _ = a @ a
    return float(2 * 1024**3 * times / (time.process_time() - before) / 1e9)
