"""Small packs for the commands that take packs apart and put them together, and what those wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from facekit.cli import main
from facekit.images import encode_jpeg
from facekit.records import Header, PackWriter, open_pack

JPEG = encode_jpeg(np.full((10, 14, 3), 90, np.uint8))


def write_pack(
    path: Path, layout: str = "insightface", labels: tuple[int, ...] = (0, 0, 1, 2, 2), **options: Any
) -> Path:
    """One picture again and again, told apart by a byte behind it and by ids from 100 on."""
    with PackWriter(path, layout, **options) as writer:
        for number, label in enumerate(labels):
            writer.write(Header(0, label, 100 + number, 0), JPEG + bytes([number]))
    return path


def picture(number: int, quality: int = 95) -> bytes:
    rng = np.random.default_rng(number)
    return encode_jpeg(rng.integers(0, 255, (12, 10, 3)).astype(np.uint8), quality)


def write(path: Path, labels: list[int], first: int = 0, layout: str = "insightface") -> Path:
    with PackWriter(path, layout) as writer:
        for number, label in enumerate(labels, first):
            writer.write(Header(0, float(label), writer.next_key, 0), picture(number))
    return path


def held(path: Path) -> list[tuple[int, bytes]]:
    with open_pack(path) as pack:
        return list(zip(pack.labels.tolist(), [record.payload for record in pack]))


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in arguments])
    return int(caught.value.code or 0)


def drops(path: Path) -> list[tuple[int, str]]:
    rows = pq.read_table(path / "train.ledger.parquet").to_pylist()
    return [(row["source_key"], row["reason"]) for row in rows if row["action"] == "drop"]
