"""Cosines, angles and precision: what every head on the hypersphere is made of."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

__all__ = [
    "at_least_float32",
    "cosine_matrix",
    "gather_target",
    "margin_target",
    "no_autocast",
    "replace_target",
    "shifted_cosine",
]


def no_autocast(tensor: torch.Tensor) -> torch.autocast:
    """A context in which operations keep the dtypes of their arguments.

    Parameters
    ----------
    tensor : tensor
        Autocast is off on its device.
    """
    return torch.autocast(tensor.device.type, enabled=False)


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half and bfloat16 become float32; float32 and float64 stay as they are.

    Parameters
    ----------
    tensor : floating tensor of any shape

    Returns
    -------
    tensor : float32 or float64 tensor of the same shape
    """
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def cosine_matrix(embeddings: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cosines between embeddings and class centres, in float32 even under autocast.

    In bfloat16 the product alone moves the logits of a head with scale 128 by up to 2.9 and its gradients by 5%.

    Parameters
    ----------
    embeddings : (B, D) floating tensor
    weight : (C, D) floating tensor
        One row a class. Neither needs unit norm; a row of zeros has cosine 0 to everything.

    Returns
    -------
    cosines : (B, C) float32 (or float64) tensor
        Within a few units in the last place of [-1, 1]: the margins clip it.
    """
    with no_autocast(embeddings):
        unit = functional.normalize(at_least_float32(embeddings))
        return unit @ functional.normalize(at_least_float32(weight)).T.to(unit.dtype)


def sine(cosine: torch.Tensor) -> torch.Tensor:
    """sin(theta) from cos(theta), with a finite gradient (zero) at cos = +-1.

    Parameters
    ----------
    cosine : floating tensor in [-1, 1], of any shape

    Returns
    -------
    sine : tensor of the same shape and dtype
        At least 1e-6.
    """
    return ((1 - cosine) * (1 + cosine)).clamp(min=1e-12).sqrt()


def shifted_cosine(cosine: torch.Tensor, margin: float | torch.Tensor) -> torch.Tensor:
    """cos(theta + margin), without the arc cosine, whose gradient is infinite at cos = +-1.

    Parameters
    ----------
    cosine : (N,) floating tensor in [-1, 1]
    margin : float or (N,) tensor
        Radians.
    """
    angle = torch.as_tensor(margin, dtype=cosine.dtype, device=cosine.device)
    return cosine * angle.cos() - sine(cosine) * angle.sin()


def margin_target(cosine: torch.Tensor, margin: float | torch.Tensor) -> torch.Tensor:
    """The target's cosine after an additive angular margin, monotone in theta over [0, pi].

    cos(theta + m) while theta + m < pi, and cos(theta) - m sin(m) beyond (ArcFace, Deng et al. 2019, and its code).

    Parameters
    ----------
    cosine : (N,) floating tensor in [-1, 1]
    margin : float or (N,) tensor
        Radians, in [0, pi / 2].
    """
    angle = torch.as_tensor(margin, dtype=cosine.dtype, device=cosine.device)
    beyond = cosine - angle * (math.pi - angle).sin()
    return torch.where(cosine > (math.pi - angle).cos(), shifted_cosine(cosine, angle), beyond)


def gather_target(matrix: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The entry of each row at its label. Never waits for the device.

    Parameters
    ----------
    matrix : (B, C) floating tensor
    labels : (B,) int64 tensor
        Columns; -1: the class is not among them.

    Returns
    -------
    target : (B,) tensor of the same dtype
        0 where the label is -1.
    """
    if not matrix.shape[1]:
        return matrix.new_zeros(len(matrix))
    return matrix.gather(1, labels.clamp(min=0)[:, None])[:, 0].where(labels >= 0, 0.0)


def replace_target(matrix: torch.Tensor, labels: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """A copy of a matrix with other values at the labels. Never waits for the device.

    Parameters
    ----------
    matrix : (B, C) floating tensor
    labels : (B,) int64 tensor
        Columns; rows whose label is -1 stay.
    values : (B,) floating tensor

    Returns
    -------
    replaced : (B, C) tensor of the same dtype
        With the gradient of ``matrix`` but at the labels, and of ``values`` there.
    """
    replaced: torch.Tensor = _ReplaceTarget.apply(matrix, labels, values) if matrix.shape[1] else matrix.clone()
    return replaced


class _ReplaceTarget(torch.autograd.Function):
    """Written out because scatter and gather keep their matrices for the backward pass, which needs labels only."""

    @staticmethod
    def forward(ctx: Any, matrix: torch.Tensor, labels: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        column, here = labels.clamp(min=0)[:, None], labels.ge(0)[:, None]
        ctx.save_for_backward(column, here)
        return matrix.scatter(1, column, values[:, None].where(here, matrix.gather(1, column)))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, torch.Tensor]:
        column, here = ctx.saved_tensors
        own = gradient.gather(1, column)
        return gradient.scatter(1, column, own.where(~here, 0.0)), None, own.where(here, 0.0)[:, 0]
