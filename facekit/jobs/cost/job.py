"""``facekit cost``: measure rates in a minute or two, and say what every step takes at each size."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from facekit.jobs.cost.calibrate import Rate, calibrate, centre_pair_seconds, core_gigaflops
from facekit.jobs.cost.config import SIZES, CostConfig
from facekit.records import open_pack
from facekit.run.processors import processors

__all__ = ["PAIRS", "Cost", "CostSummary", "Kept", "Step", "cost", "predict", "seconds_of"]

BYTES_A_RECORD = {"fetch": 85, "convert": 64, "mask": 51, "embed": 38, "clean": 87, "apply": 89, "read": 0}
"""What a command holds in memory for each record, as ``benchmarks/scale.py`` measured it with ten million."""

NETWORK_SHARE = 0.6
"""Of a core's speed in products of matrices, what a convolutional network reaches."""

THREADS = 4
"""That one process uses for what is not a product of matrices."""

PAIRS = "pairs of centres"
"""The step of ``clean`` that grows with the square of the identities."""

SPREAD = ("fetch", "mask", "embed", "read")
"""Steps whose work is done by all cores of all machines; the others are one process on one machine."""

TWICE = ("fetch", "mask")
"""Steps that have what they write twice on the disk, until they are done: in shards and in the output."""


class Kept(NamedTuple):
    """Of a rate what a time is reckoned from: see `Rate`."""

    cpu: float
    wall: float
    start_wall: float


@dataclass(frozen=True)
class Step:
    """What one step takes at one size.

    Attributes
    ----------
    step : str
    cpu_hours, gpu_hours : float
    hours : float
        On the machines that were named.
    disk_bytes : int
        That it leaves.
    peak_disk_bytes : int
        That it needs while it runs, what it leaves included.
    memory_bytes : int
        Of its largest process.
    """

    step: str
    cpu_hours: float
    gpu_hours: float
    hours: float
    disk_bytes: int
    peak_disk_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class Cost:
    """All steps at one size."""

    images: int
    identities: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class CostSummary:
    """What ``facekit cost`` found.

    Attributes
    ----------
    config : dict
        What was asked for.
    cores : int
        Of each machine.
    rates : dict from str to dict
        What was measured, by step: seconds and bytes a record, and constants.
    pair_seconds : float
        CPU seconds of a pair of centres.
    core_gigaflops : float
    assumptions : tuple of str
    costs : tuple of Cost
    seconds : float
        Of the calibration.
    """

    config: dict[str, object]
    cores: int
    rates: dict[str, dict[str, float]]
    pair_seconds: float
    core_gigaflops: float
    assumptions: tuple[str, ...]
    costs: tuple[Cost, ...]
    seconds: float


@dataclass(frozen=True)
class Measured:
    """The rates of this machine, and its cores."""

    rates: dict[str, Rate]
    pair_seconds: float
    gigaflops: float
    cores: int


def cost(config: CostConfig) -> CostSummary:
    """Measure, and predict.

    Parameters
    ----------
    config : CostConfig

    Returns
    -------
    CostSummary

    Raises
    ------
    RecordError
        The pack is missing or corrupt.
    FacekitError
        A command failed while it was measured.
    """
    started = perf_counter()
    config = of_pack(config)
    with tempfile.TemporaryDirectory(prefix="facekit-cost-") as folder:
        rates = calibrate(config, Path(folder))
    cores = config.cores or processors()
    measured = Measured(rates, centre_pair_seconds(config.dimensions), core_gigaflops(), cores)
    return CostSummary(
        asdict(config),
        cores,
        {name: rate._asdict() for name, rate in rates.items()},
        measured.pair_seconds,
        measured.gigaflops,
        assumptions(config, measured),
        tuple(predict(config, measured, images) for images in config.images or SIZES),
        perf_counter() - started,
    )


