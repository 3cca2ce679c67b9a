"""Small packs and settings for the tests of training: drawn patterns, nobody real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from clean_packs import draw

from facekit.images import encode_jpeg
from facekit.records import Header, PackWriter

QUICK = ("batch=8", "threads=1", "epochs=4", "log_every=1", "warmup=0", "dimensions=16")
"""For packs of some fifty pictures."""


def pattern_pack(folder: Path, counts: tuple[int, ...] = (9, 3, 7, 5, 12, 4, 8, 6), seed: int = 0) -> Path:
    """Write a pack of (40, 36) pictures."""
    with PackWriter(folder) as writer:
        for label, count in enumerate(counts):
            for number in range(count):
                writer.write(Header(0, float(label), writer.next_key, 0), encode_jpeg(draw(label + 100 * seed, number)))
    return folder


def with_masks(folder: Path, share: float = 0.5) -> Path:
    """Add a ledger that says that some of the pictures are masked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from facekit.records import open_pack
    from facekit.run.ledger import LedgerRow, table

    keys = open_pack(folder).keys.tolist()
    worn = np.arange(len(keys)) % 10 < 10 * share
    rows = [
        LedgerRow(key, key, b"\0" * 16, "mask" if masked else "copy") for key, masked in zip(keys, worn, strict=True)
    ]
    pq.write_table(pa.table(table(rows)), folder / "train.ledger.parquet")
    return folder


def facekit(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command of facekit in a process of its own."""
    command = [sys.executable, "-m", "facekit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | env)


def changes(*given: str) -> list[str]:
    """``--set`` options."""
    return [word for text in given for word in ("--set", text)]
