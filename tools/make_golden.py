"""Write tests/golden/recordio with real mxnet 1.9.1, in all the ways that packs in the wild were written.

    python tools/make_golden.py MXNET_PYTHON

MXNET_PYTHON is an interpreter that has mxnet 1.9.1 (Python 3.11 and numpy < 1.24). The calls, what mxnet read back, and
the checksums of the files go into manifest.json, so the tests need neither this script nor mxnet.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "recordio"
MAGIC = struct.pack("<I", 0xCED7230A)

Call = dict[str, Any]

# Run by the interpreter that has mxnet: makes the calls, reads everything back.
MXNET = r"""
import hashlib, json, os, sys
import mxnet as mx
import numpy as np

folder, calls_file = sys.argv[1:]
given = json.load(open(calls_file))
pictures = {name: bytes.fromhex(text) for name, text in given["pictures"].items()}
sha = lambda data: hashlib.sha256(data).hexdigest()

def label_of(spec):
    kind, value = spec
    kinds = {"number": lambda v: v, "integer": int, "bool": bool, "float32": np.float32, "int64": np.int64,
             "list": list,
             "zero_d": np.array, "vector": lambda v: np.array(v, np.float32),
             "matrix": lambda v: np.array(v, np.float64), "bits": lambda v: np.array(v, np.uint32).view(np.float32)}
    return kinds[kind](value)

def buffer_of(call):
    if "buffer" in call:
        return bytes.fromhex(call["buffer"])
    flag, label, id_, id2 = call["header"]
    payload = pictures[call["picture"]] if "picture" in call else bytes.fromhex(call["payload"])
    return mx.recordio.pack(mx.recordio.IRHeader(flag, label_of(label), id_, id2), payload)

def unpacked(buffer):
    header, payload = mx.recordio.unpack(buffer)
    bits = np.atleast_1d(np.asarray(header.label, np.float32)).view(np.uint32).tolist()
    return {"flag": header.flag, "label_bits": bits, "id": header.id, "id2": header.id2, "payload": sha(payload)}

files = {}
for name, calls in given["calls"].items():
    rec, idx = (os.path.join(folder, name + suffix) for suffix in (".rec", ".idx"))
    if name in given["without_index"]:
        writer = mx.recordio.MXRecordIO(rec, "w")
        for call in calls:
            writer.write(buffer_of(call))
        writer.close()
        reader = mx.recordio.MXRecordIO(rec, "r")
        reads = [[None, reader.read()] for _ in calls]
    else:
        writer = mx.recordio.MXIndexedRecordIO(idx, rec, "w")
        for call in calls:
            writer.write_idx(call["key"], buffer_of(call))
        writer.close()
        reader = mx.recordio.MXIndexedRecordIO(idx, rec, "r")
        reads = [[key, reader.read_idx(key)] for key in reader.keys]
    files[name] = {
        "sha256": {os.path.basename(path): sha(open(path, "rb").read()) for path in (rec, idx) if os.path.exists(path)},
        "calls": calls,
        "read": [{"key": key, "buffer": sha(data), **({} if "buffer" in call else unpacked(data))}
                 for call, (key, data) in zip(calls, reads)],
    }
