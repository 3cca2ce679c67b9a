"""The vision transformers of arcface_torch (An et al. 2022, Partial FC, section 4): small patches and no class token.

Every patch of the last layer goes into the embedding, through one fully connected layer. Names, shapes and arithmetic
are those of its backbones/vit.py, so that its weights, and those of programs that took it over, can be loaded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from facekit.errors import ConfigError

__all__ = ["VITS", "VisionTransformer", "VitShape"]

PATCH, HEADS, WIDER = 9, 8, 4
EPS = 2e-5
START = 0.02


class VitShape(NamedTuple):
    """Width and number of blocks, chance that the last block is left out, and share of patches that are hidden."""

    width: int
    depth: int
    drop_path: float = 0.05
    hidden: float = 0.0


VITS = {
    "vit_xs": VitShape(128, 6, hidden=0.05),
    "vit_t": VitShape(256, 12),
    "vit_s": VitShape(512, 12),
    "vit_b": VitShape(512, 24, hidden=0.05),
    "vit_l": VitShape(768, 24, hidden=0.05),
}
"""Those that arcface_torch trains on WebFace42M (vit_t_dp005_mask0, vit_s_dp005_mask_0, vit_b_dp005_mask_005 and
vit_l_dp005_mask_005 of its backbones/__init__.py), and vit_xs, a smaller one of ours for processors."""


class _Attention(nn.Module):
    """Self-attention, computed in float32 under autocast: (B, P, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        count, patches, width = tokens.shape
        query, key, value = (
            part.reshape(count, patches, HEADS, width // HEADS).transpose(1, 2)
            for part in self.qkv(tokens).chunk(3, dim=2)
        )
        with torch.autocast(tokens.device.type, enabled=False):
            scores = (query.float() @ key.float().transpose(2, 3)) * (width // HEADS) ** -0.5
            mixed = (scores.softmax(3) @ value.float()).transpose(1, 2).reshape(count, patches, width)
        result: torch.Tensor = self.proj(mixed.to(tokens.dtype))
        return result


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, WIDER * width), nn.Linear(WIDER * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.fc2(functional.relu6(self.fc1(tokens)))
        return result


class _Block(nn.Module):
    """Attention and MLP, each behind a LayerNorm, added to what came in, and left out by chance while training."""

    def __init__(self, width: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.norm1, self.attn = nn.LayerNorm(width), _Attention(width)
        self.norm2, self.mlp = nn.LayerNorm(width), _Mlp(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self._dropped(self.attn(self.norm1(tokens)))
        return tokens + self._dropped(self.mlp(self.norm2(tokens)))

    def _dropped(self, branch: torch.Tensor) -> torch.Tensor:
        """Stochastic depth (Huang et al. 2016), a picture at a time; what is kept is scaled up."""
        if not self.training or self.drop == 0:
            return branch
        keep = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop
        return branch * keep / (1 - self.drop)


class _Patches(nn.Module):
    """(B, 3, H, W) to (B, P, W), row by row; pixels beyond the last whole patch are not seen."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.proj(image).flatten(2).transpose(1, 2)
        return tokens


class VisionTransformer(nn.Module):
    """A vision transformer.

    Parameters
    ----------
    shape : VitShape
    dimensions : int
        Length D of the embedding.
    dropout : float
        Before the fully connected layers.
    image_size : (height, width)
        Of the pictures, pixels; at least a patch of 9 x 9.

    Raises
    ------
    ConfigError
        Pictures smaller than a patch.
    """

    def __init__(
        self,
        shape: VitShape,
        dimensions: int = 512,
        dropout: float = 0.0,
        image_size: tuple[int, int] = (112, 112),
    ) -> None:
        super().__init__()
        if min(image_size) < PATCH:
            raise ConfigError(f"a ViT has patches of {PATCH} x {PATCH} pixels, and pictures are {image_size}")
        width, patches = shape.width, (image_size[0] // PATCH) * (image_size[1] // PATCH)
        self.hidden = shape.hidden
        self.patch_embed = _Patches(width)
        self.pos_embed = nn.Parameter(torch.empty(1, patches, width))
        drops = [shape.drop_path * number / max(1, shape.depth - 1) for number in range(shape.depth)]
        self.blocks, self.norm = nn.ModuleList(_Block(width, drop) for drop in drops), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.feature = nn.Sequential(
            nn.Linear(patches * width, width, bias=False),
            nn.BatchNorm1d(width, eps=EPS),
            nn.Linear(width, dimensions, bias=False),
            nn.BatchNorm1d(dimensions, eps=EPS),
        )
        token = torch.empty(1, 1, width)
        if self.hidden:
            self.mask_token = nn.Parameter(token)
        else:  # has no gradient, which processes that train together would wait for
            self.register_buffer("mask_token", token)
        self._initialise()

    def _initialise(self) -> None:
        """N(0, 0.02) as arcface_torch does, whose truncation at +-2 is a hundred deviations away."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=START)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.pos_embed, std=START)
        nn.init.normal_(self.mask_token, std=START)

    @property
    def fc(self) -> nn.Module:
        """The fully connected layer that sees `flat`."""
        return self.feature[0]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) RGB in [-1, 1] to (B, D), not normalised, float32 under autocast."""
        return self.project(self.flat(image))

    def flat(self, image: torch.Tensor) -> torch.Tensor:
        """What the fully connected layer sees: (B, 3, H, W) to (B, P W)."""
        tokens = self.patch_embed(image) + self.pos_embed
        order = self._order(tokens) if self.training and self.hidden else None
        if order is not None:
            seen = int(tokens.shape[1] * (1 - self.hidden))
            tokens = tokens.gather(1, order[:, :seen, None].expand(-1, -1, tokens.shape[2]))
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        if order is not None:
            tokens = self._with_hidden(tokens, order)
        flat: torch.Tensor = self.dropout(tokens.flatten(1))
        return flat

    def project(self, flat: torch.Tensor) -> torch.Tensor:
        """(B, P W) to (B, D), in float32 under autocast."""
        with torch.autocast(flat.device.type, enabled=False):
            embedding: torch.Tensor = self.feature(flat.to(self.pos_embed.dtype))
        return embedding

    def _order(self, tokens: torch.Tensor) -> torch.Tensor:
        """A random order of the patches of each picture, (B, P): the first of it are seen."""
        return torch.rand(tokens.shape[:2], device=tokens.device).argsort(1)

    def _with_hidden(self, tokens: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Put the patches that were seen back, and one learned token for the others."""
        missing = order.shape[1] - tokens.shape[1]
        whole = torch.cat([tokens, self.mask_token.to(tokens.dtype).expand(len(tokens), missing, -1)], 1)
        return whole.gather(1, order.argsort(1)[:, :, None].expand(-1, -1, tokens.shape[2]))
