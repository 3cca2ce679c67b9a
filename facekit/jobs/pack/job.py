"""``facekit pack``: a folder of people, a list of pictures, tar shards or parquet in, a pack out.

List the pictures, do the shards, put the output together, move it into place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from facekit.errors import ConfigError
from facekit.jobs.inputs.ledger import count_outcomes
from facekit.jobs.inputs.sample_files import SampleFiles, refuse_unknown_source
from facekit.jobs.inputs.source import files_bytes
from facekit.jobs.outputs.tables import TRAIN_CONFIG
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.finish import assemble_output
from facekit.jobs.pack.forecast import forecast_samples
from facekit.jobs.pack.picture_list import PictureList, pictures_input, read_pictures
from facekit.jobs.pack.samples import assemble_samples, files_to_pack, packing_work
from facekit.jobs.pack.shard import PackTask, make_detector, start_worker
from facekit.output import Input, check_folder, input_of, open_folder
from facekit.output.dry_run import Forecast
from facekit.run.ledger import LEDGER
from facekit.run.platform_stamp import instruction_set
from facekit.run.shard_file import count_refused
from facekit.run.shards import Shard, cut, shard_size
from facekit.run.trial import forecast_shards
from facekit.run.work import ShardWork, run_job

__all__ = ["PackSummary", "pack"]

BYTES_A_CROP = 20_000
"""What an aligned crop of 112 x 112 takes at the most as a JPEG."""


@dataclass(frozen=True)
class PackSummary:
    """The result of ``facekit pack``.

    Attributes
    ----------
    destination, ledger : str
        Where the pack and its ledger lie.
    layout : str
    pictures, images, identities : int
        Picture files looked at, images and classes of the pack.
    by_action : dict from str to int
        Images that were copied byte for byte, aligned, or encoded anew.
    skipped : dict from str to int
        Pictures that are not in the pack, by reason.
    others : dict from str to int
        Files in the folder that are no pictures by their names and were not looked at, by suffix.
    config : str
        The two lines that arcface_torch's configuration needs.
    bytes : int
        Size of ``train.rec``.
    seconds, images_per_second : float
        Of this run; what an earlier one had finished is not counted.
    one_identity : bool
        The pictures lie in one folder, and so became one class.
    """

    destination: str
    ledger: str
    layout: str
    pictures: int
    images: int
    identities: int
    by_action: dict[str, int]
    skipped: dict[str, int]
    others: dict[str, int]
    config: str
    bytes: int
    seconds: float
    images_per_second: float
    one_identity: bool = False


def pack(config: PackConfig) -> PackSummary:
    """Pack pictures.

    Parameters
    ----------
    config : PackConfig

    Returns
    -------
    PackSummary

    Raises
    ------
    ConfigError, DestinationExists
        The settings contradict each other, the list is wrong, the destination exists, or another run is writing it.
    FacekitError
        There are no pictures, or none could be packed.
    """
    started, guarded = perf_counter(), _guarded_inputs(config)
    check_folder(config.destination, guarded, config.overwrite)
    refuse_unknown_source(config.source)
    files = files_to_pack(config.source)
    if files is not None:
        return _pack_files(files, config, guarded, started)
    pictures = read_pictures(config.source, config.root)
    if config.align:
        make_detector(config.detector)
    if config.layout == "insightface" and (np.diff(pictures.labels) < 0).any():
        pictures = pictures.chosen(np.argsort(pictures.labels, kind="stable"))
    settings = {"input": pictures.content, "config": config.settings()}
    if config.align:
        settings["instruction_set"] = instruction_set()
    shards, inputs = _shards(pictures, config.layout), [*guarded, pictures_input(pictures, config.source)]
    stored = BYTES_A_CROP * len(pictures) if config.align else files_bytes(pictures.root, pictures.files)
    needed = 2 * stored  # once in the shards, once in the pack
    shared = config.executor.part is not None
    work = ShardWork(
        "packing",
        shards,
        lambda shard, path: _task(pictures, shard, path),
        start_worker,
        config,
        config.workers,
        config.executor,
        count_refused=count_refused,
    )
    output = open_folder(
        config.destination, "pack", inputs, settings, config.overwrite, needed, shared,
        forecast=lambda finished: forecast_shards(work, Forecast(len(pictures)), finished),
    )  # fmt: skip
    done = run_job(output, work, lambda output: assemble_output(pictures, shards, config, output))
    return _summarise(config, pictures, done, perf_counter() - started)


def _pack_files(files: SampleFiles, config: PackConfig, guarded: list[Input], started: float) -> PackSummary:
    """Pack the samples of tar shards or parquet files."""
    if config.root is not None:
        raise ConfigError(f"root is for lists; {config.source} means files of samples")
    if config.align:
        make_detector(config.detector)
    settings, inputs = {"input": files.content, "config": config.settings()}, [*guarded, files.as_input()]
    work = packing_work(files, config)
    output = open_folder(
        config.destination, "pack", inputs, settings, config.overwrite, 2 * files.bytes,
        forecast=lambda finished: forecast_samples(files, work, config, finished),
    )  # fmt: skip
    run_job(output, work, lambda output: assemble_samples(work.shards, config, output))
    return _summarise(config, None, None, perf_counter() - started)


def _guarded_inputs(config: PackConfig) -> list[Input]:
    """What is named to be read; which pictures count is known once the list is read."""
    named = [config.source, *([config.root] if config.root is not None else [])]
    return [input_of(path, lambda: ()) for path in named]


def _shards(pictures: PictureList, layout: str) -> list[Shard]:
    groups = pictures.labels if layout == "insightface" else None
    return cut(len(pictures), shard_size(len(pictures)), groups)


def _task(pictures: PictureList, shard: Shard, path: Path) -> PackTask:
    """A shard's own part of the list: names of all classes, in each of ten thousand tasks, would be of no use there."""
    chosen = pictures.chosen(np.arange(shard.first, shard.stop))
    return PackTask(shard, path, replace(chosen, names=(), others={}))


def _summarise(config: PackConfig, pictures: PictureList | None, done: int | None, seconds: float) -> PackSummary:
    """What was done; of files of samples, whose pictures nobody counts beforehand, as the ledger counts them."""
    destination = Path(config.destination)
    stored: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for (action, reason, written), count in count_outcomes(destination / LEDGER, "action", "reason").items():
        (stored if written else skipped)[str(action if written else reason)] += count
    stored.pop("layout", None)
    found = sum(stored.values()) + sum(skipped.values())
    snippet = (destination / TRAIN_CONFIG).read_text("utf-8")
    return PackSummary(
        destination=config.destination,
        ledger=str(Path(config.destination) / LEDGER),
        layout=config.layout,
        pictures=found if pictures is None else len(pictures),
        images=sum(stored.values()),
        identities=int(snippet.splitlines()[0].rpartition(" ")[2]),
        by_action=dict(stored.most_common()),
        skipped=dict(skipped.most_common()),
        others={} if pictures is None else pictures.others,
        config=snippet,
        bytes=(destination / "train.rec").stat().st_size,
        seconds=seconds,
        images_per_second=(found if done is None else done) / seconds,
        one_identity=pictures is not None and pictures.names == (".",) and len(pictures) > 1,
    )
