"""The loop: steps, logs, scores and checkpoints, from wherever the last run stopped."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from facekit.errors import ConfigError, FacekitError
from facekit.output.system import require_space
from facekit.train.best import BestModel, forget_later_best, keep_best, read_best
from facekit.train.checkpoint import bytes_of_a_checkpoint, latest_checkpoint, load_last_finite, save_checkpoint
from facekit.train.config import LoopConfig
from facekit.train.live import LiveEngine
from facekit.train.logs import Log
from facekit.train.model import CHECKPOINTS, MODEL, load_initial_weights, save_file
from facekit.train.optimizer import learning_rate
from facekit.train.plugin import Batch, PackFacts, load_plugin
from facekit.train.processes import process_group, rank_of, wait_for_all
from facekit.train.recipe import Settings
from facekit.train.samples import EpochLoader, TrainingSet, epoch_order
from facekit.train.sharded import all_sum, world_size
from facekit.train.state import State, device_of

__all__ = [
    "Report",
    "Run",
    "Task",
    "Window",
    "bytes_to_write",
    "live_engine",
    "open_state",
    "steps_per_epoch",
    "train_network",
]

Evaluate = Callable[[LiveEngine], Mapping[str, float]]
_CURES = "lower lr, warm up longer, or clip"


class Report(NamedTuple):
    """What is said every ``log_every`` steps, and after an evaluation."""

    step: int
    steps: int
    epoch: float
    values: Mapping[str, float]


class Task(NamedTuple):
    """What is to be trained.

    Attributes
    ----------
    name : str
        Of the plugin.
    settings : Settings
    samples : TrainingSet
    labels : (N,) int64
        In the order of the samples.
    facts : PackFacts
    out : Path
        Folder of checkpoints, logs and the model.
    init : str or None
        Weights to start from.
    centres : (C, D) float32 or None
        To begin the classifier from; rows of zeros are left as they are.
    logs : tuple of str
        See `facekit.train.logs.Log`.
    best : str or None
        Score whose highest value says which network ``best.pt`` is.
    """

    name: str
    settings: Settings
    samples: TrainingSet
    labels: NDArray[np.int64]
    facts: PackFacts
    out: Path
    init: str | None = None
    centres: NDArray[np.float32] | None = None
    logs: tuple[str, ...] = ()
    best: str | None = None


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


def bytes_to_write(task: Task, checkpoint: int) -> int:
    """The checkpoints that will be there at once and are not yet, the one that is being written, and the models.

    Parameters
    ----------
    task : Task
    checkpoint : int
        Bytes of one.
    """
    there = len(list((task.out / CHECKPOINTS).glob("[0-9]*")))
    coming = max(task.settings.train.keep - there, 0) + 1
    return (coming + 1 + (task.best is not None)) * checkpoint


def steps_per_epoch(task: Task, world: int | None = None) -> int:
    """Steps of the optimizer in an epoch; images that do not fill one are left out (others each epoch).

    Parameters
    ----------
    task : Task
    world : int, optional
        Processes; those that have been joined.

    Raises
    ------
    ConfigError
        The pack has fewer images than a step takes.
    """
    config = task.settings.train
    each = config.batch * config.accumulate * (world or world_size())
    if len(task.labels) < each:
        raise ConfigError(f"a step takes {each} images and the pack has {len(task.labels)}: choose a smaller batch")
    return len(task.labels) // each


def open_state(task: Task, device: torch.device) -> State:
    """A network ready to train: new, from other weights, or where the last checkpoint left it.

    Raises
    ------
    ConfigError
        The weights to start from do not fit, or a batch is too small.
    FacekitError
        A checkpoint cannot be read.
    """
    state = State(task.name, load_plugin(task.name), task.settings, task.facts, device)
    _check_batch(state)
    if latest_checkpoint(task.out) is not None:
        load_last_finite(state, task.out)
    else:
        if task.init is not None:
            load_initial_weights(state.network, task.init)
            if state.ema is not None:
                state.ema.weights = {n: v.detach().clone() for n, v in state.network.state_dict().items()}
        if task.centres is not None:
            state.classifier.init_from_centres(torch.from_numpy(task.centres))
    state.wrap()
    return state


def _check_batch(state: State) -> None:
    """A BatchNorm over embeddings has no variance of one image."""
    if state.settings.train.batch == 1 and any(isinstance(one, nn.BatchNorm1d) for one in state.network.modules()):
        raise ConfigError("batch is 1, and this network's BatchNorm needs 2 images or more: choose a larger batch")


def _loop(
    task: Task,
    state: State,
    length: int,
    evaluate: Evaluate | None,
    report: Callable[[Report], None],
    started: float,
) -> tuple[dict[str, float], float]:
    """The last value of each measure, and the seconds that evaluation took."""
    config, latest = task.settings.train, dict[str, float]()
    end = length * config.epochs
    steps = state.step + end - state.position
    steps = min(config.max_steps or steps, steps)
    with contextlib.ExitStack() as opened:
        log = None
        if rank_of() == 0:
            settings = asdict(config) | asdict(task.settings.plugin)
            log = opened.enter_context(Log(task.out, state.step, task.logs, settings))
            forget_later_best(task.out, state.step)

        def say(values: Mapping[str, float]) -> None:
            latest.update(values)
            if log is not None:
                epoch = state.position / length
                log.write(state.step, epoch, values)
                report(Report(state.step, steps, epoch, values))

        loader = EpochLoader(task.samples, rank_of(), world_size())
        opened.callback(loader.close)
        window = Window(config.batch * config.accumulate * world_size())
        once: dict[str, float] = {}
        while state.step < steps:
            batches = _epoch(task, loader, state.position, length)
            for _ in range(min(length - state.position % length, steps - state.step)):
                rate = learning_rate(config, state.position, length, end)
                window.add(state.train_step(batches, rate))
                if not window.begun:
                    once = {"first_step_seconds": window.begin(state.device) - started}
                log_due, eval_due, save_due = _due(config, state, steps, length)
                if log_due:
                    values = window.close()
                    say({"rate": rate} | values | memory_in_use(state.device) | once)
                    once = {}
                    _check_loss(state, values, task.out)
                if save_due:  # before the evaluation: what fails there must not cost the steps
                    _check_weights(state, task.out)
                    save_checkpoint(state, task.out, config.keep)
                if eval_due and evaluate is not None:
                    with window.paused():
                        scores = _evaluated(state, task, evaluate)
                        say(scores)
                        if task.best is not None and rank_of() == 0:
                            keep_best(state, task.out, task.best, scores)
    return latest, window.idle


def _due(config: LoopConfig, state: State, steps: int, length: int) -> tuple[bool, ...]:
    """Whether to log, to evaluate and to save after a step; after the last one, all of it."""
    ended, last = state.position % length == 0, state.step == steps
    every = (config.log_every, config.eval_every, config.save_every)
    return tuple(last or (state.step % one == 0 if one else ended) for one in every)


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


@contextlib.contextmanager
def live_engine(state: State, task: Task) -> Iterator[LiveEngine]:
    """The network as it is scored, while it is in training."""
    config = state.settings.plugin
    takes_flag = "mask_flag" in state.plugin.export_inputs(config)
    with state.deployed() as network:
        yield LiveEngine(state.plugin, config, network, state.device, task.facts.image_size, takes_flag)


class Window:
    """Means of the measures since the last report, over steps and processes; the device is asked for them only then.

    A measure of a step that is not finite, as of one that the loss scaler skips, is left out of its mean; the mean of
    nothing else is nan. ``nonfinite_steps`` counts the steps whose loss was not finite, where there are any.

    Parameters
    ----------
    images : int
        Of a step, over all processes.

    Attributes
    ----------
    idle : float
        Seconds in `paused`, since the beginning.
    """

    def __init__(self, images: int) -> None:
        self.images, self.started = images, perf_counter()
        self.sums: dict[str, torch.Tensor] = {}
        self.steps, self.idle, self.begun = 0, 0.0, False

    def begin(self, device: torch.device) -> float:
        """Note that the first step is done, and the time; waits for the device, this once."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self.begun = True
        return perf_counter()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens meanwhile out of the speed."""
        stopped = perf_counter()
        yield
        seconds = perf_counter() - stopped
        self.started, self.idle = self.started + seconds, self.idle + seconds

    def add(self, measures: Mapping[str, torch.Tensor]) -> None:
        """Take in the measures of a step.

        Parameters
        ----------
        measures : mapping from str to () tensor
            The same names each time, ``loss`` among them.
        """
        for name, value in measures.items():
            number = value.double()
            valid = number.isfinite()
            pair = torch.stack([number.where(valid, 0.0), valid.double()])
            self.sums[name] = self.sums[name] + pair if name in self.sums else pair
        self.steps += 1

    def close(self) -> dict[str, float]:
        """The means since the last call, and a new beginning. Waits for the device.

        Returns
        -------
        means : dict from str to float
            ``images_per_second`` among them; ``nonfinite_steps`` where there are any.
        """
        names, count = list(self.sums), self.steps * world_size()
        pairs = all_sum(torch.stack([self.sums[name] for name in names])).tolist()
        means = {name: total / some if some else np.nan for name, (total, some) in zip(names, pairs, strict=True)}
        nonfinite = round((count - pairs[names.index("loss")][1]) / world_size())
        speed = self.steps * self.images / max(perf_counter() - self.started, 1e-9)
        self.sums, self.steps, self.started = {}, 0, perf_counter()
        return means | ({"nonfinite_steps": nonfinite} if nonfinite else {}) | {"images_per_second": speed}


def memory_in_use(device: torch.device) -> dict[str, float]:
    """The most memory that this process, and it on its graphics card, has had so far, MiB, as far as it is known.

    Parameters
    ----------
    device : torch.device
    """
    found = {}
    with contextlib.suppress(ImportError):  # there is none on Windows
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
        found["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if device.type == "cuda":
        found["device_memory_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return found


def _check_loss(state: State, values: Mapping[str, float], out: Path) -> None:
    """Stop a run that learns nothing any more; a step that the loss scaler skips harms nothing.

    The scaler halves its scale at each such step: below 1 it has skipped sixteen more than it ever took back.
    """
    if state.scaler.is_enabled():
        if state.scaler.get_scale() < 1:
            raise FacekitError(
                f"step {state.step}: half precision overflows at every step, and the loss scale fell below 1: take "
                f"precision=bf16, or {_CURES}. {_what_is_left(out)}"
            )
    elif "nonfinite_steps" in values:
        raise FacekitError(f"step {state.step}: the loss is not finite any more: {_CURES}. {_what_is_left(out)}")


def _check_weights(state: State, out: Path) -> None:
    """Keep what is no number out of the checkpoints."""
    bad = state.nonfinite()
    if bad:
        raise FacekitError(
            f"step {state.step}: {bad[0]} is not finite any more ({len(bad)} tensors in all): {_CURES}. "
            f"{_what_is_left(out)}"
        )


def _what_is_left(out: Path) -> str:
    found = latest_checkpoint(out)
    if found is None:
        return "No checkpoint was written before"
    return (
        f"{found} was finite when it was written; with the same settings --resume would take the same steps again, so "
        f"start another run with other ones, from --init {found}"
    )
