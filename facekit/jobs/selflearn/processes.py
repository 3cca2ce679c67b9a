"""Self-learning in several processes: the first does everything, and the others train with it.

The first tells the others what is trained before it begins, and when there is nothing more to do. Embedding, cleaning,
masking, exporting and scoring are its own; the others wait meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.jobs.train.config import TrainConfig

if TYPE_CHECKING:
    from facekit.train.loop import Run

__all__ = ["follow", "is_first", "processes", "several", "train_together"]


_in_training: list[TrainConfig] = []
"""What all processes are training now."""


class Order(NamedTuple):
    """What all processes are to train; None: nothing more."""

    config: TrainConfig | None
    centres: npt.NDArray[np.float32] | None = None


def several() -> bool:
    """Whether torchrun started more than this process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Whether this process does everything that is not training."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def processes(device: str) -> Iterator[None]:
    """Join the processes that torchrun started; at the end the first tells the others that it is over.

    Not where a training broke off: the others are in the middle of it and hear nothing, and torchrun ends them.

    Parameters
    ----------
    device : str
        The setting of training.
    """
    if not several():
        yield
        return
    from facekit.train.processes import first_says, process_group, wait_for_all
    from facekit.train.state import device_of

    with process_group(device_of(device)):
        try:
            yield
        finally:
            if is_first() and not _in_training:
                first_says(Order(None))
                wait_for_all()


def train_together(
    train: Callable[..., Run],
    config: TrainConfig,
    report: Callable[[Any], None],
    warn: Callable[[str], None],
    centres: npt.NDArray[np.float32] | None,
) -> Run:
    """Train, in this process and in those that `follow`.

    Parameters
    ----------
    train : callable
        `facekit.jobs.train.job.train`.
    config, report, warn, centres : its arguments
    """
    if not several():
        return train(config, report, warn, centres)
    from facekit.train.processes import first_says

    first_says(Order(config, centres))
    _in_training.append(config)
    run = train(config, report, warn, centres)
    _in_training.clear()
    return run


def follow(train: Callable[..., Run]) -> None:
    """Train whatever the first process trains, until it says that it is over.

    Parameters
    ----------
    train : callable
        `facekit.jobs.train.job.train`.
    """
    from facekit.train.processes import first_says, wait_for_all

    while (order := first_says(None)).config is not None:
        train(order.config, lambda _: None, lambda _: None, order.centres)
    wait_for_all()