print(json.dumps({"mxnet": mx.__version__, "numpy": np.__version__, "pictures": given["pictures"], "files": files}))
"""


def main() -> None:
    calls = {
        "magic": magic_calls(),
        "headers": header_calls(),
        "face2rec2": insightface_calls(vector=True, order=("images", "header", "identities"), id2=0),
        "recbuilder": insightface_calls(vector=False, order=("images", "identities", "header"), id2=1),
        "cleaned": cleaned_calls(),
        "sequential": [image(key, ("number", float(label)), key, key) for key, label in enumerate((0, 0, 1, 1, 2, 2))],
        "im2rec": [image(key, ("number", float(key // 10)), key, key) for key in (31, 7, 12, 55, 20, 3)],
        "shuffled": [image(key, ("number", float(old // 2)), old, old) for key, old in enumerate((5, 1, 4, 2, 3, 6))],
        "shuffled_without_index": [image(0, ("number", float(old // 2)), old, old) for old in (5, 1, 4, 2, 3, 6)],
        "mask_parameters": mask_parameter_calls(),
        "image_at_zero": [image(key, ("vector", [5.0 + key, 9.0 + key]), key, key) for key in range(3)],
        "repeated_key": [{"key": key, "buffer": f"{n:02x}" * n} for n, key in enumerate((4, 2, 4, 9, 2), 1)],
    }
    given = {"pictures": pictures(), "calls": calls, "without_index": ["shuffled_without_index"]}
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir(parents=True)
    asked = GOLDEN / "calls.json"
    asked.write_text(json.dumps(given))
    command = [sys.argv[1], "-c", MXNET, str(GOLDEN), str(asked)]
    manifest = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    asked.unlink()
    (GOLDEN / "manifest.json").write_text(
        json.dumps(manifest, separators=(",", ":")).replace('{"key"', '\n{"key"') + "\n"
    )


def pictures() -> dict[str, str]:
    """Six drawn pictures, 20 x 24: discs on a slope."""
    from facekit.images import encode_jpeg

    y, x = np.mgrid[:20, :24].astype(np.float32)
    drawn = {}
    for number in range(6):
        disc = np.hypot(x - 6 - 2 * number, y - 10) < 5
        channels = [np.where(disc, 40 * number, 4 * x + 5 * y), 8 * y + 10 * number, 240 - 6 * x]
        image = np.stack(channels, axis=-1).astype(np.uint8)
        drawn[f"disc{number}"] = encode_jpeg(image, 60 + 5 * number, ("4:2:0", "4:4:4")[number % 2]).hex()
    return drawn


def image(key: int, label: tuple[str, Any], id_: int, picture: int, id2: int = 0) -> Call:
    return {"key": key, "header": [0, label, id_, id2], "picture": f"disc{picture % 6}"}


def without_payload(key: int, label: list[float], id2: int = 0) -> Call:
    return {"key": key, "header": [2, ("vector", label), key, id2], "payload": ""}


def magic_calls() -> list[Call]:
    """The magic word at every offset of buffers of every length, alone, twice in a row, and next to its look-alikes."""
    filler = bytes(range(1, 33))
    buffers = [filler[:start] + MAGIC + filler[:after] for start in range(13) for after in range(6)]
    buffers += [
        b"",
        b"\0",
        MAGIC * 2,
        MAGIC * 5,
        b"abcd" + MAGIC * 2 + b"efg",
        MAGIC[:3],
        MAGIC[1:] + MAGIC[:1] + MAGIC,
    ]
    buffers += [
        MAGIC + b"x" + MAGIC,
        MAGIC + b"wxyz" + MAGIC,
        b"wxyz" + MAGIC + b"wxyz" + MAGIC + b"w",
        MAGIC + b"\0\0\0\0",
    ]
    return [{"key": key, "buffer": buffer.hex()} for key, buffer in enumerate(buffers)]


def header_calls() -> list[Call]:
    """Every kind of label, extreme ids, and magic words inside id, id2 and labels."""
    magic = 0xCED7230A
    labels: list[tuple[str, Any]] = [
        ("number", 3), ("number", 2.5), ("number", -1.0), ("integer", 16777217), ("bool", True), ("float32", 7.0),
        ("int64", 9), ("list", [4, 5]), ("list", [6]), ("list", []), ("zero_d", 8.0), ("zero_d", 8),
        ("vector", [1.0, 0.0]), ("matrix", [[1.0, 2.0], [3.0, 4.1]]), ("bits", [magic]), ("bits", [1, magic, magic]),
    ]  # fmt: skip
    ids = [(magic, 0), (magic << 32, 0), (magic << 32 | magic, magic), (0, magic << 32), (2**64 - 1, 2**64 - 1), (1, 2)]
    headers = [[flag, label, key, 0] for key, label in enumerate(labels) for flag in (0, 3)]
    headers += [[0, label, *pair] for label in (("number", 1.0), ("vector", [1.0, 2.0])) for pair in ids]
    payloads = (b"", b"\0", b"payload", MAGIC, b"abcd" + MAGIC + b"ef", b"ab" + MAGIC)
    return [{"key": k, "header": h, "payload": payloads[k % 6].hex()} for k, h in enumerate(headers)]


SIZES = (2, 1, 3)


def insightface_calls(vector: bool, order: tuple[str, ...], id2: int) -> list[Call]:
    labels = [label for label, size in enumerate(SIZES) for _ in range(size)]
    count, stops = len(labels), np.cumsum(SIZES) + 1
    parts = {
        "images": [
            image(key, ("vector", [float(label), 0.0]) if vector else ("number", float(label)), key, key)
            for key, label in enumerate(labels, 1)
        ],
        "header": [without_payload(0, [float(count + 1), float(count + 1 + len(SIZES))], id2)],
        "identities": [
            without_payload(count + 1 + n, [float(stop - size), float(stop)])
            for n, (size, stop) in enumerate(zip(SIZES, stops, strict=True))
        ],
    }
    return [call for name in order for call in parts[name]]


def cleaned_calls() -> list[Call]:
    """Images copied verbatim after some were dropped: ids are those of the source, labels have gaps."""
    images = [
        image(key, ("number", float(label)), old, old) for key, (label, old) in enumerate([(0, 1), (0, 3), (4, 9)], 1)
    ]
    ranges = [without_payload(4, [1.0, 3.0]), without_payload(5, [3.0, 4.0])]
    return [*images, without_payload(0, [4.0, 6.0]), *ranges]


def mask_parameter_calls() -> list[Call]:
    values = np.random.default_rng(0).normal(size=235).astype(np.float32).tolist()
    labels = [[2.0, 0.0, *values], [3.0] + [-1.0] * 236, [3.0, 0.0, *values[::-1]]]
    return [image(key, ("vector", label), key, key) for key, label in enumerate(labels)]


if __name__ == "__main__":
    main()
