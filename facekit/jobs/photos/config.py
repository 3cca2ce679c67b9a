"""What a job over photographs is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least, check_choice, check_seed
from facekit.jobs.mask.config import check_types, known_types, parse_types, textures_content
from facekit.masks.params import MaskOptions
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = ["FACES", "RATIO_OF", "PhotosConfig"]

FACES, RATIO_OF = ("all", "largest"), ("face", "picture")
LEAST_EYES = 4.0


@dataclass(frozen=True)
class PhotosConfig:
    """Settings of ``facekit mask --photos``.

    Attributes
    ----------
    source, destination : str
        Folders: photographs, and the tree that will appear when everything is done.
    ratio : float
        Share that is to be masked.
    ratio_of : str
        ``face``: each face is masked with the probability `ratio`. ``picture``: exactly that share of the pictures is
        chosen, and every face of these is masked.
    faces : str
        ``all`` of a picture, or the ``largest`` only.
    upright : bool
        Look only for faces that are turned by less than 45 degrees.
    smallest : float
        Pixels between the eyes from which a face is looked for.
    types : tuple of (str, float)
        Mask types and the weights they are drawn with.
    seed : int
        Decides which faces are chosen and every choice about their masks.
    limit : int, optional
        Take only the first pictures: a preview.
    textures : str, optional
        Table of custom masks.
    options : MaskOptions
        Ranges that the angle of the mask, its shadow and the light on it are drawn from.
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
    ratio: float = 1.0
    ratio_of: str = "face"
    faces: str = "all"
    upright: bool = False
    smallest: float = 16.0
    types: tuple[tuple[str, float], ...] = field(default_factory=lambda: parse_types("all"))
    seed: int = 0
    limit: int | None = None
    textures: str | None = None
    options: MaskOptions = field(default_factory=MaskOptions)
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice("ratio_of", self.ratio_of, RATIO_OF)
        check_choice("faces", self.faces, FACES)
        if not 0 <= self.ratio <= 1:
            raise ConfigError(f"ratio is {self.ratio}; of photographs it must be from 0 to 1")
        if not self.smallest >= LEAST_EYES:
            raise ConfigError(f"smallest is {self.smallest}; it must be {LEAST_EYES} or more pixels between the eyes")
        check_seed(self.seed)
        check_at_least("limit", self.limit, 1)
        check_at_least("workers", self.workers, 1)
        check_types(self.types, known_types(self.textures))

    def settings(self) -> dict[str, Any]:
        """What decides the bytes of the output; where it is read from and written to, and by whom, does not."""
        given = asdict(self)
        for name in ("source", "destination", "workers", "executor", "overwrite"):
            del given[name]
        return {**given, "types": dict(self.types), "textures": textures_content(self.textures)}
