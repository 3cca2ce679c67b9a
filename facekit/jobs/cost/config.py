"""What a prediction is asked for, and what it assumes."""

from __future__ import annotations

from dataclasses import dataclass

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least

__all__ = ["SIZES", "CostConfig"]

SIZES = (5_800_000, 17_000_000, 42_000_000, 260_000_000)
"""Faces of MS1MV2, Glint360K, WebFace42M and WebFace260M, about."""


@dataclass(frozen=True)
class CostConfig:
    """Settings of ``facekit cost``.

    Attributes
    ----------
    source : str, optional
        A pack: its number of pictures, their mean size and how many an identity has are taken from it.
    images : tuple of int
        Numbers of pictures instead; `SIZES` where neither is given.
    picture_bytes : int
        Mean size of a picture, where there is no pack. 7,500 bytes are an aligned crop of 112 x 112 as MS1MV3 has it.
    per_identity : int
        Pictures of an identity, where there is no pack.
    dimensions : int
        Of the vectors.
    ratio : float
        Masked pictures among all of the masked pack.
    model : str, optional
        An ONNX model whose speed on this processor is measured; else it is reckoned from ``gigaflops``.
    gigaflops : float
        Floating point operations of the network for one picture, 10^9; 24.2 is IResNet-100.
    gpu_rate : float
        Pictures that one GPU embeds in a second.
    machines, cores, gpus : int
        Machines like this one, and the cores and GPUs of each; ``cores`` 0: those of this machine.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str | None = None
    images: tuple[int, ...] = ()
    picture_bytes: int = 7_500
    per_identity: int = 50
    dimensions: int = 512
    ratio: float = 0.15
    model: str | None = None
    gigaflops: float = 24.2
    gpu_rate: float = 3_000.0
    machines: int = 1
    cores: int = 0
    gpus: int = 1

    def __post_init__(self) -> None:
        if self.source is not None and self.images:
            raise ConfigError("a pack has its own number of pictures: give the pack, or images")
        for number in self.images:
            check_at_least("images", number, 1)
        for name in ("picture_bytes", "per_identity", "dimensions", "machines"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("cores", "gpus"):
            check_at_least(name, getattr(self, name), 0)
        if not 0 <= self.ratio < 1:
            raise ConfigError(f"ratio is {self.ratio}; it must be from 0 to below 1")
        if not (self.gigaflops > 0 and self.gpu_rate > 0):
            raise ConfigError("gigaflops and gpu_rate must be above 0")
