"""Sums over processes, and the cross-entropy of a classifier whose classes are spread over them.

Every function here is the plain single-process one when torch.distributed is not initialised.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed

from facekit.errors import ConfigError
from facekit.train.angular import at_least_float32, gather_target, no_autocast

__all__ = ["all_maximum", "all_sum", "sharded_cross_entropy", "world_size"]

Group = Any  # torch.distributed.ProcessGroup, which does not exist in builds without distributed


def world_size(group: Group | None = None) -> int:
    """The number of processes; 1 without torch.distributed.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup, optional
        By default all processes.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1
    return distributed.get_world_size(group)


def all_sum(tensor: torch.Tensor, group: Group | None = None) -> torch.Tensor:
    """The sum over processes, in place, the same bits on each. No gradient passes.

    Parameters
    ----------
    tensor : tensor
        Of one shape and dtype in every process.
    group : torch.distributed.ProcessGroup, optional
        By default all processes.
    """
    if world_size(group) > 1:
        distributed.all_reduce(tensor, distributed.ReduceOp.SUM, group)
    return tensor


def all_maximum(tensor: torch.Tensor, group: Group | None = None) -> torch.Tensor:
    """The elementwise maximum over processes, in place. No gradient passes.

    Parameters
    ----------
    tensor : tensor
        Of one shape and dtype in every process.
    group : torch.distributed.ProcessGroup, optional
        By default all processes.
    """
    if world_size(group) > 1:
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX, group)
    return tensor


def sharded_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, *, label_smoothing: float = 0.0, group: Group | None = None
) -> torch.Tensor:
    """Softmax cross-entropy over classes that are spread over processes; every process sees the whole batch.

    One MAX and two SUM reductions of (B,) vectors. The gradient is that of the global loss with respect to this
    process's logits; gradients of embeddings gathered from all processes must be summed over processes, as the
    backward pass of a gather does.

    Parameters
    ----------
    logits : (B, C) floating tensor
        This process's columns: a shard of the classes or a sample of it. C may differ between processes.
    labels : (B,) or (B, 1) int64 tensor
        The column of each row's class, or -1 where it is elsewhere. A row whose class is on no process is left out.
    label_smoothing : float
        In [0, 1): this share of the target is spread evenly over the columns of all processes.

    Returns
    -------
    loss : () float32 (or float64) tensor
        The mean over rows, the same on every process; 0 if no row has its class anywhere.
    """
    if not 0 <= label_smoothing < 1:
        raise ConfigError(f"label_smoothing is {label_smoothing}; it must lie in [0, 1)")
    if logits.ndim != 2 or labels.reshape(-1).shape[0] != logits.shape[0]:
        raise ConfigError(f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not belong together")
    with no_autocast(logits):
        loss: torch.Tensor = _CrossEntropy.apply(at_least_float32(logits), labels.reshape(-1), label_smoothing, group)
    return loss


class _CrossEntropy(torch.autograd.Function):
    """Written out because no gradient flows through a collective."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor, smoothing: float, group: Group) -> torch.Tensor:
        # The fused softmax: exp alone is slow on CPUs where its results underflow, as most do at these scales.
        likelihood = logits.softmax(1)
        own_log_sum = _log_sum_exp(logits, likelihood)
        log_sum = _log_sum_over_processes(own_log_sum, group)
        totals = logits.new_zeros(4, len(labels), dtype=torch.float64)  # target, has a target, sum, columns
        totals[0] = gather_target(logits, labels)
        totals[1] = labels >= 0
        totals[2] = logits.sum(1, dtype=torch.float64) if smoothing else 0.0
        totals[3] = logits.shape[1]
        target, present, total, columns = all_sum(totals, group)
        present = present.clamp(max=1)
        aim = (1 - smoothing) * target + smoothing * total / columns.clamp(min=1)
        weight = present / present.sum().clamp(min=1)
        ctx.save_for_backward(likelihood, labels, own_log_sum - log_sum, weight, columns)
        ctx.smoothing = smoothing
        return ((log_sum - aim).where(present > 0, 0.0) * weight).sum().to(logits.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        likelihood, labels, log_share, weight, columns = ctx.saved_tensors
        factor = weight * gradient
        slope = likelihood * (log_share.exp() * factor)[:, None].to(likelihood.dtype)
        if ctx.smoothing:
            slope -= (factor * ctx.smoothing / columns)[:, None].to(slope.dtype)
        if slope.shape[1]:
            share = (factor * labels.ge(0) * (ctx.smoothing - 1))[:, None].to(slope.dtype)
            slope.scatter_add_(1, labels.clamp(min=0)[:, None], share)
        return slope, None, None, None


def _log_sum_exp(logits: torch.Tensor, likelihood: torch.Tensor) -> torch.Tensor:
    """log(sum(exp(logits))) of each row from its softmax, (B,) float64; -inf for no columns."""
    if not logits.shape[1]:
        return logits.new_full((len(logits),), -torch.inf, dtype=torch.float64)
    return logits.amax(1).double() - likelihood.amax(1).double().log()


def _log_sum_over_processes(own: torch.Tensor, group: Group | None) -> torch.Tensor:
    """log(sum(exp(own))) over processes; -inf where no process has a column."""
    highest = all_maximum(own.clone(), group)
    shifted = (own - highest).nan_to_num(nan=-torch.inf).exp()
    return all_sum(shifted, group).log_() + highest
