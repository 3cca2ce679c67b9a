"""``facekit embed``: a pack or a folder of pictures in, a folder of vectors out.

Read the source, do the shards, put index and vectors together, move them into place.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

import facekit
from facekit.embeddings import Engine, is_features, open_features
from facekit.embeddings.store import DESCRIPTION, FAILURES, FORMAT, INDEX, VECTORS
from facekit.errors import ConfigError, FacekitError
from facekit.images import decode
from facekit.jobs.embed.shard import EmbedTask, Flags, start_worker, vectors_beside
from facekit.jobs.inputs.model import ModelChoice, open_engine
from facekit.jobs.inputs.source import Source, open_source, read_records
from facekit.records.key_rows import rows_of
from facekit.run.destination import check_destination
from facekit.run.journal import Journal, was_published
from facekit.run.shard_file import read_rows
from facekit.run.shards import Shard, cut, shard_size
from facekit.run.work import do_shards

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EmbedConfig", "EmbedSummary", "embed", "embedded_by", "read_flags"]


@dataclass(frozen=True)
class EmbedConfig:
    """Settings of ``facekit embed``.

    Attributes
    ----------
    source : str
        A pack (its folder, its ``.rec`` or their prefix) or a folder of pictures.
    destination : str
        Folder of vectors that will appear when everything is done.
    model : ModelChoice
    workers : int
        Processes, each with the network opened; more than one is for networks that do not use all cores.
    limit : int, optional
        Take only the first pictures in physical order.
    overwrite : bool
        Replace an existing folder of vectors, and discard an unfinished run with other settings.
    """

    source: str
    destination: str
    model: ModelChoice
    workers: int = 1
    limit: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"workers is {self.workers}; it must be at least 1")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; it must be at least 1")


@dataclass(frozen=True)
class EmbedSummary:
    """The result of ``facekit embed``.

    Attributes
    ----------
    destination : str
    pictures, vectors, failures : int
        Of the source, of the output, and pictures without a vector; the latter two add up to the first.
    dimensions : int
    model : str
        BLAKE2b of the model file.
    masked : int
        Pictures that the ledger calls masked.
    norm : (float, float, float)
        5th, 50th and 95th percentile of the vectors' norms before normalisation.
    errors : dict from str to int
        What went wrong, and how often.
    seconds, images_per_second : float
        Of this run; what an earlier one had finished is not counted.
    """

    destination: str
    pictures: int
    vectors: int
    failures: int
    dimensions: int
    model: str
    masked: int
    norm: tuple[float, float, float]
    errors: dict[str, int]
    seconds: float
    images_per_second: float


def embed(config: EmbedConfig) -> EmbedSummary:
    """Embed a pack.

    Raises
    ------
    ConfigError, DestinationExists
        The model cannot be used so, the pictures do not fit it, the destination exists, or another run writes it.
    RecordError
        The source is missing or corrupt.
    FacekitError
        No picture has a vector.
    """
    started, destination = perf_counter(), Path(config.destination)
    source, _ = open_source(config.source, layout="flat", limit=config.limit)
    engine = open_engine(config.model)
    _check_first(source, engine)
    flags = read_flags(source)
    settings = _settings(source, engine, config)
    done = 0
    if config.overwrite or not was_published(destination, settings):
        if not (config.overwrite and is_features(destination)):
            check_destination(destination, config.overwrite)
        shards = cut(len(source), shard_size(len(source)))
        with Journal(destination, settings, config.overwrite) as journal:

            def task_of(shard: Shard) -> EmbedTask:
                span = (shard.first, shard.stop)
                return EmbedTask(shard, journal.path(shard), source.slice(*span), flags.slice(*span))

            done = do_shards("embedding", shards, journal, task_of, config.workers, start_worker, config.model)
            _put_together(source, shards, settings, journal)
            journal.publish()
    return _summarise(destination, len(source), done, perf_counter() - started)


def read_flags(source: Source) -> Flags:
    """What the ledger beside a pack says about its records; without one every record is bare and its own source."""
    ledger = Path(source.path).with_suffix(".ledger.parquet")
    masked, sources = np.zeros(len(source), np.bool_), source.keys.copy()
    if source.kind == "pack" and ledger.exists():
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        rows = pq.read_table(ledger, columns=["key", "source_key", "action"])
        rows = rows.filter(rows["key"].is_valid())  # not what was refused
        keys = rows["key"].to_numpy()
        origins = pc.coalesce(rows["source_key"], rows["key"]).to_numpy()  # drawn pictures have no other source
        places = rows_of(keys, source.keys)
        if (places < 0).any():
            raise FacekitError(f"{ledger} does not know every record of {source.path}: it belongs to another pack")
        masked = (rows["action"].to_numpy(zero_copy_only=False) == "mask")[places]
        sources = origins[places]
    return Flags(masked, sources)


def _check_first(source: Source, engine: Engine) -> None:
    """Raise ConfigError where the first picture that can be read does not fit the network."""
    for record, _ in islice(read_records(source.slice(0, min(len(source), 100))), 100):
        try:
            image = decode(record.payload)
        except FacekitError:
            continue
        engine.preprocessing.check(image)
        return


def _settings(source: Source, engine: Engine, config: EmbedConfig) -> dict[str, Any]:
    return {
        "facekit": facekit.__version__,
        "input": {"content": source.content, "changed": source.changed, "pictures": len(source)},
        **embedded_by(engine, config.model),
    }


def embedded_by(engine: Engine, model: ModelChoice) -> dict[str, Any]:
    """What decides the vector of a picture, as it stands in the description of a folder of vectors."""
    return {
        "model": engine.model_hash,
        "preprocessing": json.loads(engine.preprocessing.to_json()),
        "branch": (model.branch or "ledger") if engine.takes_flag else None,
        "flip": model.flip,
    }


def _put_together(source: Source, shards: list[Shard], settings: dict[str, Any], journal: Journal) -> None:
    """Index and failures from the shards' rows; the shards' vectors as they are."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder = journal.output()
    rows: pa.Table = pa.concat_tables([read_rows(journal.path(shard)) for shard in shards])
    if rows.num_rows != len(source):
        raise FacekitError(f"{rows.num_rows} rows for {len(source)} pictures; delete {journal.folder} and embed again")
    bad = pc.is_valid(rows["error"])
    index, failures = rows.filter(pc.invert(bad)).drop(["error"]), rows.filter(bad).select(["key", "label", "error"])
    if not index.num_rows:
        raise FacekitError(f"none of {len(source)} pictures has a vector: {failures['error'][0].as_py()}")
    (folder / VECTORS).mkdir(parents=True)
    dimensions = 0
    for shard in shards:
        vectors = vectors_beside(journal.path(shard))
        shape = np.load(vectors, mmap_mode="r").shape
        if shape[0]:
            dimensions = shape[1]
            _link(vectors, folder / VECTORS / vectors.name)
    pq.write_table(index, folder / INDEX, compression="zstd")
    pq.write_table(failures, folder / FAILURES, compression="zstd")
    description = {"format": FORMAT, "dimensions": dimensions, "count": index.num_rows} | settings
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def _link(path: Path, target: Path) -> None:
    """A second name for a file, so that a run killed here still has its shard; a copy where there are no links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _summarise(destination: Path, pictures: int, done: int, seconds: float) -> EmbedSummary:
    features = open_features(destination)
    errors: dict[str, int] = {}
    for row in features.failures():
        errors[row["error"]] = errors.get(row["error"], 0) + 1
    low, middle, high = (float(value) for value in np.percentile(features.norms, [5, 50, 95]))
    return EmbedSummary(
        destination=str(destination),
        pictures=pictures,
        vectors=features.count,
        failures=sum(errors.values()),
        dimensions=features.dimensions,
        model=features.model_hash,
        masked=int(features.masked.sum()),
        norm=(low, middle, high),
        errors=errors,
        seconds=seconds,
        images_per_second=done / seconds,
    )
