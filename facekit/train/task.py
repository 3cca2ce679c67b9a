"""What is to be trained, and what that comes to in steps and in bytes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.train.config import LoopConfig
from facekit.train.model import CHECKPOINTS
from facekit.train.plugin import PackFacts
from facekit.train.recipe import Settings
from facekit.train.samples import TrainingSet
from facekit.train.sharded import world_size

__all__ = ["Task", "bytes_to_write", "last_step", "steps_per_epoch"]


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


def last_step(config: LoopConfig, step: int, position: int, epoch: int) -> int:
    """The step that a run ends with: that of its last epoch, or ``max_steps`` where that comes first.

    Parameters
    ----------
    config : LoopConfig
    step, position : int
        Where it goes on from; see `facekit.train.state.State`.
    epoch : int
        Steps of one.
    """
    last = step + epoch * config.epochs - position
    return max(min(config.max_steps or last, last), step)


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
