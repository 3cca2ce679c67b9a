"""Embeddings as normal distributions: drawing from them, and the divergences that keep them honest.

The paper's code was not to be found; where its text is silent (the clamp of the log-variance, the side of the bound
at u_sigma, that xi carries no gradient, the sum over dimensions) what is written here is facekit's decision. With the
mean over dimensions lambda = .01 switches the divergence off: its gradient is 1/1600 of the cross-entropy's.
"""

from __future__ import annotations

import torch
from facekit_maskdul.magnitude import MagnitudeMargin
from torch import nn
from torch.nn import functional

from facekit.errors import ConfigError
from facekit.train.angular import at_least_float32, no_autocast

__all__ = ["UncertaintyLoss", "constraint_factor", "draw", "hard_kl_divergence", "kl_divergence", "sigma"]

Bounds = tuple[float, float]
LOG_VARIANCE_LIMIT = 10.0


def _clamped(log_variance: torch.Tensor) -> torch.Tensor:
    return at_least_float32(log_variance).clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)


def sigma(log_variance: torch.Tensor) -> torch.Tensor:
    """The standard deviation, exp(log_variance / 2) with the log-variance clamped to [-10, 10]; never to 1.

    Parameters
    ----------
    log_variance : floating tensor of any shape

    Returns
    -------
    sigma : float32 (or float64) tensor of the same shape
    """
    return (0.5 * _clamped(log_variance)).exp()


