"""The tables and the pictures of an overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError
from facekit.images import decode
from facekit.jobs.overlap.match import Identities, Pictures
from facekit.jobs.overlap.side import Side
from facekit.records.distinct import blocks
from facekit.report.picture_rows import Row, picture_rows

__all__ = ["IDENTITIES", "PICTURES", "STRIPS", "write_tables"]

IDENTITIES, PICTURES, STRIPS = "identities.csv", "pictures.csv", "strips.png"
SHOWN, EACH = 24, 5


def write_tables(folder: Path, a: Side, b: Side, people: Identities, same: Pictures, nearly: Pictures) -> None:
    """Write who and what both have; strips of pictures where both sides have some.

    Parameters
    ----------
    folder : Path
    a, b : Side
    people : Identities
    same, nearly : Pictures
    """
    import pyarrow as pa

    columns = {
        "label_a": people.left,
        "label_b": people.right,
        "similarity": pa.array(people.similarity, from_pandas=True),
        "same_pictures": people.same,
        "near_pictures": people.near,
    }
    (folder / IDENTITIES).write_bytes(_csv(columns))
    with open(folder / PICTURES, "wb") as file:
        for by, pairs in (("bytes", same), ("vectors", nearly)):
            for part in [slice(0, 0), *blocks(len(pairs.left))]:  # the first one for the line of names
                some = Pictures(pairs.left[part], pairs.right[part], pairs.similarity[part])
                file.write(_csv(_said(a, b, by, some), names=not file.tell()))
    if a.payloads is not None and b.payloads is not None and len(people.left):
        (folder / STRIPS).write_bytes(_strips(a, b, people))


def _said(a: Side, b: Side, by: str, pairs: Pictures) -> dict[str, Any]:
    """The columns of some pairs of pictures."""
    import pyarrow as pa

    return {
        "key_a": a.keys[pairs.left],
        "key_b": b.keys[pairs.right],
        "label_a": a.labels[pairs.left],
        "label_b": b.labels[pairs.right],
        "by": pa.array([by] * len(pairs.left), pa.string()),
        "similarity": pa.array(pairs.similarity, from_pandas=True),
    }


def _csv(columns: dict[str, Any], names: bool = True) -> memoryview:
    """A table as text; in memory, since Arrow opens no path that is not UTF-8."""
    import pyarrow as pa
    from pyarrow import csv

    out = pa.BufferOutputStream()
    csv.write_csv(pa.table(columns), out, csv.WriteOptions(include_header=names))
    return memoryview(out.getvalue())


def _strips(a: Side, b: Side, people: Identities) -> bytes:
    """Pictures of pairs of identities, from those that are most alike to those that are least."""
    order = np.lexsort((-people.same, -np.nan_to_num(people.similarity, nan=-1.0)))
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(np.int64))]
    rows = []
    for place in chosen.tolist():
        said = [f"label {people.left[place]} and label {people.right[place]}"]
        said += [f"similarity {people.similarity[place]:.3f}"] * bool(np.isfinite(people.similarity[place]))
        said += [f"{people.same[place]:,} pictures the same"] * bool(people.same[place])
        said += [f"{people.near[place]:,} nearly the same"] * bool(people.near[place])
        left, right = _pictures(a, people.left[place]), _pictures(b, people.right[place])
        rows.append(Row(", ".join(said), [*left, *[_GAP] * (EACH + 1 - len(left)), *right]))
    title = f"{len(people.left):,} pairs of identities of {Path(a.path).name} (left) and {Path(b.path).name} (right)"
    return picture_rows(title, rows, columns=2 * EACH + 1)


_GAP = np.full((1, 1, 3), 250, np.uint8)


def _pictures(side: Side, label: int) -> list[npt.NDArray[np.uint8] | None]:
    assert side.payloads is not None
    return [_decoded(payload) for payload in side.payloads(np.flatnonzero(side.labels == label)[:EACH])]


def _decoded(payload: bytes) -> npt.NDArray[np.uint8] | None:
    try:
        return decode(payload)
    except PictureError:
        return None
