"""Bytes a record and CPU seconds of every command, from two packs of drawn records of about a hundred bytes.

    python benchmarks/scale.py                                    packs of 10^5 and 10^6 records
    python benchmarks/scale.py --sizes 1e6 1e7 --folder DIR       ten million records; needs 20 GB below DIR
    python benchmarks/scale.py clean-published apply-key          some commands only (and what they need)
    python benchmarks/scale.py check convert --pictures PACK      the pictures of a pack, over and over

Each command runs as a process of its own. What is counted is its anonymous memory (RssAnon; pages of mapped files,
which the system may drop, are not), looked at 200 times a second, of the process and of the largest of its children.
Bytes a record are the difference of both packs' peaks over the difference of their records: interpreter and libraries
cancel out, and so do blocks of a fixed size where the smaller pack fills them already.

The pictures are PNGs of 112 x 112 equal pixels, 136 bytes with a number in each; the vectors are 64 numbers of two
bytes (`--width`) around the centre of their identity, one of sixteen a stranger. In place of the networks stand
functions that cost nothing: a mesh that is always the same, a network that gives a picture's first pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from timing import machine

EACH, BLOCK = 50, 1 << 17
LIMIT, LIMIT_OF_PARENT = 100, 64
STAND_INS = ("embed", "mask", "embed-folder", "mask-folder", "synth", "unpack-named")
PARENTS = (*STAND_INS, "pack-folder", "pack-list")
OF_FILES = {"pack-folder", "pack-list", "unpack-named", "embed-folder", "mask-folder", "clean-folder"}
LINKS = 20_000  # pictures that are links to one file: file systems allow some 65,000 of them
PROBES = 1000
PICTURES = {"clean-masked": 1 / 0.85}  # that the command reads for each record: mask makes 15% of all


@dataclass(frozen=True)
class Cost:
    """What one command took at one size.

    Attributes
    ----------
    seconds, wall : float
        CPU seconds of all its processes, and seconds that passed.
    own, child : int
        Highest anonymous memory of the process, and of the largest of its children, bytes.
    """

    seconds: float
    wall: float
    own: int
    child: int


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


def anonymous(process: int) -> int:
    """Anonymous bytes of a process now; 0 where it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024 if "RssAnon:" in status else 0


