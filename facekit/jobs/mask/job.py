"""``facekit mask``: a pack or a folder of pictures in, a pack with masked faces out.

Read the source, choose what to mask, do the shards, put the output together, move it into place.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.compiled import say_compiling
from facekit.errors import ConfigError
from facekit.faces.mesh import LiteRTMesh, MeshEstimator
from facekit.faces.pack_meshes import mesh_fingerprint
from facekit.jobs.inputs.ledger import AlreadyMasked
from facekit.jobs.inputs.source import source_bytes, source_input
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.finish import assemble_output
from facekit.jobs.mask.plan import MaskPlan, make_plan
from facekit.jobs.mask.shard import MaskTask, MaskWorker, Wear, start_worker
from facekit.jobs.mask.summary import MaskSummary, summarise
from facekit.output import Input, check_folder, input_of, open_folder
from facekit.output.dry_run import Forecast
from facekit.records.key_rows import rows_of
from facekit.run.compiling import compile_ahead
from facekit.run.platform_stamp import instruction_set
from facekit.run.shard_file import count_refused
from facekit.run.shards import Shard
from facekit.run.work import ShardWork, run_job

__all__ = ["mask", "textured_shells"]


def textured_shells(config: MaskConfig) -> Wear:
    """The masks of facekit: a textured shell over the mesh, drawn and lit as ``config.options`` allows."""
    from facekit.masks import add_masks, render_worn, sample_params

    if config.textures is not None:
        add_masks(config.textures)

    def wear(image: Any, vertices: Any, type: str, rng: np.random.Generator) -> tuple[Any, Any]:
        worn = render_worn(image, vertices, sample_params(rng, type, config.options))
        return worn.image, worn.params

    return wear


def mask(
    config: MaskConfig,
    estimator: Callable[[], MeshEstimator] = LiteRTMesh,
    wear: Callable[[MaskConfig], Wear] = textured_shells,
) -> MaskSummary:
    """Mask a pack.

    Parameters
    ----------
    config : MaskConfig
    estimator : callable
        Makes the mesh estimator of a worker; importable by name.
    wear : callable
        Makes the function that draws and renders a worn mask; importable by name.

    Returns
    -------
    MaskSummary
        What was written, counted from the ledger.

    Raises
    ------
    ConfigError, DestinationExists
        The settings contradict each other, the destination exists, another run is writing it, or there is no folder for
        the mesh cache.
    RecordError
        The source is missing or corrupt.
    """
    started = perf_counter()
    guarded = guarded_inputs(config)
    check_folder(config.destination, guarded, config.overwrite)
    plan = make_plan(config)
    settings = {
        "input": {"content": plan.source.content, "changed": plan.source.changed},
        "config": config.settings(),
        "estimator": name_of(estimator),
        "wear": name_of(wear),
        "instruction_set": instruction_set(),
    }
    worker = MaskWorker(config, mesh_fingerprint(plan.source.content, estimator), estimator, wear)
    inputs = [*guarded, source_input(plan.source, config.source)]
    needed, shared = bytes_needed(plan), config.executor.part is not None
    count = len(plan.source)
    pictures = int(plan.source.pictures.sum())
    told = Forecast(pictures, {"mask": plan.wanted, "convert": count}, {"pictures": pictures, "chosen": plan.wanted})
    about = (inputs, settings, config.overwrite, needed, shared)
    output = open_folder(config.destination, "mask", *about, forecast=told)
    work = ShardWork(
        "masking",
        plan.shards,
        lambda shard, path: task_of(plan, shard, path),
        start_worker,
        worker,
        config.workers,
        config.executor,
        count_refused=count_refused,
    )
    if wear is textured_shells:
        compile_ahead("masks", config.executor.engine)
        if config.options.rims:
            say_compiling("rims")
    done = run_job(output, work, lambda output: assemble_output(plan, worker, output))
    return summarise(Path(config.destination), plan, done, perf_counter() - started)


def guarded_inputs(config: MaskConfig) -> list[Input]:
    """What is named to be read, besides the pictures.

    Raises
    ------
    ConfigError
        There is no folder for the mesh cache.
    """
    inputs = [input_of(config.source, lambda: ())]
    if config.mesh_cache is not None:
        if not Path(config.mesh_cache).absolute().parent.is_dir():
            raise ConfigError(
                f"the mesh cache {config.mesh_cache} lies in no folder: make it first, or name another place"
            )
        inputs.append(input_of(config.mesh_cache, lambda: ()))  # it is added to on the way
    if config.textures is not None:
        inputs.append(input_of(config.textures))
    return inputs


def bytes_needed(plan: MaskPlan) -> int:
    """Bytes that the job writes at the most: the shards, and the output that is put together from them."""
    copies = (len(plan.source) + plan.wanted) / max(len(plan.source), 1)
    return int(2 * copies * source_bytes(plan.source))


def task_of(plan: MaskPlan, shard: Shard, path: Path) -> MaskTask:
    """A shard with everything a worker needs to do it."""
    records = plan.source.slice(shard.first, shard.stop)
    masked = {} if plan.masks is None else masked_among(plan.masks, records.keys)
    return MaskTask(shard, path, records, plan.copies[shard.first : shard.stop], masked)


def masked_among(
    masks: AlreadyMasked, keys: npt.NDArray[np.int64]
) -> dict[int, tuple[str | None, str | None, float | None]]:
    """Type, params and score of those of some keys that wear a mask."""
    chosen = rows_of(masks.keys, keys, ascending=True)
    chosen = chosen[chosen >= 0]
    rows = masks.said(chosen)
    values = zip(*(rows[name].to_pylist() for name in ("type", "params", "score")), strict=True)
    return dict(zip(masks.keys[chosen].tolist(), values, strict=True))


def name_of(function: Callable[..., Any]) -> str:
    """Module and name of a function or class."""
    return f"{function.__module__}.{function.__qualname__}"
