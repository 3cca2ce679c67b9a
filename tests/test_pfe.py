"""Probabilistic Face Embeddings: the score against its definition as an integral, the frozen backbone, the pairs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from facekit_pfe import PfeNetwork, genuine_loss, log_variance_of, mutual_likelihood_score
from hypothesis import given, settings
from hypothesis import strategies as st
from train_packs import QUICK, pattern_pack

from facekit.errors import ConfigError
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.export import ExportConfig, export
from facekit.jobs.train.job import train
from facekit.train.backbones import backbone
from facekit.train.config import LoopConfig
from facekit.train.model import load_initial_weights, open_model
from facekit.train.samples import GROUP, epoch_order

torch.set_num_threads(1)
seeds = st.integers(0, 2**32)


def test_the_score_is_the_log_of_the_integral_of_both_densities() -> None:
    """In one dimension, on a grid: log of the sum of p(x) p'(x) dx."""
    x = np.linspace(-40, 40, 400_001)

    def density(mu: float, variance: float) -> np.ndarray:
        return np.exp(-((x - mu) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)

    for mu, variance, other, other_variance in ((0.3, 0.5, -0.2, 2.0), (1.0, 0.1, 1.0, 0.1), (-2.0, 3.0, 1.5, 0.7)):
        wanted = math.log(float((density(mu, variance) * density(other, other_variance)).sum() * (x[1] - x[0])))
        given_ = [
            torch.tensor([value], dtype=torch.float64)
            for value in (mu, math.log(variance), other, math.log(other_variance))
        ]
        assert mutual_likelihood_score(*given_).item() == pytest.approx(wanted, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 6))
def test_the_score_is_the_public_formula(seed: int, dimensions: int) -> None:
    """Equation 3, dimension by dimension in float64; symmetric; largest where means agree."""
    rng = np.random.default_rng(seed)
    mu, other = rng.normal(size=(2, dimensions))
    variance, other_variance = rng.uniform(0.001, 3, (2, dimensions))
    wanted = 0.0
    for a, b, va, vb in zip(mu, other, variance, other_variance, strict=True):
        wanted -= 0.5 * ((a - b) ** 2 / (va + vb) + math.log(va + vb))
    wanted -= dimensions / 2 * math.log(2 * math.pi)
    left, right = (torch.from_numpy(mu), torch.from_numpy(np.log(variance))), (torch.from_numpy(other), torch.from_numpy(np.log(other_variance)))  # fmt: skip # noqa: E501
    assert mutual_likelihood_score(*left, *right).item() == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert mutual_likelihood_score(*right, *left).item() == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert mutual_likelihood_score(left[0], left[1], left[0], right[1]).item() >= wanted - 1e-9


def test_golden_values() -> None:
    """Two dimensions, means (.6, .8) and (.8, .6), variances .5: -1/2 (.04 + .04) - log(2 pi) = -1.87788."""
    mu, other = torch.tensor([[0.6, 0.8]], dtype=torch.float64), torch.tensor([[0.8, 0.6]], dtype=torch.float64)
    log_half = torch.full((1, 2), math.log(0.5), dtype=torch.float64)
    score = mutual_likelihood_score(mu, log_half, other, log_half).item()
    assert score == pytest.approx(-0.04 - 1.8378770664093453, abs=1e-12)
    assert log_variance_of(torch.tensor([-7.0, -50.0, 2.0], dtype=torch.float64)).tolist() == pytest.approx(
        [math.log(1e-6 + math.exp(-7)), math.log(1e-6 + math.exp(-50)), math.log(1e-6 + math.exp(2))], abs=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 9))
