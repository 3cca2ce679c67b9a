"""``facekit bins show``: what is in a verification ``.bin``, its pictures unpacked, and some pairs on a sheet."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError
from facekit.images import decode
from facekit.jobs.packs.bins_summary import BinsSummary, summarise
from facekit.output import PNG, Input, check_files, check_folder, input_of, open_files, open_folder
from facekit.output.dry_run import Forecast, is_dry, stop_if_dry
from facekit.records import Bins, read_bins
from facekit.records.tar_shards import picture_suffix

__all__ = ["ShowConfig", "show_bins"]

PAIRS = "pairs.csv"
SHOWN, SHEET_BYTES = 24, 4_000_000
RECORD_BYTES, LINE_BYTES = 10_000, 200
"""What unpacked pictures have besides: a record of the folder with a line for each, and a table of the pairs."""


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
