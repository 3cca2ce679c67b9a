"""``facekit bins``: verification ``.bin`` files from pairs of a pack or a folder of people, and what is in one."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError
from facekit.images import decode, picture_size
from facekit.jobs.inputs.checks import check_at_least, check_seed
from facekit.jobs.inputs.ledger import AlreadyMasked, already_masked
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.outputs.bins_ledger import has_own_ledger, refuse_other_ledger
from facekit.jobs.outputs.ledger_rows import copied_rows
from facekit.jobs.packs.pair_lists import RowPairs, draw_pairs, listed_pairs
from facekit.output import BINS, PARQUET, PNG, Input, check_files, check_folder, input_of, open_files, open_folder
from facekit.output.dry_run import NOTHING_MORE, Forecast, is_dry, stop_if_dry
from facekit.records import Bins, read_bins, write_bins
from facekit.records.bins import bins_size
from facekit.records.tar_shards import picture_suffix
from facekit.run.ledger import LedgerWriter, ledger_path, payload_hash

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BinsSummary", "DrawConfig", "MakeConfig", "ShowConfig", "draw_bins", "make_bins", "show_bins"]

PAIRS = "pairs.csv"
SHOWN, SHEET_BYTES = 24, 4_000_000
RECORD_BYTES, LINE_BYTES = 10_000, 200
"""What unpacked pictures have besides: a record of the folder with a line for each, and a table of the pairs."""
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


@dataclass(frozen=True)
class ShowConfig:
    """Settings of ``facekit bins show``.

    Attributes
    ----------
    source : str
        A .bin.
    unpack : str, optional
        A folder for its pictures and a list of its pairs.
    sheet : str, optional
        Where to write a PNG with some of the pairs; the name ends in .png.
    overwrite : bool
    """

    source: str
    unpack: str | None = None
    sheet: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.sheet is not None:
            PNG.check_name(self.sheet)


@dataclass(frozen=True)
class BinsSummary:
    """What is in a .bin.

    Attributes
    ----------
    path : str
    pairs, same, pictures : int
        ``pictures`` counts different ones: lists of pairs use one several times.
    sizes : dict from str to int
        Width x height of the 2 ``pairs`` payloads.
    bytes : int
    unpacked, sheet : str or None
    """

    path: str
    pairs: int
    same: int
    pictures: int
    sizes: dict[str, int]
    bytes: int
    unpacked: str | None = None
    sheet: str | None = None


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


def show_bins(config: ShowConfig) -> BinsSummary:
    """Look into a .bin, and unpack or draw it where asked.

    Parameters
    ----------
    config : ShowConfig

    Returns
    -------
    BinsSummary

    Raises
    ------
    RecordError
        It is no .bin, or would run a program if it were read the usual way.
    DestinationExists
        The folder or the sheet exists.
    """
    read, settings = [input_of(config.source)], asdict(config)
    if config.unpack is not None:
        check_folder(config.unpack, read, config.overwrite)
    if config.sheet is not None:
        check_files({config.sheet: PNG}, read, config.overwrite)
    bins = read_bins(config.source)
    _stop_if_dry(config, bins, read)
    if config.unpack is not None:
        with open_folder(config.unpack, "bins", read, settings, config.overwrite) as output:
            unpack(bins, output.new_folder())
            output.publish()
    if config.sheet is not None:
        with open_files({config.sheet: PNG}, "bins", read, settings, config.overwrite) as sheet:
            sheet.paths[0].write_bytes(draw_sheet(Path(config.source).name, bins))
    size = Path(config.source).stat().st_size
    return summarise(config.source, bins, size, config.unpack, config.sheet)


def _stop_if_dry(config: ShowConfig, bins: Bins, read: list[Input]) -> None:
    """Tell of both outputs at once."""
    if not is_dry():
        return
    files = 2 * len(bins.same) if config.unpack is not None else 0
    pictures = sum(map(len, bins.payloads)) + RECORD_BYTES + LINE_BYTES * len(bins.payloads)
    needed = pictures * (config.unpack is not None) + SHEET_BYTES * (config.sheet is not None)
    counts = {"pairs": len(bins.same), "of one person": int(bins.same.sum()), "picture files": files}
    forecast = Forecast(len(bins.payloads), counts=counts, timed="seconds")
    settings = asdict(config)
    if config.unpack is not None:
        both = replace(forecast, writes=() if config.sheet is None else (config.sheet,))
        open_folder(config.unpack, "bins", read, settings, config.overwrite, needed, forecast=both)
    if config.sheet is not None:
        open_files({config.sheet: PNG}, "bins", read, settings, config.overwrite, needed, forecast=forecast)
    stop_if_dry("bins", None, tuple(read), 0, forecast=forecast)


def summarise(path: str, bins: Bins, size: int, unpacked: str | None = None, sheet: str | None = None) -> BinsSummary:
    """Count what is in it."""
    sizes: Counter[str] = Counter(size_of(payload) for payload in bins.payloads)
    same, pictures = int(bins.same.sum()), len(set(bins.payloads))
    return BinsSummary(path, len(bins.same), same, pictures, dict(sizes.most_common()), size, unpacked, sheet)


def size_of(payload: bytes) -> str:
    """Width x height, in words."""
    try:
        height, width = picture_size(payload)
    except PictureError:
        return "unreadable"
    return f"{width} x {height}"


def unpack(bins: Bins, folder: Path) -> None:
    """Write the pictures as ``00000-a.jpg`` and ``00000-b.jpg``, and the pairs as a table."""
    lines = ["picture_a,picture_b,same\n"]
    for number, same in enumerate(bins.same.tolist()):
        names = []
        for side, payload in zip("ab", bins.payloads[2 * number : 2 * number + 2], strict=True):
            names.append(f"{number:05d}-{side}.{picture_suffix(payload)}")
            (folder / names[-1]).write_bytes(payload)
        lines.append(f"{names[0]},{names[1]},{int(same)}\n")
    (folder / PAIRS).write_text("".join(lines), "ascii")


def draw_sheet(name: str, bins: Bins) -> bytes:
    """Some pairs of each kind."""
    from facekit.report.picture_rows import Row, picture_rows

    rows = []
    for wanted, words in ((True, "same"), (False, "different")):
        places = np.flatnonzero(bins.same == wanted)
        chosen = places[np.linspace(0, len(places) - 1, min(SHOWN, len(places))).astype(np.int64)]
        for place in chosen.tolist():
            pictures = [decode_or_none(payload) for payload in bins.payloads[2 * place : 2 * place + 2]]
            rows.append(Row(f"pair {place}: {words}", pictures))
    return picture_rows(f"{name}: {len(bins.same):,} pairs", rows, columns=2, abreast=6)


def decode_or_none(payload: bytes) -> npt.NDArray[np.uint8] | None:
    """The picture, or None where it does not decode."""
    try:
        return decode(payload)
    except PictureError:
        return None
