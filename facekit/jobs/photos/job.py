"""``facekit mask --photos``: a tree of photographs in, the same tree with masks on the faces out.

List the photographs, choose, do the shards, put the tree together, move it into place.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter

from facekit.compiled import say_compiling
from facekit.jobs.photos.config import PhotosConfig
from facekit.jobs.photos.finish import assemble_output
from facekit.jobs.photos.plan import LIST, PhotosPlan, make_plan
from facekit.jobs.photos.shard import PhotosTask, start_worker
from facekit.jobs.photos.summary import PhotosSummary, summarise
from facekit.output import Input, check_folder, input_of, open_folder
from facekit.output.dry_run import Forecast
from facekit.run.compiling import compile_ahead
from facekit.run.shard_file import count_refused
from facekit.run.shards import Shard
from facekit.run.trial import forecast_shards
from facekit.run.work import ShardWork, run_job

__all__ = ["mask_photos"]


def mask_photos(config: PhotosConfig) -> PhotosSummary:
    """Mask the faces of photographs.

    Parameters
    ----------
    config : PhotosConfig

    Returns
    -------
    PhotosSummary
        What was written, counted from the ledger.

    Raises
    ------
    ConfigError, DestinationExists
        The settings contradict each other, the destination exists, or another run is writing it.
    FacekitError
        There are no photographs.
    """
    started, guarded = perf_counter(), _guarded(config)
    check_folder(config.destination, guarded, config.overwrite)
    plan = make_plan(config)
    settings = {"input": plan.content, "config": config.settings()}
    photographs = input_of(config.source, lambda: (os.path.join(plan.root, name) for name in plan.files))
    needed = 2 * sum(os.path.getsize(path) for path in photographs.files() if os.path.exists(path))
    shared, inputs, count = config.executor.part is not None, [*guarded, photographs], len(plan.files)
    work = ShardWork(
        "masking",
        plan.shards,
        lambda shard, path: _task(plan, shard, path),
        start_worker,
        config,
        config.workers,
        config.executor,
        count_refused=count_refused,
    )
    rooms = ("masks", "rims") if config.options.rims else ("masks",)
    output = open_folder(
        config.destination, "mask", inputs, settings, config.overwrite, needed, shared,
        forecast=lambda finished: forecast_shards(work, Forecast(count), finished, rooms=rooms),
    )  # fmt: skip
    compile_ahead("masks", config.executor.engine)
    if config.options.rims:
        say_compiling("rims")
    done = run_job(output, work, lambda output: assemble_output(plan, output), LIST)
    return summarise(Path(config.destination), plan, done, perf_counter() - started)


def _guarded(config: PhotosConfig) -> list[Input]:
    """What is named to be read, besides the photographs."""
    inputs = [input_of(config.source, lambda: ())]
    return inputs + ([input_of(config.textures)] if config.textures is not None else [])


def _task(plan: PhotosPlan, shard: Shard, path: Path) -> PhotosTask:
    part = slice(shard.first, shard.stop)
    return PhotosTask(shard, path, plan.root, plan.files[part], tuple(plan.chosen[part].tolist()))
