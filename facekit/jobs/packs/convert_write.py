"""Which records a conversion keeps, in which order, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, RecordError
from facekit.jobs.outputs.copy_shards import GatheredRecords
from facekit.jobs.outputs.gather import GatheredSamples, LeftOut, write_gathered
from facekit.jobs.outputs.rewrite import (
    NO_LABEL,
    Dropped,
    PackSource,
    Selection,
    Written,
    contiguous,
    grouped,
    in_key_order,
    refuse_nothing,
    share_copying,
    too_few,
    write_selection,
)
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG, write_labels, write_train_config
from facekit.jobs.packs.convert_config import IN_SHARDS, ConvertConfig
from facekit.jobs.packs.share_samples import share_samples
from facekit.jobs.packs.webdataset import Samples, write_pack_of_shards, write_shards
from facekit.output import FolderOutput
from facekit.records.distinct import distinct
from facekit.records.named_inputs import require_text
from facekit.records.tar_shards import TarSamples

__all__ = ["choose_records", "order", "read_keys", "write_converted"]

REASONS = ("listed", NO_LABEL, "identity_too_small")


def write_converted(
    source: Samples,
    folder: Path,
    config: ConvertConfig,
    finished: Callable[[Path], object] = Path.exists,
    output: FolderOutput | None = None,
) -> tuple[Written, dict[str, int]]:
    """Write everything that the output has; also how many were dropped, by reason.

    ``finished`` is called with the path of each tar or parquet shard that is whole; the copying is shared through
    ``output`` where there is one.

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or the disk refuses.
    FacekitError
        Nothing is left to write.
    """
    codes = choose_records(source, config)
    rows = order(source, codes == 0, config)
    new, table = relabelled(source.labels[rows], config.keep_labels)
    written = write(source, rows, new, codes, folder, config, finished, output)
    write_labels(folder / LABELS, table)
    write_train_config(folder / TRAIN_CONFIG, written.num_classes, written.images)
    counts = np.bincount(codes, minlength=len(REASONS) + 1).tolist()
    return written, {reason: count for reason, count in zip(REASONS, counts[1:]) if count}


def relabelled(labels: npt.NDArray[np.int64], keep: bool) -> tuple[npt.NDArray[Any], dict[int, int]]:
    """New labels, the old ones where they are to stay, and the table from old to new."""
    return (labels, {label: label for label in distinct(labels).tolist()}) if keep else contiguous(labels)


def choose_records(source: Samples, config: ConvertConfig) -> npt.NDArray[np.int8]:
    """(N,) int8: 0 for records that stay, else the place in `REASONS` + 1.

    Left out are those that are listed, those with a label below 0, and identities that are too small without them.
    """
    codes = np.zeros(len(source.keys), np.int8)
    codes[source.labels < 0] = 2
    if config.drop is not None:
        codes[np.isin(source.keys, keys_to_drop(config.drop, source.keys, config.source))] = 1
    if config.min_images > 1:
        codes[(codes == 0) & too_few(source.labels, codes == 0, config.min_images)] = 3
    return codes


def keys_to_drop(path: str, keys: npt.NDArray[np.int64], source: str) -> npt.NDArray[np.int64]:
    """The listed keys, all of them those of pictures: a list made for another pack would drop strangers here."""
    listed = read_keys(path)
    unknown = listed[~np.isin(listed, keys)]
    if len(unknown):
        raise ConfigError(
            f"{path} lists {len(np.unique(unknown))} keys that no picture of {source} has, the first is {unknown[0]}: "
            "take them out, or list the keys of this pack"
        )
    return listed


def read_keys(path: str) -> npt.NDArray[np.int64]:
    """Keys, one a line."""
    require_text(path, "a list of keys", "name a text file with a key on each line")
    try:
        return np.array([int(line) for line in Path(path).read_text("utf-8-sig").split()], np.int64)
    except OSError as error:
        raise RecordError(f"the keys cannot be read: {error.strerror}", path) from error
    except (ValueError, OverflowError) as error:
        raise RecordError(f"a line is no key: {error}", path) from None


def order(source: Samples, stay: npt.NDArray[np.bool_], config: ConvertConfig) -> npt.NDArray[np.int64]:
    """The rows that stay, in the order in which they will be written."""
    rows = np.flatnonzero(stay)
    if config.shuffle:
        np.random.default_rng([config.seed]).shuffle(rows)
        return rows
    if config.written_layout != "insightface":
        return rows
    if isinstance(source, PackSource) and source.pack.layout == "insightface":
        rows = in_key_order(source.keys, rows)
    together = grouped(source.labels[rows])
    return rows if together is None else rows[together]


def write(
    source: Samples,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[Any],
    codes: npt.NDArray[np.int8],
    folder: Path,
    config: ConvertConfig,
    finished: Callable[[Path], object],
    output: FolderOutput | None = None,
) -> Written:
    """Write the output in the way that source and layout ask for."""
    dropped = [
        Dropped(0, source.keys[codes == code], reason)
        for code, reason in enumerate(REASONS, 1)
        if (codes == code).any()
    ]
    refuse_nothing(len(rows), dropped)
    layout = config.written_layout
    if layout in IN_SHARDS:
        each, hashes = config.shard_records, config.hashes
        gathered = _gathered(source, rows, config, output)
        return write_shards(source, rows, labels, dropped, folder, each, hashes, layout, finished, gathered)
    if isinstance(source, GatheredSamples):
        left_out = LeftOut(codes, REASONS)
        return write_gathered(source, rows, labels, left_out, folder, layout, "converting", config.hashes)
    if isinstance(source, TarSamples):
        gathered = _gathered(source, rows, config, output)
        return write_pack_of_shards(source, rows, labels, dropped, folder, layout, config.hashes, gathered)
    chosen = Selection(np.zeros(len(rows), np.int32), rows, labels)
    gathered = None
    if output is not None:
        gathered = share_copying(output, [source], chosen, config, config.hashes, "converting")
    return write_selection([source], chosen, folder, layout, dropped, config.hashes, "converting", gathered)


def _gathered(
    source: Samples, rows: npt.NDArray[np.int64], config: ConvertConfig, output: FolderOutput | None
) -> GatheredRecords | None:
    if output is None or isinstance(source, GatheredSamples):
        return None
    return share_samples(output, source, rows, config, config.hashes)
