"""``facekit embed``: a pack or a folder of pictures in, a folder of vectors out.

Read the source, do the shards, put index and vectors together, move them into place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from facekit.embeddings import Engine
from facekit.embeddings.devices import parse_devices
from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.embed.finish import assemble_output
from facekit.jobs.embed.pace import TIMED, source_pace
from facekit.jobs.embed.plan import EmbedPlan, make_plan
from facekit.jobs.embed.shard import EmbedWorker, start_worker
from facekit.jobs.embed.summary import EmbedSummary, summarise
from facekit.jobs.inputs.model import ModelChoice, model_input, open_engine
from facekit.jobs.inputs.source import source_input
from facekit.output import check_folder, input_of, open_folder
from facekit.output.dry_run import Forecast, is_dry
from facekit.run.processors import processors
from facekit.run.shard_file import count_refused
from facekit.run.work import ShardWork, run_job

__all__ = ["EmbedConfig", "EmbedSummary", "embed"]

BYTES_A_VECTOR = 512 * 4 + 64
"""What a picture takes in the output at the usual 512 dimensions; vectors are linked there, not copied."""


def embed(config: EmbedConfig, open_model: Callable[[ModelChoice], Engine] = open_engine) -> EmbedSummary:
    """Embed a pack.

    Parameters
    ----------
    config : EmbedConfig
    open_model : callable
        Opens the network of a worker; importable by name.

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
    plan = make_plan(config, open_model)
    inputs = [*guarded, source_input(plan.source, config.source)]
    needed, shared = BYTES_A_VECTOR * len(plan.source), config.executor.part is not None
    forecast = forecast_embedding(config, plan, open_model) if is_dry() else None
    output = open_folder(
        config.destination, "embed", inputs, plan.settings, config.overwrite, needed, shared, forecast=forecast
    )
    worker, workers, gpus = share_devices(config, open_model)
    shards, executor = plan.shards, config.executor
    work = ShardWork("embedding", shards, plan.task, start_worker, worker, workers, executor, gpus, count_refused)
    done = run_job(output, work, lambda output: assemble_output(plan, output))
    return summarise(Path(config.destination), len(plan.source), done, perf_counter() - started)


def forecast_embedding(
    config: EmbedConfig, plan: EmbedPlan, open_model: Callable[[ModelChoice], Engine] = open_engine
) -> Forecast:
    """What a dry run tells, having embedded a batch.

    Parameters
    ----------
    config : EmbedConfig
    plan : EmbedPlan
    open_model : callable
        As of `embed`.
    """
    devices, count = parse_devices(config.model.device), len(plan.source)
    pace = source_pace(open_model(replace(config.model, device=devices[0])), config.model, plan.source)
    if config.executor.is_shared or config.executor.part is not None:
        pace, timed = None, "not estimated: it depends on who shares the work"
    else:
        timed = TIMED.format(devices[0])
    seconds = None if pace is None else pace * count / len(devices)
    return Forecast(count, device=config.model.device, times={"embedding": seconds}, timed=timed)


def share_devices(
    config: EmbedConfig, open_model: Callable[[ModelChoice], Engine] = open_engine
) -> tuple[EmbedWorker, int, int]:
    """Who runs the network where.

    Returns
    -------
    EmbedWorker
        On graphics cards, the cores decode: each worker has its share of them as threads.
    int
        Workers: so many as were asked for on each device.
    int
        Cards that a worker on a Ray cluster needs to itself; Ray gives each its own, which is the first it sees.
    """
    if config.model.device == "cpu":
        return EmbedWorker(config.model, ("cpu",), 1, open_model), config.workers, 0
    if config.executor.engine == "ray":
        return EmbedWorker(config.model, ("cuda",), 2, open_model), config.workers, 1
    devices = parse_devices(config.model.device)
    workers = config.workers * len(devices)
    threads = max(processors() // workers, 1)
    return EmbedWorker(config.model, devices, threads, open_model), workers, 0
