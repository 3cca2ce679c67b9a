"""The two-stream IResNet of MaskDUL: an independent start for faces and masked faces, the rest shared.

The paper's code was not to be found: the split of the start, the two heads and the routing follow its text where it
speaks and are facekit's decision where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import nn

from facekit.errors import ConfigError
from facekit.train.iresnet import DEPTHS, WIDTHS, Stem, embedding_head, feature_count, initialise, make_stage

__all__ = ["BRANCH_DEPTHS", "Head", "TwoStreamIResNet"]

BRANCH_DEPTHS = ("stem", "start_block", "stage1")


class Head(nn.Module):
    """Dropout, flatten, fully connected, BatchNorm with a trainable scale: (B, C, H, W) to (B, D)."""

    def __init__(self, features: int, dimensions: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc, self.features = embedding_head(features, dimensions)

    def forward(self, deep: torch.Tensor) -> torch.Tensor:
        flat = self.dropout(deep).flatten(1)
        with torch.autocast(deep.device.type, enabled=False):
            result: torch.Tensor = self.features(self.fc(flat.to(self.fc.weight.dtype)))
        return result


class TwoStreamIResNet(nn.Module):
    """Pictures and a flag to the mean and log-variance of their embeddings.

    Parameters
    ----------
    blocks : four ints
        Residual blocks in each stage; IResNet-50 by default.
    dimensions : int
        D.
    dropout : float
        In each of the two heads.
    image_size : (height, width)
    widths : four ints
        Channels of each stage.
    branch_depth : {"stem", "start_block", "stage1"}
        What each branch has of its own: convolution-BN-PReLU, also the first block of stage 1, or all of stage 1.
    shared_init : bool
        Both branches start from the same random weights, so that what they share sees one kind of features until they
        have learnt to differ; the paper does not say.
    """

    def __init__(
        self,
        blocks: Sequence[int] = DEPTHS[50],
        dimensions: int = 512,
        dropout: float = 0.4,
        image_size: tuple[int, int] = (112, 112),
        widths: Sequence[int] = WIDTHS,
        branch_depth: str = "start_block",
        shared_init: bool = True,
    ) -> None:
        super().__init__()
        if branch_depth not in BRANCH_DEPTHS:
            raise ConfigError(f"branch_depth is {branch_depth!r}; allowed are {', '.join(BRANCH_DEPTHS)}")
        own = {"stem": 0, "start_block": 1, "stage1": blocks[0]}[branch_depth]
        starts = [(Stem(widths[0]), make_stage(widths[0], widths[0], blocks[0])) for _ in range(2)]
        self.branches = nn.ModuleList(nn.Sequential(stem, *list(stage)[:own]) for stem, stage in starts)
        self.layer1 = starts[0][1][own:]  # the blocks keep their names
        self.layer2 = make_stage(widths[0], widths[1], blocks[1])
        self.layer3 = make_stage(widths[1], widths[2], blocks[2])
        self.layer4 = make_stage(widths[2], widths[3], blocks[3])
        self.bn2 = nn.BatchNorm2d(widths[3])
        features = feature_count(widths[3], image_size)
        self.mu = Head(features, dimensions, dropout)
        self.log_variance = Head(features, dimensions, dropout)
        initialise(self)
        if shared_init:
            self.branches[1].load_state_dict(self.branches[0].state_dict())

    def forward(self, image: torch.Tensor, mask_flag: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The distribution of each picture's embedding.

        Parameters
        ----------
        image : (B, 3, H, W) floating tensor
            RGB in [-1, 1].
        mask_flag : (B,) or (B, 1) bool or integer tensor
            0: through the branch for faces; 1: through the one for masked faces.

        Returns
        -------
        mu, log_variance : (B, D) tensors
        """
        flags = mask_flag.flatten()
        if flags.shape[0] != image.shape[0] or mask_flag.is_floating_point():
            raise ConfigError(f"mask_flag must be {len(image)} booleans or integers, not {tuple(mask_flag.shape)}")
        start = self._start(image, flags.bool())
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            start = stage(start)
        deep = self.bn2(start)
        return self.mu(deep), self.log_variance(deep)

    def embed(self, image: torch.Tensor, mask_flag: torch.Tensor | None = None, both: bool = False) -> torch.Tensor:
        """mu by the flag, or the average of mu by both branches.

        Parameters
        ----------
        image : (B, 3, H, W) floating tensor
            RGB in [-1, 1].
        mask_flag : (B,) or (B, 1) bool or integer tensor, optional
            By default all are faces.
        both : bool
            Average over both branches, whatever the flag.

        Returns
        -------
        mu : (B, D) tensor
            Not normalised.
        """
        faces = torch.zeros(len(image), dtype=torch.bool, device=image.device)
        if both:
            return (self(image, faces)[0] + self(image, ~faces)[0]) / 2
        mu: torch.Tensor = self(image, faces if mask_flag is None else mask_flag)[0]
        return mu

    def load_backbone(self, state: Mapping[str, torch.Tensor]) -> None:
        """Start from a plain IResNet of the same depth (facekit's or arcface_torch's): both branches get its start,
        the mean head its head; the log-variance head stays as it is.

        Raises
        ------
        ConfigError
            If the weights are of another architecture.
        """
        own = self.state_dict()
        missing = {name for name in own if not name.startswith("log_variance.")}
        for name, tensor in state.items():
            for target in self._target_names(name):
                if target not in own or own[target].shape != tensor.shape:
                    raise ConfigError(f"{name} {tuple(tensor.shape)} has no place in this network: another depth?")
                own[target].copy_(tensor)
                missing.discard(target)
        if missing:
            raise ConfigError(f"the weights lack {len(missing)} tensors, {min(missing)} among them")

    def _start(self, image: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        face, covered = self.branches
        if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():  # a choice by value cannot be traced
            return torch.where(masked[:, None, None, None], covered(image), face(image))
        rows = masked.nonzero()[:, 0], (~masked).nonzero()[:, 0]
        parts = [branch(image[index]) for branch, index in zip((covered, face), rows, strict=True) if len(index)]
        back = torch.cat(rows).argsort()
        start = torch.cat(parts)[back] if parts else face(image)
        if self.training and len(parts) < 2:
            start = start + self._zero_of(covered if len(rows[0]) == 0 else face, start)
        return start

    @staticmethod
    def _zero_of(branch: nn.Module, start: torch.Tensor) -> torch.Tensor:
        """A zero that depends on every parameter of the branch: DistributedDataParallel waits for its gradients."""
        return sum((p.flatten()[0] * 0 for p in branch.parameters()), start.new_zeros(()))

    def _target_names(self, name: str) -> list[str]:
        """Where a tensor of a plain IResNet belongs."""
        part, _, rest = name.partition(".")
        own = len(cast(nn.Sequential, self.branches[0])) - 1
        if part in ("conv1", "bn1", "prelu"):
            return [f"branches.{i}.0.{name}" for i in range(2)]
        if part in ("fc", "features"):
            return [f"mu.{name}"]
        if part == "layer1":
            block, _, leaf = rest.partition(".")
            if int(block) < own:
                return [f"branches.{i}.{int(block) + 1}.{leaf}" for i in range(2)]
        return [name]
