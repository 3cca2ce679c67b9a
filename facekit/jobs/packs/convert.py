"""``facekit convert``: a pack, tar shards or parquet, on disk or in a store -> any other, labels made contiguous."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, RecordError
from facekit.jobs.inputs.checks import check_at_least, check_choice, check_seed
from facekit.jobs.inputs.ledger import count_outcomes
from facekit.jobs.inputs.sample_files import SampleFiles, find_sample_files, refuse_unknown_source
from facekit.jobs.inputs.source import pack_input
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
    open_packs,
    refuse_nothing,
    share_copying,
    too_few,
    write_selection,
)
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG, write_labels, write_train_config
from facekit.jobs.packs.fetch import fetch_samples
from facekit.jobs.packs.webdataset import Samples, shard_name, write_pack_of_shards, write_shards
from facekit.output import FolderOutput, Input, check_folder, input_of, open_folder, open_prefix
from facekit.records.distinct import distinct
from facekit.records.index_policy import index_policy
from facekit.records.tar_shards import TarSamples, scan_shards
from facekit.run.choice import LOCAL, ExecutorChoice
from facekit.run.ledger import LEDGER
from facekit.stores import is_address

__all__ = ["ConvertConfig", "ConvertSummary", "convert"]

LAYOUTS = ("insightface", "flat", "webdataset", "parquet")
IN_SHARDS = ("webdataset", "parquet")
REASONS = ("listed", NO_LABEL, "identity_too_small")


@dataclass(frozen=True)
class ConvertConfig:
    """Settings of ``facekit convert``.

    Attributes
    ----------
    source, destination : str
    layout : {"insightface", "flat", "webdataset", "parquet"}, optional
        By default ``insightface``, in a store ``webdataset``.
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
        Records of a tar shard or parquet file.
    hashes : bool
        Write the hash of every payload into the ledger.
    workers : int
        Worker processes, and files of samples that are read at once; the output does not depend on it.
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
    layout: str | None = None
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
        check_choice("layout", self.written_layout, LAYOUTS)
        if is_address(self.destination) and self.written_layout not in IN_SHARDS:
            raise ConfigError(
                f"{self.destination} lies in a store, and the layout {self.layout} is for the disk: choose one of "
                f"{', '.join(IN_SHARDS)}"
            )
        if self.shuffle and self.written_layout == "insightface":
            raise ConfigError("the layout insightface keeps identities together: shuffle flat, webdataset or parquet")
        check_at_least("workers", self.workers, 1)
        check_at_least("min_images", self.min_images, 1)
        check_at_least("shard_records", self.shard_records, 1)
        check_seed(self.seed)

    @property
    def written_layout(self) -> str:
        """The layout of the output."""
        return self.layout or ("webdataset" if is_address(self.destination) else "insightface")

    def settings(self) -> dict[str, Any]:
        """What decides the bytes of the output; where it is written to, and by how many, does not."""
        given = asdict(self)
        for name in ("source", "destination", "overwrite", "partial_index", "workers", "executor"):
            del given[name]
        return {**given, "layout": self.written_layout}


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
    if is_address(config.destination):
        return _convert_to_store(config, started)
    guarded = [input_of(config.source, lambda: ()), *([input_of(config.drop)] if config.drop is not None else [])]
    check_folder(config.destination, guarded, config.overwrite)
    refuse_unknown_source(config.source)
    files = find_sample_files(config.source)
    if files is not None and files.plain_tars() is None:
        refuse_sharing(config)
        return _convert_files(files, config, guarded, started)
    source, opened, needed = open_input(config.source, files, config.partial_index)
    if config.written_layout in IN_SHARDS or not isinstance(source, PackSource):
        refuse_sharing(config)
    read, settings = [*guarded, opened], {**config.settings(), "input": opened.stamp}
    one_part = config.executor.part is not None
    with open_folder(config.destination, "convert", read, settings, config.overwrite, needed, one_part) as output:
        written, dropped = write_converted(source, output.new_folder(), config, output=output)
        output.publish()
    return _summary(config, len(source.labels), written, dropped, started)


def refuse_sharing(config: ConvertConfig) -> None:
    """Only the copying between packs is shared by processes of their own.

    Raises
    ------
    ConfigError
        A part, or another engine, was asked for.
    """
    if config.executor.is_shared:
        raise ConfigError(
            "only packs that become packs are shared: convert from and to shards by one process, without --part and "
            "--engine; its --workers fetch shards at once"
        )


