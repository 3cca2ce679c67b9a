"""What ``facekit passport`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least, check_seed
from facekit.jobs.inputs.model import ModelChoice

__all__ = ["CheckSummary", "PassportConfig", "PassportSummary"]


@dataclass(frozen=True)
class PassportConfig:
    """Settings of ``facekit passport``.

    Attributes
    ----------
    source : str
        A pack.
    destination : str, optional
        The JSON file to write; without one the passport is only made.
    features : str, optional
        Vectors of the pack, which ``facekit embed`` wrote: the noise is estimated by them.
    against : tuple of str
        Test sets (a ``.bin``, a pack, a folder of vectors) whose overlap with the pack is stated.
    model : ModelChoice, optional
        Embeds the pictures of test sets.
    sample : int
        Pictures that are decoded for sizes, qualities and audits.
    seed : int
        Of that sample and of all resampling.
    overwrite : bool

    Raises
    ------
    ConfigError
        A value is not allowed.
    """

    source: str
    destination: str | None = None
    features: str | None = None
    against: tuple[str, ...] = ()
    model: ModelChoice | None = None
    sample: int = 2000
    seed: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_at_least("sample", self.sample, 1)
        check_seed(self.seed)
        if self.model is not None and self.features is None:
            raise ConfigError(
                "--model embeds test sets, which are compared with the vectors of the pack: give --features"
            )


@dataclass(frozen=True)
class PassportSummary:
    """What a passport says.

    Attributes
    ----------
    destination : str or None
        The file that was written.
    passport : dict
        The whole description, as it is written.
    """

    destination: str | None
    passport: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckSummary:
    """What changed since a passport was made.

    Attributes
    ----------
    passport : str
        The file that the pack was held against.
    unchanged : bool
        Nothing of it changed.
    pictures, labels : tuple of (int, int)
        First and last key of each run of 4,096 keys in which a picture, or a label, changed, came or went.
    images_before : int
        By the passport.
    images : int
        In the pack now.
    ledger : str
        ``same``, ``changed``, ``missing`` or ``new``.
    """

    passport: str
    unchanged: bool
    pictures: tuple[tuple[int, int], ...]
    labels: tuple[tuple[int, int], ...]
    images_before: int
    images: int
    ledger: str
