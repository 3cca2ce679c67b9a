"""What records_speed.py measures with: the process that has mxnet, rounds that take turns, packs and indices."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from facekit.images import encode_jpeg
from facekit.records import Header, PackWriter

HERE = Path(__file__).resolve().parent


class Mxnet:
    """The process that has mxnet."""

    def __init__(self, python: str) -> None:
        command = [python, "-W", "ignore", str(HERE / "records_mxnet.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions = self._answer()

    def __call__(self, stage: str, **given: Any) -> float:
        """CPU seconds of a stage; its arguments are sent the first time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"stage": stage, **given}) + "\n")
        self._process.stdin.flush()
        return float(self._answer()["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the process with mxnet ended; see its message above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.communicate()


def own(stage: Callable[[], object]) -> float:
    """CPU seconds of a call in this process."""
    begun = time.process_time()
    stage()
    return time.process_time() - begun


class Rounds:
    """Seconds of several stages, each run once in every round."""

    def __init__(self, rounds: int, **stages: Callable[[], float]) -> None:
        for stage in stages.values():
            stage()
        self.seconds: dict[str, list[float]] = {name: [] for name in stages}
        for turn in range(rounds):
            names = list(stages)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                self.seconds[name].append(stages[name]())

    def median(self, name: str) -> float:
        return float(np.median(self.seconds[name]))

    def ratio(self, slow: str, quick: str) -> float:
        """Median of the ratios of one round."""
        return float(np.median(np.divide(self.seconds[slow], self.seconds[quick])))


def make_mxnet(folder: Path, python: str) -> str:
    """An environment with mxnet 1.9.1; its interpreter."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    interpreter = str(folder / "bin" / "python")
    subprocess.run([interpreter, "-m", "pip", "install", "-q", "mxnet==1.9.1", "numpy<1.24"], check=True)
    return interpreter


def make_pack(folder: Path, records: int) -> None:
    """Records with numbers as labels, ten of a class; 400 different payloads."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from photo import face

    rng = np.random.default_rng(0)
    noise = [np.clip(face(seed) + rng.normal(0, 6, (112, 112, 3)), 0, 255).astype(np.uint8) for seed in range(400)]
    payloads = [encode_jpeg(picture, 92) for picture in noise]
    with PackWriter(folder, "flat") as writer:
        for key in range(records):
            writer.write(Header(0, float(key // 10), key, 0), payloads[key % 400])


def make_index(path: Path, lines: int) -> None:
    """Ascending keys and offsets of records of about 6 kB, as im2rec writes them."""
    rng, at = np.random.default_rng(0), 0
    with open(path, "w") as file:
        for start in range(0, lines, 1_000_000):
            count = min(1_000_000, lines - start)
            offsets = at + np.cumsum(rng.integers(500, 2500, count) * 4)
            at = int(offsets[-1])
            file.writelines(f"{key}\t{offset}\n" for key, offset in zip(range(start, start + count), offsets.tolist()))
