"""Losses that know how many images each class has: Balanced Curricular Loss, and balanced softmax."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from facekit_bcl.curricular import CurricularMargin
from facekit_bcl.margin import CosineMargin
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.train.sharded import Group

__all__ = ["BalancedCurricularMargin", "BalancedSoftmax", "Counts"]

Counts = Sequence[int] | NDArray[Any] | torch.Tensor


class BalancedCurricularMargin(CurricularMargin):
    """Balanced Curricular Loss: CurricularFace with log n_j added to the logit of every class, after the scale.

    The logits of class j are s N_j + log n_j (s P + log n_y for the target), so that the softmax is that of classes
    with n_j training images each (balanced softmax, Ren et al. 2020, on a curricular margin). A factor common to
    all counts changes nothing; equal counts give CurricularFace. With a class-balanced sampler it would be a second
    correction.

    Parameters
    ----------
    class_counts : (N,) integers
        Training images of each class in the whole cleaned dataset, never of a process, shard or batch; masked
        copies that are stored count, masks drawn on the fly do not. A count of 0 is taken as 1, with a warning.
    scale, margin, momentum, group : see `facekit_bcl.curricular.CurricularMargin`.
        With fewer than about 1,000 classes start from a scale of 32 to 64.

    Attributes
    ----------
    t, log_counts : () and (N,) float64 buffers
    """

    log_counts: torch.Tensor

    def __init__(
        self,
        class_counts: Counts,
        scale: float = 128.0,
        margin: float = 0.5,
        momentum: float = 0.01,
        group: Group | None = None,
    ) -> None:
        super().__init__(scale, margin, momentum, group)
        self.register_buffer("log_counts", _log_counts(class_counts))

    def _check_columns(self, cosines: torch.Tensor, class_index: torch.Tensor | None) -> None:
        super()._check_columns(cosines, class_index)
        _check_classes(cosines, class_index, len(self.log_counts))

    def _logits(
        self, cosines: torch.Tensor, labels: torch.Tensor, class_index: torch.Tensor | None, sharded: bool, /
    ) -> torch.Tensor:
        logits = super()._logits(cosines, labels, class_index, sharded)
        return logits.add_(_at(self.log_counts, class_index).to(logits.dtype))


class BalancedSoftmax(CosineMargin):
    """Balanced softmax alone (Ren et al. 2020): scale * cosine + log n_j, no margin.

    Parameters
    ----------
    class_counts, scale, group : see `BalancedCurricularMargin`.
    """

    log_counts: torch.Tensor

    def __init__(self, class_counts: Counts, scale: float = 64.0, group: Group | None = None) -> None:
        super().__init__(scale, group)
        self.register_buffer("log_counts", _log_counts(class_counts))

    def _check_columns(self, cosines: torch.Tensor, class_index: torch.Tensor | None) -> None:
        super()._check_columns(cosines, class_index)
        _check_classes(cosines, class_index, len(self.log_counts))

    def _logits(
        self, cosines: torch.Tensor, _labels: torch.Tensor, class_index: torch.Tensor | None, _sharded: bool, /
    ) -> torch.Tensor:
        return (cosines * self.scale).add_(_at(self.log_counts, class_index).to(cosines.dtype))


def _log_counts(class_counts: Counts) -> torch.Tensor:
    counts = np.asarray(class_counts.cpu() if isinstance(class_counts, torch.Tensor) else class_counts)
    if counts.ndim != 1 or not len(counts) or counts.dtype.kind not in "iuf":
        raise ConfigError(f"class_counts must be one number a class, not {counts.dtype} of shape {counts.shape}")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ConfigError("class_counts must be finite and not negative")
    empty = int((counts == 0).sum())
    if empty:
        warnings.warn(f"{empty} of {len(counts)} classes have no image; their count is taken as 1", stacklevel=3)
    return torch.from_numpy(np.log(np.maximum(counts.astype(np.float64), 1)))


def _check_classes(cosines: torch.Tensor, class_index: torch.Tensor | None, classes: int) -> None:
    if class_index is None:
        if cosines.shape[1] != classes:
            raise ConfigError(
                f"{cosines.shape[1]} columns for {classes} class counts: give class_index, or attach(partial_fc)"
            )
    elif class_index.device.type == "cpu" and len(class_index):
        low, high = int(class_index.min()), int(class_index.max())
        if low < 0 or high >= classes:
            raise ConfigError(f"class_index runs from {low} to {high}; there are counts for {classes} classes")


def _at(log_counts: torch.Tensor, class_index: torch.Tensor | None) -> torch.Tensor:
    return log_counts if class_index is None else log_counts[class_index]
