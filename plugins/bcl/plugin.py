"""The plugin ``bcl``: Balanced Curricular Loss, and CurricularFace, ArcFace, CosFace, AdaFace and balanced softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facekit.errors import ConfigError, as_written, none_of
from facekit.train.plugin import Batch, Embedding, PackFacts, Step

if TYPE_CHECKING:
    import torch

    from facekit.train.classifier import Classifier
    from facekit.train.config import LoopConfig

__all__ = ["PLUGIN", "BclConfig"]

LOSSES = ("bcl", "curricular", "arcface", "balanced_softmax", "cosface", "adaface")

MEASURES = ("t", "norm_mean", "norm_deviation")
"""Moving averages of heads, for the log."""


@dataclass(frozen=True)
class BclConfig:
    """What the plugin builds.

    Attributes
    ----------
    loss : {"bcl", "curricular", "arcface", "balanced_softmax", "cosface", "adaface"}
        The margin loss; a recipe of the same name sets it and what else its paper does.
    backbone : str
        One of `facekit.train.backbones.BACKBONES`.
    dimensions : int
        Of an embedding.
    dropout : float
        Share of the features before the last layer that are dropped in training, from 0 to below 1.
    scale : float
        s, by which cosines are multiplied before the softmax; from 0.1 to 1024, usual 16 to 128.
    margin : float
        m, in radians; of ``cosface`` it is of the cosine, ``balanced_softmax`` has none.
    t_momentum : float
        alpha of the moving average t; of ``adaface`` of the norms' mean and deviation.
    concentration : float
        h of ``adaface``.
    """

    loss: str = "bcl"
    backbone: str = "irse101"
    dimensions: int = 512
    dropout: float = 0.4
    scale: float = 128.0
    margin: float = 0.5
    t_momentum: float = 0.01
    concentration: float = 0.333

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise none_of("loss", self.loss, LOSSES)
        if not 0.1 <= self.scale <= 1024:
            raise ConfigError(f"scale is {as_written(self.scale)}; it must be from 0.1 to 1024 (usual: 16 to 128)")
        if not 0 <= self.t_momentum < 1:
            raise ConfigError(
                f"t_momentum is {as_written(self.t_momentum)}; it must be from 0 to below 1 (usual: 0.001 to 0.1)"
            )


PAPER: Mapping[str, Any] = {
    "backbone": "irse101", "scale": 128.0, "margin": 0.5, "epochs": 24, "batch": 160, "recipe_batch": 5120, "lr": 0.1,
    "milestones": (10.0, 18.0, 22.0), "precision": "bf16", "channels_last": True, "classifier": "sharded",
    "flip": 0.5, "cutout": 0.5, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "label_smoothing": 0.1,
    "workers": 4,
}  # fmt: skip
"""The steps of the paper; what it does not state (chances and widths of the augmentation, smoothing) is our choice."""

COSFACE: Mapping[str, Any] = {
    **PAPER, "loss": "cosface", "backbone": "iresnet50", "scale": 64.0, "margin": 0.35, "batch": 128,
    "recipe_batch": 512, "cutout": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "label_smoothing": 0.0,
}  # fmt: skip
"""CosFace's s and m; MFCosFace trains with this loss on faces of which some wear drawn masks."""
ADAFACE: Mapping[str, Any] = {
    **COSFACE, "loss": "adaface", "backbone": "ir50_adaface", "margin": 0.4, "concentration": 0.333, "t_momentum": 0.01,
    "epochs": 26, "batch": 256, "recipe_batch": 256, "milestones": (12.0, 20.0, 24.0), "weight_decay": 1e-4,
    "brightness": 0.2, "contrast": 0.2, "saturation": 0.2,
}  # fmt: skip
"""The script of AdaFace's code for MS1MV2. Its low-resolution augmentation is not here."""
VIT: Mapping[str, Any] = {
    **COSFACE, "margin": 0.4, "dropout": 0.0, "optimizer": "adamw", "lr": 0.001, "weight_decay": 0.1, "epochs": 40,
    "warmup": 4.0, "schedule": "poly", "power": 1.0, "clip": 5.0, "precision": "fp16", "sample_rate": 0.3,
    "recipe_batch": 24576,
}  # fmt: skip
"""arcface_torch's wf42m_pfc03_40epoch configurations, train_v2.py (clip) and lr_scheduler.py (a linear fall)."""
VITS: Mapping[str, Mapping[str, Any]] = {
    "vit_t": {**VIT, "backbone": "vit_t", "batch": 512, "recipe_batch": 4096},
    "vit_s": {**VIT, "backbone": "vit_s", "batch": 384},
    "vit_b": {**VIT, "backbone": "vit_b", "batch": 256, "accumulate": 12},
    "vit_l": {**VIT, "backbone": "vit_l", "batch": 384},
}
"""On 8 cards (vit_t, vit_b) and on 64."""
SMALL: Mapping[str, Any] = {
    "backbone": "tiny", "dimensions": 128, "dropout": 0.0, "scale": 32.0, "margin": 0.35, "epochs": 16, "batch": 64,
    "lr": 0.1, "schedule": "cosine", "warmup": 1.0, "crop": 4, "brightness": 0.2, "contrast": 0.2,
}  # fmt: skip
"""For thousands of images on a laptop. With s = 48 ArcFace loses ten points on masked faces, whatever the jitter
(benchmarks/recipes.py why)."""
SMALL_KINDS: Mapping[str, Mapping[str, Any]] = {"cosface": {"margin": 0.25}}


