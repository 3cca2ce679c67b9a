"""The divergences against torch.distributions, loops and complex steps; xi's shape; the mutants they must catch."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import facekit_maskdul.uncertainty as subject
import margin_reference as reference
import numpy as np
import pytest
import torch
from facekit_maskdul import (
    MagnitudeMargin,
    UncertaintyLoss,
    constraint_factor,
    draw,
    hard_kl_divergence,
    kl_divergence,
    sigma,
)
from facekit_maskdul.plugin import PLUGIN, MaskdulConfig
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal
from torch.nn import functional

from facekit.errors import ConfigError
from facekit.train.recipe import read_settings

torch.set_num_threads(1)
ROWS, DIMENSIONS = 6, 8
SIGMA_BOUNDS, XI_BOUNDS = (1.5, 4.0), (0.5, 1.0)
FLAGS = np.array([0, 1, 1, 1, 0, 1])


def problem() -> tuple[np.ndarray, np.ndarray]:
    """mu and log-variance; |sigma| of the masked rows below, inside (two) and above the bounds."""
    rng = np.random.default_rng(5)
    mu = rng.normal(size=(ROWS, DIMENSIONS))
    level = np.array([0.3, -2.5, -0.6, 0.1, -9.9, 2.5])[:, None]
    return mu, level + 0.1 * rng.normal(size=(ROWS, DIMENSIONS))


def xi_of(log_variance: np.ndarray, flag: int) -> float:
    if not flag:
        return 1.0
    norm = math.sqrt(sum(math.exp(v) for v in np.clip(log_variance.real, -10, 10)))
    low, high = SIGMA_BOUNDS
    return 1.0 - 0.5 * (norm - low) / (high - low) if low <= norm < high else 1.0


def loop(mu: np.ndarray, log_variance: np.ndarray, reduction: str) -> complex:
    total, xi = 0j, [xi_of(v, f) for v, f in zip(problem()[1], FLAGS, strict=True)]
    for row, (means, variances) in enumerate(zip(mu, log_variance, strict=True)):
        for m, v in zip(means, variances, strict=True):
            logv = v if -10 <= v.real <= 10 else complex(math.copysign(10, v.real))
            variance = cmath.exp(logv)
            square = xi[row] ** 2
            total -= 0.5 * (1 + logv - math.log(square) - m * m / square - variance / square)
    return total / (mu.size if reduction == "mean" else len(mu))


def check(reduction: str = "sum", dtype: torch.dtype = torch.float64, tolerance: tuple[float, float] = (1e-9, 1e-9)) -> None:  # fmt: skip # noqa: E501
    arrays = problem()
    leaves = [torch.tensor(a, dtype=dtype, requires_grad=True) for a in arrays]
    ours = hard_kl_divergence(*leaves, torch.from_numpy(FLAGS), SIGMA_BOUNDS, XI_BOUNDS, reduction)
    ours.backward()
    expected = loop(*map(np.asarray, arrays), reduction).real
    assert abs(ours.item() - expected) < tolerance[0] * max(1, abs(expected))
    mu, log_variance = arrays
    slopes = (
        reference.gradient(lambda p: loop(p, log_variance, reduction), mu),
        reference.gradient(lambda p: loop(mu, p, reduction), log_variance),
    )
    for leaf, slope in zip(leaves, slopes, strict=True):
        assert np.abs(leaf.grad.numpy() - slope).max() < tolerance[1] * max(1, np.abs(slope).max())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_hard_kl_equals_the_loop(reduction: str) -> None:
    check(reduction)
    check(reduction, torch.float32, (2e-5, 2e-4))


def test_xi_with_a_gradient_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    check()
    monkeypatch.setattr(subject, "_prior", subject._prior.__wrapped__)
    with pytest.raises(AssertionError):
        check()


def test_sigma_clamped_at_one_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    clamped = subject._clamped
    monkeypatch.setattr(subject, "_clamped", lambda v: clamped(v).clamp(max=0))
    with pytest.raises(AssertionError):
        check()
    with pytest.raises(AssertionError):
        test_sigma_is_the_standard_deviation()


def test_sigma_is_the_standard_deviation() -> None:
    given = sigma(torch.tensor([-30.0, -10, 0, 2, 10, 30], dtype=torch.float64))
    assert torch.allclose(given, torch.tensor([-5.0, -5, 0, 1, 5, 5], dtype=torch.float64).exp(), rtol=1e-12)


@pytest.mark.parametrize("flag", [0, 1])
def test_hard_kl_equals_torch_distributions(flag: int) -> None:
    mu, log_variance = map(torch.from_numpy, problem())
    deviation = (log_variance.clamp(-10, 10) / 2).exp()  # one row lies beyond
    xi = constraint_factor(deviation.norm(dim=1), SIGMA_BOUNDS, XI_BOUNDS) if flag else torch.ones(ROWS).double()
    expected = torch.distributions.kl_divergence(Normal(mu, deviation), Normal(torch.zeros(1).double(), xi[:, None]))
    ours = hard_kl_divergence(mu, log_variance, torch.full((ROWS, 1), flag), SIGMA_BOUNDS, XI_BOUNDS)
    assert abs(ours.item() - expected.sum(1).mean().item()) < 1e-11
    if not flag:
        assert torch.equal(kl_divergence(mu, log_variance), ours)


def test_constraint_factor_at_the_papers_bounds() -> None:
    norms = torch.tensor([0.0, 9.999, 10, 17.5, 24.999999, 25, 100], dtype=torch.float64)
    assert constraint_factor(norms).tolist() == pytest.approx([1, 1, 1, 0.75, 0.5, 1, 1], abs=1e-6)


@given(st.floats(0, 200), st.floats(0.1, 50), st.floats(0.1, 50), st.floats(0.01, 1), st.floats(0.01, 1))
def test_constraint_factor_stays_in_its_bounds(
    norm: float, low: float, width: float, least: float, more: float
) -> None:
    xi = constraint_factor(torch.tensor(norm, dtype=torch.float64), (low, low + width), (least, least + more)).item()
    assert least - 1e-12 <= xi <= least + more + 1e-12
    if norm < low or norm >= low + width:
        assert xi == pytest.approx(least + more)


def test_the_bounds_are_never_rescaled() -> None:
    """|sigma| = 16 in 64 dimensions lies inside (10, 25) as it is; scaled by sqrt(64 / 512) it would not."""
    log_variance = torch.full((1, 64), 2 * math.log(2.0), dtype=torch.float64)
    ours = hard_kl_divergence(torch.zeros(1, 64).double(), log_variance, torch.tensor([True]), reduction="mean")
    xi = 1 - 0.5 * 6 / 15
    expected = 0.5 * (4 / xi**2 - 1 - math.log(4) + 2 * math.log(xi))
    assert ours.item() == pytest.approx(expected, abs=1e-12)


def test_autocast_and_extremes_stay_finite() -> None:
    mu, log_variance = (torch.tensor(a, dtype=torch.bfloat16) for a in problem())
    flags = torch.from_numpy(FLAGS)
    plain = hard_kl_divergence(mu.float(), log_variance.float(), flags)
    with torch.autocast("cpu", torch.bfloat16):
        ours = hard_kl_divergence(mu, log_variance, flags)
        assert draw(mu, log_variance).dtype == torch.float32
    assert ours.dtype == torch.float32
    assert torch.equal(ours, plain)
    extreme = torch.tensor([[1e4, -1e4, 0, 0]], requires_grad=True)
    hard_kl_divergence(extreme, extreme, torch.tensor([1])).backward()
    assert torch.isfinite(extreme.grad).all()
    assert hard_kl_divergence(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.bool)).item() == 0


def test_draw_has_the_mean_and_deviation() -> None:
    mu, log_variance = torch.tensor([[2.0, -1.0]]).expand(40000, 2), torch.tensor([[0.0, 2.0]]).expand(40000, 2)
    drawn = draw(mu, log_variance, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.mean(0), mu[0], atol=0.05)
    assert torch.allclose(drawn.std(0), sigma(log_variance[0]), rtol=0.02)
    assert not torch.equal(drawn, draw(mu, log_variance))
    leaf = torch.zeros(3, 2, requires_grad=True)
    draw(torch.zeros(3, 2), leaf, torch.Generator().manual_seed(0)).sum().backward()
    assert leaf.grad.abs().min() > 0


def slopes_on_the_log_variance(reduction: str, sigma_start: float, dimensions: int = 512) -> tuple[float, float]:
    """Norms of the gradients of the cross-entropy and of lambda KL, at embeddings that are near their classes."""
    generator = torch.Generator().manual_seed(0)
    labels, weight = torch.arange(64) % 16, torch.randn(16, dimensions, generator=generator)
    mu = functional.normalize(weight[labels] + 1.5 * torch.randn(64, dimensions, generator=generator)) * 25
    log_variance = torch.full((64, dimensions), 2 * math.log(sigma_start), requires_grad=True)
    loss = UncertaintyLoss(MagnitudeMargin(), reduction=reduction)
    logits, _ = loss.margin(draw(mu, log_variance, generator), weight, labels)
    (classification,) = torch.autograd.grad(functional.cross_entropy(logits, labels), log_variance)
    (divergence,) = torch.autograd.grad(loss.divergence(mu, log_variance, labels % 2 == 0), log_variance)
    return float(classification.norm()), float(divergence.norm())


@pytest.mark.parametrize("sigma_start", [0.3, 0.6])
def test_only_the_sum_over_dimensions_gives_the_divergence_a_say(sigma_start: float) -> None:
    """A mean over D dimensions divides the gradient by D exactly, and what is left of it is no thousandth."""
    classification, by_sum = slopes_on_the_log_variance("sum", sigma_start)
    _, by_mean = slopes_on_the_log_variance("mean", sigma_start)
    assert by_sum / by_mean == pytest.approx(512, rel=1e-4)
    assert 0.01 < by_sum / classification < 1
    assert by_mean / classification < 2e-3
    assert MaskdulConfig().reduction == "sum"
    for recipe in PLUGIN.recipes:
        assert read_settings(PLUGIN, recipe).plugin.reduction == "sum"


def test_masked_faces_are_drawn_to_the_smaller_sigma() -> None:
    """Between xi and 1 the divergence pushes sigma down for a masked face and up for a bare one, to xi and to 1."""
    dimensions, norm = 512, 17.5  # xi is .75 there
    for wide, masked, sign in ((norm, True, 1), (norm, False, -1)):
        log_variance = torch.full((1, dimensions), 2 * math.log(wide / math.sqrt(dimensions)), dtype=torch.float64)
        log_variance.requires_grad_()
        hard_kl_divergence(torch.zeros(1, dimensions).double(), log_variance, torch.tensor([masked])).backward()
        assert log_variance.grad is not None
        assert (sign * log_variance.grad > 0).all()


def test_the_loss_is_the_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    mu, log_variance, weight = 20 * torch.randn(5, 8), torch.randn(5, 8), torch.randn(7, 8)
    flags, labels = torch.tensor([0, 1, 0, 1, 1]), torch.tensor([0, 3, 6, 2, 2])
    margin = MagnitudeMargin()
    for hard in (True, False):
        loss = UncertaintyLoss(margin, hard=hard)
        ours = loss(mu, log_variance, flags, weight, labels, torch.Generator().manual_seed(4))
        logits, regularizer = margin(draw(mu, log_variance, torch.Generator().manual_seed(4)), weight, labels)
        divergence = hard_kl_divergence(mu, log_variance, flags) if hard else kl_divergence(mu, log_variance)
        expected = functional.cross_entropy(logits, labels) + regularizer + 0.01 * divergence
        assert torch.allclose(ours, expected)
        logits, regularizer = margin(mu, weight, labels)
        still = functional.cross_entropy(logits, labels) + regularizer + 0.01 * divergence
        assert torch.allclose(loss.eval()(mu, log_variance, flags, weight, labels), still)


TWO = torch.zeros(2, 3)
BAD = [
    (lambda: hard_kl_divergence(TWO, torch.zeros(2, 4), torch.tensor([0, 1])), "same"),
    (lambda: hard_kl_divergence(TWO, TWO, torch.tensor([0])), "mask_flag must be 2"),
    (lambda: hard_kl_divergence(TWO, TWO, torch.tensor([0.0, 1.0])), "float32"),
    (lambda: hard_kl_divergence(TWO, TWO, torch.tensor([0, 1]), reduction="none"), "'none'"),
    (lambda: hard_kl_divergence(TWO, TWO, torch.tensor([0, 1]), (25, 10)), "sigma_bounds"),
    (lambda: constraint_factor(torch.zeros(1), xi_bounds=(0, 1)), "xi_bounds"),
    (lambda: UncertaintyLoss(MagnitudeMargin(), kl_weight=-1), "kl_weight"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()
