"""``facekit inspect``: what is in a pack."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError
from facekit.images import jpeg_coding, picture_size
from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.ledger import count_outcomes
from facekit.jobs.inputs.source import pack_input
from facekit.output import PNG, open_files
from facekit.output.dry_run import Forecast, is_dry, stop_if_dry
from facekit.records import Pack, open_pack
from facekit.records.roles import read_property
from facekit.records.tar_shards import picture_suffix
from facekit.run.ledger import ledger_path

__all__ = ["InspectConfig", "InspectSummary", "inspect"]

SHEET_ROWS, SHEET_COLUMNS = 16, 10
SHEET_BYTES = 8_000_000
"""A sheet of pictures of 112 x 112 takes a tenth of it."""


@dataclass(frozen=True)
class InspectConfig:
    """Settings of ``facekit inspect``.

    Attributes
    ----------
    source : str
    sample : int
        Pictures whose size and coding are read, spread evenly over the pack.
    sheet : str, optional
        Where to write a PNG with pictures of some identities; the name ends in .png.
    overwrite : bool
        Replace the sheet.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    sample: int = 2000
    sheet: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_at_least("sample", self.sample, 1)
        if self.sheet is not None:
            PNG.check_name(self.sheet)


@dataclass(frozen=True)
class InspectSummary:
    """What is in a pack.

    Attributes
    ----------
    source, layout : str
    bytes, records : int
        Of the ``.rec``.
    images, identities, num_classes, unused_labels : int
        ``num_classes`` is the largest label + 1; labels below it without an image are unused.
    label_width : dict from int to int
        Images by the length of their label vector; 0 for a single number.
    images_each : dict from str to float
        Smallest, median, mean and largest number of images of an identity.
    histogram : dict from str to int
        Identities by their number of images.
    property : str or None
        The first line of ``property``.
    sampled : int
        Pictures that were looked at for what follows.
    formats, sizes, qualities, subsamplings : dict from str to int
        ``sizes`` is width x height.
    masked : dict from str to int
        Images by mask type, as the ledger says; empty without a ledger.
    masked_share : float
    sheet : str or None
    """

    source: str
    layout: str
    bytes: int
    records: int
    images: int
    identities: int
    num_classes: int
    unused_labels: int
    label_width: dict[int, int]
    images_each: dict[str, float]
    histogram: dict[str, int]
    property: str | None
    sampled: int
    formats: dict[str, int]
    sizes: dict[str, int]
    qualities: dict[str, int]
    subsamplings: dict[str, int]
    masked: dict[str, int]
    masked_share: float
    sheet: str | None


def inspect(config: InspectConfig) -> InspectSummary:
    """Look at a pack.

    Parameters
    ----------
    config : InspectConfig

    Returns
    -------
    InspectSummary

    Raises
    ------
    RecordError
        There is no such pack, or a record is truncated or corrupt.
    DestinationExists
        The sheet exists.
    """
    with open_pack(config.source) as pack:
        if is_dry():
            _tell(config, pack)
        _, counts = np.unique(pack.labels, return_counts=True)
        found = sample_pictures(pack, config.sample)
        masked = masked_types(pack.paths.rec)
        if config.sheet is not None:
            read = [pack_input(pack.paths.rec, config.source)]
            with open_files({config.sheet: PNG}, "inspect", read, asdict(config), config.overwrite) as output:
                output.paths[0].write_bytes(draw_sheet(pack))
        declared = read_property(pack.paths.property)
        return InspectSummary(
            config.source,
            pack.layout,
            pack.reader.size,
            len(pack.reader),
            pack.num_images,
            len(counts),
            pack.num_classes,
            pack.num_classes - int((np.unique(pack.labels) >= 0).sum()),
            label_widths(pack),
            size_statistics(counts),
            histogram(counts),
            None if declared is None else ",".join(map(str, declared)),
            sum(found["format"].values()),
            dict(found["format"].most_common()),
            dict(found["size"].most_common()),
            dict(found["quality"].most_common()),
            dict(found["subsampling"].most_common()),
            dict(masked.most_common()),
            sum(masked.values()) / pack.num_images if pack.num_images else 0.0,
            config.sheet,
        )


