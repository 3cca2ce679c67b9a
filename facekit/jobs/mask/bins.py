"""``facekit mask lfw.bin mlfw.bin``: the masked version of verification pairs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from facekit.errors import ConfigError, DestinationExists
from facekit.faces.estimators import KeyedMeshes
from facekit.faces.mesh import LiteRTMesh, MeshEstimator
from facekit.jobs.inputs.checks import check_choice
from facekit.jobs.inputs.source_records import SourceRecord
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import textured_shells
from facekit.jobs.mask.shard import MaskWorker, Outcome, Wear, limit_threads, masked_copies
from facekit.jobs.outputs.bins_ledger import refuse_other_ledger
from facekit.output import BINS, PARQUET, check_files, input_of, open_files
from facekit.output.dry_run import Forecast, is_dry
from facekit.records import Header, Record, unframe, unpack_record
from facekit.records.bins import Bins, read_bins, write_bins
from facekit.records.named_inputs import describe_path, require_there
from facekit.run.executors import open_executor
from facekit.run.ledger import LedgerRow, LedgerWriter, ledger_path, payload_hash, table
from facekit.run.progress import progress

__all__ = ["MaskBinsSummary", "mask_bin_files", "mask_bins"]

SIDES = ("both", "second")
PICTURES_A_TASK = 128


@dataclass(frozen=True)
class MaskBinsSummary:
    """The result of ``facekit mask`` on a verification ``.bin``.

    Attributes
    ----------
    destination, ledger : str
    pairs, pictures, masked : int
        Pairs, pictures of them, and how many of those wear a mask now.
    wanted : int
        PictureBatch that were to be masked; ``masked``, ``refused`` and ``errors`` add up to it.
    by_type, refused, errors : dict from str to int
        Masked pictures by type; those that stayed bare, by the reason of the gate or by what went wrong.
    seconds, images_per_second : float
    """

    destination: str
    ledger: str
    pairs: int
    pictures: int
    masked: int
    wanted: int
    by_type: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    images_per_second: float = 0.0


class PictureBatch(NamedTuple):
    """A task: pictures with their positions in the file."""

    first: int
    payloads: list[tuple[int, bytes]]

    def __repr__(self) -> str:
        return f"pictures {self.first} to {self.payloads[-1][0]}"


class MaskedPicture(NamedTuple):
    """What became of a picture."""

    position: int
    payload: bytes
    row: LedgerRow


def mask_bins(
    config: MaskConfig,
    side: str = "both",
    estimator: Callable[[], MeshEstimator] = LiteRTMesh,
    wear: Callable[[MaskConfig], Wear] = textured_shells,
) -> MaskBinsSummary:
    """Put masks on the pictures of a verification ``.bin``.

    Parameters
    ----------
    config : MaskConfig
        Its source and destination are ``.bin`` files; types, seed, options, textures, workers, overwrite count.
    side : str
        ``"both"`` pictures of each pair, or the ``"second"`` only: masked against bare.
    estimator, wear : callable
        As in `facekit.jobs.mask.job.mask`.

    Raises
    ------
    ConfigError, DestinationExists
        The side is another, or a file exists.
    RecordError
        The source is no verification ``.bin``.
    """
    check_choice("side", side, SIDES)
    if config.executor.part is not None:
        raise ConfigError(f"{config.source} is a .bin of a few thousand pictures: leave out --part, give --workers")
    started, ledger = perf_counter(), ledger_path(Path(config.destination))
    targets = {str(ledger): PARQUET, config.destination: BINS}
    read = [input_of(config.source), *([input_of(config.textures)] if config.textures is not None else [])]
    refuse_other_ledger(Path(config.destination))
    bins = read_bins(config.source)
    wanted = range(0 if side == "both" else 1, len(bins.payloads), 1 if side == "both" else 2)
    needed = 2 * os.path.getsize(config.source)
    check_files(targets, read, config.overwrite)
    if is_dry():
        forecast = Forecast(len(bins.payloads), {"mask": len(wanted)})
        open_files(targets, "mask", read, {}, config.overwrite, needed, forecast=forecast)
    made = {item.position: item for item in _masked(bins, wanted, MaskWorker(config, "", estimator, wear))}
    rows = [_row(bins, position, made) for position in range(len(bins.payloads))]
    payloads = [made[i].payload if i in made else payload for i, payload in enumerate(bins.payloads)]
    settings = {"config": config.settings(), "side": side}
    with open_files(targets, "mask", read, settings, config.overwrite) as output:
        with LedgerWriter(output.paths[0]) as out:
            out.append(table(rows))
        write_bins(output.paths[1], payloads, bins.same)
    return _summarise(config, ledger, bins, rows, len(wanted), perf_counter() - started)


def mask_bin_files(
    config: MaskConfig,
    sources: Sequence[str],
    side: str = "both",
    estimator: Callable[[], MeshEstimator] = LiteRTMesh,
    wear: Callable[[MaskConfig], Wear] = textured_shells,
) -> list[MaskBinsSummary]:
    """The same for several files, each published when it is done under its own name in the folder ``destination``.

    Parameters
    ----------
    config : MaskConfig
    sources : sequence of str
        Take the place of ``config.source``.
    side : str
    estimator, wear : callable
        As in `mask_bins`.

    Raises
    ------
    ConfigError, DestinationExists
        Before anything is written: one is no ``.bin``, two have one name, the destination is a file's name, or a file
        of it exists.
    RecordError
        A source is no verification ``.bin``.
    """
    names = [Path(source).name for source in sources]
    other = next((source for source in sources if not source.endswith(".bin")), None)
    if other is not None:
        require_there(other)
        what = f"{other} is {describe_path(other)}, no .bin"
        raise ConfigError(f"{what}: several sources must be verification .bin files; mask packs one by one")
    if config.destination.endswith(".bin"):
        raise ConfigError(f"{config.destination} is a file's name: name a folder for the {len(sources)} .bin files")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"two sources are called {twice}, and DST has room for one: mask them into two folders")
    each = [replace(config, source=source, destination=str(Path(config.destination, name)))
            for source, name in zip(sources, names, strict=True)]  # fmt: skip
    there = next((one.destination for one in each if Path(one.destination).exists()), None)
    if there is not None and not config.overwrite:
        raise DestinationExists(f"{there} exists: leave out what is done, choose another folder, or ask to overwrite")
    for source in sources:
        read_bins(source)
    return [mask_bins(one, side, estimator, wear) for one in each]


def start_worker(worker: MaskWorker) -> Callable[[PictureBatch], list[MaskedPicture]]:
    """Open what a worker keeps open, and return what it does with a task."""
    limit_threads()
    meshes, wear = KeyedMeshes(worker.estimator()), worker.wear(worker.config)

    def work(task: PictureBatch) -> list[MaskedPicture]:
        return [mask_one(position, payload, worker.config, meshes, wear) for position, payload in task.payloads]

    return work


def mask_one(position: int, payload: bytes, config: MaskConfig, meshes: KeyedMeshes, wear: Wear) -> MaskedPicture:
    """The masked picture; the picture itself where it cannot be masked."""
    record = Record(position, Header(0, 0.0, position, 0), payload)
    outcome: Outcome = next(masked_copies(SourceRecord(record, b""), 1, config, meshes, wear))
    if outcome.framed is not None:
        payload = unpack_record(unframe(outcome.framed)[0])[1]
    return MaskedPicture(position, payload, outcome.row._replace(key=position, payload_hash=payload_hash(payload)))


def _masked(bins: Bins, wanted: range, worker: MaskWorker) -> Iterator[MaskedPicture]:
    """Every picture that is to be masked, in the order in which they are finished."""
    tasks = [wanted[start : start + PICTURES_A_TASK] for start in range(0, len(wanted), PICTURES_A_TASK)]
    workers = max(1, min(worker.config.workers, len(tasks)))
    with (
        progress("masking", len(wanted)) as advance,
        open_executor(workers, start_worker, worker, worker.config.executor) as executor,
    ):
        ahead = iter(tasks)
        for task in islice(ahead, 2 * workers):
            executor.submit(PictureBatch(task[0], [(i, bins.payloads[i]) for i in task]))
        for _ in tasks:
            finished: list[MaskedPicture] = executor.next_finished()
            advance(len(finished), refused=sum(each.row.action in ("refused", "error") for each in finished))
            for task in islice(ahead, 1):
                executor.submit(PictureBatch(task[0], [(i, bins.payloads[i]) for i in task]))
            yield from finished


def _row(bins: Bins, position: int, made: dict[int, MaskedPicture]) -> LedgerRow:
    if position in made:
        return made[position].row
    return LedgerRow(position, position, payload_hash(bins.payloads[position]), "copy")


def _summarise(
    config: MaskConfig, ledger: Path, bins: Bins, rows: list[LedgerRow], wanted: int, seconds: float
) -> MaskBinsSummary:
    counts = Counter((row.action, row.type or row.reason) for row in rows)
    types, refused, errors = (
        {str(name): count for (action, name), count in counts.most_common() if action == wanted_action}
        for wanted_action in ("mask", "refused", "error")
    )
    return MaskBinsSummary(
        destination=config.destination,
        ledger=str(ledger),
        pairs=int(np.size(bins.same)),
        pictures=len(bins.payloads),
        masked=sum(types.values()),
        wanted=wanted,
        by_type=types,
        refused=refused,
        errors=errors,
        seconds=seconds,
        images_per_second=wanted / seconds,
    )
