"""MagFace (Meng et al. 2021): a margin that grows with the magnitude of the embedding, and its regularizer."""

from __future__ import annotations

import math
import warnings

import torch
from torch import nn

from facekit.errors import ConfigError
from facekit.train.angular import (
    at_least_float32,
    cosine_matrix,
    gather_target,
    margin_target,
    no_autocast,
    replace_target,
    shifted_cosine,
)

__all__ = ["MagnitudeMargin", "lambda_g_bound", "magnitude_regularizer"]

Bounds = tuple[float, float]


def lambda_g_bound(scale: float, magnitude_bounds: Bounds, margin_bounds: Bounds) -> float:
    """The least lambda_g for which the loss has its optimum inside the bounds: s K u^2 l^2 / (u^2 - l^2).

    K is the slope of the margin (MagFace, Meng et al. 2021, appendix).

    Parameters
    ----------
    scale : float
        s.
    magnitude_bounds, margin_bounds : (float, float)
        (l_a, u_a), and (l_m, u_m) in radians.
    """
    low, high = magnitude_bounds
    slope = (margin_bounds[1] - margin_bounds[0]) / (high - low)
    return scale * slope * high**2 * low**2 / (high**2 - low**2)


def magnitude_regularizer(magnitude: torch.Tensor, upper: float) -> torch.Tensor:
    """g(a) = 1 / a + a / u_a^2, elementwise: convex, falling up to a = u_a (MagFace, Meng et al. 2021).

    Parameters
    ----------
    magnitude : floating tensor of any shape
        Above 0.
    upper : float
        u_a.
    """
    return 1 / magnitude + magnitude / upper**2


class MagnitudeMargin(nn.Module):
    """Logits with a margin m(|x|), and the regularizer that rewards magnitude.

    a = |x| clipped to the magnitude bounds, m(a) linear between the margin bounds, the gradient through both. With
    equal margin bounds and lambda_g = 0 this is ArcFace.

    Parameters
    ----------
    scale : float
        s, greater than 0.
    magnitude_bounds : (l_a, u_a)
        0 < l_a < u_a.
    margin_bounds : (l_m, u_m)
        Radians, 0 <= l_m <= u_m <= pi / 2.
    lambda_g : float
        Weight of the regularizer; below `lambda_g_bound` a warning.
    easy_margin : bool
        The margin is added only where the target's cosine is above 0, as in MagFace's code. False: ArcFace's rule.
    """

    def __init__(
        self,
        scale: float = 64.0,
        magnitude_bounds: Bounds = (10.0, 110.0),
        margin_bounds: Bounds = (0.45, 0.8),
        lambda_g: float = 35.0,
        easy_margin: bool = True,
    ) -> None:
        super().__init__()
        if not scale > 0 or not lambda_g >= 0:
            raise ConfigError(f"scale {scale} must be greater than 0 and lambda_g {lambda_g} not negative")
        if not 0 < magnitude_bounds[0] < magnitude_bounds[1] < math.inf:
            raise ConfigError(f"magnitude_bounds {magnitude_bounds} must satisfy 0 < l_a < u_a")
        if not 0 <= margin_bounds[0] <= margin_bounds[1] <= math.pi / 2:
            raise ConfigError(f"margin_bounds {margin_bounds} must satisfy 0 <= l_m <= u_m <= pi / 2")
        self.scale, self.lambda_g, self.easy_margin = float(scale), float(lambda_g), easy_margin
        self.magnitude_bounds, self.margin_bounds = magnitude_bounds, margin_bounds
        bound = lambda_g_bound(scale, magnitude_bounds, margin_bounds)
        if lambda_g < bound:
            warnings.warn(f"lambda_g {lambda_g:g} is below its bound {bound:.3g}", stacklevel=2)

    def margin(self, magnitude: torch.Tensor) -> torch.Tensor:
        """m(a), linear between the margin bounds (MagFace, Meng et al. 2021).

        Parameters
        ----------
        magnitude : floating tensor of any shape
            Inside the magnitude bounds.

        Returns
        -------
        margin : tensor of the same shape
            Radians.
        """
        (low, high), (least, most) = self.magnitude_bounds, self.margin_bounds
        return (most - least) / (high - low) * (magnitude - low) + least

    def regularizer(self, embeddings: torch.Tensor) -> torch.Tensor:
        """lambda_g times the mean of g over the rows.

        Parameters
        ----------
        embeddings : (B, D) floating tensor

        Returns
        -------
        regularizer : () float32 (or float64) tensor
            0 for no rows.
        """
        with no_autocast(embeddings):
            penalty = magnitude_regularizer(self._magnitude(at_least_float32(embeddings)), self.magnitude_bounds[1])
            return self.lambda_g * penalty.sum() / max(len(penalty), 1)

    def forward(
        self, embeddings: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and regularizer, in float32 (or float64) even under autocast.

        Parameters
        ----------
        embeddings : (B, D) floating tensor
            Not normalised: their magnitude counts.
        weight : (C, D) floating tensor
            One row a class: all, a shard or a sample of them.
        labels : (B,) or (B, 1) int64 tensor
            The row of `weight` of each class; -1: elsewhere.

        Returns
        -------
        logits : (B, C) tensor
        regularizer : () tensor
            Already multiplied by lambda_g. If the embeddings were gathered from several processes, each of them gets
            the regularizer of the whole batch: add it once, or use `regularizer` on each process's own rows.
        """
        labels = _checked(embeddings, weight, labels)
        with no_autocast(embeddings):
            embeddings = at_least_float32(embeddings)
            cosines = cosine_matrix(embeddings, weight).clamp(-1, 1)
            target = self._target(gather_target(cosines, labels), self.margin(self._magnitude(embeddings)))
            return replace_target(cosines, labels, target).mul_(self.scale), self.regularizer(embeddings)

    def _magnitude(self, embeddings: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(embeddings, dim=1).clamp(*self.magnitude_bounds)

    def _target(self, cosine: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        if self.easy_margin:
            return torch.where(cosine > 0, shifted_cosine(cosine, margin), cosine)
        return margin_target(cosine, margin)


def _checked(embeddings: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(B,) int64. Values are looked at on the CPU only: elsewhere a look would wait for the device."""
    if embeddings.ndim != 2 or weight.ndim != 2 or embeddings.shape[1] != weight.shape[1]:
        raise ConfigError(f"embeddings {tuple(embeddings.shape)} and weight {tuple(weight.shape)} do not fit")
    if labels.shape not in ((len(embeddings),), (len(embeddings), 1)) or labels.is_floating_point():
        raise ConfigError(f"labels must be {len(embeddings)} integers, not {tuple(labels.shape)} {labels.dtype}")
    labels = labels.reshape(-1).long()
    if labels.device.type == "cpu" and len(labels):
        low, high = int(labels.min()), int(labels.max())
        if low < -1 or high >= len(weight):
            raise ConfigError(f"labels run from {low} to {high}; allowed are -1 to {len(weight) - 1}")
    return labels