class _Bcl:
    """See `facekit.train.plugin.Plugin`."""

    api_version = 2
    summary = "Balanced Curricular Loss, CurricularFace, ArcFace, balanced softmax, CosFace, AdaFace."
    config = BclConfig
    recipes: Mapping[str, Mapping[str, Any]] = {loss: {"loss": loss, **PAPER} for loss in LOSSES[:3]} | {
        "cosface": COSFACE,
        "adaface": ADAFACE,
        **VITS,
        **{f"{loss}-small": {"loss": loss, **SMALL, **SMALL_KINDS.get(loss, {})} for loss in LOSSES},
    }

    def build_network(self, config: BclConfig, facts: PackFacts) -> torch.nn.Module:
        from facekit.train.backbones import backbone

        return backbone(config.backbone, config.dimensions, config.dropout, facts.image_size)

    def build_head(self, config: BclConfig, facts: PackFacts) -> torch.nn.Module:
        from facekit_bcl import additive, balanced, curricular, margin

        if config.loss == "cosface":
            return additive.CosMargin(config.scale, config.margin)
        if config.loss == "adaface":
            return additive.AdaMargin(config.scale, config.margin, config.concentration, config.t_momentum)
        if config.loss == "arcface":
            return margin.ArcMargin(config.scale, config.margin)
        if config.loss == "curricular":
            return curricular.CurricularMargin(config.scale, config.margin, config.t_momentum)
        if config.loss == "balanced_softmax":
            return balanced.BalancedSoftmax(facts.class_counts, config.scale)
        return balanced.BalancedCurricularMargin(facts.class_counts, config.scale, config.margin, config.t_momentum)

    def training_step(
        self, _config: BclConfig, network: torch.nn.Module, head: torch.nn.Module, classifier: Classifier, batch: Batch
    ) -> Step:
        from facekit.train.angular import cosine_matrix

        inputs = classifier(network(batch.image), batch.label)
        cosines = cosine_matrix(inputs.embeddings, inputs.weight)
        if getattr(head, "takes_norms", False):
            norms = inputs.embeddings.float().norm(dim=1)
            logits = head(cosines, inputs.labels, inputs.class_index, classifier.sharded, norms)
        else:
            logits = head(cosines, inputs.labels, inputs.class_index, classifier.sharded)
        measures = {name: getattr(head, name).clone() for name in MEASURES if hasattr(head, name)}
        return Step(classifier.loss(logits, inputs.labels), measures)

    def embed(
        self, _config: BclConfig, network: torch.nn.Module, image: torch.Tensor, _masked: torch.Tensor
    ) -> Embedding:
        return Embedding(network(image))

    def export_inputs(self, _config: BclConfig) -> tuple[str, ...]:
        return ("image",)

    def config_warnings(self, config: BclConfig, train: LoopConfig, facts: PackFacts) -> list[str]:
        found = []
        balanced = config.loss in ("bcl", "balanced_softmax")
        if balanced and train.sampler == "balanced":
            found.append("log n corrects the class sizes, and so does the balanced sampler: use sampler=uniform")
        if balanced and len(set(facts.class_counts.tolist())) == 1:
            found.append("all classes have the same count, so that log n changes nothing: bcl is curricular here")
        if config.scale < 2 or config.scale > 256:
            found.append(f"scale is {as_written(config.scale)} (usual: 16 to 128)")
        if config.loss in ("bcl", "curricular") and not 1e-4 <= config.t_momentum <= 0.3:
            found.append(f"t_momentum is {as_written(config.t_momentum)} (usual: 0.001 to 0.1)")
        if config.scale > 64 and len(facts.class_counts) < 1000:
            found.append(f"scale {config.scale:g} with {len(facts.class_counts)} classes: start from 32 to 64")
        return found


PLUGIN = _Bcl()
