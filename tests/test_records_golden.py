"""Files that real mxnet 1.9.1 wrote: the same bytes for the same calls, and the same records read back."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facekit
from facekit.records import Header, RecordReader, RecordWriter, frame, open_pack, pack_record, unframe, unpack_record

GOLDEN = Path(__file__).parent / "golden" / "recordio"
MANIFEST = json.loads((GOLDEN / "manifest.json").read_text())
FILES = MANIFEST["files"]
PACKS = sorted(set(FILES) - {"magic", "repeated_key"})

LABELS = {
    "number": lambda value: value,
    "integer": int,
    "bool": bool,
    "float32": np.float32,
    "int64": np.int64,
    "list": list,
    "zero_d": np.array,
    "vector": lambda value: np.array(value, np.float32),
    "matrix": lambda value: np.array(value, np.float64),
    "bits": lambda value: np.array(value, np.uint32).view(np.float32),
}


def sha(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def payload_of(call: dict[str, Any]) -> bytes:
    return bytes.fromhex(MANIFEST["pictures"][call["picture"]] if "picture" in call else call["payload"])


def buffer_of(call: dict[str, Any]) -> bytes:
    if "buffer" in call:
        return bytes.fromhex(call["buffer"])
    flag, (kind, value), id_, id2 = call["header"]
    return pack_record(Header(flag, LABELS[kind](value), id_, id2), payload_of(call))


def described(buffer: bytes) -> dict[str, Any]:
    header, payload = unpack_record(buffer)
    bits = np.atleast_1d(np.asarray(header.label, np.float32)).view(np.uint32).tolist()
    return {"flag": header.flag, "label_bits": bits, "id": header.id, "id2": header.id2, "payload": sha(payload)}


def last_wins(reads: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {read["key"]: read for read in reads}


def test_the_goldens_are_those_of_the_manifest() -> None:
    assert MANIFEST["mxnet"] == "1.9.1"
    expected = {name: digest for file in FILES.values() for name, digest in file["sha256"].items()}
    there = {path.name: sha(path.read_bytes()) for path in GOLDEN.iterdir() if path.suffix in (".rec", ".idx")}
    assert there == expected


@pytest.mark.parametrize("name", sorted(FILES))
def test_writer_gives_the_same_bytes_for_the_same_calls(name: str, tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec", tmp_path / "x.idx") as writer:
        for call in FILES[name]["calls"]:
            assert writer.tell() == writer.write_bytes(call["key"], buffer_of(call))
    assert (tmp_path / "x.rec").read_bytes() == (GOLDEN / f"{name}.rec").read_bytes()
    if (GOLDEN / f"{name}.idx").exists():
        assert (tmp_path / "x.idx").read_bytes() == (GOLDEN / f"{name}.idx").read_bytes()


@pytest.mark.parametrize("name", sorted(FILES))
def test_framed_appends_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    calls = FILES[name]["calls"]
    pieces = [frame(buffer_of(call)) for call in calls]
    starts = np.cumsum([0, *map(len, pieces)])[:-1]
    half = len(pieces) // 2
    with RecordWriter(tmp_path / "x.rec", tmp_path / "x.idx") as writer:
        for part in (slice(0, half), slice(half, None)):
            keys = np.array([call["key"] for call in calls[part]])
            writer.append_framed(b"".join(pieces[part]), keys, starts[part] - starts[part][0])
    assert (tmp_path / "x.rec").read_bytes() == (GOLDEN / f"{name}.rec").read_bytes()
    if (GOLDEN / f"{name}.idx").exists():
        assert (tmp_path / "x.idx").read_bytes() == (GOLDEN / f"{name}.idx").read_bytes()


@pytest.mark.parametrize("name", [name for name in sorted(FILES) if (GOLDEN / f"{name}.idx").exists()])
def test_reader_reads_what_mxnet_read(name: str) -> None:
    reads = FILES[name]["read"]
    with RecordReader(GOLDEN / f"{name}.rec") as reader:
        assert sorted(reader.keys.tolist()) == sorted({read["key"] for read in reads})
        for key, read in last_wins(reads).items():
            buffer = reader.read_bytes(key)
            assert sha(buffer) == read["buffer"]
            assert unframe(reader.read_framed(key))[0] == buffer
            if "flag" in read:
                assert described(buffer) == {name: read[name] for name in read if name not in ("key", "buffer")}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_rebuilt_index_finds_every_record_in_order(name: str, tmp_path: Path) -> None:
    rec = tmp_path / "alone.rec"
    rec.write_bytes((GOLDEN / f"{name}.rec").read_bytes())
    with RecordReader(rec) as reader:
        assert reader.idx_path is None
        found = [sha(reader.read_bytes(key)) for key in reader.index.physical_keys.tolist()]
    assert found == [sha(buffer_of(call)) for call in FILES[name]["calls"]]


# name: layout, keys of the images, their labels, keys that a lost index is rebuilt to (None: the same as before)
TABLE: dict[str, tuple[str, list[int], list[int], list[int] | None]] = {
    "face2rec2": ("insightface", [1, 2, 3, 4, 5, 6], [0, 0, 1, 2, 2, 2], None),
    "recbuilder": ("insightface", [1, 2, 3, 4, 5, 6], [0, 0, 1, 2, 2, 2], None),
    "cleaned": ("insightface", [1, 2, 3], [0, 0, 4], None),
    "sequential": ("flat", [0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 2], None),
    "im2rec": ("flat", [31, 7, 12, 55, 20, 3], [3, 0, 1, 5, 2, 0], None),
    "shuffled": ("flat", [0, 1, 2, 3, 4, 5], [2, 0, 2, 1, 1, 3], [5, 1, 4, 2, 3, 6]),
    "mask_parameters": ("flat", [0, 1, 2], [2, 3, 3], None),
    "image_at_zero": ("flat", [0, 1, 2], [5, 6, 7], None),
}


@pytest.mark.parametrize("name", TABLE)
def test_every_layout_of_the_table(name: str) -> None:
    layout, keys, labels, _ = TABLE[name]
    with open_pack(GOLDEN / name) as pack:
        assert (pack.layout, pack.keys.tolist(), pack.labels.tolist()) == (layout, keys, labels)
        assert (pack.keys.dtype, pack.labels.dtype) == (np.int64, np.int64)
        assert (pack.num_images, pack.num_identities) == (len(keys), len(set(labels)))
        assert pack.num_classes == max(labels) + 1
        calls = {call["key"]: call for call in FILES[name]["calls"]}
        assert pack.physical_keys.tolist() == list(calls)
        for record, label in zip(pack, labels, strict=True):
            assert record.payload == payload_of(calls[record.key])
            assert np.atleast_1d(record.header.label)[0] == label
            assert pack.image(record.key).shape == (20, 24, 3)


@pytest.mark.parametrize("name", TABLE)
def test_every_layout_without_its_index(name: str, tmp_path: Path) -> None:
    layout, keys, labels, rebuilt = TABLE[name]
    (tmp_path / "train.rec").write_bytes((GOLDEN / f"{name}.rec").read_bytes())
    with open_pack(tmp_path) as pack:
        assert (pack.layout, pack.labels.tolist(), pack.keys.tolist()) == (layout, labels, rebuilt or keys)
        saved = pack.save_index()
    if rebuilt is None:
        assert saved.read_bytes() == (GOLDEN / f"{name}.idx").read_bytes()
    with open_pack(tmp_path) as again:
        assert again.reader.idx_path == saved
        assert (again.keys.tolist(), again.labels.tolist()) == (rebuilt or keys, labels)


def test_pack_that_never_had_an_index() -> None:
    with open_pack(GOLDEN / "shuffled_without_index.rec") as pack:
        assert (pack.layout, pack.labels.tolist(), pack.keys.tolist()) == (
            "flat",
            [2, 0, 2, 1, 1, 3],
            [5, 1, 4, 2, 3, 6],
        )


@pytest.mark.parametrize("name", ["face2rec2", "recbuilder", "cleaned"])
def test_identity_ranges(name: str) -> None:
    expected = {"cleaned": [[1, 3], [3, 4]]}.get(name, [[1, 3], [3, 4], [4, 7]])
    with open_pack(GOLDEN / name) as pack:
        assert pack.identity_ranges.tolist() == expected


def test_unsorted_and_crlf_index(tmp_path: Path) -> None:
    lines = (GOLDEN / "recbuilder.idx").read_bytes().splitlines()
    (tmp_path / "train.rec").write_bytes((GOLDEN / "recbuilder.rec").read_bytes())
    (tmp_path / "train.idx").write_bytes(b"\r\n".join(lines[::-1]) + b"\r\n")
    with open_pack(tmp_path) as pack, open_pack(GOLDEN / "recbuilder") as plain:
        assert pack.keys.tolist() == plain.keys.tolist()
        assert list(pack) == list(plain)


# --- the same against a living mxnet ---------------------------------------------------------------------------------

LIVE = r"""
import hashlib, json, sys
import mxnet as mx
import numpy as np
ours, theirs, buffers = sys.argv[1:]
writer = mx.recordio.MXIndexedRecordIO(theirs + ".idx", theirs + ".rec", "w")
for key, text in json.load(open(buffers)):
    writer.write_idx(key, bytes.fromhex(text))
