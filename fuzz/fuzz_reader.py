"""Coverage-guided fuzzing of the readers (atheris, libFuzzer): ``python fuzz/fuzz_reader.py pack|bins [-runs=N ...]``.

The run is reproducible (``-seed=1`` unless another is given) and bounded (``-runs``, ``-max_total_time``). An input
that breaks an invariant is written to ``crash-*``; ``python fuzz/fuzz_reader.py pack crash-...`` runs it again.
"""

from __future__ import annotations

import logging
import pickle
import resource
import struct
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["facekit.records"]):
    from invariants import check_bins, check_pack

    from facekit.records import Header, PackWriter, RecordWriter

ROOM = 512 << 20
"""Bytes of address space that an input of 2 kB may take: one that asks for more is a finding."""


def limit_memory() -> None:
    """Allow so much more than is mapped now; the fuzzer itself grows with time."""
    with open("/proc/self/statm", encoding="ascii") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ROOM, resource.RLIM_INFINITY))


def one_pack(data: bytes) -> None:
    """Two bytes that give the length of the index, one of flags (which files exist), the index, the records."""
    if len(data) < 3:
        return
    size = struct.unpack_from("<H", data)[0] % 512
    present, idx, rec = data[2], data[3 : 3 + size], data[3 + size :]
    PACK.write_bytes(rec)
    for path, content in ((PACK.with_suffix(".idx"), idx), (PACK.with_name("property"), idx[-9:])):
        path.unlink(missing_ok=True)
        if present & 1 << (path.suffix == ".idx"):
            path.write_bytes(content)
    limit_memory()
    check_pack(PACK)


def one_bins(data: bytes) -> None:
    """A pickle."""
    BINS.write_bytes(data)
    limit_memory()
    check_bins(BINS)


def pack_seeds(folder: Path) -> list[bytes]:
    """Packs of every layout, with an index, without one, with parts, with record 0 at the end."""
    seeds = []
    magic = struct.pack("<I", 0xCED7230A)
    for number, (layout, labels) in enumerate([("insightface", [0, 0, 1]), ("flat", [0, 1, 1]), ("flat", [7])]):
        with PackWriter(folder / str(number), layout) as writer:
            for label in labels:
                value = float(label) if number else np.array([label, 0], np.float32)
                writer.write(Header(0, value, writer.next_key, 0), b"\xff\xd8" + magic * label + b"?" * (2 - label % 3))
        seeds.append(folder / str(number) / "train.rec")
    with RecordWriter(folder / "bare.rec") as bare:
        for key, buffer in enumerate([b"", magic, b"ab" + magic, magic * 2 + b"xyz"]):
            bare.write_bytes(9 - key, buffer)
    found = []
    for rec in [*seeds, folder / "bare.rec"]:
        idx = rec.with_suffix(".idx").read_bytes()
        found += [struct.pack("<HB", len(idx), present) + idx + rec.read_bytes() for present in (0, 2, 3)]
    return found


def bins_seeds(_: Path) -> list[bytes]:
    """Pickles of every protocol and kind."""
    pictures = [b"\xff\xd8a", b"\xff"], [np.frombuffer(b"ab", np.uint8), np.frombuffer(b"", np.uint8)]
    flags = [True], np.array([False])
    return [pickle.dumps((a, b), protocol) for a in pictures for b in flags for protocol in range(6)]


TARGETS = {"pack": (one_pack, pack_seeds), "bins": (one_bins, bins_seeds)}


def main() -> None:
    """Seed a corpus and run."""
    one, seeds = TARGETS[sys.argv[1]]
    given = sys.argv[2:]
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(FOLDER)):
        (corpus / f"{number:03d}").write_bytes(seed)
    replayed = any(not word.startswith("-") for word in given)
    usual = ["-seed=1", "-max_len=2048", "-timeout=10", "-len_control=0", "-rss_limit_mb=0", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *usual, *given, *([] if replayed else [str(corpus)])], one)
    atheris.Fuzz()


if __name__ == "__main__":
    logging.disable()
    FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
    PACK, BINS = FOLDER / "train.rec", FOLDER / "pairs.bin"
    main()
