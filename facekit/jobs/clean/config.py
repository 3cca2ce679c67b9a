"""Settings and result of ``facekit clean``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from facekit.clean.plausibility import ALLOWED_LOSS
from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.model import ModelChoice
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = ["CleanConfig", "CleanSummary"]


@dataclass(frozen=True)
class CleanConfig:
    """Settings of ``facekit clean``.

    Attributes
    ----------
    source : str
        A pack, or a folder of pictures with one folder a person.
    destination : str
        Folder that will appear when everything is done.
    features : str
        What ``facekit embed`` wrote, or an ``.npy`` with a row for each image in physical order.
    model : ModelChoice, optional
        Embeds the pictures of test sets.
    settings : CleanSettings
    exclude : tuple of str
        Test sets that the result may not share people or pictures with: .bin files, packs, folders of pictures or of
        vectors.
    exclude_identity, exclude_image : float
        Similarity of an identity's centre, or of a single face, with a test picture from which it is in the test set.
    near_duplicates, low_quality : bool
        Also drop pictures that are there again, or whose quality is far below the others'.
    overrides : str, optional
        What a person decided.
    decisions_only : bool
        Write decisions and report, no pack.
    allow_loss : float
        Share of the images, and of the identities, that cleaning may take before it is refused.
    round : int
        Of self-learning; a number in the decisions.
    report : bool
    device : str
        Where pairs of identities are compared: ``cpu`` or ``cuda``.
    workers : int
        Processes that compare pairs of identities; the output does not depend on it.
    executor : ExecutorChoice
        Where they are, and which part of the clustering inside the identities is done.
    overwrite : bool
    partial_index : bool
        Take a pack whose index does not reach its end.
    """

    source: str
    destination: str
    features: str
    model: ModelChoice | None = None
    settings: CleanSettings = field(default_factory=CleanSettings)
    exclude: tuple[str, ...] = ()
    exclude_identity: float = 0.6
    exclude_image: float = 0.9
    near_duplicates: bool = False
    low_quality: bool = False
    overrides: str | None = None
    decisions_only: bool = False
    allow_loss: float = ALLOWED_LOSS
    round: int = 0
    report: bool = True
    device: str = "cpu"
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_at_least("workers", self.workers, 1)
        if self.round < 0:
            raise ConfigError(f"round is {self.round}: give a number from 0")
        if not 0 <= self.allow_loss <= 1:
            raise ConfigError(f"allow_loss is {self.allow_loss}: give a share from 0 to 1")
        for name in ("exclude_identity", "exclude_image"):
            if not -1 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: give a similarity from -1 to 1")

    def record(self) -> dict[str, Any]:
        """Everything that decides the bytes of the output."""
        given = asdict(self)
        who = ("device", "workers", "executor")
        for name in ("source", "destination", "features", *who, "allow_loss", "overwrite", "partial_index"):
            given.pop(name)
        return given | {"settings": self.settings.record()}


@dataclass(frozen=True)
class CleanSummary:
    """The result of ``facekit clean`` and ``facekit apply``; images are counted once each.

    Attributes
    ----------
    destination : str
    images, identities : int
        That went in.
    kept, moved, dropped, review : int
        What became of the images; they add up.
    reasons : dict from str to int
    images_out, identities_out : int
        That came out.
    settings : dict
        Thresholds in force, calibrated ones included.
    config : str
        The lines for a training config.
    seconds : float
    found : dict from str to int
        Of ``apply`` with a list: images by the key that found them in it, and those that it does not know.
    signature : str
        Of ``apply`` with a list: unsigned, or who or which key signed it.
    """

    destination: str
    images: int
    identities: int
    kept: int
    moved: int
    dropped: int
    review: int
    reasons: dict[str, int]
    images_out: int
    identities_out: int
    settings: dict[str, Any]
    config: str
    seconds: float
    found: dict[str, int] = field(default_factory=dict)
    signature: str = ""
