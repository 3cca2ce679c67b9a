"""The small files beside a pack: ``labels.csv``, ``config.txt``, ``source.lst``, and tables as parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from facekit.records.distinct import AT_ONCE, blocks
from facekit.records.name_list import NameList

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "LABELS",
    "SOURCE_LIST",
    "TRAIN_CONFIG",
    "parquet_rows",
    "write_labels",
    "write_parquet",
    "write_source_list",
    "write_train_config",
]

LABELS, TRAIN_CONFIG, SOURCE_LIST = "labels.csv", "config.txt", "source.lst"


def write_labels(path: Path, table: dict[int, int]) -> None:
    """Write the old-to-new label table as CSV."""
    path.write_text("old_label,new_label\n" + "".join(f"{old},{new}\n" for old, new in sorted(table.items())), "ascii")


def write_train_config(path: Path, classes: int, images: int) -> str:
    """Write the two numbers that arcface_torch takes from its config and never from the pack."""
    text = f"config.num_classes = {classes}\nconfig.num_image = {images}\n"
    path.write_text(text, "ascii")
    return text


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table as parquet."""
    import pyarrow.parquet as pq

    with open(path, "wb") as file:  # pyarrow itself opens no name that is not UTF-8
        pq.write_table(table, file, compression="zstd")


@contextmanager
def parquet_rows(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Write a table as parquet from parts, in row groups of at least 65,536 rows.

    Parameters
    ----------
    path : Path
    schema : pyarrow.Schema

    Yields
    ------
    callable
        Takes some rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    waiting: list[pa.Table] = []

    def append(rows: pa.Table) -> None:
        waiting.append(rows.cast(schema))
        if sum(part.num_rows for part in waiting) >= AT_ONCE:
            flush()

    def flush() -> None:
        if waiting:
            writer.write_table(pa.concat_tables(waiting).combine_chunks())
        waiting.clear()

    with open(path, "wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield append
        flush()


class PictureFiles(Protocol):
    """Files of pictures, as a source of them or a list has them."""

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""

    @property
    def files(self) -> NameList:
        """Paths of the N files, relative to their folder."""


def write_source_list(pictures: PictureFiles, path: Path) -> None:
    """Write what the source keys of picture files stand for: ``key <tab> label <tab> path`` a line, as im2rec has it.

    Bytes of a name that are not UTF-8 are kept.
    """
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for part in blocks(len(pictures.files)):  # the numbers of all would be 72 bytes each as Python has them
            numbers = pictures.keys[part].tolist(), pictures.labels[part].tolist()
            rows = zip(*numbers, pictures.files[part], strict=True)
            file.writelines(f"{key}\t{label}\t{name}\n" for key, label, name in rows)
