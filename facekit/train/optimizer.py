"""Rates, groups of parameters, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from facekit.train.config import LoopConfig

__all__ = ["EMA", "learning_rate", "open_optimizer", "set_rate"]


def learning_rate(config: LoopConfig, step: int, steps_per_epoch: int, steps: int) -> float:
    """The rate of a step; a pure function, so nothing of it is saved.

    Parameters
    ----------
    config : LoopConfig
    step : int
        Of the optimizer, from 0.
    steps_per_epoch, steps : int
        Of an epoch, and of the whole schedule.

    Returns
    -------
    rate : float
    """
    epoch, rising = step / steps_per_epoch, config.warmup * steps_per_epoch
    if step < rising:
        return config.lr * (step + 1) / math.ceil(rising)
    share = min(1.0, (step - rising) / max(1.0, steps - rising))
    if config.schedule == "step":
        return config.lr * config.gamma ** sum(epoch >= milestone for milestone in config.milestones)
    if config.schedule == "poly":
        return float(config.lr * (1 - share) ** config.power)
    return config.lr * 0.5 * (1 + math.cos(math.pi * share))


def open_optimizer(modules: Iterable[nn.Module], config: LoopConfig) -> torch.optim.SGD:
    """SGD with momentum; what has one dimension (norms, biases, slopes) does not decay.

    Parameters
    ----------
    modules : iterable of nn.Module
        Their parameters that want a gradient.
    config : LoopConfig

    Returns
    -------
    optimizer : torch.optim.SGD
        Two groups: what decays, and what does not.
    """
    found = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in found if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in found if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all groups.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    rate : float
    """
    for group in optimizer.param_groups:
        group["lr"] = rate


class EMA:
    """The moving average of a network's weights; its statistics are the network's own.

    Parameters
    ----------
    network : nn.Module
    decay : float
        Share of the former average that stays at each step, smaller in the first steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take a step in: at the n-th call w <- d w + (1 - d) w', with d = min(decay, n / (n + 10)).

        w' are the network's weights; its buffers are copied.

        Parameters
        ----------
        network : nn.Module
        """
        self.count += 1
        decay = min(self.decay, self.count / (self.count + 10))
        learned = {name for name, _ in network.named_parameters()}
        for name, value in network.state_dict().items():
            if name in learned:
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)
