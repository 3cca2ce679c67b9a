"""What scale.py measures commands with: packs, folders, vectors, pairs and templates, written a block at a time."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np

EACH, BLOCK = 50, 1 << 17
LINKS = 20_000  # pictures that are links to one file: file systems allow some 65,000 of them
PROBES = 1000


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def blank_picture() -> tuple[np.ndarray, int]:
    """A PNG of equal pixels, as bytes, and where eight bytes for a number lie in it: their checksum is ignored."""
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 112, 112, 8, 2, 0, 0, 0))
    head += chunk(b"prVt", bytes(8))
    pixels = zlib.compress((b"\0" + bytes(336)) * 112, 9)
    picture = head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return np.frombuffer(picture, np.uint8), len(head) - 12


def frames(keys: np.ndarray, labels: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Framed records, each with its key as id and in its picture; and where each starts."""
    picture, place = blank_picture()
    length = 24 + len(picture)
    block = np.zeros((len(keys), 8 + length + -length % 4), np.uint8)
    block[:, :8] = np.frombuffer(struct.pack("<II", 0xCED7230A, length), np.uint8)
    block[:, 12:16] = labels.astype("<f4")[:, None].view(np.uint8)
    block[:, 16:24] = keys.astype("<u8")[:, None].view(np.uint8)
    block[:, 32 : 32 + len(picture)] = picture
    block[:, 32 + place : 40 + place] = keys.astype("<u8")[:, None].view(np.uint8)
    return block.tobytes(), np.arange(len(keys), dtype=np.int64) * block.shape[1]


def write_pack(folder: Path, count: int) -> None:
    from facekit.records import PackWriter

    with PackWriter(folder) as writer:
        for first in range(0, count, BLOCK):
            keys = np.arange(first + 1, min(first + BLOCK, count) + 1)
            labels = (keys - 1) // EACH
            writer.append_block(*frames(keys, labels), labels)


def write_real_pack(folder: Path, count: int, pictures: Path) -> None:
    """A pack of the same labels with the pictures of another one, over and over."""
    from facekit.records import Header, PackWriter, open_pack

    with open_pack(pictures) as pack:
        payloads = [pack.read(key).payload for key in pack.keys.tolist()]
    with PackWriter(folder) as writer:
        for row in range(count):
            writer.write(Header(0, float(row // EACH), row + 1, 0), payloads[row % len(payloads)])


def write_vectors(path: Path, count: int, width: int) -> None:
    """Faces around the centre of their identity; one of sixteen is of somebody else."""
    rng = np.random.default_rng([0, count])
    identities = -(-count // EACH)
    centres = rng.standard_normal((identities, width), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    mapped = np.lib.format.open_memmap(path, "w+", np.float16, (count, width))
    for first in range(0, count, BLOCK):
        rows = np.arange(first, min(first + BLOCK, count))
        noise = rng.standard_normal((len(rows), width), dtype=np.float32) / np.float32(width**0.5)
        strength = np.where(rng.random(len(rows)) < 1 / 16, 0, 0.8).astype(np.float32)[:, None]
        mapped[rows] = strength * centres[rows // EACH] + 0.5 * noise
    mapped.flush()


def write_people(folder: Path, count: int) -> None:
    """A folder of people, and a list of the same pictures; links to few files, which are not the same picture twice."""
    picture, place = blank_picture()
    lines, content = [], bytearray(picture.tobytes())
    for row in range(count):
        name = Path(f"person-{row // EACH:07d}", f"{row:08d}.png")
        if row % EACH == 0:
            (folder / name).parent.mkdir(parents=True)
        if row % LINKS == 0:
            first = folder / name
            number = struct.pack("<Q", row)
            content[place : place + 12] = number + struct.pack(">I", zlib.crc32(b"prVt" + number))
            first.write_bytes(content)
        else:
            os.link(first, folder / name)
        lines.append(f"{row}\t{row // EACH}\t{name}\n")
    (folder / "people.lst").write_text("".join(lines))


def write_pairs(path: Path, count: int) -> None:
    """Half as many pairs as pictures, every second one of one person."""
    keys = np.arange(1, count + 1, 2)
    other = np.where(keys % 4 == 1, keys % count + 1, (keys + count // 2) % count + 1)
    alike = (keys - 1) // EACH == (other - 1) // EACH
    rows = zip(keys.tolist(), other.tolist(), alike.astype(int).tolist(), strict=True)
    path.write_text("key_a,key_b,same\n" + "".join(f"{one},{two},{same}\n" for one, two, same in rows))


def write_templates(at: Path, count: int) -> None:
    """Four pictures a template, a medium each, and a pair for every two templates, of which some are of one person."""
    keys = np.arange(1, count + 1)
    rows = zip(keys.tolist(), ((keys - 1) // 4).tolist(), strict=True)
    (at / "templates.txt").write_text("".join(f"{key}.png {template} {key}\n" for key, template in rows))
    one = np.arange(0, count // 4 - 1, 2)
    two = np.where(one % 4 == 0, one + 1, (one + count // 8) % (count // 4))
    alike = (4 * one // EACH == 4 * two // EACH).astype(int)
    pairs = zip(one.tolist(), two.tolist(), alike.tolist(), strict=True)
    (at / "template-pairs.txt").write_text("".join(f"{a} {b} {same}\n" for a, b, same in pairs))


def write_probes(features: Path, target: Path) -> None:
    """The first vectors of a folder as one of their own."""
    import pyarrow.parquet as pq

    (target / "vectors").mkdir(parents=True)
    vectors = np.load(min((features / "vectors").glob("*.npy")), mmap_mode="r")[:PROBES]
    np.save(target / "vectors" / "00000000.npy", vectors)
    pq.write_table(pq.read_table(features / "index.parquet").slice(0, len(vectors)), target / "index.parquet")
    shutil.copy(features / "failures.parquet", target)
    said = json.loads((features / "features.json").read_text()) | {"count": len(vectors)}
    (target / "features.json").write_text(json.dumps(said))
