"""``facekit bins make`` and ``draw``: verification ``.bin`` files from pairs of a pack or a folder of people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.jobs.inputs.checks import check_at_least, check_seed
from facekit.jobs.inputs.ledger import AlreadyMasked, already_masked
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.outputs.bins_ledger import has_own_ledger, refuse_other_ledger
from facekit.jobs.outputs.ledger_rows import copied_rows
from facekit.jobs.packs.bins_summary import BinsSummary, summarise
from facekit.jobs.packs.pair_lists import RowPairs, draw_pairs, listed_pairs
from facekit.output import BINS, PARQUET, Input, check_files, input_of, open_files
from facekit.output.dry_run import NOTHING_MORE, Forecast, is_dry
from facekit.records import Bins, write_bins
from facekit.records.bins import bins_size
from facekit.run.ledger import LedgerWriter, ledger_path, payload_hash

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DrawConfig", "MakeConfig", "draw_bins", "make_bins"]

LEDGER_BYTES, LEDGER_ROW_BYTES = 1 << 16, 400
"""What a ledger takes at the most: for its columns, and for each row."""


@dataclass(frozen=True)
class MakeConfig:
    """Settings of ``facekit bins make``.

    Attributes
    ----------
    pairs : str
        A .csv with the columns key_a, key_b, same, or a list such as LFW's pairs.txt; see `listed_pairs`.
    source : str
        The pack, or the folder of people, that they are of.
    destination : str
        The .bin to write.
    overwrite : bool
    """

    pairs: str
    source: str
    destination: str
    overwrite: bool = False


@dataclass(frozen=True)
class DrawConfig:
    """Settings of ``facekit bins draw``.

    Attributes
    ----------
    source : str
        A pack, or a folder of people.
    destination : str
        The .bin to write.
    pairs : int
        In all, half of them of one person.
    folds : int
        No two share a person.
    seed : int
    overwrite : bool
    """

    source: str
    destination: str
    pairs: int = 6000
    folds: int = 10
    seed: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_at_least("pairs", self.pairs, 2)
        check_at_least("folds", self.folds, 1)


def make_bins(config: MakeConfig) -> BinsSummary:
    """Write a .bin of listed pairs; payloads are those of the source, byte for byte.

    Of a pack with masked pictures it gets a ledger beside it, by which those are known for what they are.

    Parameters
    ----------
    config : MakeConfig

    Returns
    -------
    BinsSummary

    Raises
    ------
    ConfigError, DestinationExists
        The list of pairs is none, or the .bin exists.
    RecordError
        The source is missing or corrupt.
    FacekitError
        A key is that of no image, or a name that of no picture.
    """
    pairs_file = input_of(config.pairs)
    check_files({config.destination: BINS}, [pairs_file, input_of(config.source, lambda: ())], config.overwrite)
    source = open_source(config.source)[0]
    return _write(source, listed_pairs(config.pairs, source), [pairs_file], config)


def draw_bins(config: DrawConfig) -> BinsSummary:
    """Write a .bin of drawn pairs; payloads are those of the source, byte for byte, and a ledger as `make_bins` does.

    Parameters
    ----------
    config : DrawConfig

    Returns
    -------
    BinsSummary

    Raises
    ------
    ConfigError, DestinationExists
        The pairs cannot be halved in each fold, or the .bin exists.
    RecordError
        The source is missing or corrupt.
    FacekitError
        There are too few people or pictures.
    """
    check_files({config.destination: BINS}, [input_of(config.source, lambda: ())], config.overwrite)
    source = open_source(config.source)[0]
    return _write(source, draw_pairs(source.labels, config.pairs, config.folds, config.seed), [], config)


def _write(source: Source, pairs: RowPairs, read: list[Input], config: MakeConfig | DrawConfig) -> BinsSummary:
    rows, places = np.unique(pairs.rows, return_inverse=True)
    payloads = [record.record.payload for record in read_records(source.select_rows(rows))]
    bins = Bins([payloads[place] for place in places.reshape(-1).tolist()], pairs.same)
    ledger, said = ledger_path(Path(config.destination)), _masks_of(source, pairs, bins)
    if said is not None:
        refuse_other_ledger(Path(config.destination))
    # One of the .bin that is replaced would speak of other pictures: it is replaced too.
    targets = {str(ledger): PARQUET} if said is not None or has_own_ledger(Path(config.destination)) else {}
    targets[config.destination] = BINS
    inputs = [*read, source_input(source, config.source)]
    forecast, needed = _forecast(bins, len(targets) > 1, config.destination) if is_dry() else (NOTHING_MORE, 0)
    about = (inputs, asdict(config), config.overwrite, needed)
    with open_files(targets, "bins", *about, forecast=forecast) as output:
        if len(targets) > 1:
            with LedgerWriter(output.paths[0]) as out:
                out.append(_ledger_rows(source, pairs, bins, None) if said is None else said)
        write_bins(output.paths[-1], bins.payloads, bins.same)
        size = output.paths[-1].stat().st_size
    return summarise(config.destination, bins, size)


def _forecast(bins: Bins, ledger: bool, destination: str) -> tuple[Forecast, int]:
    """What a dry run tells: the .bin to the byte, and as many bytes as its ledger takes at the most."""
    same, count = int(bins.same.sum()), len(bins.payloads)
    counts = {"pairs": len(bins.same), "of one person": same, "different pictures": len(set(bins.payloads))}
    needed = bins_size(bins.payloads, bins.same) + (LEDGER_BYTES + LEDGER_ROW_BYTES * count) * ledger
    writes = (f"{ledger_path(Path(destination))}: what its masked pictures are",) * ledger
    timed = "seconds, as for this plan, which read every picture"
    return Forecast(count, counts=counts, writes=writes, timed=timed), needed


def _masks_of(source: Source, pairs: RowPairs, bins: Bins) -> pa.Table | None:
    """The ledger of a .bin in which masked pictures go on being known as such; None where there are none."""
    masks = already_masked(Path(source.path)) if source.kind == "pack" and source.stored is None else None
    if masks is None or not np.isin(source.keys[pairs.rows], masks.keys).any():
        return None
    return _ledger_rows(source, pairs, bins, masks)


def _ledger_rows(source: Source, pairs: RowPairs, bins: Bins, masks: AlreadyMasked | None) -> pa.Table:
    """A row for each picture, by its place in the .bin; ``source_key`` is that of the pack."""
    hashes = b"".join(map(payload_hash, bins.payloads))
    return copied_rows(np.arange(len(bins.payloads)), source.keys[pairs.rows.reshape(-1)], hashes, masks)