def label_widths(pack: Pack) -> dict[int, int]:
    """Images by the length of their label vector."""
    widths: Counter[int] = Counter()
    for _, columns in pack.header_columns(pack.keys):
        flags, counts = np.unique(columns.flag, return_counts=True)
        widths.update(dict(zip(flags.tolist(), counts.tolist(), strict=True)))
    return dict(widths.most_common())


def size_statistics(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """Smallest, median, mean and largest."""
    if not len(counts):
        return {}
    values = counts.min(), np.median(counts), counts.mean(), counts.max()
    return {name: float(value) for name, value in zip(("smallest", "median", "mean", "largest"), values, strict=True)}


def histogram(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    """Identities by their number of images, in bins that double: 1, 2-3, 4-7, ..."""
    if not len(counts):
        return {}
    bins = np.bincount(np.floor(np.log2(counts)).astype(np.int64))
    low = [1 << place for place in range(len(bins))]
    return {str(a) if a == 1 else f"{a}-{2 * a - 1}": count for a, count in zip(low, bins.tolist(), strict=True)}


def _tell(config: InspectConfig, pack: Pack) -> None:
    """End with the plan: as soon as the sheet would be opened, before any picture is."""
    read = [pack_input(pack.paths.rec, config.source)]
    sampled = min(config.sample, pack.num_images)
    forecast = Forecast(sampled, counts={"images": pack.num_images, "sampled": sampled}, timed="seconds")
    if config.sheet is None:
        stop_if_dry("inspect", None, tuple(read), 0, forecast=forecast)
    else:
        settings = asdict(config)
        open_files({config.sheet: PNG}, "inspect", read, settings, config.overwrite, SHEET_BYTES, forecast=forecast)


def sample_pictures(pack: Pack, sample: int) -> dict[str, Counter[str]]:
    """Format, size and coding of pictures spread evenly over the pack."""
    found: dict[str, Counter[str]] = {name: Counter() for name in ("format", "size", "quality", "subsampling")}
    count = min(sample, pack.num_images)
    for place in np.linspace(0, pack.num_images - 1, count).astype(np.int64).tolist():
        payload = pack.read(int(pack.keys[place])).payload
        kind = picture_suffix(payload)
        found["format"]["none" if kind == "bin" else kind] += 1
        try:
            height, width = picture_size(payload)
            found["size"][f"{width} x {height}"] += 1
            if kind == "jpg":
                coding = jpeg_coding(payload)
                found["quality"]["other tables" if coding.quality is None else str(coding.quality)] += 1
                found["subsampling"][coding.subsampling] += 1
        except PictureError:
            found["size"]["unreadable"] += 1
    return found


def masked_types(rec: Path) -> Counter[str]:
    """Images by mask type, from the ledger beside a pack; none without a ledger."""
    path = ledger_path(rec)
    counts: Counter[str] = Counter()
    for (action, type, written), count in count_outcomes(path, "action", "type").items() if path.exists() else ():
        if written and action == "mask":
            counts[str(type)] += count
    return counts


def draw_sheet(pack: Pack) -> bytes:
    """Pictures of identities spread evenly over the labels."""
    from facekit.report.picture_rows import Row, picture_rows

    order = np.argsort(pack.labels, kind="stable")
    identities, first, counts = np.unique(pack.labels[order], return_index=True, return_counts=True)
    rows = []
    chosen = np.unique(np.linspace(0, len(identities) - 1, min(SHEET_ROWS, len(identities))).astype(np.int64))
    for place in chosen.tolist():
        keys = pack.keys[order[first[place] : first[place] + min(counts[place], SHEET_COLUMNS)]]
        heading = f"label {identities[place]}: {counts[place]} images"
        rows.append(Row(heading, [decode_or_none(pack, key) for key in keys.tolist()]))
    title = f"{pack.paths.rec.parent.name}: {pack.num_images:,} images of {pack.num_identities:,} identities"
    return picture_rows(title, rows, SHEET_COLUMNS)


def decode_or_none(pack: Pack, key: int) -> npt.NDArray[np.uint8] | None:
    """The picture, or None where it does not decode."""
    try:
        return pack.image(key)
    except PictureError:
        return None
