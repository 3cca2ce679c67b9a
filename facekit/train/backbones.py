"""Networks by name: pictures to embeddings."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from facekit.errors import none_of
from facekit.train.iresnet import DEPTHS, WIDTHS, IResNet
from facekit.train.irse import IR_DEPTHS, IRSE, IRSE_DEPTHS, KINDS
from facekit.train.mobilefacenet import MobileFaceNet
from facekit.train.vit import VITS, VisionTransformer

__all__ = ["BACKBONES", "HalfResolution", "Shape", "backbone", "residual_shape"]


class Shape(NamedTuple):
    """Blocks and channels of the four stages of an IResNet."""

    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    halved: bool = False
    """The picture is halved before the network sees it."""


_SHAPES = {"tiny": Shape((1, 1, 1, 1), (16, 32, 64, 128), True)} | {
    f"iresnet{depth}": Shape(blocks, WIDTHS) for depth, blocks in DEPTHS.items()
}
_IR = {f"irse{depth}": (depth, "se") for depth in IRSE_DEPTHS} | {
    f"ir{depth}_{kind}": (depth, kind) for kind in KINDS[1:] for depth in IR_DEPTHS
}
BACKBONES = (*_SHAPES, *_IR, "mobilefacenet", *VITS)
"""The names that `backbone` takes."""


class HalfResolution(nn.Module):
    """A network that sees pictures of half the height and width (2 x 2 averages)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor, *rest: torch.Tensor) -> Any:
        return self.network(functional.avg_pool2d(image, 2), *rest)


def residual_shape(name: str) -> Shape:
    """Blocks and channels of an IResNet by name.

    Raises
    ------
    ConfigError
        The name is not one of an IResNet.
    """
    if name not in _SHAPES:
        raise none_of("backbone", name, _SHAPES)
    return _SHAPES[name]


def backbone(
    name: str,
    dimensions: int,
    dropout: float = 0.0,
    image_size: tuple[int, int] = (112, 112),
    freeze_scale: bool = True,
) -> nn.Module:
    """A network by name, one of `BACKBONES`; the other parameters as `facekit.train.iresnet.IResNet`'s.

    The last normalisation of a ViT is always trained, as in arcface_torch.

    Raises
    ------
    ConfigError
        There is no such network.
    """
    if name not in BACKBONES:
        raise none_of("backbone", name, BACKBONES)
    if name == "mobilefacenet":
        return MobileFaceNet(dimensions, dropout, image_size, freeze_scale)
    if name in VITS:
        return VisionTransformer(VITS[name], dimensions, dropout, image_size)
    if name in _IR:
        depth, kind = _IR[name]
        return IRSE(depth, dimensions, dropout, image_size, freeze_scale, kind)
    shape = _SHAPES[name]
    size = (image_size[0] // 2, image_size[1] // 2) if shape.halved else image_size
    network = IResNet(shape.blocks, dimensions, dropout, size, shape.widths, freeze_scale)
    return HalfResolution(network) if shape.halved else network
