"""Putting the output of a packing job together from its shards: pack, ledger, tables."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.jobs.outputs.counts import check_counts, records_in
from facekit.jobs.outputs.ledger_rows import layout_keys, layout_rows
from facekit.jobs.outputs.tables import LABELS, SOURCE_LIST, TRAIN_CONFIG, write_source_list, write_train_config
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.picture_list import PictureList
from facekit.output import FolderOutput
from facekit.records import PackWriter
from facekit.run.ledger import LEDGER, LedgerWriter, schema
from facekit.run.shard_blocks import RecordBlock, record_blocks
from facekit.run.shard_file import read_rows
from facekit.run.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OTHER_SIZES", "TOO_FEW", "assemble_output", "nothing_left"]

OTHER_SIZES = "--align finds the faces in photographs, --size any stores pictures of every size"
TOO_FEW = "few_images"


class Classes(NamedTuple):
    """Which classes stay.

    Attributes
    ----------
    images : (C,) int64
        Pictures of each that could be packed.
    label : (C,) int64
        Its label in the output; -1 where it is left out.
    """

    images: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]

    @property
    def number(self) -> int:
        """Classes of the output."""
        return int(self.label.max(initial=-1)) + 1


def assemble_output(pictures: PictureList, shards: Sequence[Shard], config: PackConfig, output: FolderOutput) -> None:
    """Make the output folder.

    Raises
    ------
    FacekitError
        Nothing could be packed; or the ledger does not add up, a defect of facekit: nothing is published.
    """
    classes = count_classes(len(pictures.names), shards, config.min_images, output)
    folder = output.new_folder()
    aside = output.scratch(LEDGER)
    with PackWriter(folder, config.layout) as pack, LedgerWriter(aside) as ledger:
        first = pack.next_key
        for shard in shards:
            path = output.shard(shard.number)
            ledger.append(append_shard(pack, read_rows(path), path, classes))
        images = pack.next_key - first
        layout = layout_keys(config.layout, pack.next_key, classes.number)
        ledger.append(layout_rows(layout))
    check_counts(
        ("pictures", images, int(classes.images[classes.label >= 0].sum())),
        ("rows", ledger.rows, len(pictures) + len(layout)),
        ("records", ledger.written, records_in(folder)),
    )
    aside.rename(folder / LEDGER)
    write_tables(folder, pictures, classes)
    write_train_config(folder / TRAIN_CONFIG, classes.number, images)


def count_classes(count: int, shards: Sequence[Shard], min_images: int, output: FolderOutput) -> Classes:
    """Count what could be packed of each class, and number those that have enough."""
    images = np.zeros(count, np.int64)
    reasons: Counter[str] = Counter()
    for shard in shards:
        rows = read_rows(output.shard(shard.number))
        written = rows["offset"].to_numpy() >= 0
        images += np.bincount(rows["label"].to_numpy()[written], minlength=count)
        reasons.update(reason for reason in rows["reason"].to_pylist() if reason)
    keep = images >= min_images
    if not keep.any():
        output.discard_shards()  # so that the next attempt may have other settings
        raise nothing_left(min_images, bool(images.any()), reasons)
    return Classes(images, np.where(keep, np.cumsum(keep) - 1, -1))


def nothing_left(min_images: int, some: bool, reasons: Counter[str]) -> FacekitError:
    """Why nothing is left; ``some``: pictures could be packed, but of no one enough."""
    said = ", ".join(f"{reason} ({number} times)" for reason, number in reasons.most_common(3))
    cure = f"; {OTHER_SIZES}" if any(reason.startswith("size ") for reason in reasons) else ""
    fewer = f"no one has {min_images} pictures" if some else "no picture could be packed"
    return FacekitError(f"nothing is left to pack: {fewer}" + (f"; {said}" if said else "") + cure)


def append_shard(pack: PackWriter, rows: pa.Table, path: Path, classes: Classes) -> pa.Table:
    """Append what stays of a shard; its ledger rows with the keys that the records got."""
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets, labels = rows["offset"].to_numpy(), classes.label[rows["label"].to_numpy()]
    keep, dropped = (offsets >= 0) & (labels >= 0), (offsets >= 0) & (labels < 0)
    keys, stored = np.full(len(offsets), -1, np.int64), np.flatnonzero(offsets >= 0)
    for block in record_blocks(path, offsets[stored]):
        some = stored[block.rows]
        starts, kept = selected(block, keep[some])
        some = some[keep[some]]
        keys[some] = pack.append_block(kept, starts, labels[some], new_ids=True, relabel=True, in_place=True)
    rows = rows.set_column(0, "key", pa.array(keys, mask=~keep))
    for name, word in (("action", "refused"), ("reason", TOO_FEW)):
        column = rows.schema.get_field_index(name)
        rows = rows.set_column(column, name, pc.if_else(pa.array(dropped), word, rows[name]))
    return rows.select(schema().names)


def selected(block: RecordBlock, keep: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], memoryview | bytearray]:
    """Where the kept records start when the others are gone, and their bytes."""
    starts, framed = block.starts, block.framed
    if keep.all():
        return starts, framed
    stops = np.append(starts[1:], len(framed))
    sizes = (stops - starts)[keep]
    pieces = [framed[start:stop] for start, stop in zip(starts[keep].tolist(), stops[keep].tolist(), strict=True)]
    return np.cumsum(sizes) - sizes, bytearray().join(pieces)


def write_tables(folder: Path, pictures: PictureList, classes: Classes) -> None:
    """``labels.csv``: label, name and pictures of the classes that stay. ``source.lst``: what source keys stand for."""
    with open(folder / LABELS, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("label", "name", "images"))
        kept = zip(classes.label.tolist(), pictures.names, classes.images.tolist(), strict=True)
        table.writerows(row for row in kept if row[0] >= 0)
    write_source_list(replace(pictures, labels=classes.label[pictures.labels]), folder / SOURCE_LIST)
