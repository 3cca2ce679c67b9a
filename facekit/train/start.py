"""Where a run starts: a new network, other weights, or the last checkpoint."""

from __future__ import annotations

import torch
from torch import nn

from facekit.errors import ConfigError
from facekit.train.checkpoint import latest_checkpoint, load_last_finite
from facekit.train.model import load_initial_weights
from facekit.train.plugin import load_plugin
from facekit.train.state import State
from facekit.train.task import Task

__all__ = ["open_state"]


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
