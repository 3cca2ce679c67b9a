"""Settings of the training loop, the same for every plugin."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from facekit.errors import ConfigError, as_written, none_of

__all__ = ["MAY_CHANGE", "LoopConfig", "unusual_settings"]

CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("step", "poly", "cosine"),
    "precision": ("float32", "bf16", "fp16"),
    "classifier": ("full", "sharded"),
    "sampler": ("uniform", "balanced", "paired"),
    "device": ("auto", "cpu", "cuda"),
}
MAY_CHANGE = ("threads", "workers", "log_every", "save_every", "eval_every", "keep", "device")
"""Settings that may be others when a run is resumed: they do not decide what is learned."""
TINIEST = sys.float_info.min
POSITIVE = ("lr", "gamma", "power", "cutout_size", "blur_size", "sample_rate")
SHARES = ("flip", "cutout", "cutout_size", "blur", "online_masks", "label_smoothing", "gamma", "sample_rate")


class Usual(NamedTuple):
    """The range of a setting that training is known to work in, and beyond which it makes nothing.

    Attributes
    ----------
    low, high : float
        Outside these a warning.
    most : float
        Above this it is refused.
    """

    low: float
    high: float
    most: float


USUAL = {
    "lr": Usual(1e-4, 1.0, 10.0),
    "momentum": Usual(0.0, 0.99, 0.9999),
    "weight_decay": Usual(0.0, 0.01, 1.0),
    "label_smoothing": Usual(0.0, 0.3, 0.9),
    "brightness": Usual(0.0, 0.6, 1.0),
    "contrast": Usual(0.0, 0.6, 1.0),
    "saturation": Usual(0.0, 0.6, 1.0),
    "blur_size": Usual(0.0, 5.0, 50.0),
}
ADAMW = USUAL | {"lr": Usual(1e-5, 1e-2, 10.0), "weight_decay": Usual(0.0, 0.3, 1.0)}


@dataclass(frozen=True)
class LoopConfig:
    """Settings of the loop.

    Attributes
    ----------
    epochs : int
        Passes over the pack.
    max_steps : int
        Stop after so many steps, wherever the schedule is; 0: at the end of the last epoch.
    batch : int
        Images a step of each process.
    accumulate : int
        Batches whose gradients are added up before a step of the optimizer.
    recipe_batch : int
        Images a step, over processes and accumulation, that ``lr`` is meant for; 0: not stated.
    optimizer : {"sgd", "adamw"}
        ViTs learn with ``adamw``.
    lr : float
        Learning rate; usual 0.0001 to 1, and 0.00001 to 0.01 of AdamW.
    momentum : float
        Of SGD, and beta1 of AdamW, whose beta2 is 0.999; usual 0 to 0.99.
    weight_decay : float
        Norms and biases do not decay. Usual 0 to 0.01, and 0 to 0.3 of AdamW, which multiplies it by the rate alone.
    schedule : {"step", "poly", "cosine"}
        How the learning rate falls: at ``milestones``, by a power of what is left, or along half a cosine.
    milestones : tuple of float
        Epochs at which ``step`` multiplies the rate by ``gamma``.
    gamma : float
        Factor of ``step`` at each milestone.
    power : float
        Exponent of ``poly``.
    warmup : float
        Epochs over which the rate rises from 0.
    clip : float
        Largest norm of the network's gradient; 0: any.
    ema : float
        Decay of the moving average of the weights, which is then what is exported; 0: none.
    label_smoothing : float
        Share of the target that is spread over all classes; usual 0 to 0.3.
    precision : {"float32", "bf16", "fp16"}
        Of the network; heads compute in float32 always.
    channels_last : bool
        Memory layout of the pictures; faster on graphics cards.
    compile : bool
        Compile the network with torch.compile.
    classifier : {"full", "sharded"}
        With several processes: all classes in each, or spread over them.
    sample_rate : float
        Share of the classes that each step compares with (PartialFC); those of the batch are always among them.
    sampler : {"uniform", "balanced", "paired"}
        Every image once an epoch; every class equally often; or four different images of a class after one another, of
        classes with as many.
    flip : float
        Chance of a mirrored picture, from 0 to 1.
    cutout : float
        Chance of a hole, from 0 to 1.
    online_masks : float
        Chance of a mask that is put on in memory, from 0 to 1.
    cutout_size : float
        Side of the hole over that of the picture, at most.
    blur : float
        Chance of a blurred picture, from 0 to 1.
    blur_size : float
        Standard deviation of the blur in pixels, at most: it is drawn evenly from 0 to this; usual up to 5.
    brightness, contrast, saturation : float
        Half the width of the range of each factor around 1.
    crop : int
        RandomCrop: pixels by which the picture is shifted at most, borders repeated.
    mask_types : str
        Of online masks: ``all`` or names with commas between them.
    masked_share : float
        Share of masked images that the recipe is meant for; a pack with another gets a warning. Below 0: any.
    seed : int
        Decides every random choice of the loop.
    workers : int
        Processes that read and augment, besides each that trains.
    threads : int
        Of torch on the CPU; 0: as torch likes.
    log_every : int
        Steps between lines of the log.
    save_every : int
        Steps between checkpoints; 0: once an epoch.
    eval_every : int
        Steps between scores of ``--eval``; 0: once an epoch.
    keep : int
        Checkpoints that are kept.
    device : {"auto", "cpu", "cuda"}
        Where the network is trained; auto takes a graphics card where there is one.
    """

    epochs: int = 24
    max_steps: int = 0
    batch: int = 128
    accumulate: int = 1
    recipe_batch: int = 0
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "step"
    milestones: tuple[float, ...] = (10.0, 18.0, 22.0)
    gamma: float = 0.1
    power: float = 2.0
    warmup: float = 0.0
    clip: float = 0.0
    ema: float = 0.0
    label_smoothing: float = 0.0
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    classifier: str = "full"
    sample_rate: float = 1.0
    sampler: str = "uniform"
    flip: float = 0.5
    cutout: float = 0.0
    cutout_size: float = 0.4
    blur: float = 0.0
    blur_size: float = 2.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    crop: int = 0
    online_masks: float = 0.0
    mask_types: str = "all"
    masked_share: float = -1.0
    seed: int = 0
    workers: int = 0
    threads: int = 0
    log_every: int = 20
    save_every: int = 0
    eval_every: int = 0
    keep: int = 2
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise none_of(name, getattr(self, name), allowed)
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        _check("at least 1", (self.epochs, self.batch, self.accumulate, self.log_every, self.keep), least=1,
               names=("epochs", "batch", "accumulate", "log_every", "keep"))  # fmt: skip
        names = ("max_steps", "recipe_batch", "momentum", "weight_decay", "warmup", "clip", "brightness", "contrast",
                 "saturation", "crop", "seed", "workers", "threads", "save_every", "eval_every")  # fmt: skip
        _check("not negative", tuple(getattr(self, name) for name in names), least=0, names=names)
        _check("above 0", tuple(getattr(self, name) for name in POSITIVE), least=TINIEST, names=POSITIVE)
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema is {self.ema}; it must be in [0, 1)")
        for name, usual in _usual(self).items():
            if getattr(self, name) > usual.most:
                raise ConfigError(
                    f"{name} is {as_written(getattr(self, name))}; it must be at most {as_written(usual.most)} "
                    f"({_range(usual)})"
                )
        if list(self.milestones) != sorted(self.milestones) or not all(0 <= one < inf for one in self.milestones):
            raise ConfigError(f"milestones are {self.milestones}; write epochs in order, none negative")


def unusual_settings(config: LoopConfig) -> list[str]:
    """Sentences about settings outside the range that they are known to work in.

    Parameters
    ----------
    config : LoopConfig
    """
    found = []
    for name, usual in _usual(config).items():
        value = getattr(config, name)
        if not usual.low <= value <= usual.high:
            found.append(f"{name} is {as_written(value)} ({_range(usual)})")
    if config.warmup >= config.epochs:
        found.append(f"warmup is {as_written(config.warmup)} of {config.epochs} epochs: the rate never reaches lr")
    return found


def _usual(config: LoopConfig) -> dict[str, Usual]:
    return ADAMW if config.optimizer == "adamw" else USUAL


def _range(usual: Usual) -> str:
    return f"usual: {as_written(usual.low)} to {as_written(usual.high)}"


def _check(wanted: str, values: tuple[float, ...], least: float, names: tuple[str, ...]) -> None:
    for name, value in zip(names, values, strict=True):
        if not least <= value < inf:
            raise ConfigError(f"{name} is {value}; it must be {wanted if value < least else 'a finite number'}")
