"""The settings of cleaning, checked once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from facekit.errors import ConfigError, as_written, none_of
from facekit.run.processors import processors

__all__ = ["AUTO", "DEFAULTS", "GUARDS", "CleanSettings"]

AUTO = "auto"
GUARDS = ("complete", "recheck", "none")
_CHOICES = {
    "mode": ("published", "robust"),
    "cluster": ("dbscan", "hdbscan"),
    "union_action": ("join", "drop"),
    "guard": GUARDS,
}


@dataclass(frozen=True)
class CleanSettings:
    """What cleaning is asked to do; similarities are cosines.

    Attributes
    ----------
    mode : {"published", "robust"}
        The method as published, or with everything that was measured to be better.
    inter : float
        Inter-ID: identities whose centres are at least this similar are merged. Robust mode calibrates its own.
    intra : float or "auto"
        Intra-ID: faces less similar than this to the centre of their identity are dropped.
    eps : float or "auto"
        Cosine distance of neighbours in the clusters.
    min_samples : int
        Faces that make a cluster.
    cluster : {"dbscan", "hdbscan"}
        How the faces of one identity are clustered.
    union : float
        ID-Union: centres at least this similar are the same identity.
    union_action : {"join", "drop"}
        Join the images of an identity that is there twice, or drop those of the smaller one.
    guard : {"complete", "recheck", "none"}
        What stops chains of merges; see `facekit.clean.merge.merge_groups`.
    near_miss : float
        How far below `inter` pairs of identities are still reported (they change nothing).
    threads : int
        0 takes all processors of this process. The result does not depend on it.

    Raises
    ------
    ConfigError
        A value outside what is allowed.
    """

    mode: str = "published"
    inter: float = 0.75
    intra: float | str = 0.25
    eps: float | str = 0.55
    min_samples: int = 2
    cluster: str = "dbscan"
    union: float = 0.95
    union_action: str = "join"
    guard: str = "complete"
    near_miss: float = 0.1
    threads: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise none_of(name, getattr(self, name), allowed)
        for name in ("inter", "intra", "union"):
            _check_range(name, getattr(self, name), -1.0, 1.0, auto=name == "intra")
        _check_range("eps", self.eps, 0.0, 2.0, auto=True)
        _check_range("near_miss", self.near_miss, 0.0, 1.0, auto=False)
        if self.union < self.inter:
            raise ConfigError(f"union is {self.union}, below inter {self.inter}: ID-Union is the stricter of the two")
        if not isinstance(self.min_samples, int) or self.min_samples < 1:
            raise ConfigError(f"min_samples is {self.min_samples!r}: give a whole number of at least 1")
        if not isinstance(self.threads, int) or self.threads < 0:
            raise ConfigError(f"threads is {self.threads!r}: give a whole number, 0 for all processors")

    @property
    def workers(self) -> int:
        """How many threads are used."""
        if self.threads:
            return self.threads
        return processors()

    def record(self) -> dict[str, Any]:
        """Everything that decides the result, JSON-able."""
        return {name: value for name, value in asdict(self).items() if name != "threads"}


def _check_range(name: str, value: object, low: float, high: float, auto: bool) -> None:
    if auto and value == AUTO:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        also = f", or {AUTO!r}" if auto else ""
        raise ConfigError(f"{name} is {value!r}: give a number from {as_written(low)} to {as_written(high)}{also}")


DEFAULTS = CleanSettings()
