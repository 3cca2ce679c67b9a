"""``facekit convert``: a pack, tar shards or parquet, on disk or in a store -> any other, labels made contiguous."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from facekit.errors import ConfigError
from facekit.jobs.inputs.ledger import count_outcomes
from facekit.jobs.inputs.sample_files import SampleFiles, find_sample_files, refuse_unknown_source
from facekit.jobs.inputs.source import pack_input
from facekit.jobs.outputs.rewrite import (
    PackSource,
    Written,
    open_packs,
)
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG
from facekit.jobs.packs.convert_config import ConvertConfig, ConvertSummary
from facekit.jobs.packs.convert_write import choose_records, write_converted
from facekit.jobs.packs.fetch import fetch_samples
from facekit.jobs.packs.send_share import send_share
from facekit.jobs.packs.webdataset import shard_name
from facekit.output import Input, check_folder, input_of, open_folder, open_prefix
from facekit.records.index_policy import index_policy
from facekit.records.tar_shards import TarSamples, scan_shards
from facekit.run.choice import PartFinished
from facekit.run.ledger import LEDGER
from facekit.stores import is_address

__all__ = ["ConvertConfig", "ConvertSummary", "convert"]


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
    PartFinished
        The share of the part that was asked for is done.
    """
    started = perf_counter()
    if is_address(config.destination):
        return _convert_to_store(config, started)
    guarded = [input_of(config.source, lambda: ()), *([input_of(config.drop)] if config.drop is not None else [])]
    check_folder(config.destination, guarded, config.overwrite)
    refuse_unknown_source(config.source)
    files = find_sample_files(config.source)
    if files is not None and files.plain_tars() is None:
        return _convert_files(files, config, guarded, started)
    source, opened, needed = open_input(config.source, files, config.partial_index)
    read, settings = [*guarded, opened], {**config.settings(), "input": opened.stamp}
    one_part = config.executor.part is not None
    count, overwrite = len(source.labels), config.overwrite
    with open_folder(
        config.destination, "convert", read, settings, overwrite, needed, one_part, count, {"convert": count}
    ) as output:
        written, dropped = write_converted(source, output.new_folder(), config, output=output)
        output.publish()
    return _summary(config, len(source.labels), written, dropped, started)


def _convert_to_store(config: ConvertConfig, started: float) -> ConvertSummary:
    """Write shards below a prefix of a store: a few lie on the disk at a time. A part sends its share of them.

    Raises
    ------
    ConfigError
        Another engine was asked for; or the source must be read as a stream.
    PartFinished
        The share of the part that was asked for is done.
    """
    part = config.executor.part
    if config.executor.engine != "local":
        raise ConfigError(
            f"{config.destination} lies in a store, which has no folder that the workers of --engine share: leave it "
            "out, and give --part I/N on each machine"
        )
    guarded = [input_of(config.drop)] if config.drop is not None else []
    refuse_unknown_source(config.source)
    files = find_sample_files(config.source)
    if files is not None and files.plain_tars() is None:
        raise ConfigError(
            f"{config.source} must be read as a stream, and {config.destination} lies in a store: convert it to a pack "
            "on the disk first, and that to the store"
        )
    source, opened, needed = open_input(config.source, files, config.partial_index)
    codes = choose_records(source, config)
    names = [*_shard_names(int((codes == 0).sum()), config), LEDGER, LABELS, TRAIN_CONFIG]
    settings, read = {**config.settings(), "input": opened.stamp}, [*guarded, opened]
    if part is not None:
        with open_prefix(config.destination, "convert", read, settings, names, config.overwrite, needed) as output:
            done = send_share(source, codes == 0, config, output, part)
        raise PartFinished(done)
    with open_prefix(config.destination, "convert", read, settings, names, config.overwrite, needed) as output:
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
    one_part = config.executor.part is not None
    with open_folder(config.destination, "convert", read, settings, config.overwrite, needed, one_part) as output:
        if output.published:
            return _summary_of_output(config, started)
        source = fetch_samples(output, files, config)
        written, dropped = write_converted(source, output.new_folder(), config)
        output.publish()
    return _summary(config, len(source.labels), written, dropped, started)


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
