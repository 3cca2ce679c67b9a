"""Shards in and out: pictures a second and memory, over a web server and an S3 server on this machine.

    python benchmarks/stores_speed.py [speed] [memory]

speed   20,000 pictures of 7,500 bytes in ten shards: convert from plain and gzipped tars and parquet on the disk, a
        web server; out to tars and parquet on the disk, and to an S3 server (moto, in Python: a lower bound)
memory  bytes a record of converting tars, streams and parquet: peak memory at 100,000 and 400,000 samples of 100 bytes

Every run is a process of its own with one worker; seconds are CPU seconds of it and its children beside the wall.
"""

from __future__ import annotations

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import AbstractContextManager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np
from timing import machine

from facekit.records import Header
from facekit.records.parquet_shards import ParquetWriter
from facekit.records.tar_shards import TarWriter

EACH = 50


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def run(*words: object) -> tuple[float, float, int]:
    """CPU seconds, seconds and peak anonymous memory in bytes of a facekit command."""
    started, peak, done = perf_counter(), 0, 0
    process = subprocess.Popen([sys.executable, "-m", "facekit", *map(str, words)], stdout=subprocess.DEVNULL)
    while not done:
        # Not ru_maxrss: that begins with what this process had.
        told = Path(f"/proc/{process.pid}/status").read_text()
        peak = max(peak, int(told.partition("RssAnon:")[2].split()[0]) * 1024 if "RssAnon:" in told else 0)
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        sleep(0 if done else 0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return usage.ru_utime + usage.ru_stime, perf_counter() - started, peak


def material(at: Path, count: int, size: int, shards: int) -> None:
    """``tars``, ``gz`` and ``parquet`` with the same samples in an order that mixes identities, as published sets."""
    rng = np.random.default_rng(0)
    order, noise = rng.permutation(count), rng.bytes(size * 2)
    for name in ("tars", "gz", "parquet"):
        (at / name).mkdir(parents=True)
    each = -(-count // shards)
    with TarWriter(at / "tars", each) as tars, ParquetWriter(at / "parquet", each, count) as parquet:
        for key, number in enumerate(order.tolist()):
            begin = number % size
            payload = b"\xff\xd8" + noise[begin : begin + size - 2]
            for writer in (tars, parquet):
                writer.write(key, Header(0, float(number // EACH), key, 0), payload)
    for path in (at / "tars").iterdir():
        (at / "gz" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))


def speed(root: Path) -> None:
    count = 20_000
    material(root, count, 7_500, 10)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = f"http://127.0.0.1:{server.server_port}"
    sources = {
        "plain tars": root / "tars",
        "gzipped tars": root / "gz",
        "parquet": root / "parquet",
        "gzipped tars, http": f"{web}/gz/{{000000..000009}}.tar.gz",
        "plain tars, http": f"{web}/tars/{{000000..000009}}.tar",
    }
    for name, source in sources.items():
        tell(f"in: {name}", count, run("convert", source, root / f"of {name}".replace("/", "-"), "--workers", 1))
    pack = root / "of plain tars"
    tell("out: tars", count, run("convert", pack, root / "o1", "--layout", "webdataset"))
    tell("out: parquet", count, run("convert", pack, root / "o2", "--layout", "parquet"))
    server.shutdown()
    with s3():
        for layout in ("webdataset", "parquet"):
            words = ("convert", pack, f"s3://faces/{layout}", "--layout", layout, "--shard-records", 2000)
            tell(f"out: {layout}, s3", count, run(*words))
        tell("in: tars, s3", count, run("convert", "s3://faces/webdataset", root / "o3", "--workers", 1))


def s3() -> AbstractContextManager[Any]:
    import pytest

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.store_servers import s3_server

    return s3_server(pytest.MonkeyPatch())


def tell(name: str, count: int, found: tuple[float, float, int]) -> None:
    cpu, wall, memory = found
    print(f"{name:24} {count / cpu:9,.0f} pictures a CPU second {count / wall:9,.0f} a second {memory / 1e6:7,.0f} MB")


def memory(root: Path) -> None:
    sizes = (100_000, 400_000)
    for size in sizes:
        material(root / str(size), size, 100, size // 12_500)
    for kind in ("tars", "gz", "parquet"):
        for layout in ("insightface", "webdataset"):
            peaks = [
                run("convert", root / str(s) / kind, root / f"{s}-{kind}-{layout}", "--layout", layout, "--workers", 1)
                for s in sizes
            ]
            more = (peaks[1][2] - peaks[0][2]) / (sizes[1] - sizes[0])
            rate = (peaks[1][0] - peaks[0][0]) / (sizes[1] - sizes[0]) * 1e6
            print(f"{kind:8} -> {layout:12} {more:6.0f} bytes a record, {rate:5.1f} CPU s a million, "
                  f"{peaks[1][2] / 1e6:,.0f} MB at {sizes[1]:,}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["speed", "memory"])
    options = parser.parse_args()
    print(machine())
    for part in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            {"speed": speed, "memory": memory}[part](Path(folder))


if __name__ == "__main__":
    main()
