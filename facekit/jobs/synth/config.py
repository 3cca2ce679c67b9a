"""What a job that draws people is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from facekit.errors import ConfigError, none_of
from facekit.run.choice import LOCAL, ExecutorChoice
from facekit.synth.plan import PackSpec

__all__ = ["SynthConfig"]

LAYOUTS = ("insightface", "flat")


@dataclass(frozen=True)
class SynthConfig:
    """Settings of ``facekit synth``.

    Attributes
    ----------
    destination : str
        Folder that will appear when everything is done.
    spec : PackSpec
        What the pack is to hold.
    layout : str
        ``insightface`` (record 0 and identity records) or ``flat`` (pictures only).
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

    destination: str
    spec: PackSpec
    layout: str = "insightface"
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise none_of("layout", self.layout, LAYOUTS)
        if self.workers < 1:
            raise ConfigError(f"workers is {self.workers}; it must be at least 1")

    def settings(self) -> dict[str, Any]:
        """What decides the bytes of the output; where it is written to, and by whom, does not."""
        return {"spec": asdict(self.spec), "layout": self.layout}
