"""Settings and results of ``facekit lists``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least, check_choice
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = ["VOTES", "ExportConfig", "ListSummary", "MergeConfig", "SignConfig"]

VOTES = ("majority", "any", "all")
LONGEST_NAME = 200


@dataclass(frozen=True)
class ExportConfig:
    """Settings of ``facekit lists export``.

    Attributes
    ----------
    cleaned : str
        What ``facekit clean`` or ``apply`` wrote, or a decisions.parquet.
    destination : str
        The list to write.
    source : str, optional
        The pack that the decisions are about; by default where ``source.txt`` beside the decisions says.
    who : str
        Free text that stands in the list.
    overwrite : bool
    partial_index : bool
        Take a pack whose index does not reach its end.
    workers : int
        Worker processes; the list does not depend on it. One hashes in as many threads as there are cores.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the list does not depend on it.
    """

    cleaned: str
    destination: str
    source: str | None = None
    who: str = ""
    overwrite: bool = False
    partial_index: bool = False
    workers: int = 1
    executor: ExecutorChoice = LOCAL

    def __post_init__(self) -> None:
        check_at_least("workers", self.workers, 1)
        if len(self.who) > LONGEST_NAME or not self.who.isprintable():
            raise ConfigError(f"who is {self.who[:40]!r}...: give one line of at most {LONGEST_NAME} characters")


@dataclass(frozen=True)
class MergeConfig:
    """Settings of ``facekit lists merge``.

    Attributes
    ----------
    lists : tuple of str
        Two or more.
    destination : str
    vote : {"majority", "any", "all"}
        How many of the lists that know a picture must leave it out, and how many must put two people together.
    overwrite : bool
    allowed_signers : str, optional
        A file of them: every list must be signed by one of these.
    """

    lists: tuple[str, ...]
    destination: str
    vote: str = "majority"
    overwrite: bool = False
    allowed_signers: str | None = None

    def __post_init__(self) -> None:
        check_choice("vote", self.vote, VOTES)
        if len(self.lists) < 2:
            raise ConfigError(f"{len(self.lists)} list was given: name two or more to merge, and the destination last")


@dataclass(frozen=True)
class SignConfig:
    """Settings of ``facekit lists sign``.

    Attributes
    ----------
    path : str
        The list.
    key : str
        A private OpenSSH key, or the public one of a key that an agent holds.
    overwrite : bool
    """

    path: str
    key: str
    overwrite: bool = False


@dataclass(frozen=True)
class ListSummary:
    """What is in a list.

    Attributes
    ----------
    path : str
    pictures, identities : int
        Pictures that it speaks of, and people who are in.
    actions, reasons : dict from str to int
        Pictures by what is done with them, and why.
    without_hash : int
        Pictures that are known by their bytes alone: they do not decode, or show nothing.
    voters : list of dict
        Who says it: who, model, settings, pictures.
    agreed : int
        Pictures of which all voters that know them say the same, in or out.
    vote : str or None
        How the lists were merged that it was made of.
    bytes : int
        Of the file.
    signed_by : str or None
        Who signed it, by the file of allowed signers; none where none was named.
    signature : str or None
        The signature, where there is one.
    signatures : dict from str to str
        What is known of the signature of each list; of ``merge`` of those that were merged.
    """

    path: str
    pictures: int
    identities: int
    actions: dict[str, int]
    reasons: dict[str, int]
    without_hash: int
    voters: list[dict[str, Any]] = field(default_factory=list)
    agreed: int = 0
    vote: str | None = None
    bytes: int = 0
    signed_by: str | None = None
    signature: str | None = None
    signatures: dict[str, str] = field(default_factory=dict)
