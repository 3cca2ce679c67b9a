"""``facekit convert``: a pack or WebDataset shards in any layout -> any other, labels made contiguous."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, RecordError
from facekit.jobs.inputs.checks import check_at_least, check_choice, check_seed
from facekit.jobs.inputs.source import pack_input
from facekit.jobs.outputs.rewrite import (
    NO_LABEL,
    Dropped,
    PackSource,
    Selection,
    Written,
    contiguous,
    grouped,
    open_packs,
    share_copying,
    write_selection,
)
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG, write_labels, write_train_config
from facekit.jobs.packs.webdataset import write_pack_of_shards, write_shards
from facekit.output import FolderOutput, Input, check_folder, input_of, open_folder
from facekit.records.index_policy import index_policy
from facekit.records.tar_shards import TarSamples, scan_shards, shard_paths
from facekit.run.choice import LOCAL, ExecutorChoice, given_settings

__all__ = ["ConvertConfig", "ConvertSummary", "convert"]

LAYOUTS = ("insightface", "flat", "webdataset")


@dataclass(frozen=True)
class ConvertConfig:
    """Settings of ``facekit convert``.

    Attributes
    ----------
    source, destination : str
    layout : {"insightface", "flat", "webdataset"}
    shuffle : bool
        Write the records in an order drawn from ``seed``; not in the layout ``insightface``, which keeps identities
        together.
    seed : int
    min_images : int
        Leave out identities with fewer pictures.
    drop : str, optional
        A file with the keys of records to leave out, one a line.
    keep_labels : bool
        Keep the labels as they are instead of making them contiguous.
    shard_records : int
        Records of a WebDataset shard.
    hashes : bool
        Write the hash of every payload into the ledger.
    workers : int
        Worker processes; the output does not depend on it.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    overwrite : bool
        Replace an existing destination.
    partial_index : bool
        Take a pack whose index does not reach its end.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    destination: str
    layout: str = "insightface"
    shuffle: bool = False
    seed: int = 0
    min_images: int = 1
    drop: str | None = None
    keep_labels: bool = False
    shard_records: int = 10_000
    hashes: bool = True
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_choice("layout", self.layout, LAYOUTS)
        if self.shuffle and self.layout == "insightface":
            raise ConfigError("the layout insightface keeps identities together: shuffle flat or webdataset")
        check_at_least("min_images", self.min_images, 1)
        check_at_least("shard_records", self.shard_records, 1)
        check_seed(self.seed)


@dataclass(frozen=True)
class ConvertSummary:
    """What ``facekit convert`` did.

    Attributes
    ----------
    destination, layout : str
    source_images, images, identities, num_classes : int
    dropped : dict from str to int
        Records left out, by reason.
    labels : str
        The table of old and new labels.
    snippet : str
        What arcface_torch's config needs to be told.
    bytes : int
    seconds : float
    """

    destination: str
    layout: str
    source_images: int
    images: int
    identities: int
    num_classes: int
    dropped: dict[str, int]
    labels: str
    snippet: str
    bytes: int
    seconds: float


def convert(config: ConvertConfig) -> ConvertSummary:
    """Convert a pack.

    Parameters
    ----------
    config : ConvertConfig

    Returns
    -------
    ConvertSummary

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, or the destination exists.
    RecordError
        The source is missing or corrupt.
    FacekitError
        Nothing is left to write.
    """
    started = perf_counter()
    guarded = [input_of(config.source, lambda: ()), *([input_of(config.drop)] if config.drop is not None else [])]
    check_folder(config.destination, guarded, config.overwrite)
    source, opened, needed = open_input(config.source, config.partial_index)
    if config.executor.is_shared and (config.layout == "webdataset" or isinstance(source, TarSamples)):
        raise ConfigError(
            "only packs that become packs are shared: convert tar shards by one process, without --part and --engine, "
            "or each of them by a run of its own"
        )
    read = [*guarded, opened]
    settings = {**given_settings(config), "input": [one.stamp for one in [opened]]}
    one_part = config.executor.part is not None
    with open_folder(config.destination, "convert", read, settings, config.overwrite, needed, one_part) as output:
        folder = output.new_folder()
        stay, dropped = choose_records(source, config)
        rows = order(source, stay, config)
        old = source.labels[rows]
        new, table = (
            (old, {label: label for label in np.unique(old).tolist()}) if config.keep_labels else contiguous(old)
        )
        written = write(source, rows, new, dropped, output, folder, config)
        write_labels(folder / LABELS, table)
        snippet = write_train_config(folder / TRAIN_CONFIG, written.num_classes, written.images)
        output.publish()
    counts = {gone.reason: len(gone.keys) for gone in dropped}
    place = Path(config.destination)
    return ConvertSummary(
        str(place),
        config.layout,
        len(source.labels),
        written.images,
        written.identities,
        written.num_classes,
        counts,
        str(place / LABELS),
        snippet,
        written.bytes,
        perf_counter() - started,
    )


