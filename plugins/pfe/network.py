"""A frozen backbone with a module beside its head that says the log-variance of each number of the embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from facekit_pfe.likelihood import log_variance_of
from torch import nn
from torch.nn import functional

from facekit.train.backbones import HalfResolution

__all__ = ["PfeNetwork", "UncertaintyModule"]

GAMMA, BETA = 1e-4, -7.0


class UncertaintyModule(nn.Module):
    """FC, BN, ReLU, FC, BN without scale and shift, then one scale and one shift for all: (B, F) to (B, D).

    As in the public code; at the start every variance is about exp(-7).
    """

    def __init__(self, features: int, dimensions: int) -> None:
        super().__init__()
        self.fc1, self.bn1 = nn.Linear(features, dimensions, bias=False), nn.BatchNorm1d(dimensions)
        self.fc2, self.bn2 = nn.Linear(dimensions, dimensions, bias=False), nn.BatchNorm1d(dimensions, affine=False)
        self.gamma, self.beta = nn.Parameter(torch.tensor(GAMMA)), nn.Parameter(torch.tensor(BETA))

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        raw = self.bn2(self.fc2(self.bn1(self.fc1(flat)).relu()))
        return log_variance_of(self.gamma * raw + self.beta)


class PfeNetwork(nn.Module):
    """Pictures to the mean and log-variance of their embeddings; the backbone never changes.

    Parameters
    ----------
    backbone : nn.Module
        One of facekit's: what its layer ``fc`` is given is what the uncertainty module sees.
    dimensions : int
    """

    def __init__(self, backbone: nn.Module, dimensions: int) -> None:
        super().__init__()
        self.halved = isinstance(backbone, HalfResolution)
        inner: Any = backbone.network if isinstance(backbone, HalfResolution) else backbone
        self.backbone = inner.requires_grad_(False)
        self.uncertainty = UncertaintyModule(inner.fc.in_features, dimensions)
        self.train()

    def train(self, mode: bool = True) -> PfeNetwork:
        """Set the mode of the uncertainty module; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W) RGB in [-1, 1] to mu, not normalised, and the log-variance of mu / |mu|, (B, D) each."""
        image = functional.avg_pool2d(image, 2) if self.halved else image
        with torch.no_grad():
            flat = self.backbone.flat(image)
            mu = self.backbone.project(flat)
        with torch.autocast(image.device.type, enabled=False):
            return mu, self.uncertainty(flat.to(self.uncertainty.fc1.weight.dtype))

    def load_backbone(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of a trained backbone; the uncertainty module stays as it is.

        Raises
        ------
        RuntimeError
            They are of another architecture.
        """
        self.backbone.load_state_dict(state)
