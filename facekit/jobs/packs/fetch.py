"""Files of samples -> shard files of the run: each is journalled, so that what was fetched is not fetched again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from facekit.jobs.inputs.sample_files import SampleFiles
from facekit.jobs.outputs.copy_shards import Copying
from facekit.jobs.outputs.gather import GatheredSamples, read_samples_of_shards
from facekit.jobs.outputs.sample_shards import SampleTask, as_it_is, write_sample_shard
from facekit.output import FolderOutput
from facekit.run.shards import Shard
from facekit.run.work import ShardWork, run_share

__all__ = ["fetch_samples"]


def fetch_samples(output: FolderOutput, files: SampleFiles, config: Copying) -> GatheredSamples:
    """Read the files that no earlier run has finished, several at a time, and say what is in all of them.

    Who reads them, the config says.

    Raises
    ------
    RecordError
        A file is damaged, changed while it was read, or a sample has no picture or no label.
    StoreError
        A store does not answer.
    PartFinished
        The share of the part that was asked for is done.
    """
    shards = [Shard(number, number, number + 1) for number in range(len(files.files))]
    work = ShardWork(
        "fetching",
        shards,
        lambda shard, path: SampleTask(shard, path, files.files[shard.number]),
        start_worker,
        None,
        config.workers,
        config.executor,
    )
    run_share(output, work)
    return read_samples_of_shards([output.shard(shard.number) for shard in shards])


def start_worker(_: Any) -> Callable[[SampleTask], Shard]:
    """What a worker does with a file."""
    return partial(write_sample_shard, keep=as_it_is)
