"""What a dry run of ``facekit train`` tells: steps, disk, memory and time, by a few steps of the very network."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.scores import rehearsed_scores
from facekit.output import Input
from facekit.output.dry_run import Forecast, stop_if_dry
from facekit.run.processors import processors

if TYPE_CHECKING:
    from facekit.train.rehearsal import Length, Outline, Pace
    from facekit.train.task import Task

__all__ = ["forecast_training", "tell_training"]

LOG_BYTES, REPORT_BYTES = 1_000_000, 4_000
"""Of the logs at the most: at their beginning, and of every report."""


def tell_training(task: Task, config: TrainConfig, inputs: list[Input]) -> None:
    """End with the plan. Of several processes each takes no step: their time is not that of one.

    Raises
    ------
    DryRun
    ConfigError, FacekitError
        What the run would refuse before its first step.
    """
    from facekit.train.task import bytes_to_write

    def score(engine: object) -> tuple[int, float]:
        return rehearsed_scores(config.pairs, config.pack, engine)

    forecast, length, outline = forecast_training(task, score if config.pairs else None)
    needed = bytes_to_write(task, outline.checkpoint) + LOG_BYTES
    needed += REPORT_BYTES * (length.reports + length.evaluations)
    stop_if_dry("train", task.out, tuple(inputs), needed, bool(length.first), forecast)


def forecast_training(
    task: Task, score: Callable[[object], tuple[int, float]] | None
) -> tuple[Forecast, Length, Outline]:
    """Everything that is told of a training but its files.

    Parameters
    ----------
    task : Task
    score : callable, optional
        From the network as it is scored to the pictures and the seconds of an evaluation.
    """
    from facekit.train.rehearsal import free_memory, length_of, measure, outline_of
    from facekit.train.state import device_of

    train, world = task.settings.train, int(os.environ.get("WORLD_SIZE", "1"))
    length, outline, device = length_of(task, world), outline_of(task, world), device_of(train.device)
    memory, free, scored = outline.memory, free_memory(device), [0, 0.0]

    def rehearse(engine: object) -> None:
        scored[:] = (0, 0.0) if score is None else score(engine)

    pace, times = None, dict[str, float | None]()
    if world > 1:
        timed = f"not estimated: {world} processes; --dry-run without torchrun times the steps of one"
    elif 0 <= free < sum(memory.values()):
        timed = f"not estimated: {device} has not the memory for a step"
    else:
        pace = measure(task, device, rehearse)
        memory |= {} if pace.peak is None else {"peak": pace.peak}
        times, timed = (
            _times(task, length, pace, device.type == "cuda", float(scored[1])),
            _said(task, pace, str(device)),
        )
    if pace is None:
        times |= {"training": None, **({} if score is None else {"scoring": None})}
    counts = _counts(task, length, world) | ({"pictures scored each time": int(scored[0])} if scored[0] else {})
    writes = (
        f"checkpoints: the last {train.keep}, {outline.checkpoint / 1e6:,.1f} MB each",
        "model.pt: the network" + (", best.pt: that with the best " + task.best if task.best else ""),
        "log.csv, and what --log names",
    )
    forecast = Forecast(len(task.labels), counts=counts, writes=writes, memory=memory, memory_free=free,
                        device=str(device), times=times, timed=timed)  # fmt: skip
    return forecast, length, outline


def _counts(task: Task, length: Length, world: int) -> dict[str, int]:
    train = task.settings.train
    found = {"images": len(task.labels), "classes": len(task.facts.class_counts)}
    found |= {"processes": world} if world > 1 else {}
    found |= {"images a step": train.batch * train.accumulate * world, "steps an epoch": length.epoch}
    found |= {"epochs": train.epochs, "steps": length.last}
    found |= {"steps done before": length.first} if length.first else {}
    return found | {"evaluations": length.evaluations, "checkpoints": length.checkpoints}


def _times(task: Task, length: Length, pace: Pace, on_card: bool, scoring: float) -> dict[str, float | None]:
    train = task.settings.train
    step = pace.seconds_a_step(train.batch * train.accumulate, train.workers, processors(), on_card)
    times: dict[str, float | None] = {"training": step * (length.last - length.first)}
    return times | ({"scoring": scoring * length.evaluations} if scoring else {})


def _said(task: Task, pace: Pace, device: str) -> str:
    train = task.settings.train
    whole = "" if pace.timed == train.batch else f" (of {pace.timed} images, scaled)"
    readers = f"{train.workers} processes" if train.workers else "the process itself"
    return (
        f"measured now: a step takes {pace.step:.3g} s on {device}{whole}, an image {1000 * pace.image:.3g} ms to "
        f"read, by {readers}; checkpoints are not in it"
    )
