"""CPU time of several stages, measured side by side in one process.

Repeats are interleaved, so that a busy machine hits all stages alike.

Only ratios are to be trusted across machines; `ratio` pairs the repeats before it takes their median.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Timing", "machine", "ratio", "side_by_side"]


@dataclass(frozen=True)
class Timing:
    """CPU seconds of one stage, an item.

    Attributes
    ----------
    name : str
    items : int
        Items of one repeat.
    seconds : tuple of float
        CPU seconds an item, one number a repeat.
    """

    name: str
    items: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the repeats."""
        return float(np.median(self.seconds))

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles over the median."""
        low, high = np.percentile(self.seconds, [25, 75])
        return float((high - low) / 2 / self.median)

    def __str__(self) -> str:
        return f"{self.name:<28} {1e3 * self.median:8.3f} ms +-{100 * self.spread:3.0f}%  {1 / self.median:8.0f} /s"


def side_by_side(stages: Mapping[str, Callable[[], object]], items: int, repeats: int = 9) -> dict[str, Timing]:
    """Time calls that treat `items` items each: once to warm up, then `repeats` rounds in changing order."""
    for stage in stages.values():
        stage()
    names = list(stages)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            stages[name]()
            seconds[name].append((time.process_time() - start) / items)
    return {name: Timing(name, items, tuple(taken)) for name, taken in seconds.items()}


def ratio(timing: Timing, baseline: Timing) -> float:
    """How many times longer than the baseline: the median of the ratios of repeats made in the same round."""
    return float(np.median(np.divide(timing.seconds, baseline.seconds)))


def machine() -> str:
    """Processor, cores this process may use, and versions."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}, numpy {np.__version__}"
