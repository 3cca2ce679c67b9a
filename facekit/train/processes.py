"""The processes of a run: joined as torchrun starts them, gradients averaged, embeddings gathered."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from facekit.train.sharded import Group, world_size

__all__ = ["average_gradients", "first_says", "gather_rows", "process_group", "rank_of", "wait_for_all"]


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started; nothing where there is one, or where they are joined already.

    Parameters
    ----------
    device : torch.device
        Of a graphics card: over nccl; else over gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield
        return
    # The others wait while the first process evaluates.
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=6))
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank_of(group: Group | None = None) -> int:
    """Number of this process; 0 where it is alone.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup, optional
        By default all processes.
    """
    return distributed.get_rank(group) if world_size(group) > 1 else 0


def wait_for_all() -> None:
    """Wait until every process is here."""
    if world_size() > 1:
        distributed.barrier()


def first_says(content: Any) -> Any:
    """What the first process says, in every process; the others wait for it.

    Parameters
    ----------
    content : anything that can be pickled
        Of the first process; that of the others does not count.
    """
    said = [content]
    if world_size() > 1:
        distributed.broadcast_object_list(said, src=0)
    return said[0]


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Average gradients over processes, in place; for parameters outside DistributedDataParallel.

    Parameters
    ----------
    parameters : iterable of Parameter
        The same ones, in the same order, in every process; one without a gradient counts as zeros. A sparse gradient
        has the rows of all processes afterwards.
    """
    count = world_size()
    if count == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad.is_sparse:
                parameter.grad = _sum_of_rows(parameter.grad) / count
                continue
            distributed.all_reduce(parameter.grad)
            parameter.grad /= count


def _sum_of_rows(gradient: torch.Tensor) -> torch.Tensor:
    """The sum over processes of sparse gradients with other rows in each: what travels are rows that somebody has."""
    own = gradient.coalesce()
    there = torch.zeros(len(gradient), dtype=torch.int32, device=gradient.device)
    there[own.indices()[0]] = 1
    distributed.all_reduce(there, distributed.ReduceOp.MAX)
    rows = there.nonzero()[:, 0]
    values = torch.zeros(len(rows), *gradient.shape[1:], dtype=gradient.dtype, device=gradient.device)
    values[torch.searchsorted(rows, own.indices()[0])] = own.values()
    distributed.all_reduce(values)
    return torch.sparse_coo_tensor(rows[None], values, gradient.shape, is_coalesced=True)


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """Rows of all processes, in order of rank.

    Parameters
    ----------
    rows : (B, ...) tensor
        The same B everywhere.

    Returns
    -------
    rows : (W B, ...) tensor
        The gradient is summed over processes, and multiplied by their number, because DistributedDataParallel will
        divide the network's by it: the network then gets the gradient of the one global loss.
    """
    if world_size() == 1:
        return rows
    gathered: torch.Tensor = _Gather.apply(rows)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, rows: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total.chunk(world_size())[rank_of()] * world_size()
