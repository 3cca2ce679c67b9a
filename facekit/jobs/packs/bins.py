"""``facekit bins``: verification ``.bin`` files from pairs of a pack, and what is in one."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError, PictureError
from facekit.images import decode, picture_size
from facekit.jobs.inputs.pair_tables import read_pairs
from facekit.jobs.inputs.source import pack_input
from facekit.output import BINS, PNG, check_files, check_folder, input_of, open_files, open_folder
from facekit.records import Bins, open_pack, read_bins, write_bins
from facekit.records.tar_shards import picture_suffix

__all__ = ["BinsSummary", "MakeConfig", "ShowConfig", "make_bins", "show_bins"]

PAIRS = "pairs.csv"
SHOWN = 24


@dataclass(frozen=True)
class MakeConfig:
    """Settings of ``facekit bins make``.

    Attributes
    ----------
    pairs : str
        A .csv with the columns key_a, key_b, same.
    source : str
        The pack that the keys belong to.
    destination : str
        The .bin to write.
    overwrite : bool
    """

    pairs: str
    source: str
    destination: str
    overwrite: bool = False


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
    """Write a .bin; payloads are those of the pack, byte for byte.

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
        The pack is missing or corrupt, or a key is none of its.
    FacekitError
        A key is that of no image.
    """
    targets, pairs_file = {config.destination: BINS}, input_of(config.pairs)
    check_files(targets, [pairs_file, input_of(config.source, lambda: ())], config.overwrite)
    with (
        open_pack(config.source) as pack,
        open_files(
            targets, "bins", [pairs_file, pack_input(pack.paths.rec, config.source)], asdict(config), config.overwrite
        ) as output,
    ):
        pairs = read_pairs(config.pairs)
        keys = pairs.keys.reshape(-1)
        unknown = ~np.isin(keys, pack.keys)
        if unknown.any():
            raise FacekitError(
                f"{config.source} has no image with key {keys[unknown][0]}, which {config.pairs} names"
            )
        bins = Bins([pack.read(key).payload for key in keys.tolist()], pairs.same)
        write_bins(output.paths[0], bins.payloads, bins.same)
        size = output.paths[0].stat().st_size
    return summarise(config.destination, bins, size)


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
    if config.unpack is not None:
        with open_folder(config.unpack, "bins", read, settings, config.overwrite) as output:
            unpack(bins, output.new_folder())
            output.publish()
    if config.sheet is not None:
        with open_files({config.sheet: PNG}, "bins", read, settings, config.overwrite) as sheet:
            sheet.paths[0].write_bytes(draw_sheet(Path(config.source).name, bins))
    size = Path(config.source).stat().st_size
    return summarise(config.source, bins, size, config.unpack, config.sheet)


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
