"""The other side of records_speed.py: run by an interpreter that has mxnet 1.9.1, does one stage per line it is sent.

A line is JSON, ``{"stage": NAME, ...}``; the answer is ``{"seconds": CPU seconds}``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import mxnet as mx
import numpy as np


def opened(given: dict[str, Any]) -> Any:
    return mx.recordio.MXIndexedRecordIO(given["idx"], given["rec"], "r")


def index(given: dict[str, Any]) -> Callable[[], object]:
    return lambda: opened(given)


def read(given: dict[str, Any]) -> Callable[[], object]:
    record, keys = opened(given), given["keys"]

    def stage() -> None:
        for key in keys:
            mx.recordio.unpack(record.read_idx(key))

    return stage


def labels(given: dict[str, Any]) -> Callable[[], object]:
    record = opened(given)

    def stage() -> list[float]:
        record.reset()
        return [mx.recordio.unpack(record.read_idx(key))[0].label for key in record.keys]

    return stage


def rebuild(given: dict[str, Any]) -> Callable[[], object]:
    def stage() -> int:
        record, offsets = mx.recordio.MXRecordIO(given["rec"], "r"), []
        while record.read() is not None:
            offsets.append(None)
        return len(offsets)

    return stage


def rewrite(given: dict[str, Any]) -> Callable[[], object]:
    """The obvious script: read, unpack, relabel, pack, write."""

    def stage() -> None:
        source = opened(given)
        target = mx.recordio.MXIndexedRecordIO(given["out"] + ".idx", given["out"] + ".rec", "w")
        for place, (key, label) in enumerate(zip(given["keys"], given["labels"])):
            _, payload = mx.recordio.unpack(source.read_idx(key))
            target.write_idx(place, mx.recordio.pack(mx.recordio.IRHeader(0, label, place, 0), payload))
        target.close()

    return stage


def decode(given: dict[str, Any]) -> Callable[[], object]:
    record, keys = opened(given), given["keys"]

    def stage() -> None:
        for key in keys:
            mx.image.imdecode(mx.recordio.unpack(record.read_idx(key))[1]).asnumpy()

    return stage


STAGES = {"index": index, "read": read, "labels": labels, "rebuild": rebuild, "rewrite": rewrite, "decode": decode}


def main() -> None:
    """Serve until the input ends. A stage is set up once and run as often as it is asked for."""
    ready: dict[str, Callable[[], object]] = {}
    print(json.dumps({"mxnet": mx.__version__, "numpy": np.__version__}), flush=True)
    for line in sys.stdin:
        given = json.loads(line)
        name = given["stage"]
        if "rec" in given:
            ready[name] = STAGES[name](given)
        begun = time.process_time()
        ready[name]()
        print(json.dumps({"seconds": time.process_time() - begun}), flush=True)


if __name__ == "__main__":
    main()
