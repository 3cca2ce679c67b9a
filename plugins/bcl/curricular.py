"""CurricularFace: negatives above the target's margin weigh more as training goes on."""

from __future__ import annotations

from typing import Any

import torch
from facekit_bcl.margin import CosineMargin, checked_margin

from facekit.errors import ConfigError
from facekit.train.angular import gather_target, margin_target, replace_target, shifted_cosine
from facekit.train.sharded import Group, all_sum

__all__ = ["CurricularMargin"]


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
    group : see `facekit_bcl.margin.CosineMargin`.

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
        self.margin, self.momentum = checked_margin(margin), float(momentum)
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
