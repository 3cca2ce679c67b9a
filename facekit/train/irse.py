"""IR and IR-SE: the residual networks of CurricularFace and AdaFace, the latter also CVLface's.

They differ from IResNet where a stage begins: without new channels the shortcut is the picture at every second pixel,
and has no weights.
"""

from __future__ import annotations

import torch
from torch import nn

from facekit.train.iresnet import WIDTHS, Stem, embedding_head

__all__ = ["IRSE", "IRSE_DEPTHS", "IR_DEPTHS", "KINDS"]

IRSE_DEPTHS = {50: (3, 4, 14, 3), 101: (3, 13, 30, 3)}
IR_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), **IRSE_DEPTHS}
KINDS = ("se", "curricular", "adaface")
"""Squeeze-and-excitation; without it, as in CurricularFace's published weights; with a BN more, as AdaFace's."""


class SqueezeExcitation(nn.Module):
    """Channels weighted by what the whole picture holds: (B, C, H, W) to the same."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inside = max(1, channels // reduction)
        self.squeeze = nn.Conv2d(channels, inside, 1, bias=False)
        self.excite = nn.Conv2d(inside, channels, 1, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        weight = self.excite(self.squeeze(image.mean((2, 3), keepdim=True)).relu()).sigmoid()
        result: torch.Tensor = image * weight
        return result


class IRSEBlock(nn.Module):
    """BN, 3x3 convolution, PReLU, 3x3 convolution with the stride, BN, and what the kind adds, plus the shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, kind: str = "se") -> None:
        super().__init__()
        if channels_in == channels_out:
            self.shortcut: nn.Module = nn.MaxPool2d(1, stride)
        else:
            projection = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels_out))
        between = [nn.BatchNorm2d(channels_out)] if kind == "adaface" else []
        after = [SqueezeExcitation(channels_out)] if kind == "se" else []
        self.residual = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.Conv2d(channels_in, channels_out, 3, 1, 1, bias=False),
            *between,
            nn.PReLU(channels_out),
            nn.Conv2d(channels_out, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            *after,
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.residual(image) + self.shortcut(image)
        return result


class IRSE(nn.Module):
    """IR or IR-SE.

    Parameters
    ----------
    depth : {18, 34, 50, 101}
    dimensions, dropout, image_size, freeze_scale : see `facekit.train.iresnet.IResNet`.
    kind : {"se", "curricular", "adaface"}
        See `KINDS`.
    """

    def __init__(
        self,
        depth: int,
        dimensions: int = 512,
        dropout: float = 0.4,
        image_size: tuple[int, int] = (112, 112),
        freeze_scale: bool = False,
        kind: str = "se",
    ) -> None:
        super().__init__()
        self.stem = Stem(WIDTHS[0])
        blocks, width = [], WIDTHS[0]
        for channels, count in zip(WIDTHS, IR_DEPTHS[depth], strict=True):
            blocks.append(IRSEBlock(width, channels, 2, kind))
            blocks += [IRSEBlock(channels, channels, 1, kind) for _ in range(count - 1)]
            width = channels
        self.blocks = nn.Sequential(*blocks)
        self.bn, self.dropout = nn.BatchNorm2d(width), nn.Dropout(dropout)
        height, across = (-(-side // 16) for side in image_size)
        self.fc, self.features = embedding_head(width * height * across, dimensions)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
        self.features.weight.requires_grad_(not freeze_scale)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) RGB in [-1, 1] to (B, D), not normalised, float32 under autocast."""
        return self.project(self.flat(image))

    def flat(self, image: torch.Tensor) -> torch.Tensor:
        """What the fully connected layer sees: (B, 3, H, W) to (B, F)."""
        return self.dropout(self.bn(self.blocks(self.stem(image)))).flatten(1)

    def project(self, flat: torch.Tensor) -> torch.Tensor:
        """(B, F) to (B, D), in float32 under autocast."""
        with torch.autocast(flat.device.type, enabled=False):
            embedding: torch.Tensor = self.features(self.fc(flat.to(self.fc.weight.dtype)))
        return embedding
