"""A training that is only planned: how many steps, how much memory, and how long, by a few steps that are dropped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import repeat
from time import perf_counter
from typing import NamedTuple

import torch
from torch.utils.data import default_collate

from facekit.train.checkpoint import latest_checkpoint, place_of
from facekit.train.live import LiveEngine, live_engine
from facekit.train.plugin import Batch, load_plugin
from facekit.train.samples import EpochLoader, epoch_order
from facekit.train.start import open_state
from facekit.train.task import Task, last_step, steps_per_epoch

__all__ = ["Length", "Outline", "Pace", "free_memory", "length_of", "measure", "outline_of"]

FEW, PATIENCE, STEPS = 4, 8.0, 4


class Length(NamedTuple):
    """What a run comes to.

    Attributes
    ----------
    first, last : int
        Steps that are done, and that there will be.
    epoch : int
        Steps of one.
    reports, evaluations, checkpoints : int
    """

    first: int
    last: int
    epoch: int
    reports: int
    evaluations: int
    checkpoints: int


class Outline(NamedTuple):
    """Bytes of what a process holds to train.

    Attributes
    ----------
    kept : int
        Network and head, buffers included.
    moved : int
        Those of them that the optimizer moves.
    rows : int
        One row a class, of this process.
    average : int
        The moving average, if there is one.
    moments : int
        That the optimizer keeps of each number.
    sampled : float
        Share of the rows that a step has gradients of.
    all_rows : int
        Rows of all processes.
    """

    kept: int
    moved: int
    rows: int
    average: int
    moments: int
    sampled: float
    all_rows: int

    @property
    def memory(self) -> dict[str, int]:
        """By what it is for; what the pictures of a step take comes on top."""
        parts = {"network and head": self.kept, "rows of the classes": self.rows, "average": self.average}
        parts["gradients"] = self.moved + round(self.rows * self.sampled)
        parts["optimizer"] = self.moments * (self.moved + self.rows)
        return {name: size for name, size in parts.items() if size}

    @property
    def checkpoint(self) -> int:
        """As `facekit.train.checkpoint.bytes_of_a_checkpoint` reckons it."""
        return self.kept + self.average + self.all_rows + self.moments * (self.moved + self.all_rows)


class Pace(NamedTuple):
    """What was measured.

    Attributes
    ----------
    step : float
        Seconds of the network, there and back, with the optimizer.
    image : float
        Seconds to read an image, in one process.
    timed : int
        Images of the largest batch that was timed.
    peak : int or None
        Most bytes on a graphics card.
    """

    step: float
    image: float
    timed: int
    peak: int | None

    def seconds_a_step(self, images: int, workers: int, cores: int, on_card: bool) -> float:
        """Of a step of so many images, read by so many processes meanwhile.

        >>> [Pace(1, .01, 8, None).seconds_a_step(100, workers, 4, True) for workers in (0, 2)]
        [2.0, 1]
        """
        reading = self.image * images
        if not workers:
            return self.step + reading
        slowest = reading / min(workers, cores)
        return max(self.step, slowest) if on_card else max(self.step + reading / cores, slowest)


def length_of(task: Task, world: int) -> Length:
    """Steps of a run, of as many processes.

    Raises
    ------
    ConfigError
        The pack has fewer images than a step takes.
    """
    config, epoch = task.settings.train, steps_per_epoch(task, world)
    latest = latest_checkpoint(task.out)
    step, position = (0, 0) if latest is None else place_of(latest, config.batch * config.accumulate * world)
    last = last_step(config, step, position, epoch)

    def due(every: int) -> int:
        ahead, period = (0, every) if every else (position - step, epoch)
        return (last + ahead) // period - (step + ahead) // period + ((last + ahead) % period > 0) * (last > step)

    return Length(step, last, epoch, *map(due, (config.log_every, config.eval_every, config.save_every)))


def outline_of(task: Task, world: int) -> Outline:
    """What will be held, of shapes alone: no memory is taken for it."""
    config, plugin = task.settings.train, load_plugin(task.name)
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                network = plugin.build_network(task.settings.plugin, task.facts)
        except Exception:  # of a plugin that computes with its first weights
            network = plugin.build_network(task.settings.plugin, task.facts)
        head = plugin.build_head(task.settings.plugin, task.facts)
    classes, dimensions = len(task.facts.class_counts), task.settings.plugin.dimensions
    shared = world if config.classifier == "sharded" else 1
    kept, moved = (sum(map(_bytes, of)) for of in (
        [*network.state_dict().values(), *head.state_dict().values()], [*network.parameters(), *head.parameters()]
    ))  # fmt: skip
    average = sum(map(_bytes, network.state_dict().values())) if config.ema else 0
    rows = -(-classes // shared) * dimensions * 4
    moments = 2 if config.optimizer == "adamw" else 1
    return Outline(kept, moved, rows, average, moments, config.sample_rate, classes * dimensions * 4)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; -1 where it cannot be known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo", encoding="ascii") as lines:
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    return -1


def measure(task: Task, device: torch.device, score: Callable[[LiveEngine], None]) -> Pace:
    """Take some steps of the very network on its device, and drop all of it.

    Everything that the run refuses before its first step is refused. No random number of torch's is used up.

    Parameters
    ----------
    task : Task
    device : torch.device
    score : callable
        Is handed the network as it is scored.

    Returns
    -------
    Pace
    """
    config, threads = task.settings.train, torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            if config.threads:
                torch.set_num_threads(config.threads)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            return _measured(task, device, score)
        finally:
            torch.set_num_threads(threads)


def _measured(task: Task, device: torch.device, score: Callable[[LiveEngine], None]) -> Pace:
    state, config = open_state(task, device), task.settings.train
    EpochLoader(task.samples).close()
    task.samples.set_epoch(0)
    places = epoch_order(task.labels, config, 0)[: config.batch].tolist()
    started = perf_counter()
    parts = [task.samples[place] for place in places]
    image = (perf_counter() - started) / len(parts)

    def seconds(count: int, times: int = 1) -> float:
        batch = Batch(*default_collate(parts[:count]))
        _finish(device)
        began = perf_counter()
        for _ in range(times):
            state.train_step(repeat(batch), 0.0)
        _finish(device)
        return (perf_counter() - began) / times

    whole = len(parts)
    if device.type == "cuda" or config.compile:
        seconds(whole, 2)
        step, timed = seconds(whole, STEPS), whole
    else:
        step, timed = _step_on_cores(seconds, whole)
    with live_engine(state, task) as engine:
        score(engine)
    return Pace(step, image, timed, torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None)


def _step_on_cores(seconds: Callable[[int], float], whole: int) -> tuple[float, int]:
    """Seconds of a whole batch, and of how many images they were taken: where it would last, a line through two."""
    few = min(FEW, whole)
    seconds(few)
    start = seconds(few)
    some = min(whole, max(int(PATIENCE / (start / few)), few))
    if some < 2 * few and some < whole:
        return start * whole / few, few
    more = seconds(some) if some > few else start
    slope = 0.0 if some == few else max((more - start) / (some - few), 0.0)
    return more + slope * (whole - some), some


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
