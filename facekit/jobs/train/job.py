"""``facekit train``: a pack in, a network out.

Read the pack and the recipe, look whether they fit each other, and let the loop run.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import facekit
from facekit.errors import ConfigError, RecordError
from facekit.jobs.train.checks import config_warnings, refuse_faults, require, resume_warnings
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.folder import check_resume, refuse_resume
from facekit.jobs.train.forecast import tell_training
from facekit.jobs.train.scores import check_best, check_lists, list_names, list_warnings, scorer
from facekit.output import Input, input_of, look_at_run_folder, open_run_folder
from facekit.output.dry_run import is_dry
from facekit.records.content import sampled_hash
from facekit.train.config import MAY_CHANGE

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.train.loop import Report, Run
    from facekit.train.plugin import PackFacts, Plugin
    from facekit.train.recipe import Settings
    from facekit.train.samples import TrainingSet
    from facekit.train.task import Task

__all__ = ["train"]

log = logging.getLogger(__name__)


def train(
    config: TrainConfig,
    report: Callable[[Report], None] = lambda _: None,
    warn: Callable[[str], None] = log.warning,
    centres: npt.NDArray[np.float32] | None = None,
) -> Run:
    """Train a network.

    Parameters
    ----------
    config : TrainConfig
    report : callable
        Is told how far the run is.
    warn : callable
        Is told where the recipe contradicts itself or the pack.
    centres : (C, D) float32, optional
        What the classifier's rows begin from.

    Raises
    ------
    ConfigError, DestinationExists
        No such plugin or setting, nothing to start from where it needs that, torch is not installed,
        the destination is in use and ``resume`` is not set, or
        another run is training in it.
    RecordError, FacekitError
        The pack is missing, or has faults that would spoil the training; or a list of pairs cannot be scored.
    """
    require("training", "torch")
    from facekit.train.logs import check_logs
    from facekit.train.loop import train_network
    from facekit.train.meta_network import try_network
    from facekit.train.model import init_sentences
    from facekit.train.plugin import load_plugin
    from facekit.train.recipe import read_settings

    check_best(config.best, list_names(config.pairs))
    check_logs(config.logs)
    plugin = load_plugin(config.plugin)
    if getattr(plugin, "needs_init", False) and config.init is None:
        raise ConfigError(f"{config.plugin} starts from a trained network, which it does not change: give --init")
    settings = read_settings(plugin, config.recipe, config.changes)
    task = open_task(config, settings, centres)
    first = os.environ.get("RANK", "0") == "0"
    if first:
        check_lists(config.pairs, config.pack, task.facts.image_size)
    found = config_warnings(plugin, settings, task.facts)
    try_network(plugin, settings, task.facts)
    inputs, only_told = guarded_inputs(config), is_dry()
    if first and only_told:
        look_at_run_folder(task.out, "train", inputs)
        refuse_resume(task.out, _record(config, settings, task), config.resume)
    with open_run_folder(task.out, "train", inputs) if first and not only_told else nullcontext():
        if first and not only_told:
            check_resume(task.out, _record(config, settings, task), config.resume)
        found += resume_warnings(task.out, settings.train)
        found += list_warnings(config.pairs, config.pack)
        for sentence in found + (init_sentences(config.init) if config.init is not None else []):
            warn(sentence)
        _try_head(task, plugin, warn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # said above, once
            if only_told:
                tell_training(task, config, inputs)
            return train_network(task, scorer(config.pairs, config.pack) if config.pairs else None, report)


def guarded_inputs(config: TrainConfig) -> list[Input]:
    """Everything that is named to be read: a run's folder may not be one of them, hold one or lie in one."""
    named = (config.pack, config.init, config.recipe, config.mesh_cache, *config.pairs)
    return [input_of(path, lambda: ()) for path in named if path is not None and Path(path).exists()]


def _try_head(task: Task, plugin: Plugin, warn: Callable[[str], None]) -> None:
    """Build a head for its warnings: it says what is wrong with its settings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        plugin.build_head(task.settings.plugin, task.facts)
    for warning in caught:
        warn(str(warning.message))


def open_task(config: TrainConfig, settings: Settings, centres: npt.NDArray[np.float32] | None = None) -> Task:
    """The pack, looked through, with everything the loop needs."""
    from facekit.train.samples import TrainingSet
    from facekit.train.task import Task

    if os.environ.get("RANK", "0") == "0":
        refuse_faults(config.pack)
    samples = TrainingSet(config.pack, settings.train, _online_masks(config, settings))
    labels = samples.labels
    facts = facts_of(samples, labels)
    out = Path(config.destination)
    return Task(config.plugin, settings, samples, labels, facts, out, config.init, centres, config.logs, config.best)


def facts_of(samples: TrainingSet, labels: npt.NDArray[np.int64]) -> PackFacts:
    """Class counts, size of the pictures and share of masked ones.

    Raises
    ------
    RecordError
        There is no image.
    """
    from facekit.train.plugin import PackFacts

    rec = samples.pack.paths.rec
    if not len(labels):
        raise RecordError("the pack has no image", rec)
    return PackFacts(np.bincount(labels), samples.image_size, samples.masked_share())


def _online_masks(config: TrainConfig, settings: Settings) -> Any:
    """What puts masks on, with the meshes that are known.

    Raises
    ------
    ConfigError
        Meshes, and no online masks.
    RecordError
        There is no such cache, or it belongs to another pack.
    """
    if not settings.train.online_masks:
        if config.mesh_cache is not None:
            raise ConfigError(
                f"--mesh-cache {config.mesh_cache} is of no use without online masks: --set online_masks=0.5, say"
            )
        return None
    from facekit.faces.pack_meshes import open_meshes
    from facekit.masks.augment import MaskAugment

    meshes = None if config.mesh_cache is None else open_meshes(config.mesh_cache, config.pack)
    return MaskAugment(settings.train.online_masks, settings.train.mask_types, settings.train.seed, meshes)


def _record(config: TrainConfig, settings: Settings, task: Task) -> dict[str, Any]:
    """What decides the result."""
    given = {name: value for name, value in asdict(settings.train).items() if name not in MAY_CHANGE}
    record = {
        "facekit": facekit.__version__,
        "plugin": config.plugin,
        "settings": given | asdict(settings.plugin),
        "pack": sampled_hash(task.samples.pack.paths.rec),
        "image_size": task.facts.image_size,
        "images": len(task.labels),
        "classes": len(task.facts.class_counts),
        "init": config.init,
        "init_hash": None if config.init is None else _hash_of(config.init),
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def _hash_of(init: str) -> str:
    from facekit.embeddings.onnx_engine import file_hash
    from facekit.train.model import weights_file

    return file_hash(weights_file(Path(init)))
