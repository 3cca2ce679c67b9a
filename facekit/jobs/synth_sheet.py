"""The sheet of a drawing job: the first pictures of the first labels, a row each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facekit.images import decode
from facekit.records import open_pack
from facekit.report.contact import as_png

__all__ = ["draw_sheet"]

ROWS, COLUMNS, GAP = 12, 10, 6


def draw_sheet(folder: Path, path: Path) -> None:
    """Draw the sheet of the pack in `folder` as a PNG."""
    with open_pack(folder) as pack:
        count = min(len(pack.keys), 64 * ROWS * COLUMNS)
        keys, labels = pack.keys[:count], pack.labels[:count]
        rows = [keys[labels == label][:COLUMNS].tolist() for label in np.unique(labels)[:ROWS]]
        pictures = [[decode(pack.read(key).payload) for key in row] for row in rows]
    side = pictures[0][0].shape[0]
    width = max(len(row) for row in pictures)
    sheet = np.full((len(rows) * (side + GAP) + GAP, width * (side + GAP) + GAP, 3), 250, np.uint8)
    for r, row in enumerate(pictures):
        for c, picture in enumerate(row):
            top, left = GAP + r * (side + GAP), GAP + c * (side + GAP)
            sheet[top : top + side, left : left + side] = picture
    path.write_bytes(as_png(sheet))
