"""From cosines to logits: the margins of ArcFace, CurricularFace and Balanced Curricular Loss, and balanced softmax.

All share one call, ``margin(cosines, labels, class_index=None) -> logits``, to be followed by any softmax
cross-entropy. They compute in float32 (or float64, if given it) even under autocast; the cosines themselves should
come from `facekit.train.angular.cosine_matrix`.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from facekit.errors import ConfigError
from facekit.train.angular import (
    at_least_float32,
    gather_target,
    margin_target,
    no_autocast,
    replace_target,
    shifted_cosine,
)
from facekit.train.sharded import Group, all_sum, world_size

__all__ = ["ArcMargin", "BalancedCurricularMargin", "BalancedSoftmax", "CurricularMargin"]

Counts = Sequence[int] | NDArray[Any] | torch.Tensor


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
        self.margin = _checked_margin(margin)

    def _logits(
        self, cosines: torch.Tensor, labels: torch.Tensor, _index: torch.Tensor | None, _sharded: bool, /
    ) -> torch.Tensor:
        target = margin_target(gather_target(cosines, labels), self.margin)
        return replace_target(cosines, labels, target).mul_(self.scale)


class CurricularMargin(CosineMargin):
    """CurricularFace (Huang et al. 2020, equations 8 to 11): hard negatives weigh more as training goes on.

    A negative above the target's margin, c_j > cos(theta_y + m), becomes c_j (t + c_j), with the gradient through
    both factors. t is the moving average of the target cosines of the global batch, updated once a forward pass,
    before use, in training mode only, and without gradient; rows whose target cosine is not finite (an overflow in
    half precision, of a step that the loss scaler then skips) do not enter it. sin is sqrt(max(1 - c^2, 1e-12)): the
    official code's gradient is NaN at c = +-1.

    Parameters
    ----------
    scale, margin : float
        s, and m in radians, [0, pi / 2].
    momentum : float
        alpha in t <- alpha mean + (1 - alpha) t, in [0, 1].
    group : see `CosineMargin`.

    Attributes
    ----------
    t : () float64 buffer
        Updated in place; 0 at the start.
    """

    t: torch.Tensor

    def __init__(
        self, scale: float = 64.0, margin: float = 0.5, momentum: float = 0.01, group: Group | None = None
    ) -> None:
        super().__init__(scale, group)
        if not 0 <= momentum <= 1:
            raise ConfigError(f"momentum is {momentum}; it must lie in [0, 1]")
        self.margin, self.momentum = _checked_margin(margin), float(momentum)
        self.register_buffer("t", torch.zeros((), dtype=torch.float64))

    def _logits(
        self, cosines: torch.Tensor, labels: torch.Tensor, _index: torch.Tensor | None, sharded: bool, /
    ) -> torch.Tensor:
        target, present = self._targets(cosines, labels, sharded)
        if self.training:
            self._update(target, present, sharded)
        # A row whose class is nowhere has no hard negatives: nothing exceeds a cosine of 1.
        limit = shifted_cosine(target, self.margin).where(present, 1.0)[:, None]
        logits: torch.Tensor = _HardNegatives.apply(cosines, limit, self.t.to(cosines.dtype))
        own = margin_target(gather_target(cosines, labels), self.margin)
        return replace_target(logits, labels, own).mul_(self.scale)

    def _targets(self, cosines: torch.Tensor, labels: torch.Tensor, sharded: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Each row's target cosine, wherever its class is, and whether it is anywhere: (B,) floating, (B,) bool."""
        with torch.no_grad():
            found = torch.stack([gather_target(cosines, labels), (labels >= 0).to(cosines.dtype)])
            if sharded:
                all_sum(found, self.group)
            return found[0], found[1] > 0

    @torch.no_grad()
    def _update(self, target: torch.Tensor, present: torch.Tensor, sharded: bool) -> None:
        counted = present & target.isfinite()
        sums = torch.stack([target.where(counted, 0.0).sum(dtype=torch.float64), counted.sum(dtype=torch.float64)])
        if not sharded:  # otherwise every process already has the whole batch
            all_sum(sums, self.group)
        moved = self.momentum * sums[0] / sums[1].clamp(min=1) + (1 - self.momentum) * self.t
        self.t.copy_(torch.where(sums[1] > 0, moved, self.t))


class _HardNegatives(torch.autograd.Function):
    """c (t + c) where c exceeds the row's limit, else c. Written out to keep one matrix instead of four."""

    @staticmethod
    def forward(ctx: Any, cosines: torch.Tensor, limit: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cosines, limit, t.clone())
        return (cosines + (t - 1)).mul_(cosines).mul_(_above(cosines, limit)).add_(cosines)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        cosines, limit, t = ctx.saved_tensors
        slope = torch.add(t - 1, cosines, alpha=2).mul_(_above(cosines, limit)).add_(1)
        return slope.mul_(gradient), None, None


def _above(cosines: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """1 where a cosine exceeds the limit of its row, else 0; floating, because arithmetic with booleans is slow."""
    return (cosines - limit).sign_().relu_()


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
    scale, margin, momentum, group : see `CurricularMargin`.
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


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape))


def _checked_margin(margin: float) -> float:
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
