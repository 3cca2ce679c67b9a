"""Packs against real mxnet 1.9.1: ratios of CPU time, round by round in one run.

    python benchmarks/records_speed.py [--python PYTHON3.11] [--records 60000] [--lines 5000000] [--large]

mxnet cannot live beside a current numpy, so it runs in a process of its own, in the environment that
FACEKIT_MXNET_PYTHON names, or else in one that this script makes in a temporary folder (pip install mxnet==1.9.1
"numpy<1.24", which wants Python 3.11 or older). The two take turns within every round and the page cache is warm. The
pack is made for the occasion: aligned crops of scikit-image's photograph, moved, lit and coded as faces are.

--large opens an index of 42 million lines too, in processes of their own whose peak memory is read (needs 1 GB free).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from records_material import Mxnet, Rounds, make_index, make_mxnet, make_pack, own
from timing import machine

from facekit.images import decode
from facekit.records import PackWriter, RecordReader, open_pack
from facekit.records.index import read_index, save_sidecar
from facekit.records.label_sidecar import labels_path
from facekit.records.scan import rebuild_index

LARGE = 42_000_000


class Claim(NamedTuple):
    """A line of the table: what, how it compares, and what was asked for."""

    what: str
    mxnet: str
    facekit: str
    ratio: str
    target: str


# --- stages -----------------------------------------------------------------------------------------------------------


def rate(count: float) -> str:
    return f"{count / 1e6:.1f} M/s" if count >= 1e6 else f"{count / 1e3:.0f} k/s"


def measure_index(mxnet: Mxnet, folder: Path, lines: int, rounds: int) -> list[Claim]:
    idx, rec = folder / "long.idx", folder / "pack" / "train.rec"
    make_index(idx, lines)
    mxnet("index", idx=str(idx), rec=str(rec))
    plain = Rounds(rounds, mxnet=lambda: mxnet("index"), plain=lambda: own(lambda: read_index(idx)))
    save_sidecar(idx, read_index(idx))
    sidecar = Rounds(9, sidecar=lambda: own(lambda: read_index(idx)))
    seconds, title = f"{plain.median('mxnet'):.2f} s", f"open an index of {lines / 1e6:g} million lines"
    return [
        Claim(title, seconds, f"{plain.median('plain'):.2f} s", f"{plain.ratio('mxnet', 'plain'):.1f}x", ">= 8x"),
        Claim("... from a sidecar", seconds, f"{1e3 * sidecar.median('sidecar'):.2f} ms", "", "<= 5 ms"),
    ]


def measure_reading(mxnet: Mxnet, pack: Path, keys: list[int], rounds: int) -> list[Claim]:
    read, mapped = open_pack(pack).read, open_pack(pack, mapped=True).read

    def through(one: Callable[[int], object]) -> Callable[[], None]:
        def stage() -> None:
            for key in keys:
                one(key)

        return stage

    mxnet("read", idx=str(pack / "train.idx"), rec=str(pack / "train.rec"), keys=keys)
    taken = Rounds(
        rounds, mxnet=lambda: mxnet("read"), read=lambda: own(through(read)), mapped=lambda: own(through(mapped))
    )
    there = rate(len(keys) / taken.median("mxnet"))
    lines = (("random read and unpack", "read"), ("... from a mapped file (mapped=True)", "mapped"))
    return [
        Claim(what, there, rate(len(keys) / taken.median(name)), f"{taken.ratio('mxnet', name):.1f}x", ">= 4x")
        for what, name in lines
    ]


def measure_labels(mxnet: Mxnet, pack: Path, records: int, rounds: int) -> list[Claim]:
    def labels() -> None:
        with open_pack(pack) as opened:
            assert len(opened.labels) == records

    mxnet("labels", idx=str(pack / "train.idx"), rec=str(pack / "train.rec"))
    with open_pack(pack) as opened:
        assert labels_path(opened.paths.rec).exists(), "the writer of a pack of this length leaves its labels"
    left = Rounds(rounds, mxnet=lambda: mxnet("labels"), labels=lambda: own(labels))
    with open_pack(pack) as opened:
        save_sidecar(opened.paths.idx, opened.reader.index)
    kept = Rounds(rounds, mxnet=lambda: mxnet("labels"), labels=lambda: own(labels))
    labels_path(opened.paths.rec).unlink()
    taken = Rounds(rounds, mxnet=lambda: mxnet("labels"), labels=lambda: own(labels))
    ways = (
        ("all labels, pack opened each time, as facekit wrote it", left),
        ("... and the index in its binary form", kept),
        ("... read from the headers of another tool's pack", taken),
    )
    return [
        Claim(
            what,
            rate(records / way.median("mxnet")),
            rate(records / way.median("labels")),
            f"{way.ratio('mxnet', 'labels'):.0f}x",
            ">= 100x",
        )
        for what, way in ways
    ]


def measure_rebuild(mxnet: Mxnet, pack: Path, records: int, rounds: int) -> list[Claim]:
    rec = pack / "train.rec"
    mxnet("rebuild", rec=str(rec))
    taken = Rounds(rounds, mxnet=lambda: mxnet("rebuild"), own=lambda: own(lambda: rebuild_index(rec)))
    return [
        Claim(
            "index rebuilt without .idx",
            rate(records / taken.median("mxnet")),
            rate(records / taken.median("own")),
            f"{taken.ratio('mxnet', 'own'):.0f}x",
            ">= 2 M/s",
        )
    ]


def measure_rewrite(mxnet: Mxnet, folder: Path, pack: Path, records: int, rounds: int) -> list[Claim]:
    """Drop 15% and number the classes anew."""
    from facekit.records.rewrite import copy_records, extents

    rng = np.random.default_rng(1)
    rows = np.flatnonzero(rng.random(records) >= 0.15)
    labels = np.unique(rows // 10, return_inverse=True)[1].astype(np.int64)
    out = folder / "rewritten"

    def rewrite() -> None:
        with open_pack(pack) as source, PackWriter(out, "flat", overwrite=True) as writer:
            for _ in copy_records(source.paths.rec, extents(source, source.keys), rows, labels, writer):
                pass

    def copy() -> None:
        """By reading and writing: the system's own copy can share blocks and then shows nothing."""
        with open(pack / "train.rec", "rb", 0) as source, open(folder / "copy.rec", "wb", 0) as target:
            while block := source.read(4 << 20):
                target.write(block)
            os.fsync(target.fileno())

    given = {"idx": str(pack / "train.idx"), "rec": str(pack / "train.rec"), "out": str(folder / "by_mxnet")}
    mxnet("rewrite", **given, keys=rows.tolist(), labels=[float(label) for label in labels.tolist()])
    taken = Rounds(rounds, mxnet=lambda: mxnet("rewrite"), own=lambda: own(rewrite), copy=lambda: own(copy))
    same = (out / "train.rec").read_bytes() == (folder / "by_mxnet.rec").read_bytes()
    assert same
    assert (out / "train.idx").read_bytes() == (folder / "by_mxnet.idx").read_bytes()
    share = 0.85 * taken.ratio("copy", "own")
    there, here = len(rows) / taken.median("mxnet"), len(rows) / taken.median("own")
    return [
        Claim(
            "drop 15% and relabel, same bytes",
            rate(there),
            rate(here),
            f"{taken.ratio('mxnet', 'own'):.1f}x",
            ">= 3.5x",
        ),
        Claim("... against copying the file (bytes a CPU second)", "", "", f"{share:.0%}", ">= 40%"),
    ]


