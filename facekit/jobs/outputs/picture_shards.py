"""What the pictures of a source show, hashed by several processes or machines: a journal keeps what each has done.

One process alone keeps no journal: it hashes in as many threads as there are cores.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from facekit.images.perceptual import HASH_BYTES, HASH_NAME
from facekit.jobs.inputs.picture_hashes import hash_payload, hash_pictures
from facekit.jobs.inputs.source import Source, source_input
from facekit.jobs.inputs.source_records import read_records
from facekit.output import is_begun, open_folder
from facekit.records.mapped_array import mapped_array
from facekit.run.choice import ExecutorChoice
from facekit.run.platform_stamp import instruction_set
from facekit.run.shard_file import ShardWriter, read_rows
from facekit.run.shards import Shard, cut, shard_size
from facekit.run.work import ShardWork, run_share

__all__ = ["HashTask", "journal_of", "share_hashing"]

BYTES_A_PICTURE = 64
"""Of a finished shard."""


class Looking(Protocol):
    """A config of a command that hashes pictures."""

    @property
    def destination(self) -> str: ...

    @property
    def workers(self) -> int: ...

    @property
    def executor(self) -> ExecutorChoice: ...

    @property
    def overwrite(self) -> bool: ...


class HashTask(NamedTuple):
    """One shard: its pictures, and where their hashes go."""

    shard: Shard
    path: Path
    source: Source

    def __repr__(self) -> str:
        return f"shard {self.shard.number} ({len(self.source)} pictures of {self.source.name})"


def share_hashing(source: Source, named: str, config: Looking) -> npt.NDArray[np.uint8]:
    """Hash what every picture of a source shows, by whom the config names.

    Parameters
    ----------
    source : Source
        N records.
    named : str
        As it was named.
    config : Looking
        Beside its destination, in ``DESTINATION.hashes.partial``, workers and parts keep what they did until all is.

    Returns
    -------
    (N, 40) uint8
        As `hash_pictures`, whoever made them.

    Raises
    ------
    ConfigError, DestinationExists
        Something stands where hashes are to be kept, or others are at work there.
    RecordError
        A record is truncated or corrupt.
    PartFinished
        The share of the part that was asked for is done.
    """
    journal = journal_of(config)
    if not len(source) or (config.workers == 1 and not config.executor.is_shared and not is_begun(journal)):
        return hash_pictures(source)
    shards = cut(len(source), shard_size(len(source)))

    def task_of(shard: Shard, path: Path) -> HashTask:
        return HashTask(shard, path, source.select_rows(np.arange(shard.first, shard.stop)))

    work = ShardWork("looking", shards, task_of, start_worker, None, config.workers, config.executor)
    read, needed = [source_input(source, named)], BYTES_A_PICTURE * len(source)
    shared = config.executor.part is not None
    with open_folder(journal, "hashes", read, _settings(source), config.overwrite, needed, shared) as kept:
        run_share(kept, work)
        found = mapped_array((len(source), HASH_BYTES), np.uint8)
        for shard in shards:
            hashes = read_rows(kept.shard(shard.number))["hash"].combine_chunks().buffers()[1]
            part = found[shard.first : shard.stop]
            part[:] = np.frombuffer(hashes, np.uint8)[: part.size].reshape(part.shape)
    return found


def journal_of(config: Looking) -> str:
    """The name beside which is kept what was looked at."""
    return f"{config.destination.rstrip('/')}.hashes"


def _settings(source: Source) -> dict[str, str]:
    """Everything that decides the hashes; the pictures are some of the source's."""
    rows = blake2b(digest_size=16)
    for column in (source.keys, source.offsets):
        rows.update(np.ascontiguousarray(column).data)
    return {
        "input": source.content,
        "changed": source.changed,
        "pictures": rows.hexdigest(),
        "hash": HASH_NAME,
        "instruction_set": instruction_set(),
    }


def start_worker(_: None) -> Callable[[HashTask], Shard]:
    """Return what is done with a task; there is nothing to open."""
    import cv2
    import pyarrow as pa

    cv2.setNumThreads(1)

    def work(task: HashTask) -> Shard:
        hashes = [hash_payload(record.payload) for record, _ in read_records(task.source)]
        with ShardWriter(task.path) as out:
            out.finish(pa.table({"hash": pa.array(hashes, pa.binary(HASH_BYTES))}))
        return task.shard

    return work
