"""Packs for the tests of cleaning: drawn pictures, one pattern a person, and vectors that go with them. Nobody real."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facekit.clean.settings import CleanSettings
from facekit.images import encode_jpeg
from facekit.jobs.clean.config import CleanConfig, CleanSummary
from facekit.jobs.clean.job import clean
from facekit.records import Header, PackWriter, open_pack


class DrawnPack(NamedTuple):
    """A pack on disk and what is true about it."""

    folder: Path
    features: Path  # .npy
    person: np.ndarray  # (N,) int64, -1: a stranger
    labels: np.ndarray  # (N,) int64


class Cleaned(NamedTuple):
    """What cleaning wrote, and what it said of it."""

    folder: Path
    summary: CleanSummary


def draw(person: int, number: int) -> np.ndarray:
    """Return (40, 36, 3) uint8: a pattern of the person's own, a little different each time."""
    own, each = np.random.default_rng([person + 5, 1]), np.random.default_rng([person + 5, number, 2])
    y, x = np.mgrid[0:40, 0:36]
    wave = np.sin(x * own.uniform(0.1, 0.7) + each.uniform(0, 1))
    wave = wave + np.cos(y * own.uniform(0.1, 0.7) + each.uniform(0, 1))
    color = own.uniform(40, 200, 3) + wave[..., None] * own.uniform(10, 40, 3) + each.normal(0, 5, (40, 36, 1))
    return np.clip(color, 0, 255).astype(np.uint8)


def truth(seed: int, identities: int = 40, each: tuple[int, int] = (4, 14)) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and persons: the last tenth are there already, and a tenth of the faces is somebody else's."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), rng.integers(*each, identities))
    owner = np.arange(identities)
    double = identities // 10
    owner[-double:] = rng.permutation(identities - double)[:double]
    person = owner[labels].copy()
    draw_ = rng.random(len(labels))
    person[draw_ < 0.08] = rng.integers(0, identities - double, int((draw_ < 0.08).sum()))
    person[draw_ > 0.96] = -1
    return labels, person


def vectors_of(person: np.ndarray, seed: int, width: int = 64) -> np.ndarray:
    """Return (N, width) float32 unit vectors: .8 to the person's direction, strangers anywhere."""
    rng = np.random.default_rng(seed)
    direction = unit(rng.standard_normal((int(person.max()) + 1, width)))
    noise = unit(rng.standard_normal((len(person), width)))
    return unit(np.where(person[:, None] >= 0, 0.8 * direction[person] + 0.6 * noise, noise))


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def make_pack(
    folder: Path, layout: str = "insightface", seed: int = 1, gap: int = 1, identities: int = 40, first: int = 0
) -> DrawnPack:
    """Write a pack and its vectors; `gap` above 1 leaves gaps in the labels, `first` draws other people."""
    labels, person = truth(seed, identities)
    order = np.arange(len(labels)) if layout == "insightface" else np.random.default_rng(seed).permutation(len(labels))
    labels, person = labels[order] * gap, person[order]
    with PackWriter(folder / "pack", layout) as writer:
        for at, (label, who) in enumerate(zip(labels.tolist(), person.tolist())):
            payload = encode_jpeg(draw(first + (who if who >= 0 else 10_000 + at), at))
            writer.write(Header(0, float(label), writer.next_key, 0), payload)
    np.save(folder / "vectors.npy", vectors_of(person, seed))
    return DrawnPack(folder / "pack", folder / "vectors.npy", person, labels)


def clean_drawn(pack: DrawnPack, folder: Path, mode: str = "published", **options: Any) -> CleanSummary:
    """Clean a pack into a folder, by its own vectors."""
    settings = CleanSettings(mode=mode, threads=1)
    return clean(CleanConfig(str(pack.folder), str(folder), features=str(pack.features), settings=settings, **options))


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pack_files(folder: Path) -> dict[str, bytes]:
    """The three files of a pack."""
    return {name: (folder / name).read_bytes() for name in ("train.rec", "train.idx", "property")}


def payloads_by_label(folder: Path) -> dict[int, list[bytes]]:
    """The payloads of each label, in the order of the pack."""
    found: dict[int, list[bytes]] = {}
    with open_pack(folder) as pack:
        for record in pack:
            found.setdefault(int(np.atleast_1d(record.header.label)[0]), []).append(record.payload)
    return found
