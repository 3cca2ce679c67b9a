"""What ``facekit overlap`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from facekit.errors import ConfigError
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.model import ModelChoice

__all__ = ["OverlapConfig", "OverlapSummary", "SideSummary"]


@dataclass(frozen=True)
class OverlapConfig:
    """Settings of ``facekit overlap``.

    Attributes
    ----------
    a, b : str
        A pack, a folder of pictures, a verification ``.bin``, a folder of vectors, or a list of decisions each.
    destination : str, optional
        Folder for the tables and the pictures; without one only the summary is made.
    model : ModelChoice, optional
        Embeds what has no vectors yet; without it, and without vectors, only bytes are compared.
    features_a, features_b : str, optional
        Folders of vectors of a and of b, which ``facekit embed`` wrote.
    identity : float
        Cosine of two centres from which two identities count as one person; clean's limit for test sets.
    picture : float
        Cosine of two faces, of identities that are one person, from which they count as nearly one picture.
    workers : int
        Threads of the search.
    overwrite : bool

    Raises
    ------
    ConfigError
        A limit is no cosine.
    """

    a: str
    b: str
    destination: str | None = None
    model: ModelChoice | None = None
    features_a: str | None = None
    features_b: str | None = None
    identity: float = CleanConfig.exclude_identity
    picture: float = CleanConfig.exclude_image
    workers: int = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("identity", "picture"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be a cosine above 0 and at most 1")
        check_at_least("workers", self.workers, 1)

    def settings(self) -> dict[str, Any]:
        """JSON-able: what decides the bytes of the output."""
        model = None if self.model is None else self.model.path
        names = ("a", "b", "features_a", "features_b", "identity", "picture")
        return {"model": model, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class SideSummary:
    """One of two sets of faces.

    Attributes
    ----------
    path : str
    pictures, identities : int
    same_pictures : int
        Whose bytes the other set has too.
    near_pictures : int
        That are nearly a picture of the other set by their vectors; None: there are no vectors on one side.
    shared_identities : int
        That share a picture with an identity of the other set, by bytes or by vectors, or whose centre is near its.
    """

    path: str
    pictures: int
    identities: int
    same_pictures: int
    near_pictures: int | None
    shared_identities: int


@dataclass(frozen=True)
class OverlapSummary:
    """What two sets of faces share.

    Attributes
    ----------
    a : SideSummary
        The first set.
    b : SideSummary
        The second.
    identity_pairs : int
        Identities of both that share something; one may be in several pairs.
    by_bytes, by_vectors : bool
        What could be compared.
    placeholders : int
        Pictures of a whose bytes stand under so many identities that they say nothing of who is shown: they count as
        the same pictures, and make no two identities one.
    destination : str or None
    """

    a: SideSummary
    b: SideSummary
    identity_pairs: int
    by_bytes: bool
    by_vectors: bool
    placeholders: int
    destination: str | None