def of_pack(config: CostConfig) -> CostConfig:
    """With the numbers of the pack in the place of assumed ones."""
    if config.source is None:
        return config
    with open_pack(config.source) as pack:
        count, people = pack.num_images, max(pack.num_identities, 1)
        size = max(pack.paths.rec.stat().st_size // max(count, 1) - 32, 1)
    return replace(
        config, source=None, images=(max(count, 1),), picture_bytes=size, per_identity=max(round(count / people), 1)
    )


def predict(config: CostConfig, measured: Measured, images: int) -> Cost:
    """A rate a record and a constant for each step; and for ``clean`` the pairs of centres.

    Parameters
    ----------
    config : CostConfig
    measured : Measured
    images : int

    Returns
    -------
    Cost
    """
    identities, rates = -(-images // config.per_identity), measured.rates
    pairs = identities * (identities - 1) / 2 * measured.pair_seconds
    masked = images * config.ratio / (1 - config.ratio)
    steps = [
        _step("fetch", images, rates["fetch"], config, measured),
        _step("convert", images, rates["convert"], config, measured),
        _masking(images, masked, config, measured),
        _embedding(images, config, measured),
        _step("clean", images, rates["clean"], config, measured, pairs),
        _step("apply", images, rates["apply"], config, measured),
        _step("read", images, rates["read"], config, measured),
    ]
    return Cost(images, identities, tuple(steps))


def seconds_of(steps: Mapping[str, int], rates: Mapping[str, Kept], workers: int) -> float:
    """Wall time of steps one after another, on so many cores of one machine.

    Parameters
    ----------
    steps : mapping from str to int
        Name to number of pictures; of `PAIRS` the pairs.
    rates : mapping from str to Kept
    workers : int

    Examples
    --------
    >>> seconds_of({"mask": 100, "clean": 10}, {"mask": Kept(0.5, 0.5, 3), "clean": Kept(0.1, 0.2, 1)}, 2)
    31.0
    """
    seconds = 0.0
    for name, count in steps.items():
        rate = rates[name]
        spread = name in (*SPREAD, PAIRS)
        seconds += rate.start_wall + _wall_of_one(rate.cpu, rate.wall, spread, workers) * count
    return seconds


def _wall_of_one(cpu: float, wall: float, spread: bool, cores: int) -> float:
    """Seconds a record, where all cores work or one process does."""
    # What was measured at a small size can only be too quick: the work is never spread over more than four threads.
    return cpu / cores if spread else max(wall, cpu / min(THREADS, cores))


def _step(name: str, images: float, rate: Rate, config: CostConfig, measured: Measured, more_cpu: float = 0.0) -> Step:
    cpu = rate.start_cpu + rate.cpu * images + more_cpu
    if name in SPREAD:
        wall = rate.start_wall + rate.cpu * images / (config.machines * measured.cores)
    else:
        seconds = _wall_of_one(rate.cpu, rate.wall, False, measured.cores)
        wall = rate.start_wall + seconds * images + more_cpu / measured.cores
    left = round(rate.disk * images)
    memory = round(rate.memory + BYTES_A_RECORD[name] * images) if rate.memory else 0
    return Step(name, cpu / 3600, 0.0, wall / 3600, left, left * (2 if name in TWICE else 1), memory)


def _masking(images: int, masked: float, config: CostConfig, measured: Measured) -> Step:
    """Masked pictures at the rate of masking, the originals at that of copying: the mode ``add``."""
    worn, copied = measured.rates["mask"], measured.rates["convert"]
    both = worn._replace(
        cpu=(worn.cpu * masked + copied.cpu * images) / images,
        disk=(worn.disk * masked + copied.disk * images) / images,
    )
    return _step("mask", images, both, config, measured)


def _embedding(images: int, config: CostConfig, measured: Measured) -> Step:
    """On GPUs where there are some, with the decoding on the cores; else on the cores alone."""
    decoding = measured.rates["read"].cpu
    of_network = config.gigaflops / (measured.gigaflops * NETWORK_SHARE)
    rate = measured.rates.get("embed")
    on_cores = rate.cpu if rate is not None else decoding + of_network
    gpus = config.machines * config.gpus
    cpu = decoding if gpus else on_cores
    cores = config.machines * measured.cores
    wall = max(decoding * images / cores, images / config.gpu_rate / gpus) if gpus else on_cores * images / cores
    gpu_hours = images / config.gpu_rate / 3600 if gpus else 0.0
    left = images * (2 * config.dimensions + 64)
    memory = round((rate.memory if rate is not None else 1.5e9) + BYTES_A_RECORD["embed"] * images)
    return Step("embed", cpu * images / 3600, gpu_hours, wall / 3600, left, left, memory)


def assumptions(config: CostConfig, measured: Measured) -> tuple[str, ...]:
    """What was not measured."""
    held = sorted(filter(None, BYTES_A_RECORD.values()))
    least, most = held[0], held[-1]
    network = (
        f"the speed of {config.model} was measured on one core"
        if config.model is not None
        else f"a network of {config.gigaflops:g} GFLOP a picture reaches {NETWORK_SHARE:.0%} of the "
        f"{measured.gigaflops:,.0f} GFLOP/s that a core does in products of matrices"
    )
    return (
        f"pictures of {config.picture_bytes:,} bytes, {config.per_identity} of an identity",
        f"vectors of {config.dimensions} numbers of two bytes",
        "fetch reads gzipped tar shards from a store as quick as this disk; a slower line sets the pace itself",
        f"mask adds masked pictures until {config.ratio:.0%} of all are (the mode add)",
        f"one GPU embeds {config.gpu_rate:,.0f} pictures a second; without GPUs, {network}",
        f"fetch, mask, embed and read are spread over {config.machines} x {measured.cores} cores without loss",
        "convert, clean and apply are one process on one machine",
        "clean compares all centres with one another on all cores of one machine",
        "read is one epoch of training's reading: decoding and augmenting, not the network",
        f"memory: what the command took here and {least} to {most} bytes a record, as the project measured it",
        "pages of mapped files come on top of that and may be dropped by the system",
        "fetch and mask have their output twice on the disk until they are done; the source is not counted",
    )