def open_input(named: str, taken: bool) -> tuple[PackSource | TarSamples, Input, int]:
    """The records to convert, the files that they are read from, and how many bytes these take.

    Whether a partial index is taken counts for packs.
    """
    shards = shard_paths(named)
    if shards:
        return scan_shards(shards), input_of(named, lambda: shards), sum(path.stat().st_size for path in shards)
    source = open_packs([named], index_policy(taken))[0]
    return source, pack_input(source.rec, named), source.rec.stat().st_size


def choose_records(
    source: PackSource | TarSamples, config: ConvertConfig
) -> tuple[npt.NDArray[np.bool_], list[Dropped]]:
    """Which records stay, and those that do not: listed, with a label below 0, of identities too small without them."""
    listed = np.zeros(len(source.keys), np.bool_)
    if config.drop is not None:
        listed = np.isin(source.keys, keys_to_drop(config.drop, source.keys, config.source))
    unlabelled = ~listed & (source.labels < 0)
    stay = ~listed & ~unlabelled
    _, place, sizes = np.unique(source.labels[stay], return_inverse=True, return_counts=True)
    small = np.flatnonzero(stay)[sizes[place.reshape(-1)] < config.min_images]
    stay[small] = False
    found = (
        (np.flatnonzero(listed), "listed"),
        (np.flatnonzero(unlabelled), NO_LABEL),
        (small, "identity_too_small"),
    )
    return stay, [Dropped(0, source.keys[rows], reason) for rows, reason in found if len(rows)]


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
    try:
        return np.array([int(line) for line in Path(path).read_text("utf-8").split()], np.int64)
    except OSError as error:
        raise RecordError(f"the keys cannot be read: {error.strerror}", path) from error
    except (ValueError, OverflowError) as error:
        raise RecordError(f"a line is no key: {error}", path) from None


def order(source: PackSource | TarSamples, stay: npt.NDArray[np.bool_], config: ConvertConfig) -> npt.NDArray[np.int64]:
    """The rows that stay, in the order in which they will be written."""
    rows = np.flatnonzero(stay)
    if config.shuffle:
        return np.random.default_rng([config.seed]).permutation(rows)
    if config.layout != "insightface":
        return rows
    if isinstance(source, PackSource) and source.pack.layout == "insightface":
        rows = rows[np.argsort(source.keys[rows], kind="stable")]
    together = grouped(source.labels[rows])
    return rows if together is None else rows[together]


def write(
    source: PackSource | TarSamples,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    dropped: list[Dropped],
    output: FolderOutput,
    folder: Path,
    config: ConvertConfig,
) -> Written:
    """Write the output in the way that source and layout ask for."""
    if config.layout == "webdataset":
        return write_shards(source, rows, labels, dropped, folder, config.shard_records, config.hashes)
    if isinstance(source, TarSamples):
        return write_pack_of_shards(source, rows, labels, dropped, folder, config.layout, config.hashes)
    chosen = Selection(np.zeros(len(rows), np.int32), rows, labels)
    gathered = share_copying(output, [source], chosen, config, config.hashes, "converting")
    return write_selection([source], chosen, folder, config.layout, dropped, config.hashes, "converting", gathered)
