"""A part of a conversion into a store: its shards are made and sent; the command without --part does all the rest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facekit.jobs.packs.convert_config import ConvertConfig
from facekit.jobs.packs.convert_write import order, relabelled
from facekit.jobs.packs.webdataset import Samples, shard_name, write_shard
from facekit.output import PrefixOutput
from facekit.run.choice import Part, PartDone
from facekit.run.progress import progress
from facekit.run.shards import cut

__all__ = ["send_share"]


def send_share(
    source: Samples, stay: npt.NDArray[np.bool_], config: ConvertConfig, output: PrefixOutput, part: Part
) -> PartDone:
    """Make the shards of a part that are not in the store yet, and send them.

    Parameters
    ----------
    source : Samples
    stay : (N,) bool
        Which of its records.
    config : ConvertConfig
    output : PrefixOutput
        Open. Nothing is published.
    part : Part

    Returns
    -------
    PartDone

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or the disk refuses.
    StoreError
        The store refuses.
    """
    rows = order(source, stay, config)
    labels, _ = relabelled(source.labels[rows], config.keep_labels)
    shards, layout = cut(len(rows), config.shard_records), config.written_layout
    names = [shard_name(layout, shard.number, len(shards)) for shard in shards]
    there = {shard.number for shard in shards if output.holds(names[shard.number])}
    mine = [shard for shard in shards if part.takes(shard.number) and shard.number not in there]
    count = sum(shard.stop - shard.first for shard in mine)
    with progress("converting", count) as advance:
        for shard in mine:
            output.put(write_shard(source, rows, labels, output.folder, shard, config.shard_records, layout))
            advance(shard.stop - shard.first)
        output.wait()
    return PartDone(part, output.address, len(mine), count, len(there) + len(mine), len(shards))
