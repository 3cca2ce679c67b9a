"""Ways to break a pack, with what ``facekit check`` finds of each and the images that cannot be saved."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from facekit.images import encode_jpeg
from facekit.records import Header, PackWriter, open_pack
from facekit.records.label_sidecar import save_labels
from facekit.run.ledger import LedgerRow, LedgerWriter, payload_hash, table

MAGIC = b"\n#\xd7\xce"
LABELS = (0, 0, 1, 1, 1, 2, 3, 3)
PAYLOADS = [encode_jpeg(np.full((12, 10, 3), 20 * n, np.uint8)) + bytes([n]) for n in range(len(LABELS))]
PAYLOADS[4] = PAYLOADS[4] + MAGIC * 3  # a record of several parts


class Pack(NamedTuple):
    """The pack to break."""

    folder: Path
    offsets: dict[int, int]

    @property
    def rec(self) -> Path:
        return self.folder / "train.rec"

    @property
    def idx(self) -> Path:
        return self.folder / "train.idx"

    def patch(self, offset: int, content: bytes) -> None:
        whole = bytearray(self.rec.read_bytes())
        whole[offset : offset + len(content)] = content
        self.rec.write_bytes(whole)

    def lines(self) -> list[str]:
        return self.idx.read_text().splitlines()

    def write_lines(self, lines: list[str]) -> None:
        self.idx.write_text("".join(line + "\n" for line in lines))


def make(folder: Path, layout: str = "insightface") -> Pack:
    with PackWriter(folder, layout) as writer:
        for label, payload in zip(LABELS, PAYLOADS, strict=True):
            writer.write(Header(0, float(label), writer.next_key, 0), payload)
    with open_pack(folder) as pack:
        return Pack(folder, {key: pack.reader.offset(key) for key in pack.reader.keys.tolist()})


def label(value: float) -> bytes:
    return struct.pack("<f", value)


def cut(count: int) -> Callable[[Pack], None]:
    return lambda p: os.truncate(p.rec, p.rec.stat().st_size - count)


def patch(key: int, at: int, content: bytes) -> Callable[[Pack], None]:
    return lambda p: p.patch(p.offsets[key] + at, content)


def lines(change: Callable[[list[str]], list[str]]) -> Callable[[Pack], None]:
    return lambda p: p.write_lines(change(p.lines()))


def insert(key: int, content: bytes) -> Callable[[Pack], None]:
    def change(p: Pack) -> None:
        whole, at = p.rec.read_bytes(), p.offsets[key]
        p.rec.write_bytes(whole[:at] + content + whole[at:])

    return change


def foreign(p: Pack) -> None:
    rng = np.random.default_rng(0)
    starts = 4 * np.sort(rng.choice(2000, len(p.lines()), replace=False)) + 4
    p.write_lines([f"{n}\t{start}" for n, start in enumerate(starts.tolist())])


def stale(p: Pack) -> None:
    with open_pack(p.folder) as pack:
        pack.save_sidecar()
    stat, text = p.idx.stat(), p.lines()
    p.write_lines([text[1].split("\t")[0] + "\t" + text[0].split("\t")[1], *text[1:]])
    if p.idx.stat().st_size != stat.st_size:
        pytest.fail("the two lines must be of one length")
    os.utime(p.idx, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def stale_labels(p: Pack) -> None:
    """Labels that were kept, and a record that was changed behind their back."""
    with open_pack(p.folder) as pack:
        pack.save_labels()
    stat = p.rec.stat()
    patch(3, 12, label(0))(p)
    os.utime(p.rec, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def stale_count(p: Pack) -> None:
    save_labels(p.rec, p.idx, np.arange(5))


def ledger(p: Pack) -> None:
    with LedgerWriter(p.folder / "train.ledger.parquet") as writer:
        rows = [LedgerRow(n, n, payload_hash(PAYLOADS[n - 1]), "copy") for n in range(1, 9)]
        writer.append(table(rows))
    patch(2, 32 + len(PAYLOADS[1]) - 1, b"!")(p)  # behind the end marker: it decodes as before


NO_PICTURE = b"\0" * 6
NOBODY = set[int]()
BREAKS: dict[str, tuple[Callable[[Pack], None], dict[str, int], set[int]]] = {
    # name: how, {kind: how many}, images (by number) that are lost
    "cut inside the last record": (cut(8), {"truncated": 1, "record_lost": 1, "identity_missing": 2}, NOBODY),
    "cut inside a part header": (cut(36), {"truncated": 1, "record_lost": 1, "identity_missing": 2}, NOBODY),
    "bytes behind the end": (lambda p: p.rec.write_bytes(p.rec.read_bytes() + b"junk"), {"truncated": 1}, NOBODY),
    "a magic word changed": (patch(2, 0, b"?"), {"damaged": 1, "record_lost": 1, "identity_range": 1}, {2}),
    "a length too long": (
        patch(3, 4, struct.pack("<I", 2000)),
        {"damaged": 1, "record_lost": 1, "identity_range": 1},
        {3},
    ),
    "a length beyond the file": (
        patch(3, 4, struct.pack("<I", (1 << 29) - 1)),
        {"damaged": 1, "record_lost": 1, "identity_range": 1},
        {3},
    ),
    "a length too short": (
        patch(3, 4, struct.pack("<I", 60)),
        {"damaged": 1, "undecodable": 1},
        {3},
    ),
    "a flag of parts": (
        patch(3, 4, struct.pack("<I", 2 << 29 | 400)),
        {"damaged": 1, "record_lost": 1, "identity_range": 1},
        {3},
    ),
    "the last of several parts changed": (
        lambda p: p.patch(p.rec.read_bytes().rindex(MAGIC, 0, p.offsets[6]), b"?"),
        {"damaged": 1, "record_lost": 1, "identity_range": 1},
        {5},
    ),
    "four bytes came in": (insert(5, b"\0" * 4), {"damaged": 1, "index_foreign": 1}, NOBODY),
    "one byte came in": (insert(7, b"\0"), {"damaged": 1, "index_foreign": 1}, NOBODY),
    "a label vector longer than the record": (
        patch(2, 8, struct.pack("<I", 1 << 31)),
        {"header": 1, "identity_range": 1, "header_record": 1},
        {2},
    ),
    "no index": (lambda p: p.idx.unlink(), {"index_missing": 1}, NOBODY),
    "a line of words": (lines(lambda t: [t[0], "key offset", *t[1:]]), {"index_line": 1}, NOBODY),
    "a blank line": (lines(lambda t: [t[0], "", *t[1:]]), {"index_line": 1}, NOBODY),
    "a blank line at the end": (lines(lambda t: [*t, "", " "]), {"index_line": 2}, NOBODY),
    "a negative offset": (lines(lambda t: ["5\t-12", *t]), {"index_offset": 1, "duplicate_key": 1}, NOBODY),
    "an offset inside a record": (lines(lambda t: [*t, "99\t40"]), {"index_offset": 1}, NOBODY),
    "an offset beyond the file": (lines(lambda t: [*t, f"99\t{1 << 50}"]), {"index_offset": 1}, NOBODY),
    "a line lost": (
        lines(lambda t: t[:2] + t[3:]),
        {"index_incomplete": 1, "header_record": 1, "identity_range": 1},
        NOBODY,
    ),
    "a key twice": (
        lines(lambda t: [*t[:2], "2\t" + t[2].split("\t")[1], *t[3:]]),
        {"duplicate_key": 1, "header_record": 1, "identity_range": 2},
        NOBODY,
    ),
    "a record under two keys": (lines(lambda t: ["99\t0", *t]), {"duplicate_offset": 1}, NOBODY),
    "the index of another file": (foreign, {"index_foreign": 1}, NOBODY),
    "a binary index that is wrong": (
        stale,
        {"index_stale": 1, "duplicate_key": 1, "header_record": 1, "identity_range": 1},
        NOBODY,
    ),
    "kept labels that are wrong": (stale_labels, {"label_stale": 1, "identity_range": 1}, NOBODY),
    "kept labels that are too few": (stale_count, {"label_stale": 1}, NOBODY),
    "record 0 counts wrongly": (patch(0, 32, label(8)), {"header_record": 1, "key_range": 1}, NOBODY),
    "record 0 without its sign": (patch(0, 32, label(0)), {"header_missing": 1, "identity_range": 1}, NOBODY),
    "a range too long": (patch(9, 36, label(4)), {"identity_range": 1, "identity_missing": 1}, NOBODY),
    "a range too short": (patch(9, 36, label(2)), {"identity_missing": 1}, NOBODY),
    "a range of nan": (patch(9, 36, label(np.nan)), {"identity_range": 1, "identity_missing": 2}, NOBODY),
    "an empty range": (patch(9, 32, label(3)), {"identity_range": 1, "identity_missing": 2}, NOBODY),
    "a label of another": (patch(1, 12, label(3)), {"identity_range": 1}, NOBODY),
    "a label that is nan": (patch(1, 12, label(np.nan)), {"label_not_whole": 1, "identity_range": 1}, {1}),
    "half a label": (patch(1, 12, label(0.5)), {"label_not_whole": 1, "identity_range": 1}, {1}),
    "a label below 0": (patch(6, 12, label(-1)), {"label_not_whole": 1, "label_gap": 1}, {6}),
    "a label beyond the classes": (patch(6, 12, label(9)), {"label_range": 1, "label_gap": 1}, NOBODY),
    "a label that float32 rounds": (
        patch(6, 12, label(20_000_000)),
        {"label_rounded": 1, "label_range": 1, "label_gap": 1},
        NOBODY,
    ),
    "property of words": (lambda p: (p.folder / "property").write_text("many\n"), {"property": 1}, NOBODY),
    "property with more classes": (lambda p: (p.folder / "property").write_text("9,12,10\n"), {"property": 1}, NOBODY),
    "property with fewer classes": (
        lambda p: (p.folder / "property").write_text("3,12,10\n"),
        {"label_range": 2},
        NOBODY,
    ),
    "no picture": (patch(6, 32, NO_PICTURE), {"undecodable": 1}, {6}),
    "a picture of another size": (
        lambda p: (p.folder / "property").write_text("4,12,12\n"),
        {"odd_size": 8},
        NOBODY,
    ),
    "a payload that the ledger does not know": (ledger, {"payload_changed": 1}, NOBODY),
}
