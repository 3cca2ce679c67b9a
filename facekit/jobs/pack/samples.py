"""Packing from files of samples: tar shards or parquet, on the disk or in a store, each a shard of the run."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.faces.detector import Detector
from facekit.jobs.inputs.sample_files import SampleFiles, find_sample_files
from facekit.jobs.outputs.gather import GatheredSamples, LeftOut, read_samples_of_shards, write_gathered
from facekit.jobs.outputs.rewrite import NO_LABEL
from facekit.jobs.outputs.sample_shards import Kept, SampleTask, write_sample_shard
from facekit.jobs.outputs.tables import LABELS, SOURCE_LIST, TRAIN_CONFIG, write_train_config
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.finish import TOO_FEW, nothing_left
from facekit.jobs.pack.shard import Packed, make_detector, pack_picture
from facekit.output import FolderOutput
from facekit.records.tar_members import Sample
from facekit.run.ledger import payload_hash
from facekit.run.shard_file import count_refused, read_rows
from facekit.run.shards import Shard
from facekit.run.work import ShardWork

__all__ = ["assemble_samples", "files_to_pack", "make_keeper", "packing_work"]

logger = logging.getLogger(__name__)

REASONS = (TOO_FEW, NO_LABEL)


def files_to_pack(source: str) -> SampleFiles | None:
    """The files of samples that a source means; None where it is a folder of pictures, people, or a list.

    A folder with folders or pictures in it is one of pictures, whatever else lies there.
    """
    from facekit.jobs.inputs.picture_files import files_in, folders_in

    place = Path(source)
    if place.is_dir() and (folders_in(place) or files_in(place, deep=False).pictures):
        return None
    return find_sample_files(source)


def packing_work(files: SampleFiles, config: PackConfig) -> ShardWork:
    """The shards of the run: a file each."""
    shards = [Shard(number, number, number + 1) for number in range(len(files.files))]
    return ShardWork(
        "packing",
        shards,
        lambda shard, path: SampleTask(shard, path, files.files[shard.number]),
        start_worker,
        config,
        config.workers,
        config.executor,
        count_refused=count_refused,
    )


def start_worker(config: PackConfig) -> Callable[[SampleTask], Shard]:
    """Open what a worker keeps open, and return what it does with a file."""
    return partial(write_sample_shard, keep=make_keeper(config))


def make_keeper(config: PackConfig) -> Callable[[Sample], Kept]:
    """What a worker does with a sample."""
    import cv2

    cv2.setNumThreads(1)
    detector = make_detector(config.detector) if config.align else None
    return partial(packed_sample, config=config, detector=detector)


def packed_sample(sample: Sample, config: PackConfig, detector: Detector | None) -> Kept:
    """What becomes of one sample."""
    try:
        packed = pack_picture(sample.payload, config, detector)
    except Exception as error:
        # One odd picture must not end a run of days: its row says what went wrong, and the summary counts it.
        known = isinstance(error, FacekitError)
        logger.info("%s was not packed: %s", sample.name, error, exc_info=not known)
        packed = Packed("error", None, reason=str(error) if known else f"{type(error).__name__}: {error}")
    stored = packed.payload if packed.payload is not None else sample.payload
    return Kept(packed.payload, payload_hash(stored), packed.action, *packed[2:])


def assemble_samples(shards: Sequence[Shard], config: PackConfig, output: FolderOutput) -> None:
    """Make the output folder from the finished shards.

    Raises
    ------
    FacekitError
        Nothing could be packed; or the ledger does not add up, a defect of facekit: nothing is published.
    """
    samples = read_samples_of_shards([output.shard(shard.number) for shard in shards])
    packed = samples.offsets >= 0
    codes = np.where(packed & (samples.labels < 0), 2, 0).astype(np.int8)
    stay = packed & (codes == 0)
    values, counts = np.unique(samples.labels[stay], return_counts=True)
    few = values[counts < config.min_images]
    if len(few):
        codes[stay & np.isin(samples.labels, few)] = 1
        stay &= codes == 0
    kept, images = values[counts >= config.min_images], counts[counts >= config.min_images]
    if not len(kept):
        reasons = _reasons(samples)
        output.discard_shards()  # so that the next attempt may have other settings
        raise nothing_left(config.min_images, bool(len(values)), reasons)
    rows = np.flatnonzero(stay)
    if config.layout == "insightface":
        rows = rows[np.argsort(samples.labels[rows], kind="stable")]
    folder, labels = output.new_folder(), kept.searchsorted(samples.labels[rows])
    left_out = LeftOut(codes, REASONS, "refused")
    written = write_gathered(samples, rows, labels, left_out, folder, config.layout, "assembling")
    _write_tables(folder, samples, kept, images)
    write_train_config(folder / TRAIN_CONFIG, written.num_classes, written.images)


def _reasons(samples: GatheredSamples) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for path in samples.paths:
        reasons.update(reason for reason in read_rows(path)["reason"].to_pylist() if reason)
    return reasons


def _write_tables(
    folder: Path, samples: GatheredSamples, kept: npt.NDArray[np.int64], images: npt.NDArray[np.int64]
) -> None:
    """``labels.csv``: new label, label in the shards, pictures. ``source.lst``: what source keys stand for."""
    with open(folder / LABELS, "w", encoding="ascii", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("label", "name", "images"))
        table.writerows(zip(range(len(kept)), kept.tolist(), images.tolist()))
    place = np.minimum(kept.searchsorted(samples.labels), len(kept) - 1)
    labels = np.where(kept[place] == samples.labels, place, -1)
    with open(folder / SOURCE_LIST, "w", encoding="utf-8", newline="\n") as file:
        for shard, path in enumerate(samples.paths):
            part = slice(int(samples.starts[shard]), int(samples.starts[shard + 1]))
            names = read_rows(path)["name"].to_pylist()
            lines = zip(samples.keys[part].tolist(), labels[part].tolist(), names, strict=True)
            file.writelines(f"{key}\t{label}\t{name}\n" for key, label, name in lines)
