"""The sheet of a drawing job: the first pictures of the first labels, a row each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facekit.images import decode
from facekit.records import open_pack
from facekit.report.picture_rows import Row, picture_rows

__all__ = ["draw_sheet"]

ROWS, COLUMNS, LEAST = 12, 8, 5


def draw_sheet(folder: Path, path: Path) -> None:
    """Draw the sheet of the pack in `folder` as a PNG."""
    with open_pack(folder) as pack:
        first = np.flatnonzero(np.append(True, pack.labels[1:] != pack.labels[:-1]))[: ROWS + 1]
        stops = [*first[1:], len(pack.keys)][:ROWS]
        rows = [
            Row(f"label {pack.labels[a]}", [decode(pack.read(int(k)).payload) for k in pack.keys[a:b][:COLUMNS]])
            for a, b in zip(first, stops)
        ]
        title = f"{pack.num_images:,} drawn pictures under {pack.num_identities:,} labels"
        title += f", the first {ROWS} shown" * (pack.num_identities > ROWS)
    path.write_bytes(picture_rows(title, rows, max(LEAST, *(len(row.pictures) for row in rows))))
