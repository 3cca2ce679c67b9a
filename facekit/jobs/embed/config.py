"""What an embedding job is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.model import ModelChoice
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = ["EmbedConfig"]


@dataclass(frozen=True)
class EmbedConfig:
    """Settings of ``facekit embed``.

    Attributes
    ----------
    source : str
        A pack (its folder, its ``.rec`` or their prefix) or a folder of pictures.
    destination : str
        Folder of vectors that will appear when everything is done.
    model : ModelChoice
    workers : int
        Processes, each with the network opened; more than one is for networks that do not use all cores.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    limit : int, optional
        Take only the first pictures in physical order.
    overwrite : bool
        Replace an existing folder of vectors, and discard an unfinished run with other settings.
    partial_index : bool
        Take a pack whose index does not reach its end.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    destination: str
    model: ModelChoice
    workers: int = 1
    limit: int | None = None
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_at_least("workers", self.workers, 1)
        check_at_least("limit", self.limit, 1)
