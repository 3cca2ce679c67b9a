"""Rates, groups of parameters, what optimizers keep of them, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from facekit.train.config import LoopConfig

__all__ = ["EMA", "DenseAdamW", "RowSGD", "learning_rate", "moments_of", "open_optimizer", "set_moments", "set_rate"]

BETA2 = 0.999


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


class RowSGD(torch.optim.SGD):
    """SGD with momentum that moves, of a parameter with a sparse gradient, the rows of the gradient alone.

    So does Partial FC (An et al. 2021 and 2022): for a row in the gradient g <- g + decay w, v <- momentum v + g,
    w <- w - rate v; any other row keeps its weight and its momentum until it is sampled again. torch's own SGD would
    move every row by its momentum, and refuses weight decay.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step; see `torch.optim.SGD.step`."""
        sparse = [
            (group, one) for group in self.param_groups for one in group["params"]
            if one.grad is not None and one.grad.is_sparse
        ]  # fmt: skip
        gradients = [one.grad for _, one in sparse]
        for group, parameter in sparse:
            self._move_rows(group, parameter)
            parameter.grad = None
        loss = super().step(closure)
        for (_, parameter), gradient in zip(sparse, gradients, strict=True):
            parameter.grad = gradient
        return loss

    def _move_rows(self, group: dict[str, Any], parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        gradient = parameter.grad.coalesce()
        rows, kept = gradient.indices()[0], self.state[parameter]
        if kept.get("momentum_buffer") is None:
            kept["momentum_buffer"] = torch.zeros_like(parameter)
        momentum = kept["momentum_buffer"]
        slope = gradient.values() + group["weight_decay"] * parameter[rows]
        moved = group["momentum"] * momentum[rows] + slope
        momentum[rows] = moved
        parameter[rows] -= group["lr"] * moved


class DenseAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter 2019) that takes sparse gradients for dense ones.

    Under Partial FC the rows that were not sampled then decay and move by their moments, as in arcface_torch's
    partial_fc_v2 with AdamW, with which its ViTs are trained; `RowSGD` leaves such rows where they are.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step; see `torch.optim.AdamW.step`."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    parameter.grad = parameter.grad.to_dense()
        return super().step(closure)


def open_optimizer(modules: Iterable[nn.Module], config: LoopConfig) -> RowSGD | DenseAdamW:
    """SGD with momentum, or AdamW; what has one dimension (norms, biases, slopes) does not decay.

    Parameters
    ----------
    modules : iterable of nn.Module
        Their parameters that want a gradient.
    config : LoopConfig

    Returns
    -------
    optimizer : RowSGD
        Two groups: what decays, and what does not.
    """
    found = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in found if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in found if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return DenseAdamW(groups, lr=config.lr, betas=(config.momentum, BETA2))
    return RowSGD(groups, lr=config.lr, momentum=config.momentum)


def moments_of(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> dict[str, torch.Tensor]:
    """What an optimizer keeps of a parameter.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        One of `open_optimizer`.
    parameter : nn.Parameter

    Returns
    -------
    moments : dict from str to tensor
        ``momentum`` and, of AdamW, ``squares`` of the parameter's shape and ``updates``, a count; empty before the
        first step.
    """
    kept = optimizer.state.get(parameter, {})
    names = {name: key for name, key in _keys(optimizer).items() if kept.get(key) is not None}
    return {name: kept[key] for name, key in names.items()}


def set_moments(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, moments: Mapping[str, torch.Tensor]) -> None:
    """Give an optimizer copies of what `moments_of` gave; what is not all there begins anew.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    parameter : nn.Parameter
    moments : mapping from str to tensor
    """
    keys = _keys(optimizer)
    if not all(name in moments for name in keys):
        return
    for name, key in keys.items():
        value = moments[name]
        # torch keeps the count on the CPU.
        like = value if name == "updates" else torch.empty_like(parameter, requires_grad=False)
        optimizer.state[parameter][key] = torch.empty_like(like).copy_(value)


def _keys(optimizer: torch.optim.Optimizer) -> dict[str, str]:
    """Names in checkpoints to torch's."""
    if isinstance(optimizer, torch.optim.AdamW):
        return {"momentum": "exp_avg", "squares": "exp_avg_sq", "updates": "step"}
    return {"momentum": "momentum_buffer"}


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
