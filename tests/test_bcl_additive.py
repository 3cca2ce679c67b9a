"""CosFace and AdaFace against their public formulas in float64, written with arc cosines and loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from facekit_bcl import AdaMargin, ArcMargin, CosMargin
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from facekit.errors import ConfigError
from facekit.train.plugin import PackFacts, load_plugin
from facekit.train.recipe import read_settings

torch.set_num_threads(1)
seeds = st.integers(0, 2**32)
EPS = 1e-3


def problem(seed: int, rows: int = 6, classes: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines, labels and norms; some targets near the ends, some norms beyond the clip."""
    rng = np.random.default_rng(seed)
    cosines, labels = rng.uniform(-0.95, 0.95, (rows, classes)), rng.integers(0, classes, rows)
    cosines[0, labels[0]], cosines[1, labels[1]] = 0.99999, -0.99999
    norms = rng.uniform(1, 60, rows)
    norms[2], norms[3] = 300.0, 1e-6
    return cosines, labels, norms


def cosface(c: np.ndarray, y: np.ndarray, s: float, m: float) -> float:
    """L = -1/N sum log( e^{s (cos y - m)} / (e^{s (cos y - m)} + sum_{j != y} e^{s cos j}) )."""
    total = 0.0
    for row, label in zip(c, y, strict=True):
        own = math.exp(s * (row[label] - m))
        rest = sum(math.exp(s * row[j]) for j in range(len(row)) if j != label)
        total -= math.log(own / (own + rest))
    return total / len(c)


def adaface_logits(
    c: np.ndarray, y: np.ndarray, z: np.ndarray, s: float, m: float, h: float, mean: float, deviation: float
) -> np.ndarray:
    """The head of the public code, entry by entry."""
    out = np.empty_like(c)
    for i, row in enumerate(c):
        quality = min(1.0, max(-1.0, h * (min(max(z[i], 1e-3), 100.0) - mean) / (deviation + EPS)))
        for j, value in enumerate(row):
            if j == y[i]:
                theta = math.acos(min(max(value, EPS - 1), 1 - EPS))
                theta = min(max(theta - m * quality, EPS), math.pi - EPS)
                out[i, j] = s * (math.cos(theta) - (m + m * quality))
            else:
                out[i, j] = s * value
    return out


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0, 0.6), st.floats(1, 40))
def test_cosface_is_its_formula(seed: int, margin: float, scale: float) -> None:
    c, y, _ = problem(seed)
    cosines, labels = torch.tensor(c, requires_grad=True), torch.from_numpy(y)
    loss = functional.cross_entropy(CosMargin(scale, margin)(cosines, labels), labels)
    assert loss.item() == pytest.approx(cosface(c, y, scale, margin), rel=1e-9)
    loss.backward()
    step = 1e-6
    for i, j in ((0, y[0]), (2, (y[2] + 1) % 9)):
        up, down = c.copy(), c.copy()
        up[i, j] += step
        down[i, j] -= step
        wanted = (cosface(up, y, scale, margin) - cosface(down, y, scale, margin)) / (2 * step)
        assert cosines.grad is not None
        assert cosines.grad[i, j].item() == pytest.approx(wanted, abs=1e-4, rel=1e-4)


def test_golden_values_of_cosface() -> None:
    """Worked out by hand: s = 2, m = .25, cosines (.5, 0): logits (.5, 0), loss log(1 + e^-.5)."""
    loss = functional.cross_entropy(
        CosMargin(2, 0.25)(torch.tensor([[0.5, 0.0]]).double(), torch.tensor([0])), torch.tensor([0])
    )
    assert loss.item() == pytest.approx(0.4740769841801067, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0.1, 0.7), st.floats(0.1, 2))
def test_adaface_is_its_public_head(seed: int, margin: float, concentration: float) -> None:
    c, y, z = problem(seed)
    head = AdaMargin(64, margin, concentration, 0.3).double()
    mean, deviation = 20.0, 100.0
    for _ in range(3):
        safe = z.clip(1e-3, 100)
        mean, deviation = 0.3 * safe.mean() + 0.7 * mean, 0.3 * safe.std(ddof=1) + 0.7 * deviation
        found = head(torch.from_numpy(c), torch.from_numpy(y), norms=torch.from_numpy(z))
        wanted = adaface_logits(c, y, z, 64, margin, concentration, mean, deviation)
        np.testing.assert_allclose(found, wanted, atol=1e-9)
        assert (head.norm_mean.item(), head.norm_deviation.item()) == pytest.approx((mean, deviation))
        z = np.roll(z, 1) + 1
    head.eval()
    head(torch.from_numpy(c), torch.from_numpy(y), norms=torch.from_numpy(z))
    assert head.norm_mean.item() == pytest.approx(mean), "training mode only"


