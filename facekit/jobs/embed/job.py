"""``facekit embed``: a pack or a folder of pictures in, a folder of vectors out.

Read the source, do the shards, put index and vectors together, move them into place.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from facekit.embeddings import is_features
from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.embed.finish import assemble_output
from facekit.jobs.embed.plan import make_plan
from facekit.jobs.embed.shard import start_worker
from facekit.jobs.embed.summary import EmbedSummary, summarise
from facekit.run.destination import check_destination
from facekit.run.journal import Journal, was_published
from facekit.run.work import do_shards

__all__ = ["EmbedConfig", "EmbedSummary", "embed"]


def embed(config: EmbedConfig) -> EmbedSummary:
    """Embed a pack.

    Parameters
    ----------
    config : EmbedConfig

    Returns
    -------
    EmbedSummary
        What was written, counted from the output.

    Raises
    ------
    ConfigError, DestinationExists
        The model cannot be used so, the pictures do not fit it, the destination exists, or another run writes it.
    RecordError
        The source is missing or corrupt.
    FacekitError
        No picture has a vector.
    """
    started, destination = perf_counter(), Path(config.destination)
    plan, done = make_plan(config), 0
    if config.overwrite or not was_published(destination, plan.settings):
        if not (config.overwrite and is_features(destination)):
            check_destination(destination, config.overwrite)
        with Journal(destination, plan.settings, config.overwrite) as journal:
            done = do_shards(
                "embedding",
                plan.shards,
                journal,
                lambda shard: plan.task(shard, journal.path(shard)),
                config.workers,
                start_worker,
                config.model,
            )
            assemble_output(plan, journal)
            journal.publish()
    return summarise(destination, len(plan.source), done, perf_counter() - started)