def draw(mu: torch.Tensor, log_variance: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """One embedding from each distribution (equation 1): mu + eps sigma with fresh standard normal eps.

    Parameters
    ----------
    mu, log_variance : (B, D) floating tensors
    generator : torch.Generator or None
        On the tensors' device; None: torch's own.

    Returns
    -------
    embeddings : (B, D) float32 (or float64) tensor
    """
    with no_autocast(mu):
        mean = at_least_float32(mu)
        noise = torch.empty_like(mean, requires_grad=False).normal_(generator=generator)
        return mean + noise * sigma(log_variance).to(mean.dtype)


def constraint_factor(
    sigma_norm: torch.Tensor, sigma_bounds: Bounds = (10.0, 25.0), xi_bounds: Bounds = (0.5, 1.0)
) -> torch.Tensor:
    """xi = h(|sigma|), the standard deviation of the prior of a masked face.

    Linear from u_xi at l_sigma down to l_xi toward u_sigma; u_xi below l_sigma, and at and above u_sigma.

    Parameters
    ----------
    sigma_norm : floating tensor
        Euclidean norm of sigma over its dimensions.
    sigma_bounds : (l_sigma, u_sigma)
        Presume 512 dimensions; another D calls for bounds scaled by sqrt(D / 512), which is the caller's to do.
    xi_bounds : (l_xi, u_xi)
    """
    (low, high), (least, most) = _ordered("sigma_bounds", sigma_bounds), _ordered("xi_bounds", xi_bounds)
    falling = most - (most - least) * (sigma_norm - low) / (high - low)
    return torch.where((sigma_norm >= low) & (sigma_norm < high), falling, most)


def kl_divergence(mu: torch.Tensor, log_variance: torch.Tensor, reduction: str = "sum") -> torch.Tensor:
    """KL(N(mu, sigma^2) || N(0, 1)), the regularizer of DUL (Chang et al. 2020; equation 2).

    Parameters and result as `hard_kl_divergence` for faces without a mask.
    """
    faces = torch.zeros(len(mu), dtype=torch.bool, device=mu.device)
    return hard_kl_divergence(mu, log_variance, faces, reduction=reduction)


def hard_kl_divergence(
    mu: torch.Tensor,
    log_variance: torch.Tensor,
    mask_flag: torch.Tensor,
    sigma_bounds: Bounds = (10.0, 25.0),
    xi_bounds: Bounds = (0.5, 1.0),
    reduction: str = "sum",
) -> torch.Tensor:
    """KL(N(mu, sigma^2) || N(0, xi^2)), with xi = 1 for faces and h(|sigma|) for masked faces.

    Parameters
    ----------
    mu, log_variance : (B, D) floating tensors
        Computed in float32 (or float64) even under autocast.
    mask_flag : (B,) or (B, 1) bool or integer tensor
        0 for a face, 1 for a masked face.
    sigma_bounds, xi_bounds : see `constraint_factor`.
        xi carries no gradient.
    reduction : {"sum", "mean"}
        "sum": over dimensions, then the mean over the batch. "mean": over dimensions and batch.

    Returns
    -------
    divergence : () tensor
        0 for an empty batch.
    """
    masked = _checked_flags(mu, log_variance, mask_flag)
    if reduction not in ("mean", "sum"):
        raise ConfigError(f"reduction is {reduction!r}; allowed are 'mean' and 'sum'")
    with no_autocast(mu):
        mean, log_squared = at_least_float32(mu), _clamped(log_variance)
        xi = _prior(log_squared, masked, sigma_bounds, xi_bounds)[:, None]
        ratio = (mean.square() + log_squared.exp()) / xi.square()
        terms = 0.5 * (ratio - 1 - log_squared + 2 * xi.log())
        count = len(terms) if reduction == "sum" else terms.numel()
        return terms.sum() / max(count, 1)


@torch.no_grad()
def _prior(log_variance: torch.Tensor, masked: torch.Tensor, sigma_bounds: Bounds, xi_bounds: Bounds) -> torch.Tensor:
    norm = torch.linalg.vector_norm((0.5 * log_variance).exp(), dim=1)
    return constraint_factor(norm, sigma_bounds, xi_bounds).where(masked, 1.0)


class UncertaintyLoss(nn.Module):
    """The loss of MaskDUL and of what the paper compares it with: a margin on a drawn embedding, plus a divergence.

    MaskDUL is ``UncertaintyLoss(MagnitudeMargin())``; DUL + magnitude the same with ``hard=False``; DUL-cls
    (equations 1 and 2) ``UncertaintyLoss(MagnitudeMargin(margin_bounds=(.5, .5), lambda_g=0), hard=False)``.

    Parameters
    ----------
    margin : MagnitudeMargin
    kl_weight : float
        lambda, not negative.
    hard : bool
        The prior of masked faces is tightened (`hard_kl_divergence`); False: a unit normal for all.
    sigma_bounds, xi_bounds, reduction : see `hard_kl_divergence`.
    """

    def __init__(
        self,
        margin: MagnitudeMargin,
        kl_weight: float = 0.01,
        hard: bool = True,
        sigma_bounds: Bounds = (10.0, 25.0),
        xi_bounds: Bounds = (0.5, 1.0),
        reduction: str = "sum",
    ) -> None:
        super().__init__()
        if not kl_weight >= 0:
            raise ConfigError(f"kl_weight is {kl_weight}; it must not be negative")
        self.margin: MagnitudeMargin = margin
        self.kl_weight, self.hard = float(kl_weight), hard
        self.sigma_bounds, self.xi_bounds = _ordered("sigma_bounds", sigma_bounds), _ordered("xi_bounds", xi_bounds)
        self.reduction = reduction

    def divergence(self, mu: torch.Tensor, log_variance: torch.Tensor, mask_flag: torch.Tensor) -> torch.Tensor:
        """The divergence times its weight.

        Parameters
        ----------
        mu, log_variance : (B, D) floating tensors
        mask_flag : (B,) bool or integer tensor

        Returns
        -------
        divergence : () tensor
        """
        flag = mask_flag if self.hard else torch.zeros_like(mask_flag)
        bounds = (self.sigma_bounds, self.xi_bounds)
        return self.kl_weight * hard_kl_divergence(mu, log_variance, flag, *bounds, reduction=self.reduction)

    def forward(
        self,
        mu: torch.Tensor,
        log_variance: torch.Tensor,
        mask_flag: torch.Tensor,
        weight: torch.Tensor,
        labels: torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """The whole loss, (), with all classes in this process. In evaluation mode mu stands for the drawn embedding.

        Parameters
        ----------
        mu, log_variance : (B, D); mask_flag : (B,); weight : (C, D); labels : (B,) int64
        generator : see `draw`.
        """
        embeddings = draw(mu, log_variance, generator) if self.training else mu
        logits, regularizer = self.margin(embeddings, weight, labels)
        classification = functional.cross_entropy(logits, labels.reshape(-1))
        return classification + regularizer + self.divergence(mu, log_variance, mask_flag)


def _ordered(name: str, bounds: Bounds) -> Bounds:
    if not 0 < bounds[0] < bounds[1]:
        raise ConfigError(f"{name} are {bounds}; they must satisfy 0 < lower < upper")
    return bounds


def _checked_flags(mu: torch.Tensor, log_variance: torch.Tensor, mask_flag: torch.Tensor) -> torch.Tensor:
    if mu.ndim != 2 or mu.shape != log_variance.shape:
        raise ConfigError(f"mu {tuple(mu.shape)} and log_variance {tuple(log_variance.shape)} must be the same (B, D)")
    if mask_flag.shape not in ((len(mu),), (len(mu), 1)) or mask_flag.is_floating_point():
        given = f"{tuple(mask_flag.shape)} {mask_flag.dtype}"
        raise ConfigError(f"mask_flag must be {len(mu)} booleans or integers, not {given}")
    return mask_flag.reshape(-1).bool()