def test_golden_values_of_adaface() -> None:
    """z = (30 - 20) / (10 + .001), h = .5: quality .49995...; theta = 60 degrees, m = .4."""
    head = AdaMargin(64, 0.4, 0.5, 0.0).double()
    head.norm_deviation.fill_(10.0)
    found = head(
        torch.tensor([[0.5, 0.1]], dtype=torch.float64), torch.tensor([0]), norms=torch.tensor([30.0]).double()
    )
    quality = 0.5 * 10 / 10.001
    wanted = 64 * (math.cos(math.pi / 3 - 0.4 * quality) - 0.4 - 0.4 * quality)
    assert found[0].tolist() == pytest.approx([wanted, 6.4], abs=1e-10)


def test_gradients_of_adaface_are_those_of_the_formula() -> None:
    """By finite differences; the quality carries none, and a target at the end of its range has none."""
    c, y, z = problem(5)
    head = AdaMargin(16, 0.4, 0.333).eval()
    cosines, norms = torch.tensor(c, requires_grad=True), torch.tensor(z, requires_grad=True)
    labels = torch.from_numpy(y)
    functional.cross_entropy(head(cosines, labels, norms=norms), labels).backward()
    assert norms.grad is None

    def loss(point: np.ndarray) -> float:
        logits = adaface_logits(point, y, z, 16, 0.4, 0.333, 20.0, 100.0)
        highest = logits.max(1)
        sums = highest + np.log(np.exp(logits - highest[:, None]).sum(1))
        return float((sums - logits[np.arange(len(y)), y]).mean())

    for i in range(len(c)):
        for j in range(c.shape[1]):
            up, down = c.copy(), c.copy()
            up[i, j] += 1e-6
            down[i, j] -= 1e-6
            wanted = (loss(up) - loss(down)) / 2e-6
            assert cosines.grad[i, j].item() == pytest.approx(wanted, abs=1e-5, rel=1e-4), (i, j)


def test_without_quality_adaface_is_a_margin_of_cosine() -> None:
    """At the mean norm: cos(theta) - m, CosFace; quality -1: ArcFace's cos(theta + m)."""
    c, y, _ = problem(3)
    c = c.clip(-0.8, 0.8)
    cosines, labels = torch.from_numpy(c), torch.from_numpy(y)
    head = AdaMargin(64, 0.4, 0.333).eval()
    plain = head(cosines, labels, norms=torch.full((6,), 20.0, dtype=torch.float64))
    torch.testing.assert_close(plain, CosMargin(64, 0.4)(cosines, labels))
    head.norm_deviation.fill_(0.1)
    low = head(cosines, labels, norms=torch.full((6,), 1.0, dtype=torch.float64))
    torch.testing.assert_close(low, ArcMargin(64, 0.4)(cosines, labels))


def test_half_precision_and_what_cannot_be() -> None:
    c, y, z = problem(1)
    labels = torch.from_numpy(y)
    with torch.autocast("cpu", torch.bfloat16):
        found = AdaMargin()(torch.tensor(c).bfloat16(), labels, norms=torch.tensor(z).bfloat16())
        assert found.dtype == torch.float32
        assert CosMargin()(torch.tensor(c).bfloat16(), labels).dtype == torch.float32
    head = AdaMargin()
    head(torch.tensor(c), labels, norms=torch.tensor([np.inf, 10, 20, 30, 10, 20.0]))
    assert head.norm_mean.isfinite()
    before = head.norm_mean.clone()
    head(torch.tensor(c[:1]), labels[:1], norms=torch.tensor([5.0]))
    assert torch.equal(head.norm_mean, before), "one image has no deviation"
    for bad in (
        lambda: CosMargin(64, 1.5),
        lambda: AdaMargin(64, 2.0),
        lambda: AdaMargin(64, 0.4, 0.0),
        lambda: AdaMargin(64, 0.4, 0.3, 2.0),
        lambda: AdaMargin()(torch.tensor(c), labels),
        lambda: AdaMargin()(torch.tensor(c), labels, norms=torch.ones(2)),
    ):
        with pytest.raises(ConfigError):
            bad()


@pytest.mark.parametrize("recipe", ["cosface", "adaface", "cosface-small", "adaface-small"])
def test_recipes_build_what_they_say(recipe: str) -> None:
    plugin: Any = load_plugin("bcl")
    config = read_settings(plugin, recipe).plugin
    head = plugin.build_head(config, PackFacts(np.array([3, 4]), (112, 112)))
    assert isinstance(head, CosMargin if recipe.startswith("cosface") else AdaMargin)
    assert (head.scale, head.margin) == (config.scale, config.margin)
    with torch.device("meta"):
        plugin.build_network(config, PackFacts(np.array([3, 4]), (112, 112)))


@pytest.mark.parametrize("recipe", ["cosface-small", "adaface-small"])
def test_they_train(recipe: str, tmp_path: Any) -> None:
    from train_packs import QUICK, pattern_pack

    from facekit.jobs.train.config import TrainConfig
    from facekit.jobs.train.job import train

    pack = pattern_pack(tmp_path / "pack")
    for more in ((), ("sample_rate=.5", "precision=bf16")):
        out = str(tmp_path / f"run{len(more)}")
        run = train(TrainConfig("bcl", str(pack), out, recipe, (*QUICK, "max_steps=3", *more)), warn=str)
        assert np.isfinite(run.values["loss"])
        assert ("norm_mean" in run.values) == recipe.startswith("adaface")
