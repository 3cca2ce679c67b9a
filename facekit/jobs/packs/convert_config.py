"""What ``facekit convert`` is told, and what it tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least, check_choice, check_seed
from facekit.run.choice import LOCAL, ExecutorChoice
from facekit.stores import is_address

__all__ = ["IN_SHARDS", "ConvertConfig", "ConvertSummary"]

LAYOUTS = ("insightface", "flat", "webdataset", "parquet")
IN_SHARDS = ("webdataset", "parquet")


@dataclass(frozen=True)
class ConvertConfig:
    """Settings of ``facekit convert``.

    Attributes
    ----------
    source, destination : str
    layout : {"insightface", "flat", "webdataset", "parquet"}, optional
        By default ``insightface``, in a store ``webdataset``.
    shuffle : bool
        Write the records in an order drawn from ``seed``; not in the layout ``insightface``, which keeps identities
        together.
    seed : int
    min_images : int
        Leave out identities with fewer pictures.
    drop : str, optional
        A file with the keys of records to leave out, one a line.
    keep_labels : bool
        Keep the labels as they are instead of making them contiguous.
    shard_records : int
        Records of a tar shard or parquet file.
    hashes : bool
        Write the hash of every payload into the ledger.
    workers : int
        Worker processes, and files of samples that are read at once; the output does not depend on it.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    overwrite : bool
        Replace an existing destination.
    partial_index : bool
        Take a pack whose index does not reach its end.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    destination: str
    layout: str | None = None
    shuffle: bool = False
    seed: int = 0
    min_images: int = 1
    drop: str | None = None
    keep_labels: bool = False
    shard_records: int = 10_000
    hashes: bool = True
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_choice("layout", self.written_layout, LAYOUTS)
        if is_address(self.destination) and self.written_layout not in IN_SHARDS:
            raise ConfigError(
                f"{self.destination} lies in a store, and the layout {self.layout} is for the disk: choose one of "
                f"{', '.join(IN_SHARDS)}"
            )
        if self.shuffle and self.written_layout == "insightface":
            raise ConfigError("the layout insightface keeps identities together: shuffle flat, webdataset or parquet")
        check_at_least("workers", self.workers, 1)
        check_at_least("min_images", self.min_images, 1)
        check_at_least("shard_records", self.shard_records, 1)
        check_seed(self.seed)

    @property
    def written_layout(self) -> str:
        """The layout of the output."""
        return self.layout or ("webdataset" if is_address(self.destination) else "insightface")

    def settings(self) -> dict[str, Any]:
        """What decides the bytes of the output; where it is written to, and by how many, does not."""
        given = asdict(self)
        for name in ("source", "destination", "overwrite", "partial_index", "workers", "executor"):
            del given[name]
        return {**given, "layout": self.written_layout}


@dataclass(frozen=True)
class ConvertSummary:
    """What ``facekit convert`` did.

    Attributes
    ----------
    destination, layout : str
    source_images, images, identities, num_classes : int
    dropped : dict from str to int
        Records left out, by reason.
    labels : str
        The table of old and new labels.
    snippet : str
        What arcface_torch's config needs to be told.
    bytes : int
    seconds : float
    """

    destination: str
    layout: str
    source_images: int
    images: int
    identities: int
    num_classes: int
    dropped: dict[str, int]
    labels: str
    snippet: str
    bytes: int
    seconds: float