def measure_decode(mxnet: Mxnet, pack: Path, keys: list[int], rounds: int) -> list[Claim]:
    opened = open_pack(pack)
    payloads = [opened.read(key).payload for key in keys]

    def image() -> None:
        for key in keys:
            opened.image(key)

    def bare() -> None:
        for payload in payloads:
            cv2.cvtColor(cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def only() -> None:
        for payload in payloads:
            decode(payload)

    given = {"idx": str(pack / "train.idx"), "rec": str(pack / "train.rec"), "keys": keys}
    mxnet("decode", **given)
    mxnet("read", **given)
    taken = Rounds(
        rounds,
        mxnet=lambda: mxnet("decode"),
        mxnet_read=lambda: mxnet("read"),
        image=lambda: own(image),
        bare=lambda: own(bare),
        only=lambda: own(only),
    )
    mixed = np.add(taken.seconds["mxnet_read"], taken.seconds["bare"])
    small = float(np.median(mixed / np.array(taken.seconds["image"])))
    here, count = rate(len(keys) / taken.median("image")), len(keys)
    return [
        Claim(
            "read and decode",
            rate(count / taken.median("mxnet")),
            here,
            f"{taken.ratio('mxnet', 'image'):.1f}x",
            ">= 3x",
        ),
        Claim(
            "... against reading with mxnet, decoding with cv2",
            rate(count / float(np.median(mixed))),
            here,
            f"{small:.2f}x",
            "1.16x",
        ),
        Claim("... against bare cv2 on bytes in memory", "", here, f"{taken.ratio('bare', 'image'):.0%}", ">= 90%"),
        Claim(
            "decode alone against bare cv2",
            "",
            rate(count / taken.median("only")),
            f"{taken.ratio('bare', 'only'):.0%}",
            "",
        ),
    ]


def count_wrong(pack: Path, records: int) -> Claim:
    """Four threads, one reader, 100,000 reads."""
    drawn = np.random.default_rng(2).integers(0, records, (4, 25_000)).tolist()
    wrong = 0
    for mapped in (False, True):
        reader = RecordReader(pack / "train.rec", mapped=mapped)
        first = [reader.read(key).payload for key in range(400)]

        def look(keys: list[int], reader: RecordReader = reader, first: list[bytes] = first) -> int:
            found = map(reader.read, keys)
            return sum(r.header.id != key or r.payload != first[key % 400] for key, r in zip(keys, found, strict=True))

        with ThreadPoolExecutor(4) as pool:
            wrong += sum(pool.map(look, drawn))
    return Claim("four threads on one reader, 100,000 reads", "", f"{wrong} wrong", "", "none wrong")


# --- 42 million -------------------------------------------------------------------------------------------------------

OPEN_LARGE = """
import resource, sys, time
from facekit.records.index import read_index
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, begun = peak(), time.process_time()
index = read_index(sys.argv[1])
seconds = time.process_time() - begun
assert index.offset(len(index) - 1) > 2**36
print(seconds, peak() - before, len(index))
"""


def measure_large(folder: Path) -> list[Claim]:
    """Seconds and memory for an index of WebFace42M's size."""
    idx = folder / "large.idx"
    make_index(idx, LARGE)
    claims = []
    for way in ("plain", "sidecar"):
        if way == "sidecar":
            save_sidecar(idx, read_index(idx))
        done = subprocess.run(
            [sys.executable, "-c", OPEN_LARGE, str(idx), way], capture_output=True, text=True, check=True
        )
        seconds, megabytes, _ = map(float, done.stdout.split())
        claims.append(
            Claim(f"42 million lines, {way}", "", f"{seconds:.3g} s, {megabytes:,.0f} MB more", "", "bounded memory")
        )
    return claims


def as_markdown(claims: list[Claim]) -> str:
    """The table."""
    rows = [Claim("operation", "mxnet 1.9.1", "facekit", "ratio", "asked for"), Claim(*["---"] * 5), *claims]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3.11", help="what makes the environment, where none is named")
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder, pack = Path(name), Path(name) / "pack"
        mxnet = Mxnet(os.environ.get("FACEKIT_MXNET_PYTHON") or make_mxnet(folder / "mxnet", given.python))
        make_pack(pack, given.records)
        keys = np.random.default_rng(0).permutation(given.records)[:20_000].tolist()
        claims = measure_index(mxnet, folder, given.lines, 3)
        claims += measure_reading(mxnet, pack, keys, given.rounds)
        claims += measure_labels(mxnet, pack, given.records, given.rounds)
        claims += measure_rebuild(mxnet, pack, given.records, given.rounds)
        claims += measure_rewrite(mxnet, folder, pack, given.records, given.rounds)
        claims += measure_decode(mxnet, pack, keys[:3000], given.rounds)
        claims.append(count_wrong(pack, given.records))
        claims += measure_large(folder) if given.large else []
        mxnet.close()
        size = (pack / "train.rec").stat().st_size / given.records
    head = f"{machine()}; mxnet beside numpy {mxnet.versions['numpy']}"
    head += f"; {given.records:,} records of {size:,.0f} bytes; CPU time"
    text = f"{head}\n\n{as_markdown(claims)}"
    print(text)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of this process {peak:,.0f} MB")
    if given.markdown:
        given.markdown.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
