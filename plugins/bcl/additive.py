"""Margins beside those of the papers: CosFace's, which MFCosFace trains with, and AdaFace's."""

from __future__ import annotations

import math

import torch
from facekit_bcl.margin import CosineMargin, checked_margin

from facekit.errors import ConfigError
from facekit.train.angular import at_least_float32, gather_target, no_autocast, replace_target, shifted_cosine
from facekit.train.sharded import Group, all_sum

__all__ = ["AdaMargin", "CosMargin"]

EPS = 1e-3
SMALLEST, LARGEST = 1e-3, 100.0
START_MEAN, START_DEVIATION = 20.0, 100.0


class CosMargin(CosineMargin):
    """A margin that is taken off the target's cosine: s (cos theta_y - m) (CosFace, Wang et al. 2018, equation 4).

    MFCosFace (Deng et al. 2021) trains with it on faces with and without masks.

    Parameters
    ----------
    scale, margin : float
        s, and m in [0, 1].
    group : see `facekit_bcl.margin.CosineMargin`.
    """

    def __init__(self, scale: float = 64.0, margin: float = 0.35, group: Group | None = None) -> None:
        super().__init__(scale, group)
        if not 0 <= margin <= 1:
            raise ConfigError(f"margin is {margin}; of a cosine it must lie in [0, 1]")
        self.margin = float(margin)

    def _logits(
        self, cosines: torch.Tensor, labels: torch.Tensor, _index: torch.Tensor | None, _sharded: bool, /
    ) -> torch.Tensor:
        target = gather_target(cosines, labels) - self.margin
        return replace_target(cosines, labels, target).mul_(self.scale)


class AdaMargin(CosineMargin):
    """AdaFace (Kim et al. 2022, equations 11 to 14): a margin that follows the quality of the picture.

    With z = (|x| - mean) / deviation, brought to [-1, 1] after multiplication by h, the target becomes
    cos(theta + g_angle) - g_add with g_angle = -m z and g_add = m z + m. Mean and deviation of the norms are moving
    averages over global batches, updated once a forward pass, before use, in training mode only. z carries no gradient.
    theta + g_angle is clipped to [1e-3, pi - 1e-3].

    Parameters
    ----------
    scale, margin : float
        s, and m in radians, [0, pi / 2].
    concentration : float
        h.
    momentum : float
        alpha in mean <- alpha batch + (1 - alpha) mean; the default is that of the public training script.
    group : see `facekit_bcl.margin.CosineMargin`.

    Attributes
    ----------
    norm_mean, norm_deviation : () float64 buffers
        20 and 100 at the start, as in the public code.
    """

    norm_mean: torch.Tensor
    norm_deviation: torch.Tensor
    takes_norms = True

    def __init__(
        self,
        scale: float = 64.0,
        margin: float = 0.4,
        concentration: float = 0.333,
        momentum: float = 0.01,
        group: Group | None = None,
    ) -> None:
        super().__init__(scale, group)
        if not concentration > 0 or not 0 <= momentum <= 1:
            raise ConfigError(f"concentration {concentration} must be above 0 and momentum {momentum} in [0, 1]")
        self.margin = checked_margin(margin)
        self.concentration, self.momentum = float(concentration), float(momentum)
        self.register_buffer("norm_mean", torch.tensor(START_MEAN, dtype=torch.float64))
        self.register_buffer("norm_deviation", torch.tensor(START_DEVIATION, dtype=torch.float64))
        self._quality: tuple[torch.Tensor, ...] = ()

    def forward(
        self,
        cosines: torch.Tensor,
        labels: torch.Tensor,
        class_index: torch.Tensor | None = None,
        sharded: bool | None = None,
        norms: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits from cosines and the norms of the embeddings.

        Parameters
        ----------
        cosines, labels, class_index, sharded : see `facekit_bcl.margin.CosineMargin.forward`.
        norms : (B,) floating tensor
            Before normalisation.

        Raises
        ------
        ConfigError
            No norms, or another number of them.
        """
        if norms is None or norms.shape != cosines.shape[:1]:
            found = "none" if norms is None else str(tuple(norms.shape))
            raise ConfigError(f"norms are {found}; AdaFace needs the norm of each of {len(cosines)} embeddings")
        with no_autocast(norms), torch.no_grad():
            safe = at_least_float32(norms.detach()).clamp(SMALLEST, LARGEST)
            if self.training:
                self._update(safe, self._is_sharded(class_index) if sharded is None else sharded)
            spread = (self.norm_deviation + EPS).to(safe.dtype)
            self._quality = (((safe - self.norm_mean.to(safe.dtype)) / spread * self.concentration).clamp(-1, 1),)
        try:
            return super().forward(cosines, labels, class_index, sharded)
        finally:
            self._quality = ()

    def _logits(
        self, cosines: torch.Tensor, labels: torch.Tensor, _index: torch.Tensor | None, _sharded: bool, /
    ) -> torch.Tensor:
        quality = self._quality[0].to(cosines.dtype)
        own, angle = gather_target(cosines, labels).clamp(EPS - 1, 1 - EPS), -self.margin * quality
        reached = own.detach().acos() + angle
        moved = shifted_cosine(own, angle)
        # Beyond the ends the angle stays there, and has no gradient.
        moved = torch.where(reached < EPS, math.cos(EPS), torch.where(reached > math.pi - EPS, -math.cos(EPS), moved))
        return replace_target(cosines, labels, moved - self.margin * (1 + quality)).mul_(self.scale)

    @torch.no_grad()
    def _update(self, norms: torch.Tensor, sharded: bool) -> None:
        """Take in a batch: mean, and standard deviation with n - 1 in the denominator."""
        valid = norms.isfinite()
        known = norms.double().where(valid, 0.0)
        sums = torch.stack([valid.double().sum(), known.sum(), known.square().sum()])
        if not sharded:  # otherwise every process already has the whole batch
            all_sum(sums, self.group)
        count, total, squares = sums
        mean = total / count.clamp(min=1)
        variance = ((squares - count * mean.square()) / (count - 1).clamp(min=1)).clamp(min=0)
        enough = count > 1
        for buffer, value in ((self.norm_mean, mean), (self.norm_deviation, variance.sqrt())):
            buffer.copy_(torch.where(enough, self.momentum * value + (1 - self.momentum) * buffer, buffer))
