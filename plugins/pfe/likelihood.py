"""The mutual likelihood score, and the loss that is made of it (Shi and Jain 2019, equations 3 and 4)."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from facekit.errors import ConfigError
from facekit.train.angular import at_least_float32, no_autocast

__all__ = ["SMALLEST_VARIANCE", "genuine_loss", "log_variance_of", "mutual_likelihood_score"]

SMALLEST_VARIANCE = 1e-6


def log_variance_of(raw: torch.Tensor) -> torch.Tensor:
    """log(1e-6 + exp(raw)): the log-variance, with the floor that the public code gives the variance.

    Parameters
    ----------
    raw : floating tensor of any shape
    """
    floor = math.log(SMALLEST_VARIANCE)
    return floor + functional.softplus(raw - floor)


def mutual_likelihood_score(
    mu: torch.Tensor, log_variance: torch.Tensor, other_mu: torch.Tensor, other_log_variance: torch.Tensor
) -> torch.Tensor:
    """How likely it is that two pictures show one point of the latent space: the log of the integral of both densities.

    s = -1/2 sum_l [ (mu_l - mu'_l)^2 / (sigma_l^2 + sigma'_l^2) + log(sigma_l^2 + sigma'_l^2) ] - D/2 log(2 pi)

    Parameters
    ----------
    mu, log_variance, other_mu, other_log_variance : (..., D) floating tensors
        Of shapes that broadcast. In the paper mu has unit norm.

    Returns
    -------
    score : (...) float32 (or float64) tensor
    """
    with no_autocast(mu):
        left, right = at_least_float32(mu), at_least_float32(other_mu)
        log_sum = torch.logaddexp(at_least_float32(log_variance), at_least_float32(other_log_variance))
        terms = (left - right).square() * (-log_sum).exp() + log_sum
        return -0.5 * terms.sum(-1) - 0.5 * terms.shape[-1] * math.log(2 * math.pi)


def genuine_loss(
    mu: torch.Tensor, log_variance: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Minus the mean score of all pairs of one person in a batch, and how many there are.

    Parameters
    ----------
    mu, log_variance : (B, D) floating tensors
    labels : (B,) int64 tensor

    Returns
    -------
    loss, pairs : () tensors
        Without a pair the loss is 0, and depends on what it is given, as DistributedDataParallel needs.

    Raises
    ------
    ConfigError
        Shapes that do not belong together.
    """
    if mu.shape != log_variance.shape or mu.ndim != 2 or labels.shape != mu.shape[:1]:
        shapes = " and ".join(str(tuple(one.shape)) for one in (mu, log_variance, labels))
        raise ConfigError(f"mu, log_variance and labels are {shapes}; they must be (B, D), (B, D) and (B,)")
    first, second = torch.triu_indices(len(mu), len(mu), 1, device=mu.device)
    keep = labels[first] == labels[second]
    first, second = first[keep], second[keep]
    scores = mutual_likelihood_score(mu[first], log_variance[first], mu[second], log_variance[second])
    pairs = keep.sum()
    return -scores.sum() / pairs.clamp(min=1) + 0 * at_least_float32(log_variance).sum(), pairs
