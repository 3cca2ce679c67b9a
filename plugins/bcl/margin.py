"""From cosines to logits: what all margins share, and the plainest of them, ArcFace's.

All share one call, ``margin(cosines, labels, class_index=None) -> logits``, to be followed by any softmax
cross-entropy. They compute in float32 (or float64, if given it) even under autocast; the cosines themselves should
come from `facekit.train.angular.cosine_matrix`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import nn

from facekit.errors import ConfigError
from facekit.train.angular import (
    at_least_float32,
    gather_target,
    margin_target,
    no_autocast,
    replace_target,
)
from facekit.train.sharded import Group, world_size

__all__ = ["ArcMargin", "CosineMargin", "checked_margin"]


class CosineMargin(nn.Module, ABC):
    """What the margins share: a scale, the precision, and knowing which classes the columns are.

    Parameters
    ----------
    scale : float
        The factor between cosines and logits, greater than 0.
    group : torch.distributed.ProcessGroup or None
        The processes over which the classes are spread, or the batch is; None: all of them.
    """

    def __init__(self, scale: float, group: Group | None = None) -> None:
        super().__init__()
        if not scale > 0:
            raise ConfigError(f"scale is {scale}; it must be greater than 0")
        self.scale, self.group = float(scale), group
        # In a tuple, because a module assigned as an attribute would become a child and close a cycle.
        self._classifier: tuple[Any, ...] = ()

    def attach(self, partial_fc: Any) -> CosineMargin:
        """Let a sharded classifier say at each call which classes the columns are.

        Parameters
        ----------
        partial_fc : module with ``class_start``, ``num_local``, ``sample_rate`` and, if it samples, ``weight_index``
            arcface_torch's PartialFC_V2, which calls its margin as ``margin(logits, labels)``.

        Returns
        -------
        margin : self
        """
        missing = [name for name in ("class_start", "num_local") if not hasattr(partial_fc, name)]
        if missing:
            raise ConfigError(f"{type(partial_fc).__name__} has no {' and no '.join(missing)}: attach a PartialFC_V2")
        self._classifier = (partial_fc,)
        return self

    def forward(
        self,
        cosines: torch.Tensor,
        labels: torch.Tensor,
        class_index: torch.Tensor | None = None,
        sharded: bool | None = None,
    ) -> torch.Tensor:
        """Logits from cosines.

        Parameters
        ----------
        cosines : (B, C) floating tensor
            Clipped to [-1, 1].
        labels : (B,) or (B, 1) int64 tensor
            The column of each row's class; -1: the class is not among these columns.
        class_index : (C,) int64 tensor or None
            Which classes the columns are: a shard, or a sample. None: all of them, in order. With more than one
            process, a class_index (or an attached classifier) says that the classes are spread over the processes
            and each sees the whole batch; without one, that each process has all classes and rows of its own.
        sharded : bool or None
            Says so instead: False for a sample of all classes in each process, with rows of its own.

        Returns
        -------
        logits : (B, C) float32 (or float64) tensor
            A new tensor, which the caller may overwrite.

        Raises
        ------
        ConfigError
            Shapes that do not belong together, a label outside [-1, C), a class outside the counts.
        """
        labels = _checked_labels(cosines, labels)
        sharded = self._is_sharded(class_index) if sharded is None else sharded
        if not sharded and world_size(self.group) > 1 and labels.device.type == "cpu" and bool((labels < 0).any()):
            raise ConfigError("labels of -1 with more than one process: attach(partial_fc), or give class_index")
        if class_index is None:
            class_index = self._attached_classes(cosines)
        self._check_columns(cosines, class_index)
        with no_autocast(cosines):
            cosines = at_least_float32(cosines).clamp(-1, 1)
            return self._logits(cosines, labels, class_index, sharded)

    def _is_sharded(self, class_index: torch.Tensor | None) -> bool:
        return bool(self._classifier) or class_index is not None

    def _attached_classes(self, cosines: torch.Tensor) -> torch.Tensor | None:
        if not self._classifier:
            return None
        (classifier,) = self._classifier
        start, count = int(classifier.class_start), int(classifier.num_local)
        if getattr(classifier, "sample_rate", 1.0) < 1:
            index: torch.Tensor = classifier.weight_index
            return index.to(cosines.device) + start
        return torch.arange(start, start + count, device=cosines.device)

    def _check_columns(self, cosines: torch.Tensor, class_index: torch.Tensor | None) -> None:
        if class_index is not None and class_index.shape != cosines.shape[1:]:
            raise ConfigError(f"class_index {tuple(class_index.shape)} does not name the columns of {_shape(cosines)}")

    @abstractmethod
    def _logits(
        self, cosines: torch.Tensor, labels: torch.Tensor, class_index: torch.Tensor | None, sharded: bool, /
    ) -> torch.Tensor:
        """Logits of the columns that are here."""


class ArcMargin(CosineMargin):
    """An additive angular margin on the target (ArcFace, Deng et al. 2019).

    Parameters
    ----------
    scale, margin : float
        s, and m in radians, [0, pi / 2].
    group : see `CosineMargin`.
    """

    def __init__(self, scale: float = 64.0, margin: float = 0.5, group: Group | None = None) -> None:
        super().__init__(scale, group)
        self.margin = checked_margin(margin)

    def _logits(
        self, cosines: torch.Tensor, labels: torch.Tensor, _index: torch.Tensor | None, _sharded: bool, /
    ) -> torch.Tensor:
        target = margin_target(gather_target(cosines, labels), self.margin)
        return replace_target(cosines, labels, target).mul_(self.scale)


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape))


def checked_margin(margin: float) -> float:
    """A margin in radians.

    Raises
    ------
    ConfigError
        It lies outside [0, pi / 2].
    """
    if not 0 <= margin <= np.pi / 2:
        raise ConfigError(f"margin is {margin}; it must lie in [0, pi / 2] radians")
    return float(margin)


def _checked_labels(cosines: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(B,) int64. Values are looked at on the CPU only: elsewhere a look would wait for the device."""
    if cosines.ndim != 2 or not cosines.is_floating_point():
        raise ConfigError(f"cosines must be a (B, C) floating tensor, not {_shape(cosines)} {cosines.dtype}")
    if labels.shape not in ((len(cosines),), (len(cosines), 1)) or labels.is_floating_point():
        raise ConfigError(f"labels must be {len(cosines)} integers, not {_shape(labels)} {labels.dtype}")
    labels = labels.reshape(-1).long()
    if labels.device.type == "cpu" and len(labels):
        low, high = int(labels.min()), int(labels.max())
        if low < -1 or high >= cosines.shape[1]:
            raise ConfigError(f"labels run from {low} to {high}; allowed are -1 to {cosines.shape[1] - 1}")
    return labels
