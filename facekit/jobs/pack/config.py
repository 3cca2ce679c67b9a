"""What a packing job is asked to do."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from facekit.errors import ConfigError, did_you_mean
from facekit.jobs.inputs.checks import check_at_least, check_choice
from facekit.records.layout import LAYOUTS
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = ["SHIPPED", "UPRIGHT", "PackConfig", "parse_size"]

SHIPPED, UPRIGHT = "blazeface", "blazeface-upright"
"""The detector of `facekit.faces.finder`, and the same for faces that are turned by less than 45 degrees."""


@dataclass(frozen=True)
class PackConfig:
    """Settings of ``facekit pack``.

    Attributes
    ----------
    source : str
        A folder with one folder a person, a ``.lst``, or files of samples: tar shards or parquet, on the disk or in a
        store.
    destination : str
        Folder that will appear when everything is done.
    align : bool
        Find the face in each picture that is not an aligned crop already, and warp it to the ArcFace template.
    detector : str, optional
        For ``align``: ``"blazeface"``, which is the default, ``"blazeface-upright"``, which finds only faces that are
        turned by less than 45 degrees and is faster, or ``"module:name"`` of a callable that makes a
        `facekit.faces.detector.Detector`.
    min_images : int
        Leave out people of whom fewer pictures could be packed.
    layout : str
        ``"insightface"`` or ``"flat"``.
    size : (int, int), optional
        Height and width that a picture must have to be stored as it is; None for any.
    quality : int
        JPEG quality of aligned crops, and of pictures that are neither JPEG nor PNG.
    root : str, optional
        What the paths in a list are relative to.
    workers : int
        Worker processes; the output does not depend on it.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    overwrite : bool
        Replace an existing destination, and discard an unfinished run with other settings.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    destination: str
    align: bool = False
    detector: str | None = None
    min_images: int = 1
    layout: str = "insightface"
    size: tuple[int, int] | None = (112, 112)
    quality: int = 95
    root: str | None = None
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice("layout", self.layout, LAYOUTS)
        check_at_least("min_images", self.min_images, 1)
        check_at_least("workers", self.workers, 1)
        if not 1 <= self.quality <= 100:
            raise ConfigError(f"quality is {self.quality}; it must be from 1 to 100")
        if self.detector is not None and not self.align:
            raise ConfigError("without align no faces are found: leave out detector, or give align too")
        if self.detector not in (None, SHIPPED, UPRIGHT) and not re.fullmatch(r"[\w.]+:\w+", str(self.detector)):
            near = did_you_mean(str(self.detector), (SHIPPED, UPRIGHT))
            raise ConfigError(f"detector is {self.detector!r}; it must be {SHIPPED}, {UPRIGHT} or MODULE:NAME{near}")
        if self.size is not None and not (self.size[0] > 0 and self.size[1] > 0):
            raise ConfigError(f"size is {self.size}; height and width must be above 0")
        if self.align and self.size != (112, 112):
            raise ConfigError("aligned crops are 112 x 112: leave out size, or align")

    def settings(self) -> dict[str, Any]:
        """What decides the bytes of the output; where it is read from and written to, and by whom, does not."""
        given = {**asdict(self), "detector": self.detector or SHIPPED}
        for name in ("source", "destination", "root", "workers", "executor", "overwrite"):
            del given[name]
        return given


def parse_size(text: str) -> tuple[int, int] | None:
    """``any``, or height and width with an x between them.

    >>> parse_size("112x96")
    (112, 96)
    """
    if text == "any":
        return None
    height, cross, width = text.partition("x")
    if not (cross and height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise ConfigError(f"size is {text!r}; it must be HEIGHTxWIDTH, such as 112x112, or any")
    return int(height), int(width)
