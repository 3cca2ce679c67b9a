"""The loop: steps, logs, scores and checkpoints, from wherever the last run stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from time import perf_counter
from typing import NamedTuple

import torch

from facekit.output.system import require_space
from facekit.train.best import BestModel, forget_later_best, keep_best, read_best
from facekit.train.checkpoint import bytes_of_a_checkpoint, save_checkpoint
from facekit.train.config import LoopConfig
from facekit.train.live import LiveEngine, live_engine
from facekit.train.logs import Log
from facekit.train.measures import Window, memory_in_use
from facekit.train.model import MODEL, save_file
from facekit.train.nonfinite import check_loss, check_weights
from facekit.train.optimizer import learning_rate
from facekit.train.plugin import Batch
from facekit.train.processes import process_group, rank_of, wait_for_all
from facekit.train.samples import EpochLoader, epoch_order
from facekit.train.sharded import world_size
from facekit.train.start import open_state
from facekit.train.state import State, device_of
from facekit.train.task import Task, bytes_to_write, last_step, steps_per_epoch

__all__ = ["Report", "Run", "train_network"]

Evaluate = Callable[[LiveEngine], Mapping[str, float]]


class Report(NamedTuple):
    """What is said every ``log_every`` steps, and after an evaluation."""

    step: int
    steps: int
    epoch: float
    values: Mapping[str, float]


class Run(NamedTuple):
    """What a run came to.

    Attributes
    ----------
    model : str
        The network's file.
    steps : int
        Batches since the beginning of the run.
    resumed_from : int
        The step of the checkpoint that it went on from; 0: from the beginning.
    values : dict of str to float
        Losses, scores and what else the log has: the last of each.
    seconds : float
    images_per_second : float
        Without evaluation.
    best : BestModel, optional
        The network with the highest score, where one was named.
    """

    model: str
    steps: int
    resumed_from: int
    values: dict[str, float]
    seconds: float
    images_per_second: float
    best: BestModel | None = None


def train_network(
    task: Task, evaluate: Evaluate | None = None, report: Callable[[Report], None] = lambda _: None
) -> Run:
    """Train a network, going on from the last checkpoint in ``task.out`` if there is one.

    Raises
    ------
    ConfigError
        The pack has fewer images than a step takes, or the weights to start from do not fit.
    FacekitError
        The loss is no longer a number, or the disk cannot hold the checkpoints.
    """
    config, started = task.settings.train, perf_counter()
    if config.threads:
        torch.set_num_threads(config.threads)
    device = device_of(config.device)
    with process_group(device):
        length = steps_per_epoch(task)
        state = open_state(task, device)
        first = state.step
        if rank_of() == 0:
            require_space(task.out, bytes_to_write(task, bytes_of_a_checkpoint(state)))
        values, idle = _loop(task, state, length, evaluate, report, started)
        if rank_of() == 0:
            save_file(state.model(), task.out / MODEL)
        wait_for_all()
        seconds = perf_counter() - started
        images = (state.step - first) * config.batch * config.accumulate * world_size()
    best = read_best(task.out, task.best) if task.best is not None else None
    return Run(str(task.out / MODEL), state.step, first, values, seconds, images / max(seconds - idle, 1e-9), best)


def _loop(
    task: Task,
    state: State,
    length: int,
    evaluate: Evaluate | None,
    report: Callable[[Report], None],
    started: float,
) -> tuple[dict[str, float], float]:
    """The last value of each measure, and the seconds that evaluation took."""
    config, latest, once = task.settings.train, dict[str, float](), dict[str, float]()
    last = last_step(config, state.step, state.position, length)
    with (
        _open_log(task, state, length, last, report, latest) as say,
        contextlib.closing(EpochLoader(task.samples, rank_of(), world_size())) as loader,
    ):
        window = Window(config.batch * config.accumulate * world_size())
        for batches, rate in _steps(task, state, loader, length, last):
            window.add(state.train_step(batches, rate))
            if not window.begun:
                once = {"first_step_seconds": window.begin(state.device) - started}
            log_due, eval_due, save_due = _due(config, state, last, length)
            if log_due:
                values = window.close()
                say({"rate": rate} | values | memory_in_use(state.device) | once)
                once = {}
                check_loss(state, values, task.out)
            if save_due:  # before the evaluation: what fails there must not cost the steps
                check_weights(state, task.out)
                save_checkpoint(state, task.out, config.keep)
            if eval_due and evaluate is not None:
                with window.paused():
                    scores = _evaluated(state, task, evaluate)
                    say(scores)
                    if task.best is not None and rank_of() == 0:
                        keep_best(state, task.out, task.best, scores)
    return latest, window.idle


@contextlib.contextmanager
def _open_log(
    task: Task,
    state: State,
    length: int,
    last: int,
    report: Callable[[Report], None],
    latest: dict[str, float],
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """What takes in measures as they come: ``latest``, in the first process also the logs and what reports."""
    if rank_of() > 0:
        yield latest.update
        return
    with Log(task.out, state.step, task.logs, asdict(task.settings.train) | asdict(task.settings.plugin)) as log:
        forget_later_best(task.out, state.step)

        def say(values: Mapping[str, float]) -> None:
            latest.update(values)
            epoch = state.position / length
            log.write(state.step, epoch, values)
            report(Report(state.step, last, epoch, values))

        yield say


def _steps(
    task: Task, state: State, loader: EpochLoader, length: int, last: int
) -> Iterator[tuple[Iterator[Batch], float]]:
    """What each step takes its batches from, and its learning rate; the state goes on between one and the next."""
    config = task.settings.train
    while state.step < last:
        batches = _epoch(task, loader, state.position, length)
        for _ in range(min(length - state.position % length, last - state.step)):
            yield batches, learning_rate(config, state.position, length, length * config.epochs)


def _due(config: LoopConfig, state: State, last: int, length: int) -> tuple[bool, ...]:
    """Whether to log, to evaluate and to save after a step; after the last one, all of it."""
    ended, over = state.position % length == 0, state.step == last
    every = (config.log_every, config.eval_every, config.save_every)
    return tuple(over or (state.step % one == 0 if one else ended) for one in every)


def _epoch(task: Task, loader: EpochLoader, position: int, length: int) -> Iterator[Batch]:
    """The batches that are left of the epoch that a position lies in."""
    config, epoch = task.settings.train, position // length
    task.samples.set_epoch(epoch)
    order = epoch_order(task.labels, config, epoch)[: length * config.batch * config.accumulate * world_size()]
    return loader.batches(order, (position % length) * config.accumulate)


def _evaluated(state: State, task: Task, evaluate: Evaluate) -> Mapping[str, float]:
    """Scores, by the first process; the others wait."""
    scores: Mapping[str, float] = {}
    if rank_of() == 0:
        with live_engine(state, task) as engine:
            scores = evaluate(engine)
    wait_for_all()
    return scores