def _convert_to_store(config: ConvertConfig, started: float) -> ConvertSummary:
    """Write shards below a prefix of a store: a few lie on the disk at a time."""
    refuse_sharing(config)
    guarded = [input_of(config.drop)] if config.drop is not None else []
    refuse_unknown_source(config.source)
    files = find_sample_files(config.source)
    if files is not None and files.plain_tars() is None:
        raise ConfigError(
            f"{config.source} must be read as a stream, and {config.destination} lies in a store: convert it to a pack "
            "on the disk first, and that to the store"
        )
    source, opened, _ = open_input(config.source, files, config.partial_index)
    codes = choose_records(source, config)
    names = [*_shard_names(int((codes == 0).sum()), config), LEDGER, LABELS, TRAIN_CONFIG]
    settings, read = {**config.settings(), "input": opened.stamp}, [*guarded, opened]
    with open_prefix(config.destination, "convert", read, settings, names, config.overwrite) as output:
        written, dropped = write_converted(source, output.folder, config, output.put)
        snippet = (output.folder / TRAIN_CONFIG).read_text("ascii")
        for name in (LEDGER, LABELS, TRAIN_CONFIG):
            output.put(output.folder / name)
        output.publish()
    return _summary(config, len(source.labels), written, dropped, started, snippet)


def _shard_names(records: int, config: ConvertConfig) -> list[str]:
    shards = range(-(-records // config.shard_records))
    return [shard_name(config.written_layout, shard, len(shards)) for shard in shards]


def _convert_files(files: SampleFiles, config: ConvertConfig, guarded: list[Input], started: float) -> ConvertSummary:
    """Convert what must be streamed: from a store, compressed, or parquet. Each file that was read is journalled."""
    settings, read = {**config.settings(), "input": files.content}, [*guarded, files.as_input()]
    needed = 2 * files.bytes  # once in the shards, once in the output
    with open_folder(config.destination, "convert", read, settings, config.overwrite, needed) as output:
        if output.published:
            return _summary_of_output(config, started)
        source = fetch_samples(output, files, config.workers)
        written, dropped = write_converted(source, output.new_folder(), config)
        output.publish()
    return _summary(config, len(source.labels), written, dropped, started)


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


def _summary(
    config: ConvertConfig,
    found: int,
    written: Written,
    dropped: dict[str, int],
    started: float,
    snippet: str | None = None,
) -> ConvertSummary:
    place = config.destination.rstrip("/")
    return ConvertSummary(
        place,
        config.written_layout,
        found,
        written.images,
        written.identities,
        written.num_classes,
        dropped,
        f"{place}/{LABELS}",
        Path(place, TRAIN_CONFIG).read_text("ascii") if snippet is None else snippet,
        written.bytes,
        perf_counter() - started,
    )


def _summary_of_output(config: ConvertConfig, started: float) -> ConvertSummary:
    """Of a run that was killed after it had published: from what it published."""
    place = Path(config.destination)
    snippet = (place / TRAIN_CONFIG).read_text("ascii")
    classes, images = (int(line.rpartition(" ")[2]) for line in snippet.splitlines())
    outcomes = count_outcomes(place / LEDGER, "action", "reason")
    dropped = {str(reason): count for (action, reason, _), count in outcomes.items() if action == "drop"}
    with open(place / LABELS, encoding="ascii") as lines:
        identities = sum(1 for _ in lines) - 1
    size = sum(path.stat().st_size for suffix in ("rec", "tar", "parquet") for path in place.glob(f"*.{suffix}"))
    written = Written(images, identities, classes, size)
    return _summary(config, images + sum(dropped.values()), written, dropped, started)


def open_input(named: str, files: SampleFiles | None, taken: bool) -> tuple[PackSource | TarSamples, Input, int]:
    """The records to convert, the files that they are read from, and how many bytes these take.

    Whether a partial index is taken counts for packs.
    """
    shards = files.plain_tars() if files is not None else None
    if shards:
        return scan_shards(shards), input_of(named, lambda: shards), sum(path.stat().st_size for path in shards)
    if is_address(named):
        raise ConfigError(
            f"{named} is a pack in a store, and convert copies packs from the disk alone (mask, embed, clean and apply "
            "read them where they lie): fetch it first"
        )
    source = open_packs([named], index_policy(taken))[0]
    return source, pack_input(source.rec, named), source.rec.stat().st_size


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
        return write_shards(source, rows, labels, dropped, folder, each, hashes, layout, finished)
    if isinstance(source, GatheredSamples):
        left_out = LeftOut(codes, REASONS)
        return write_gathered(source, rows, labels, left_out, folder, layout, "converting", config.hashes)
    if isinstance(source, TarSamples):
        return write_pack_of_shards(source, rows, labels, dropped, folder, layout, config.hashes)
    chosen = Selection(np.zeros(len(rows), np.int32), rows, labels)
    gathered = None
    if output is not None:
        gathered = share_copying(output, [source], chosen, config, config.hashes, "converting")
    return write_selection([source], chosen, folder, layout, dropped, config.hashes, "converting", gathered)
