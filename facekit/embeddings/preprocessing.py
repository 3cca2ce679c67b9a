"""Pictures -> what a network takes: crop of columns, channel order, mean and scale, channels first."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.run.user_files import parse_json

__all__ = ["METADATA_KEY", "Preprocessing"]

METADATA_KEY = "facekit.preprocessing"
"""Under this name the files that facekit exports carry their preprocessing, as JSON."""


@dataclass(frozen=True)
class Preprocessing:
    """From a picture to the input of a network: ``(picture[:, columns] - mean) / std``.

    Parameters
    ----------
    size : (int, int)
        Height and width of the network's input, pixels.
    columns : (int, int) or None
        First column of the picture and the one after the last that are kept; None: all.
    mean, std : float
        In the picture's units, 0 to 255.
    channels : {"rgb", "bgr"}

    Raises
    ------
    ConfigError
        Columns that do not make the width, a mean or std that is not finite, an std that is not greater than 0, other
        channels.
    """

    size: tuple[int, int] = (112, 112)
    columns: tuple[int, int] | None = None
    mean: float = 127.5
    std: float = 127.5
    channels: str = "rgb"

    def __post_init__(self) -> None:
        for name, pair in (("size", self.size), ("columns", self.columns)):
            if pair is not None and (len(pair) != 2 or not all(isinstance(end, (int, np.integer)) for end in pair)):
                raise ConfigError(f"{name} must be two whole numbers, {pair} was given")
        if min(self.size) < 1:
            raise ConfigError(f"the input of the network is {self.size[0]} x {self.size[1]} pixels")
        if self.columns is not None:
            first, stop = self.columns
            if not 0 <= first < stop:
                raise ConfigError(f"columns are {first}:{stop}; write the first and the one after the last")
            if stop - first != self.size[1]:
                raise ConfigError(f"columns {first}:{stop} are {stop - first} wide; the network takes {self.size[1]}")
        if not (np.isfinite(self.mean) and np.isfinite(self.std) and self.std > 0):
            raise ConfigError(f"mean {self.mean} must be finite and std {self.std} greater than 0")
        if self.channels not in ("rgb", "bgr"):
            raise ConfigError(f"channels are {self.channels!r}; allowed are rgb and bgr")

    def check(self, picture: NDArray[np.uint8]) -> None:
        """Raise ConfigError where a picture does not have the size that this needs.

        Parameters
        ----------
        picture : (H, W, 3) uint8

        Raises
        ------
        ConfigError
        """
        height, width = picture.shape[:2]
        kept = width if self.columns is None else min(width, self.columns[1]) - self.columns[0]
        if (height, kept) != self.size:
            columns = (
                "" if self.columns is None else f" (of which columns {self.columns[0]}:{self.columns[1]} are taken)"
            )
            raise ConfigError(
                f"a picture of {height} x {width} pixels{columns} for a network that takes"
                f" {self.size[0]} x {self.size[1]}: align the faces to that size, or choose --columns"
            )

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, H, W, 3) uint8 RGB to (B, 3, height, width) float32, contiguous."""
        if self.columns is not None:
            pictures = pictures[:, :, slice(*self.columns)]
        if self.channels == "bgr":
            pictures = pictures[..., ::-1]
        planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
        planes -= np.float32(self.mean)
        planes /= np.float32(self.std)
        return planes

    def to_json(self) -> str:
        """The text for the metadata of an exported file.

        Returns
        -------
        str
        """
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """What `to_json` wrote.

        Parameters
        ----------
        text : str

        Returns
        -------
        Preprocessing

        Raises
        ------
        ConfigError
            The text is not that.
        """
        given: dict[str, Any] = parse_json(text, f"the metadata {METADATA_KEY}")
        try:
            pairs = {name: tuple(given[name]) for name in ("size", "columns") if given.get(name) is not None}
            return cls(**(given | pairs))
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ConfigError(f"the metadata {METADATA_KEY} cannot be read: {error}") from error
