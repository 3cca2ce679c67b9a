"""``facekit embed``: a pack or a folder of pictures in, a folder of vectors out.

Read the source, do the shards, put index and vectors together, move them into place.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.embed.finish import assemble_output
from facekit.jobs.embed.plan import make_plan
from facekit.jobs.embed.shard import start_worker
from facekit.jobs.embed.summary import EmbedSummary, summarise
from facekit.jobs.inputs.model import model_input
from facekit.jobs.inputs.source import source_input
from facekit.output import check_folder, input_of, open_folder
from facekit.run.work import ShardWork, run_job

__all__ = ["EmbedConfig", "EmbedSummary", "embed"]

BYTES_A_VECTOR = 512 * 4 + 64
"""What a picture takes in the output at the usual 512 dimensions; vectors are linked there, not copied."""


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
    started = perf_counter()
    guarded = [input_of(config.source, lambda: ()), model_input(config.model)]
    check_folder(config.destination, guarded, config.overwrite)
    plan = make_plan(config)
    inputs = [*guarded, source_input(plan.source, config.source)]
    needed, shared = BYTES_A_VECTOR * len(plan.source), config.executor.part is not None
    output = open_folder(config.destination, "embed", inputs, plan.settings, config.overwrite, needed, shared)
    work = ShardWork(
        "embedding", plan.shards, plan.task, start_worker, config.model, config.workers, config.executor
    )
    done = run_job(output, work, lambda output: assemble_output(plan, output))
    return summarise(Path(config.destination), len(plan.source), done, perf_counter() - started)
