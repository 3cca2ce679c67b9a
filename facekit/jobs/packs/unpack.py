"""``facekit unpack``: a pack -> one folder an identity, with a list from which the pack can be made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.outputs.rewrite import NO_LABEL
from facekit.jobs.packs.unpack_shard import UnpackTask, picture_name, start_worker
from facekit.output import FolderOutput, open_folder
from facekit.records.index_policy import index_policy
from facekit.records.pack import pack_paths
from facekit.run.choice import LOCAL, ExecutorChoice, given_settings
from facekit.run.shard_file import read_rows
from facekit.run.shards import Shard, cut, shard_size
from facekit.run.work import ShardWork, run_job

__all__ = ["LIST", "UnpackConfig", "UnpackSummary", "unpack"]

LIST = "unpacked.lst"


@dataclass(frozen=True)
class UnpackConfig:
    """Settings of ``facekit unpack``.

    Attributes
    ----------
    source, destination : str
    limit : int, optional
        Take only the first pictures of those with a label from 0 on.
    workers : int
        Worker processes; the output does not depend on it.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    overwrite : bool
        Replace a folder that was unpacked before.
    partial_index : bool
        Take a pack whose index does not reach its end.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    destination: str
    limit: int | None = None
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_at_least("limit", self.limit, 1)
        check_at_least("workers", self.workers, 1)


@dataclass(frozen=True)
class UnpackSummary:
    """What ``facekit unpack`` did.

    Attributes
    ----------
    destination : str
    pictures, identities : int
    strange : int
        Payloads that are no picture by their first bytes, and were written too.
    dropped : dict from str to int
        Records of the pack left out, by reason.
    list : str
    seconds : float
    """

    destination: str
    pictures: int
    identities: int
    strange: int
    dropped: dict[str, int]
    list: str
    seconds: float


def unpack(config: UnpackConfig) -> UnpackSummary:
    """Write every labelled payload of a pack, byte for byte, as a file ``LABEL/KEY.jpg``, and the list of all.

    Parameters
    ----------
    config : UnpackConfig

    Returns
    -------
    UnpackSummary

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, or the destination exists.
    RecordError
        The pack is missing or corrupt, or the disk refuses.
    """
    started = perf_counter()
    source = _labelled(config)
    unlabelled, source = len(source), source.select_rows(np.flatnonzero(source.labels >= 0))
    unlabelled -= len(source)
    source = source.slice(0, min(len(source), config.limit or len(source)))
    settings = {**given_settings(config), "input": {"content": source.content, "changed": source.changed}}
    read = [source_input(source, config.source)]
    needed = Path(source.path).stat().st_size if config.limit is None else 0
    shared = config.executor.part is not None
    output = open_folder(config.destination, "unpack", read, settings, config.overwrite, needed, shared)
    shards = cut(len(source), shard_size(len(source)))

    def task_of(shard: Shard, path: Path) -> UnpackTask:
        return UnpackTask(shard, path, source.slice(shard.first, shard.stop), output.kept_folder())

    work = ShardWork("unpacking", shards, task_of, start_worker, None, config.workers, config.executor)
    run_job(output, work, lambda output: write_list(output, shards), LIST)
    return _summarise(config, source, unlabelled, perf_counter() - started)


def _labelled(config: UnpackConfig) -> Source:
    """The pictures of the pack, in the order in which it has them."""
    pack_paths(config.source)  # a folder of pictures, which other commands take too, is no pack
    return open_source(config.source, layout="flat", partial_index=index_policy(config.partial_index))[0]


def write_list(output: FolderOutput, shards: Sequence[Shard]) -> None:
    """List the pictures of all shards."""
    folder = output.kept_folder()
    with open(folder / LIST, "w", encoding="ascii") as lines:
        for shard in shards:
            for row in read_rows(output.shard(shard.number)).to_pylist():
                name = picture_name(row["label"], row["key"], row["suffix"])
                lines.write(f"{row['key']}\t{row['label']}\t{name}\n")


def _summarise(config: UnpackConfig, source: Source, unlabelled: int, seconds: float) -> UnpackSummary:
    place = Path(config.destination)
    with open(place / LIST, encoding="ascii") as lines:
        strange = sum(line.endswith(".bin\n") for line in lines)
    dropped = {NO_LABEL: unlabelled} if unlabelled else {}
    people = len(np.unique(source.labels))
    return UnpackSummary(str(place), len(source), people, strange, dropped, str(place / LIST), seconds)
