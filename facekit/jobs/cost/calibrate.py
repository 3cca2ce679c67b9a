"""A short calibration: every command at two small sizes on drawn pictures.

What a command costs is a constant and a rate a record; two sizes give both (`facekit.jobs.cost.probes`). A process runs
it at the small size, which pays for the start, again, and at the large one (`facekit.jobs.cost.timed`): the start of a
process takes longer than most commands do for ten thousand records, and would hide the rate. Its anonymous memory is
looked at a hundred times a second.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facekit.errors import FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.cost import timed
from facekit.jobs.cost.config import CostConfig
from facekit.jobs.cost.probes import Estimate, Round, estimate, take_turns
from facekit.records import Header, PackWriter, open_pack, pack_record
from facekit.records.framing import frame
from facekit.records.tar_shards import TarWriter

__all__ = ["Material", "Rate", "calibrate", "centre_pair_seconds", "core_gigaflops"]

MOST_BYTES, MOST, FEWEST = 160 << 20, 100_000, 10_000
"""Of the larger pack; larger ones take minutes, in smaller ones the start of a process hides the rate."""

FACES = (192, 384)
"""Pictures of the packs that are masked, embedded and read for training: a thousandth of a second each and more. The
contact sheet is full at both sizes, or drawing it would count as masking."""

FETCHED = 5
"""One of so many records is in the tars: fetching one takes twenty times what converting it does."""

TIMES = 5
"""That what takes less than a second is timed in this process."""

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
    """What one process measured: seconds of a first run at the small size, of another one, and at the large size."""

    cpu: tuple[float, float, float]
    wall: tuple[float, float, float]
    memory: int
    disk: tuple[int, int]


class Material(NamedTuple):
    """What the commands are measured on: for each of two sizes a folder with ``pack``, ``vectors.npy``, ``tars``."""

    folders: tuple[Path, Path]
    records: tuple[int, int]
    faces: tuple[Path, Path]


def calibrate(config: CostConfig, folder: Path) -> dict[str, Rate]:
    """Measure the rates of all steps; about a minute, more where other work runs on the machine.

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
    records = [*zip(made.folders, made.records, strict=True)]
    fetched = [(at, count // FETCHED) for at, count in records]
    faces = [*zip(made.faces, FACES, strict=True)]
    # Below 200,000 pictures the report compares both modes, which large packs are not asked to pay for.
    clean = ["clean", "{at}/pack", "{at}/out-clean", "--features", "{at}/vectors.npy", "--no-report"]
    steps = [
        _Step("fetch", fetched, ["convert", "{at}/tars", "{at}/out-fetch", "--workers", "1"]),
        _Step("convert", records, ["convert", "{at}/pack", "{at}/out-convert"]),
        _Step("clean", records, [*clean, "--allow-loss", "1"]),
        _Step("apply", records, ["apply", "{at}/pack", "{at}/out-clean", "{at}/out-apply"]),
        _Step("mask", faces, ["mask", "{at}/pack", "{at}/out-mask", *MASKING]),
    ]
    if config.model is not None:
        model = ["--model", config.model, "--threads", "1", "--workers", "1"]
        steps.append(_Step("embed", faces, ["embed", "{at}/pack", "{at}/out-embed", *model]))
    found = take_turns({step.name: step.round for step in steps})
    rates = {step.name: _rate(step, found[step.name]) for step in steps}
    rates["read"] = _reading(made.faces[1] / "pack")
    return rates


MASKING = ["--mode", "replace", "--ratio", "1", "--workers", "1"]


class _Step:
    """A command, whose words speak of the folder as ``{at}``, and its runs in the folders of both sizes."""

    def __init__(self, name: str, places: list[tuple[Path, int]], words: list[str]) -> None:
        self.name, self.places, self._words = name, places, words
        self.runs: list[_Run] = []

    def round(self) -> Round:
        """Run it at both sizes; CPU seconds."""
        self.runs.append(_measured(self.name, [at for at, _ in self.places], self._words))
        return Round(*self.runs[-1].cpu[1:])


def _rate(step: _Step, cpu: Estimate) -> Rate:
    """A constant and a rate: CPU seconds as estimated, the clock's of the shortest runs."""
    (_, few), (_, many) = step.places
    more = many - few
    wall = estimate([Round(*run.wall[1:]) for run in step.runs])
    start_cpu = min(run.cpu[0] for run in step.runs) - cpu.difference / more * few
    start_wall = min(run.wall[0] for run in step.runs) - wall.difference / more * few
    disk = (step.runs[-1].disk[1] - step.runs[-1].disk[0]) / more
    memory = max(run.memory for run in step.runs)
    return Rate(cpu.difference / more, wall.difference / more, max(start_cpu, 0), max(start_wall, 0), disk, memory)


def _measured(name: str, folders: list[Path], words: list[str]) -> _Run:
    small, large = ([[word.format(at=at) for word in words], str(at / f"out-{name}")] for at in folders)
    timings, memory = _run(folders[1], [small, small, large])
    cpu, wall = zip(*timings, strict=True)
    few, many = (_size(folder / f"out-{name}") for folder in folders)
    return _Run(cpu, wall, memory, (few, many))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _run(at: Path, commands: list[list[Any]]) -> tuple[list[list[float]], int]:
    """Run commands, each with its output, in one process; CPU seconds and the clock's of each, and its memory."""
    plan, log = at / "plan.json", at / "log"
    plan.write_text(json.dumps(commands), "utf-8")
    with open(log, "wb") as told:
        process = subprocess.Popen([sys.executable, "-m", timed.__name__, str(plan)], stdout=told, stderr=told)
        memory = 0
        while process.poll() is None:
            # Not ru_maxrss: that begins with what the parent had when it started the process.
            memory = max(memory, _anonymous(process.pid))
            time.sleep(LOOK)
    if process.returncode:
        raise FacekitError(
            f"facekit {commands[0][0][0]} failed while it was measured: {log.read_text('utf-8', 'replace')[-800:]}"
        )
    timings: list[list[float]] = json.loads(Path(f"{plan}{timed.TIMINGS}").read_text("utf-8"))
    return timings, memory


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
    _run(folder, [[["synth", str(drawn), "--identities", "6", "--images", "8"], str(drawn)]])
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
    """A pack and gzipped tars of pictures that are as large as asked for: random bytes, which nothing can compress.

    Each ends in its number: the hashes of equal ones would take no room in a ledger.
    """
    rng, small = np.random.default_rng(0), encode_jpeg(np.full((8, 8, 3), 90, np.uint8), 50)
    picture = (small + rng.bytes(max(config.picture_bytes - len(small), 0)))[: config.picture_bytes]
    labels = np.arange(count) // config.per_identity
    frames = [frame(pack_record(Header(0, 0.0, 0, 0), picture))]
    size, told = len(frames[0]), min(len(picture), 8)
    last = 32 + len(picture)  # behind the frame's 8 bytes and the header's 24
    with PackWriter(at / "pack") as writer:
        for first in range(0, count, 1000):
            some = labels[first : first + 1000]
            block = bytearray(frames[0] * len(some))
            numbers = np.arange(first, first + len(some), dtype="<i8")[:, None].view(np.uint8)[:, :told]
            np.frombuffer(block, np.uint8).reshape(len(some), size)[:, last - told : last] = numbers
            writer.append_block(block, np.arange(len(some)) * size, some, new_ids=True, relabel=True, in_place=True)
    with TarWriter(at / "tars", count) as tars:
        for number in range(count // FETCHED):
            own = picture[: len(picture) - told] + number.to_bytes(8, "little")[:told]
            tars.write(number, Header(0, float(labels[number]), number, 0), own)
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
    passes = []
    for _ in range(TIMES):
        started, before = time.perf_counter(), time.process_time()
        for index in range(len(samples)):
            samples[index]
        passes.append((time.process_time() - before, time.perf_counter() - started))
    cpu, wall = (min(column) for column in zip(*passes, strict=True))
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

    found = take_turns({"pairs of centres": lambda: Round(seconds(CENTRES[0]), seconds(CENTRES[1]))})
    return found["pairs of centres"].difference / ((CENTRES[1] ** 2 - CENTRES[0] ** 2) / 2)


def core_gigaflops() -> float:
    """10^9 floating point operations a second that one core does in a product of float32 matrices."""
    a = np.random.default_rng(3).standard_normal((1024, 1024), np.float32)
    _ = a @ a

    def seconds() -> float:
        before = time.process_time()
        _ = a @ a
        return time.process_time() - before

    return float(2 * 1024**3 / min(seconds() for _ in range(TIMES)) / 1e9)
