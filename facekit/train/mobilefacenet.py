"""MobileFaceNet (Chen et al. 2018): a million parameters, inverted bottlenecks and a global depthwise convolution."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["MobileFaceNet"]

STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Expansion, channels, blocks and stride: Table 1 of the paper."""


def _convolution(
    inside: int, outside: int, kernel: int | tuple[int, int], stride: int = 1, groups: int = 1, linear: bool = False
) -> nn.Sequential:
    padding = 1 if kernel == 3 else 0
    parts = [nn.Conv2d(inside, outside, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(outside)]
    return nn.Sequential(*parts, *([] if linear else [nn.PReLU(outside)]))


class Bottleneck(nn.Module):
    """Expand, depthwise, project; the input is added where shapes allow."""

    def __init__(self, inside: int, outside: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.adds = stride == 1 and inside == outside
        self.body = nn.Sequential(
            _convolution(inside, wide, 1),
            _convolution(wide, wide, 3, stride, wide),
            _convolution(wide, outside, 1, linear=True),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(image)
        return image + result if self.adds else result


class MobileFaceNet(nn.Module):
    """MobileFaceNet.

    Parameters
    ----------
    dimensions, dropout, image_size, freeze_scale : see `facekit.train.iresnet.IResNet`.
    """

    def __init__(
        self,
        dimensions: int = 128,
        dropout: float = 0.0,
        image_size: tuple[int, int] = (112, 112),
        freeze_scale: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, 64, 3, 2), _convolution(64, 64, 3, 1, 64)]
        inside = 64
        for expansion, channels, blocks, stride in STAGES:
            for number in range(blocks):
                layers.append(Bottleneck(inside, channels, expansion, stride if number == 0 else 1))
                inside = channels
        height, width = (-(-side // 16) for side in image_size)
        layers += [_convolution(inside, 512, 1), _convolution(512, 512, (height, width), 1, 512, linear=True)]
        self.layers, self.dropout = nn.Sequential(*layers), nn.Dropout(dropout)
        self.fc, self.features = nn.Linear(512, dimensions, bias=False), nn.BatchNorm1d(dimensions)
        self.features.weight.requires_grad_(not freeze_scale)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) RGB in [-1, 1] to (B, D), not normalised, float32 under autocast."""
        return self.project(self.flat(image))

    def flat(self, image: torch.Tensor) -> torch.Tensor:
        """What the fully connected layer sees: (B, 3, H, W) to (B, F)."""
        return self.dropout(self.layers(image).flatten(1))

    def project(self, flat: torch.Tensor) -> torch.Tensor:
        """(B, F) to (B, D), in float32 under autocast."""
        with torch.autocast(flat.device.type, enabled=False):
            embedding: torch.Tensor = self.features(self.fc(flat.to(self.fc.weight.dtype)))
        return embedding
