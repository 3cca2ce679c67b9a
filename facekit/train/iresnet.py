"""The improved residual network of ArcFace (Deng et al. 2019; He et al., IResNet), and its parts.

Parameters and buffers have the names of arcface_torch's iresnet, so that its weights load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from facekit.errors import ConfigError

__all__ = ["DEPTHS", "IResNet", "PreActivationBlock", "Stem", "embedding_head", "initialise", "iresnet", "make_stage"]

DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
WIDTHS = (64, 128, 256, 512)


class PreActivationBlock(nn.Module):
    """BN, 3x3 convolution, BN, PReLU, 3x3 convolution with the stride, BN, plus the identity or its projection."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.prelu = nn.PReLU(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels_in != channels_out:
            projection = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels_out))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        kept = image if self.downsample is None else self.downsample(image)
        inner = self.prelu(self.bn2(self.conv1(self.bn1(image))))
        result: torch.Tensor = self.bn3(self.conv2(inner)) + kept
        return result


class Stem(nn.Module):
    """Convolution, BN, PReLU: (B, 3, H, W) to (B, channels, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.prelu(self.bn1(self.conv1(image)))
        return result


def make_stage(channels_in: int, channels_out: int, blocks: int) -> nn.Sequential:
    """One stage of residual blocks.

    Parameters
    ----------
    channels_in, channels_out : int
    blocks : int
        The first one halves height and width.

    Returns
    -------
    stage : nn.Sequential
        (B, channels_in, H, W) to (B, channels_out, ceil(H / 2), ceil(W / 2)).
    """
    rest = [PreActivationBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)]
    return nn.Sequential(PreActivationBlock(channels_in, channels_out, 2), *rest)


def feature_count(channels: int, image_size: tuple[int, int]) -> int:
    """How many numbers leave the last stage: four halvings, each rounded up.

    Parameters
    ----------
    channels : int
        Of the last stage.
    image_size : (height, width)
        Pixels.
    """
    height, width = (-(-side // 16) for side in image_size)
    return channels * height * width


def initialise(network: nn.Module) -> None:
    """Draw the weights anew, as arcface_torch does: convolutions N(0, 0.1); normalisation 1 and 0.

    Parameters
    ----------
    network : nn.Module
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, 0.1)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def embedding_head(features: int, dimensions: int) -> tuple[nn.Linear, nn.BatchNorm1d]:
    """The fully connected layer and the normalisation that end an IResNet.

    Parameters
    ----------
    features, dimensions : int

    Returns
    -------
    fc, features : nn.Linear, nn.BatchNorm1d
        (B, features) to (B, dimensions) to the same.
    """
    return nn.Linear(features, dimensions), nn.BatchNorm1d(dimensions)


class IResNet(nn.Module):
    """An IResNet.

    Parameters
    ----------
    blocks : four ints
        Residual blocks in each stage; `DEPTHS` has the published ones.
    dimensions : int
        Length D of the embedding.
    dropout : float
        Before the fully connected layer.
    image_size : (height, width)
        Of the pictures, pixels.
    widths : four ints
        Channels of each stage.
    freeze_scale : bool
        The scale of the last normalisation stays 1, as in arcface_torch: |embedding| then hovers around sqrt(D), and
        losses that read a magnitude cannot work. False: it is trained.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        dimensions: int = 512,
        dropout: float = 0.0,
        image_size: tuple[int, int] = (112, 112),
        widths: Sequence[int] = WIDTHS,
        freeze_scale: bool = True,
    ) -> None:
        super().__init__()
        if len(blocks) != 4 or len(widths) != 4 or min(*blocks, *widths) < 1:
            raise ConfigError(f"an IResNet has four stages: blocks {tuple(blocks)}, widths {tuple(widths)}")
        first, *_, last = widths
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.prelu = nn.PReLU(first)
        self.layer1 = make_stage(first, widths[0], blocks[0])
        self.layer2 = make_stage(widths[0], widths[1], blocks[1])
        self.layer3 = make_stage(widths[1], widths[2], blocks[2])
        self.layer4 = make_stage(widths[2], widths[3], blocks[3])
        self.bn2 = nn.BatchNorm2d(last)
        self.dropout = nn.Dropout(dropout)
        self.fc, self.features = embedding_head(feature_count(last, image_size), dimensions)
        initialise(self)
        self.features.weight.requires_grad_(not freeze_scale)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Pictures to embeddings: (B, 3, H, W) RGB in [-1, 1] to (B, D), not normalised, float32 under autocast."""
        return self.project(self.flat(image))

    def flat(self, image: torch.Tensor) -> torch.Tensor:
        """What the fully connected layer sees: (B, 3, H, W) to (B, F)."""
        deep = self.prelu(self.bn1(self.conv1(image)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            deep = stage(deep)
        return self.dropout(self.bn2(deep)).flatten(1)

    def project(self, flat: torch.Tensor) -> torch.Tensor:
        """(B, F) to (B, D), in float32 under autocast."""
        with torch.autocast(flat.device.type, enabled=False):
            embedding: torch.Tensor = self.features(self.fc(flat.to(self.fc.weight.dtype)))
        return embedding


def iresnet(depth: int, **options: Any) -> IResNet:
    """The IResNet of a published depth.

    Parameters
    ----------
    depth : {18, 34, 50, 100, 200}
    **options
        As `IResNet`'s.

    Raises
    ------
    ConfigError
        There is none of this depth.
    """
    if depth not in DEPTHS:
        raise ConfigError(f"no IResNet-{depth}; there are {', '.join(map(str, DEPTHS))}")
    return IResNet(DEPTHS[depth], **options)
