"""The plugin ``pfe``: Probabilistic Face Embeddings (Shi and Jain 2019) on a trained, frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facekit.train.plugin import Batch, Embedding, PackFacts, Step

if TYPE_CHECKING:
    import torch

    from facekit.train.classifier import Classifier
    from facekit.train.config import LoopConfig

__all__ = ["PLUGIN", "PfeConfig"]


@dataclass(frozen=True)
class PfeConfig:
    """What the plugin builds.

    Attributes
    ----------
    backbone : str
        One of `facekit.train.backbones.BACKBONES`: that of the weights it starts from.
    dimensions : int
        Of an embedding.
    """

    backbone: str = "iresnet50"
    dimensions: int = 512


PAPER: Mapping[str, Any] = {
    "batch": 256, "recipe_batch": 256, "sampler": "paired", "epochs": 1, "lr": 0.001, "momentum": 0.9,
    "weight_decay": 5e-4, "schedule": "poly", "power": 1.0, "flip": 0.5, "workers": 4,
}  # fmt: skip
"""64 people with four pictures each a step, rate and decay of the public code, which takes 12,000 steps (``max_steps``)
and a tenth of the rate after 8,000; here it falls all the way."""
SMALL: Mapping[str, Any] = {
    **PAPER, "backbone": "tiny", "dimensions": 128, "batch": 64, "recipe_batch": 0, "epochs": 4, "lr": 0.01,
    "workers": 0,
}  # fmt: skip


class _Pfe:
    """See `facekit.train.plugin.Plugin`."""

    api_version = 2
    summary = "Probabilistic Face Embeddings: how sure a trained network is, by mutual likelihood."
    config = PfeConfig
    recipes: Mapping[str, Mapping[str, Any]] = {"pfe": PAPER, "pfe-small": SMALL}
    needs_init = True
    """It trains nothing that recognizes anybody: facekit train refuses it without --init."""

    def build_network(self, config: PfeConfig, facts: PackFacts) -> torch.nn.Module:
        from facekit_pfe.network import PfeNetwork

        from facekit.train.backbones import backbone

        return PfeNetwork(backbone(config.backbone, config.dimensions, 0.0, facts.image_size), config.dimensions)

    def build_head(self, _config: PfeConfig, _facts: PackFacts) -> torch.nn.Module:
        from torch import nn

        return nn.Identity()

    def training_step(
        self,
        _config: PfeConfig,
        network: torch.nn.Module,
        _head: torch.nn.Module,
        _classifier: Classifier,
        batch: Batch,
    ) -> Step:
        from facekit_pfe.likelihood import genuine_loss
        from torch.nn import functional

        mu, log_variance = network(batch.image)
        loss, pairs = genuine_loss(functional.normalize(mu.float()), log_variance, batch.label)
        sigma = (0.5 * log_variance.detach().float()).exp().norm(dim=1).mean()
        return Step(loss, {"pairs": pairs.float(), "sigma": sigma})

    def embed(
        self, _config: PfeConfig, network: torch.nn.Module, image: torch.Tensor, _masked: torch.Tensor
    ) -> Embedding:
        mu, log_variance = network(image)
        return Embedding(mu, (0.5 * log_variance).exp().norm(dim=1))

    def export_inputs(self, _config: PfeConfig) -> tuple[str, ...]:
        return ("image",)

    def config_warnings(self, _config: PfeConfig, train: LoopConfig, _facts: PackFacts) -> list[str]:
        if train.sampler != "paired":
            return [f"sampler is {train.sampler}: few pictures of a batch show one person, and the loss is of pairs"]
        return []


PLUGIN = _Pfe()