def test_the_loss_is_the_mean_over_genuine_pairs(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    mu, log_variance = (torch.from_numpy(rng.normal(size=(count, 3))) for _ in range(2))
    labels = torch.from_numpy(rng.integers(0, 3, count))
    loss, pairs = genuine_loss(mu, log_variance.requires_grad_(), labels)
    scores = [
        mutual_likelihood_score(mu[i], log_variance[i], mu[j], log_variance[j]).item()
        for i in range(count)
        for j in range(i)
        if labels[i] == labels[j]
    ]
    assert pairs.item() == len(scores)
    assert loss.item() == pytest.approx(-float(np.mean(scores)) if scores else 0.0)
    loss.backward()
    assert log_variance.grad is not None
    alone = [i for i in range(count) if (labels == labels[i]).sum() == 1]
    assert not log_variance.grad[alone].any()


def test_shapes_that_do_not_belong_together() -> None:
    with pytest.raises(ConfigError, match=r"\(3, 2\) and \(3, 2\) and \(2,\)"):
        genuine_loss(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(2))


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_paired_sampler(seed: int) -> None:
    """Four different images of one class after one another; classes with fewer take no part."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(7), [1, 2, 3, 4, 5, 9, 30]))
    order = epoch_order(labels, LoopConfig(sampler="paired", seed=seed % 100), 3)
    assert len(order) == len(labels)
    for start in range(0, len(order) - GROUP + 1, GROUP):
        group = order[start : start + GROUP]
        assert len(set(group.tolist())) == GROUP
        assert len(set(labels[group].tolist())) == 1
    assert set(labels[order].tolist()) <= {3, 4, 5, 6}
    with pytest.raises(ConfigError, match="no class has 4 images"):
        epoch_order(np.arange(9), LoopConfig(sampler="paired"), 0)


@pytest.mark.parametrize("name", ["tiny", "iresnet18", "ir18_adaface", "mobilefacenet"])
def test_the_backbone_says_what_it_said_before(name: str) -> None:
    """In every mode: neither its weights nor its statistics move."""
    torch.manual_seed(0)
    plain = backbone(name, 16, 0.0, (40, 36)).eval()
    image = torch.rand(3, 3, 40, 36)
    with torch.inference_mode():
        wanted = plain(image)
    network = PfeNetwork(plain, 16)
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    mu, log_variance = network.train()(image)
    torch.testing.assert_close(mu, wanted)
    log_variance.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items())
    assert {n.split(".")[0] for n, p in network.named_parameters() if p.grad is not None} == {"uncertainty"}
    assert network.uncertainty.training
    assert not network.backbone.training
    torch.testing.assert_close(
        log_variance, torch.full_like(log_variance, math.log(1e-6 + math.exp(-7))), atol=1e-3, rtol=0
    )


def test_a_run_learns_to_be_sure_and_changes_no_embedding(tmp_path: Path) -> None:
    pack = pattern_pack(tmp_path / "pack", (9, 7, 5, 12, 8, 6))
    first = train(
        TrainConfig("bcl", str(pack), str(tmp_path / "first"), "arcface-small", (*QUICK, "max_steps=3")), warn=str
    )
    with pytest.raises(ConfigError, match="pfe starts from a trained network, which it does not change: give --init"):
        train(TrainConfig("pfe", str(pack), str(tmp_path / "none"), "pfe-small", QUICK))
    said: list[str] = []
    given_ = (*QUICK, "max_steps=6", "lr=.1", "sampler=uniform")
    train(
        TrainConfig("pfe", str(pack), str(tmp_path / "other"), "pfe-small", given_, init=first.model), warn=said.append
    )
    assert any("sampler is uniform" in sentence for sentence in said)
    run = train(
        TrainConfig(
            "pfe", str(pack), str(tmp_path / "run"), "pfe-small", (*QUICK, "max_steps=6", "lr=.1"), init=first.model
        ),
        warn=str,
    )
    assert run.values["pairs"] == 2 * 6
    trained, start = open_model(run.model), open_model(first.model)
    image = torch.rand(5, 3, 40, 36)
    with torch.inference_mode():
        done = trained.plugin.embed(trained.settings.plugin, trained.network, image, torch.zeros(5, dtype=torch.bool))
        torch.testing.assert_close(done.vector, start.network(image))
    assert done.uncertainty is not None
    exported = export(ExportConfig(run.model, str(tmp_path / "pfe.onnx")))
    assert exported.outputs == ("embedding", "uncertainty")
    assert exported.deviation < 1e-4


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    torch.save({"network": backbone("tiny", 8, 0.0, (40, 36)).state_dict()}, tmp_path / "model.pt")
    with pytest.raises(ConfigError, match="does not fit this network"):
        load_initial_weights(PfeNetwork(backbone("tiny", 16, 0.0, (40, 36)), 16), str(tmp_path / "model.pt"))