writer.close()
reader = mx.recordio.MXIndexedRecordIO(ours + ".idx", ours + ".rec", "r")
print(json.dumps([[key, reader.read_idx(key).hex()] for key in reader.keys]))
"""


def test_against_living_mxnet(tmp_path: Path) -> None:
    """Random buffers with planted magic words, both ways; FACEKIT_MXNET_PYTHON names an interpreter with mxnet."""
    python = os.environ.get("FACEKIT_MXNET_PYTHON")
    if not python:
        pytest.skip(
            "FACEKIT_MXNET_PYTHON names no interpreter with mxnet 1.9.1; the golden files say the same without it"
        )
    rng = np.random.default_rng(0)
    buffers = []
    for key in rng.permutation(400).tolist():
        words = [rng.bytes(int(rng.integers(0, 9))) for _ in range(rng.integers(0, 12))]
        buffers.append((key, bytes.fromhex("0a23d7ce").join(words)))
    with RecordWriter(tmp_path / "ours.rec") as writer:
        for key, buffer in buffers:
            writer.write_bytes(key, buffer)
    (tmp_path / "buffers.json").write_text(json.dumps([[key, buffer.hex()] for key, buffer in buffers]))
    command = [python, "-c", LIVE, *(str(tmp_path / name) for name in ("ours", "theirs", "buffers.json"))]
    read = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [(key, bytes.fromhex(text)) for key, text in read] == buffers
    for suffix in (".rec", ".idx"):
        assert (tmp_path / f"ours{suffix}").read_bytes() == (tmp_path / f"theirs{suffix}").read_bytes()


def test_public_names_are_those_of_records() -> None:
    names = [
        "RecordReader",
        "RecordWriter",
        "pack_record",
        "unpack_record",
        "Header",
        "Record",
        "open_pack",
        "Pack",
        "PackWriter",
    ]
    assert all(getattr(facekit, name) is getattr(sys.modules["facekit.records"], name) for name in names)
