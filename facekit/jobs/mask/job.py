"""``facekit mask``: a pack or a folder of pictures in, a pack with masked faces out.

Read the source, choose what to mask, do the shards, put the output together, move it into place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

import facekit
from facekit.errors import ConfigError
from facekit.faces.mesh import LiteRTMesh, MeshEstimator
from facekit.faces.pack_meshes import mesh_fingerprint
from facekit.jobs.inputs.ledger import WornMasks
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.finish import put_together
from facekit.jobs.mask.plan import MaskPlan, make_plan
from facekit.jobs.mask.shard import MaskTask, MaskWorker, Wear, start_worker
from facekit.jobs.mask.summary import MaskSummary, summarise
from facekit.run.destination import check_destination
from facekit.run.journal import Journal, was_published
from facekit.run.work import do_shards

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
    started, destination = perf_counter(), Path(os.path.abspath(config.destination))
    if config.mesh_cache is not None and not Path(config.mesh_cache).absolute().parent.is_dir():
        raise ConfigError(f"the mesh cache {config.mesh_cache} lies in no folder: make it first, or name another place")
    plan = make_plan(config)
    keep_apart(Path(plan.source.path), destination)
    settings = {
        "facekit": facekit.__version__,
        "input": {"content": plan.source.content, "changed": plan.source.changed},
        "config": config.settings(),
        "estimator": name_of(estimator),
        "wear": name_of(wear),
    }
    worker = MaskWorker(config, mesh_fingerprint(plan.source.content, estimator), estimator, wear)
    done = 0
    if config.overwrite or not was_published(destination, settings):
        check_destination(destination, config.overwrite)
        with Journal(destination, settings, config.overwrite) as journal:
            done = do_shards(
                "masking",
                plan.shards,
                journal,
                lambda shard: task_of(plan, shard, journal),
                config.workers,
                start_worker,
                worker,
                config.ray,
            )
            put_together(plan, worker, journal)
            journal.publish()
    return summarise(Path(config.destination), plan, done, perf_counter() - started)


def keep_apart(source: Path, destination: Path) -> None:
    """Refuse a destination that the source lies in."""
    if destination.resolve() in (source.resolve(), *source.resolve().parents):
        raise ConfigError(f"{destination} holds the source itself; choose another destination")


def task_of(plan: MaskPlan, shard: Any, journal: Journal) -> MaskTask:
    """A shard with everything a worker needs to do it."""
    records = plan.source.slice(shard.first, shard.stop)
    worn = {} if plan.masks is None else worn_among(plan.masks, records.keys)
    return MaskTask(shard, journal.path(shard), records, plan.copies[shard.first : shard.stop], worn)


def worn_among(masks: WornMasks, keys: npt.NDArray[np.int64]) -> dict[int, tuple[str | None, str | None, float | None]]:
    """Type, params and score of those of some keys that wear a mask."""
    chosen = np.flatnonzero(np.isin(masks.keys, keys))
    rows = masks.rows.take(chosen)
    said = zip(*(rows[name].to_pylist() for name in ("type", "params", "score")), strict=True)
    return dict(zip(masks.keys[chosen].tolist(), said, strict=True))


def name_of(function: Callable[..., Any]) -> str:
    """Module and name of a function or class."""
    return f"{function.__module__}.{function.__qualname__}"
