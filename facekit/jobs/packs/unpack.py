"""``facekit unpack``: a pack -> one folder an identity, with a list from which the pack can be made again.

Where the pack's ledger and ``source.lst`` tell the files it was made from, these get their names back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from facekit.errors import FacekitError
from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.outputs.rewrite import NO_LABEL
from facekit.jobs.packs.unpack_names import plan_names
from facekit.jobs.packs.unpack_shard import UnpackTask, start_worker
from facekit.output import FolderOutput, open_folder
from facekit.output.dry_run import Forecast
from facekit.records.distinct import ascends, blocks, distinct
from facekit.records.index_policy import index_policy
from facekit.records.name_hashes import name_hashes
from facekit.records.pack_files import pack_paths
from facekit.run.choice import LOCAL, ExecutorChoice, given_settings
from facekit.run.shard_file import read_rows
from facekit.run.shards import Shard, cut, shard_size
from facekit.run.trial import forecast_shards
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
    named : int
        Files that have the name from before they were packed.
    dropped : dict from str to int
        Records of the pack left out, by reason.
    list : str
    seconds : float
    """

    destination: str
    pictures: int
    identities: int
    strange: int
    named: int
    dropped: dict[str, int]
    list: str
    seconds: float


def unpack(config: UnpackConfig) -> UnpackSummary:
    """Write every labelled payload of a pack, byte for byte, as a file, and the list of all.

    The file is called as before it was packed where the pack's ledger and its ``source.lst`` tell, else
    ``LABEL/KEY.jpg``. A second record of the same file has its mask type, or else its key, behind the name; a payload
    of another kind than the name says has the suffix of its kind.

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
    unlabelled = sum(int((source.labels[part] < 0).sum()) for part in blocks(len(source)))
    if unlabelled:
        source = source.select_rows(np.flatnonzero(source.labels >= 0))
    source = source.slice(0, min(len(source), config.limit or len(source)))
    names = plan_names(Path(source.path), source.keys, source.labels)
    settings = {**given_settings(config), "input": {"content": source.content, "changed": source.changed}}
    read = [source_input(source, config.source)]
    needed = Path(source.path).stat().st_size if config.limit is None else 0
    shared = config.executor.part is not None
    shards = cut(len(source), shard_size(len(source)))

    def task_in(shard: Shard, path: Path, folder: Path) -> UnpackTask:
        part = source.slice(shard.first, shard.stop)
        return UnpackTask(shard, path, part, names.of(shard.first, shard.stop), folder)

    def task_of(shard: Shard, path: Path) -> UnpackTask:
        return task_in(shard, path, output.kept_folder())

    def forecast(finished: set[int]) -> Forecast:
        return forecast_shards(
            work, Forecast(len(source)), finished, lambda shard, path: task_in(shard, path, path.parent / "pictures")
        )

    work = ShardWork("unpacking", shards, task_of, start_worker, None, config.workers, config.executor)
    output = open_folder(
        config.destination, "unpack", read, settings, config.overwrite, needed, shared, forecast=forecast
    )
    run_job(output, work, lambda output: write_list(output, shards), LIST)
    return _summarise(config, source, unlabelled, perf_counter() - started)


def _labelled(config: UnpackConfig) -> Source:
    """The pictures of the pack, in the order in which it has them."""
    pack_paths(config.source)  # a folder of pictures, which other commands take too, is no pack
    return open_source(config.source, layout="flat", partial_index=index_policy(config.partial_index))[0]


def write_list(output: FolderOutput, shards: Sequence[Shard]) -> None:
    """List the pictures of all shards.

    Raises
    ------
    FacekitError
        Two records have one name, so that one of them was written over the other.
    """
    folder, found = output.kept_folder(), np.empty(shards[-1].stop if shards else 0, np.uint64)
    with open(folder / LIST, "wb") as lines:
        for shard in shards:
            rows = read_rows(output.shard(shard.number))
            keys, labels, names = (rows[name].to_pylist() for name in ("key", "label", "name"))
            lines.writelines(b"%d\t%d\t%s\n" % row for row in zip(keys, labels, names, strict=True))
            found[shard.first : shard.stop] = name_hashes(names)
    found.sort()
    if not ascends(found, strictly=True):
        raise FacekitError("two records of the pack would have the same file name: remove source.lst beside the pack")


def _summarise(config: UnpackConfig, source: Source, unlabelled: int, seconds: float) -> UnpackSummary:
    place = Path(config.destination)
    strange, named = 0, 0
    with open(place / LIST, "rb") as lines:
        for line in lines:
            key, label, name = line.split(b"\t")
            strange += name.endswith(b".bin\n")
            named += os.path.splitext(name)[0] != b"%07d/%08d" % (int(label), int(key))
    dropped = {NO_LABEL: unlabelled} if unlabelled else {}
    people = len(distinct(source.labels))
    return UnpackSummary(str(place), len(source), people, strange, named, dropped, str(place / LIST), seconds)