def children(process: int) -> list[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:
        return []
    found = [int(word) for word in text.split()]
    return found + [inner for child in found for inner in children(child)]


def measured(command: list[str], log: Path) -> Cost:
    """Run a command; exit codes other than 0 and 1 (faults were found) end the benchmark."""
    started, own, child, looked = time.perf_counter(), 0, 0, 0
    before = os.times()
    with open(log, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            own, looked = max(own, anonymous(process.pid)), looked + 1
            if looked % 10 == 0:
                child = max([child, *map(anonymous, children(process.pid))])
            time.sleep(0.005)
    after = os.times()
    if process.returncode not in (0, 1) or "Traceback" in log.read_text(errors="replace"):
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    seconds = after.children_user - before.children_user + after.children_system - before.children_system
    return Cost(seconds, time.perf_counter() - started, own, child)


def commands(at: Path, count: int) -> dict[str, tuple[list[str], tuple[str, ...]]]:
    """Name of each -> its command line, and the commands whose output it reads."""
    pack, vectors, other = str(at / "pack"), str(at / "vectors.npy"), str(at / "out-clean-robust")
    people = str(at / "people")
    out = {name: str(at / f"out-{name}") for name in NAMES}
    clean, lists = out["clean-published"], [out["lists-export"], out["lists-export-robust"]]
    given: dict[str, tuple[list[str], tuple[str, ...]]] = {
        "inspect": (["inspect", pack], ()),
        "check": (["check", pack], ()),
        "convert": (["convert", pack, out["convert"], "--layout", "flat", "--shuffle"], ()),
        "convert-no-hash": (["convert", pack, out["convert-no-hash"], "--no-hash", "--min-images", "3"], ()),
        "split": (["split", pack, out["split"], "--test", "0.5"], ()),
        "merge": (["merge", f"{out['split']}/train", f"{out['split']}/test", out["merge"]], ("split",)),
        "reindex": (["reindex", pack, "--overwrite", "--sidecar"], ()),
        "clean-published": (["clean", pack, clean, "--features", vectors], ()),
        "clean-robust": (["clean", pack, other, "--features", vectors, "--mode", "robust"], ()),
        "clean-all": (
            ["clean", pack, out["clean-all"], "--features", out["embed"], "--near-duplicates", "--low-quality",
             "--decisions-only", "--allow-loss", "1"],
            ("embed",),
        ),
        "apply-key": (["apply", pack, clean, out["apply-key"]], ("clean-published",)),
        "apply-hash": (["apply", pack, clean, out["apply-hash"], "--match", "hash"], ("clean-published",)),
        "apply-revert": (["apply", pack, clean, out["apply-revert"], "--revert", "all"], ("clean-published",)),
        "apply-some": (
            ["apply", pack, clean, out["apply-some"], "--revert", "inter", "--revert", "union"], ("clean-published",)
        ),
        "diff": (["diff", clean, other], ("clean-published", "clean-robust")),
        "sweep": (["sweep", pack, vectors], ()),
        "embed": ([pack, out["embed"]], ()),
        "mask": ([pack, out["mask"]], ()),
        "clean-masked": (
            ["clean", out["mask"], out["clean-masked"], "--features", str(at / "masked.npy"), "--allow-loss", "1"],
            ("mask",),
        ),
        "check-deep": (["check", pack, "--deep"], ()),
        "pack-folder": (["pack", people, out["pack-folder"], "--workers", "2"], ()),
        "pack-list": (["pack", f"{people}/people.lst", out["pack-list"], "--workers", "2"], ()),
        "unpack-named": ([out["pack-folder"], out["unpack-named"]], ("pack-folder",)),
        "embed-folder": ([people, out["embed-folder"]], ()),
        "mask-folder": ([people, out["mask-folder"]], ()),
        "clean-folder": (["clean", people, out["clean-folder"], "--features", vectors], ()),
        "synth": ([str(count), out["synth"]], ()),
        "passport": (["passport", pack, f"{at}/passport.json", "--sample", "100", "--overwrite"], ()),
        "overlap": (["overlap", pack, f"{out['split']}/train", out["overlap"]], ("split",)),
        "lists-export": (["lists", "export", clean, out["lists-export"], "--overwrite"], ("clean-published",)),
        "lists-export-robust": (
            ["lists", "export", other, out["lists-export-robust"], "--overwrite"], ("clean-robust",)
        ),
        "lists-show": (["lists", "show", out["lists-export"]], ("lists-export",)),
        "lists-diff": (["lists", "diff", *lists], ("lists-export", "lists-export-robust")),
        "lists-merge": (
            ["lists", "merge", *lists, out["lists-merge"], "--vote", "majority", "--overwrite"],
            ("lists-export", "lists-export-robust"),
        ),
        "explain": (["explain", clean, str(count // 2)], ("clean-published",)),
        "eval-pairs": (["eval", out["embed"], "--pairs", str(at / "pairs.csv"), "--pack", pack], ("embed",)),
        "eval-gallery": (
            ["eval", out["embed"], "--gallery", out["embed"], "--probe", f"{at}/probes", "--bootstrap", "100"],
            ("embed",),
        ),
        "eval-templates": (
            ["eval", out["embed"], "--templates", f"{at}/templates.txt", "--pairs", f"{at}/template-pairs.txt",
             "--bootstrap", "100"],
            ("embed",),
        ),
        "unpack": (["unpack", pack, out["unpack"], "--limit", str(min(count, 10**6))], ()),
    }  # fmt: skip
    return given


NAMES = ("inspect", "check", "convert", "convert-no-hash", "split", "merge", "reindex", "clean-published",
         "clean-robust", "clean-all", "apply-key", "apply-hash", "apply-revert", "apply-some", "diff", "sweep",
         "embed", "mask", "clean-masked", "unpack", "check-deep", "pack-folder", "pack-list", "unpack-named",
         "embed-folder", "mask-folder", "clean-folder", "synth", "passport", "overlap", "lists-export",
         "lists-export-robust", "lists-show", "lists-diff", "lists-merge", "explain",
         "eval-pairs", "eval-gallery", "eval-templates")  # fmt: skip


def before(given: dict[str, tuple[list[str], tuple[str, ...]]], name: str) -> list[str]:
    """The commands whose output one reads, and those whose output they read, in their order."""
    return [one for direct in given[name][1] for one in (*before(given, direct), direct)]


def run_all(
    at: Path, count: int, chosen: Iterable[str], keep: bool, width: int, pictures: Path | None = None
) -> dict[str, Cost]:
    """Each command once; those that are only needed by a chosen one too."""
    at.mkdir(parents=True, exist_ok=True)
    if not (at / "pack").exists():
        write_pack(at / "pack", count) if pictures is None else write_real_pack(at / "pack", count, pictures)
    if not (at / "vectors.npy").exists():
        write_vectors(at / "vectors.npy", count, width)
    if not (at / "people").exists() and {*chosen} & OF_FILES:
        write_people(at / "people", count)
    if not (at / "pairs.csv").exists():
        write_pairs(at / "pairs.csv", count)
    if not (at / "templates.txt").exists():
        write_templates(at, count)
    found: dict[str, Cost] = {}
    given, chosen = commands(at, count), list(chosen)
    for place, name in enumerate(chosen):
        for needed in before(given, name):
            if not (at / f"out-{needed}").exists():
                found[needed] = run_one(at, needed, given[needed][0], width)
        shutil.rmtree(at / f"out-{name}", ignore_errors=True)
        found[name] = run_one(at, name, given[name][0], width)
        needed_later = {other for later in chosen[place + 1 :] for other in given[later][1]}
        for done in set() if keep else found.keys() - needed_later:
            shutil.rmtree(at / f"out-{done}", ignore_errors=True)
    return found


def run_one(at: Path, name: str, arguments: list[str], width: int) -> Cost:
    own = [str(Path(__file__).with_name("scale_stand_ins.py")), name] if name in STAND_INS else ["-m", "facekit"]
    start = [sys.executable, *own]
    if name == "clean-masked" and not (at / "masked.npy").exists():
        from facekit.records import open_pack

        with open_pack(at / "out-mask") as pack:
            write_vectors(at / "masked.npy", pack.num_images, width)
    if name == "eval-gallery" and not (at / "probes").exists():
        write_probes(at / "out-embed", at / "probes")
    cost = measured([*start, *arguments], at / f"{name}.log")
    print(f"{name:18} {cost.seconds:8.1f} CPU s {cost.wall:8.1f} s  {cost.own / 1e6:8.0f} MB  "
          f"{cost.child / 1e6:8.0f} MB in a child", flush=True)  # fmt: skip
    return cost


def table(costs: list[dict[str, Cost]], sizes: list[int]) -> str:
    """Markdown: seconds of the larger pack, how they grew, memory, bytes a record."""
    small, large = sizes[0], sizes[-1]
    lines = [f"| command | CPU s | s | times {small:,} | MB | bytes a record | of its largest child |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name in (name for name in NAMES if all(name in cost for cost in costs)):
        one, two = costs[0][name], costs[-1][name]
        own, child = (
            (getattr(two, part) - getattr(one, part)) / max(large - small, 1) / PICTURES.get(name, 1)
            for part in ("own", "child")
        )
        limit = LIMIT_OF_PARENT if name in PARENTS else LIMIT
        mark = " **too much**" if own > limit or child > LIMIT else ""
        lines.append(f"| {name} | {two.seconds:,.0f} | {two.wall:,.0f} | {two.seconds / max(one.seconds, 0.01):.1f} "
                     f"| {two.own / 1e6:,.0f} | {own:.0f}{mark} | {child:.0f} |")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--sizes", nargs="+", type=float, default=[1e5, 1e6])
    parser.add_argument("--folder", type=Path, help="where packs lie and stay; by default a temporary folder")
    parser.add_argument("--pictures", type=Path, metavar="PACK", help="take the pictures of this pack")
    parser.add_argument("--width", type=int, default=64, help="numbers of a vector")
    parser.add_argument("--keep", action="store_true", help="keep what the commands wrote")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes]
    with tempfile.TemporaryDirectory() as temporary:
        root = options.folder or Path(temporary)
        chosen = options.commands or NAMES
        asked = options.keep, options.width, options.pictures
        costs = [run_all(root / str(size), size, chosen, *asked) for size in sizes]
    kind = "170 bytes" if options.pictures is None else f"pictures of {options.pictures.name}"
    print(f"\n{machine()}\n{' and '.join(f'{size:,}' for size in sizes)} records of {kind}\n\n{table(costs, sizes)}")


if __name__ == "__main__":
    main()
