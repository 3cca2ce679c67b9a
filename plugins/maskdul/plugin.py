"""The plugin ``maskdul``: MaskDUL, and DUL-cls, DUL + magnitude and MagFace, which the paper compares it with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from facekit.errors import ConfigError, as_written, none_of
from facekit.train.plugin import Batch, Embedding, PackFacts, Step

if TYPE_CHECKING:
    import torch
    from facekit_maskdul.uncertainty import UncertaintyLoss

    from facekit.train.classifier import Classifier
    from facekit.train.config import LoopConfig

__all__ = ["PLUGIN", "MaskdulConfig"]

LOSSES = ("maskdul", "dul_cls", "dul_mag", "magface")
MOST_KL_WEIGHT = 0.1  # of the sum over dimensions: ten times the paper's; with 1 three trainings learnt nothing
Bounds = tuple[float, ...]


@dataclass(frozen=True)
class MaskdulConfig:
    """What the plugin builds.

    Attributes
    ----------
    loss : {"maskdul", "dul_cls", "dul_mag", "magface"}
        MaskDUL; a fixed margin with a unit prior; a magnitude margin with a unit prior; MagFace, which draws nothing.
    two_stream : bool
        A start of its own for masked faces.
    backbone : str
        An IResNet: one of `facekit.train.backbones.BACKBONES`.
    branch_depth : {"stem", "start_block", "stage1"}
        How much of the network the start for masked faces has of its own.
    shared_init : bool
        Both starts start from the same random weights.
    dimensions : int
        Of an embedding.
    dropout : float
        Share of the features before the last layer that are dropped in training, from 0 to below 1.
    scale : float
        s, by which cosines are multiplied before the softmax; from 0.1 to 1024, usual 16 to 128.
    lambda_g : float
        Weight of the regulariser g of the magnitude (MagFace).
    kl_weight : float
        Weight of the divergence from the prior; usual 0 to 0.1. With its sum over dimensions and a weight of 1 nothing
        is learnt.
    magnitude_bounds : (float, float)
        Lower and upper bound of the magnitude of mu; of 512 dimensions: a recipe with others scales them by
        sqrt(dimensions / 512).
    margin_bounds : (float, float)
        Margins, in radians, at both bounds of the magnitude.
    sigma_bounds : (float, float)
        Bounds of the length of sigma; of 512 dimensions, as ``magnitude_bounds``.
    xi_bounds : (float, float)
        Bounds of xi, the standard deviation of the prior of a masked face: the upper one up to the lower bound of
        sigma, falling to the lower one.
    sigma_start : float
        sigma of a typical dimension before the first step, of which the paper says nothing. At 1 the noise that is
        drawn begins as long as mu itself.
    easy_margin : bool
        Use the margin only where the angle to the class is below 90 degrees.
    reduction : {"sum", "mean"}
        Of the divergence over dimensions.
    """

    loss: str = "maskdul"
    two_stream: bool = True
    backbone: str = "iresnet50"
    branch_depth: str = "start_block"
    shared_init: bool = True
    dimensions: int = 512
    dropout: float = 0.4
    scale: float = 64.0
    lambda_g: float = 35.0
    kl_weight: float = 0.01
    magnitude_bounds: Bounds = (10.0, 110.0)
    margin_bounds: Bounds = (0.45, 0.8)
    sigma_bounds: Bounds = (10.0, 25.0)
    xi_bounds: Bounds = (0.5, 1.0)
    sigma_start: float = 1.0
    easy_margin: bool = True
    reduction: str = "sum"

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise none_of("loss", self.loss, LOSSES)
        if not 0.1 <= self.scale <= 1024:
            raise ConfigError(f"scale is {as_written(self.scale)}; it must be from 0.1 to 1024 (usual: 16 to 128)")
        if not self.sigma_start > 0:
            raise ConfigError(f"sigma_start is {self.sigma_start}; it must be above 0")
        for name in ("magnitude_bounds", "margin_bounds", "sigma_bounds", "xi_bounds"):
            if len(getattr(self, name)) != 2:
                raise ConfigError(f"{name} are {getattr(self, name)}; write the lower and the upper: {name}=1,2")


KINDS: Mapping[str, Mapping[str, Any]] = {
    "maskdul": {"loss": "maskdul"},
    "dul_cls": {
        "loss": "dul_cls", "two_stream": False, "margin_bounds": (0.5, 0.5), "lambda_g": 0.0, "easy_margin": False,
    },
    "dul_mag": {"loss": "dul_mag", "two_stream": False},
    "magface": {"loss": "magface", "two_stream": False},
}  # fmt: skip
"""An easy margin is MagFace's; DUL-cls has ArcFace's fixed one."""
PAPER: Mapping[str, Any] = {
    "epochs": 30, "batch": 128, "recipe_batch": 128, "lr": 0.05, "milestones": (10.0, 18.0, 25.0), "crop": 8,
    "masked_share": 0.5, "precision": "bf16", "channels_last": True, "workers": 4,
}  # fmt: skip
SMALL: Mapping[str, Any] = {
    "backbone": "tiny", "dimensions": 128, "dropout": 0.0, "scale": 32.0, "magnitude_bounds": (5.0, 55.0),
    "lambda_g": 6.75, "easy_margin": False, "sigma_bounds": (5.0, 12.5), "epochs": 16, "batch": 64, "lr": 0.1,
    "schedule": "cosine", "warmup": 1.0, "crop": 4, "masked_share": 0.5,
}  # fmt: skip
"""For thousands of images on a laptop; both kinds of bounds are halved, as sqrt(128 / 512) asks, and lambda_g is as far
above its bound as in the paper (35 above 22.6). In so short a training many cosines are below 0 for long, and an easy
margin would leave them without one."""
MARGINS: Mapping[str, Any] = {"margin_bounds": (0.33, 0.6)}
"""Small networks give magnitudes of 8 to 12, where this is .35, the fixed margin of dul_cls."""
SMALL_KINDS: Mapping[str, Mapping[str, Any]] = {"dul_cls": {"margin_bounds": (0.35, 0.35)}}


class _Maskdul:
    """See `facekit.train.plugin.Plugin`."""

    api_version = 2
    summary = "Data uncertainty learning for masked faces, with DUL-cls, DUL + magnitude and MagFace."
    config = MaskdulConfig
    renamed_settings: Mapping[str, str] = {"alike": "shared_init"}
    recipes: Mapping[str, Mapping[str, Any]] = {name: {**PAPER, **kind} for name, kind in KINDS.items()} | {
        f"{name}-small": {**SMALL, **MARGINS, **kind, **SMALL_KINDS.get(name, {})} for name, kind in KINDS.items()
    }

    def build_network(self, config: MaskdulConfig, facts: PackFacts) -> torch.nn.Module:
        from facekit_maskdul.network import TwoStreamIResNet

        from facekit.train.backbones import HalfResolution, backbone, residual_shape

        height, width = facts.image_size
        shape = residual_shape(config.backbone)
        if config.loss == "magface":
            return backbone(config.backbone, config.dimensions, config.dropout, facts.image_size, freeze_scale=False)
        size = (height // 2, width // 2) if shape.halved else (height, width)
        options = (
            shape.blocks,
            config.dimensions,
            config.dropout,
            size,
            shape.widths,
            config.branch_depth,
            config.shared_init,
        )
        network = TwoStreamIResNet(*options)
        network.log_variance.features.bias.data.fill_(2 * math.log(config.sigma_start))
        return HalfResolution(network) if shape.halved else network

    def build_head(self, config: MaskdulConfig, _facts: PackFacts) -> torch.nn.Module:
        from facekit_maskdul import MagnitudeMargin, UncertaintyLoss

        bounds = {name: (low, high) for name in ("magnitude", "margin", "sigma", "xi")
                  for low, high in [getattr(config, f"{name}_bounds")]}  # fmt: skip
        margin = MagnitudeMargin(
            config.scale, bounds["magnitude"], bounds["margin"], config.lambda_g, config.easy_margin
        )
        hard = config.loss == "maskdul"
        return UncertaintyLoss(margin, config.kl_weight, hard, bounds["sigma"], bounds["xi"], config.reduction)

    def training_step(
        self,
        config: MaskdulConfig,
        network: torch.nn.Module,
        head: torch.nn.Module,
        classifier: Classifier,
        batch: Batch,
    ) -> Step:
        from facekit_maskdul.uncertainty import draw

        done = _run_network(config, network, batch.image, batch.masked)
        mu, log_variance = done if isinstance(done, tuple) else (done, None)
        embeddings = mu if log_variance is None else draw(mu, log_variance)
        uncertainty = cast("UncertaintyLoss", head)
        inputs = classifier(embeddings, batch.label)
        logits, _ = uncertainty.margin(inputs.embeddings, inputs.weight, inputs.labels)
        measures = {"magnitude": mu.detach().float().norm(dim=1).mean()}
        loss = classifier.loss(logits, inputs.labels) + uncertainty.margin.regularizer(embeddings)
        if log_variance is not None:
            loss = loss + uncertainty.divergence(mu, log_variance, batch.masked)
            measures["sigma"] = (0.5 * log_variance.detach().float()).exp().norm(dim=1).mean()
        return Step(loss, measures)

    def embed(
        self, config: MaskdulConfig, network: torch.nn.Module, image: torch.Tensor, masked: torch.Tensor
    ) -> Embedding:
        from facekit_maskdul.uncertainty import sigma

        done = _run_network(config, network, image, masked)
        return Embedding(done[0], sigma(done[1]).norm(dim=1)) if isinstance(done, tuple) else Embedding(done)

    def export_inputs(self, config: MaskdulConfig) -> tuple[str, ...]:
        return ("image", "mask_flag") if config.two_stream and config.loss != "magface" else ("image",)

    def config_warnings(self, config: MaskdulConfig, train: LoopConfig, facts: PackFacts) -> list[str]:
        found = []
        shown = facts.masked_share is not None or train.online_masks > 0
        if config.two_stream and config.loss != "magface" and not shown:
            found.append("two_stream without a ledger or online masks: the branch for masked faces will see nothing")
        if config.margin_bounds[0] < config.margin_bounds[1] or config.lambda_g:
            found += _bounds_of_other_dimensions(config, "magnitude_bounds", 110.0)
        if not 16 <= config.scale <= 128:
            found.append(f"scale is {as_written(config.scale)} (usual: 16 to 128)")
        if config.loss != "magface" and config.reduction == "sum" and config.kl_weight > MOST_KL_WEIGHT:
            found.append(f"kl_weight is {as_written(config.kl_weight)} (usual: 0 to {as_written(MOST_KL_WEIGHT)})")
        if config.loss == "maskdul":
            found += _bounds_of_other_dimensions(config, "sigma_bounds", 25.0)
        return found


def _bounds_of_other_dimensions(config: MaskdulConfig, name: str, paper: float) -> list[str]:
    """A sentence where the upper bound is far from the paper's, of 512 dimensions, times sqrt(dimensions / 512)."""
    upper, wanted = getattr(config, name)[1], paper * math.sqrt(config.dimensions / 512)
    if 0.6 <= upper / wanted <= 1.7:
        return []
    sentence = (
        f"{name} end at {upper:g}, and dimensions is {config.dimensions}: the paper's {paper:g} are of 512, and go "
        f"with sqrt(dimensions), {wanted:.3g} here"
    )
    return [sentence]


def _run_network(config: MaskdulConfig, network: torch.nn.Module, image: torch.Tensor, masked: torch.Tensor) -> Any:
    """mu and log-variance; of MagFace the embedding alone."""
    if config.loss == "magface":
        return network(image)
    return network(image, masked if config.two_stream else masked.new_zeros(masked.shape))


PLUGIN = _Maskdul()
