"""CPU time until something is there: the help, the list of plugins, the first record in a spawned worker, the kernels.

    python benchmarks/start_speed.py

Each is a process of its own, repeated; the index of the pack that the worker opens has a million lines. Kernels are
compiled into an empty cache, by one process and by two, whose CPU time is added up; beside it stands the time that
passed.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from timing import machine

from facekit.images import encode_jpeg
from facekit.records import RecordWriter, pack_record
from facekit.train import RecordDataset

REPEATS, LINES = 7, 1_000_000
COMMAND = """
import sys, time; start = time.process_time()
from facekit.cli import program; program.main({arguments}, standalone_mode=False)
print(time.process_time() - start, file=sys.stderr)
"""
WORKER = """
import pickle, sys, time; import torch, cv2, facekit.train.dataset
cv2.imdecode(__import__("numpy").zeros(9, "uint8"), 1)
sent = open(sys.argv[1], "rb").read(); start = time.process_time()
pickle.loads(sent)[777_777]
print(time.process_time() - start, file=sys.stderr)
"""
COMPILE = """
import os, sys
from facekit.run import compiling
compiling._processors = lambda: int(sys.argv[2])
compiling.compile_ahead(sys.argv[1])
print(sum(os.times()[:4]), file=sys.stderr)
"""


def compiling(room: str, processors: int) -> tuple[float, float]:
    """Medians of three: CPU seconds and seconds until a room's kernels are compiled, imports included."""
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as cache:
            command, started = [sys.executable, "-c", COMPILE, room, str(processors)], perf_counter()
            run = subprocess.run(
                command, capture_output=True, text=True, check=True, env=os.environ | {"NUMBA_CACHE_DIR": cache}
            )
            found.append((float(run.stderr.split()[-1]), perf_counter() - started))
    cpu, passed = np.median(np.array(found), axis=0)
    return float(cpu), float(passed)


def seconds(script: str, *arguments: str) -> float:
    """Median CPU seconds that a script says it took."""
    runs = [
        subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        for _ in range(REPEATS)
    ]
    return float(np.median([float(run.stderr.split()[-1]) for run in runs]))


def send_dataset(folder: Path) -> Path:
    """A dataset as a worker is sent it."""
    with RecordWriter(folder / "a.rec") as writer:
        writer.write_bytes(0, pack_record((0, 3, 0, 0), encode_jpeg(np.full((112, 112, 3), 90, np.uint8))))
    os.truncate(folder / "a.rec", 8 * LINES)  # room for them, as a pack must have: a hole, which is never read
    with open(folder / "a.idx", "w") as index:
        index.writelines(f"{key}\t0\n" for key in np.random.default_rng(0).permutation(LINES).tolist())
    sent = folder / "sent"
    sent.write_bytes(pickle.dumps(RecordDataset(folder / "a.rec")))
    return sent


def main() -> None:
    print(f"{machine()}; {REPEATS} processes each")
    with tempfile.TemporaryDirectory() as folder:
        sent = send_dataset(Path(folder))
        found = {
            "facekit --help": (seconds(COMMAND.format(arguments=["--help"])), 0.3),
            "facekit plugins": (seconds(COMMAND.format(arguments=["plugins"])), 0.5),
            "first record in a worker": (seconds(WORKER, str(sent)), 0.05),
        }
    for name, (took, limit) in found.items():
        print(f"{name:<26} {took:7.3f} s  (limit {limit:g} s{'' if took <= limit else ', missed'})")
    for room, limit in (("masks", 8.0), ("synth", 8.0)):
        for processors in (1, 2):
            cpu, passed = compiling(room, processors)
            what = f"kernels of {room} by {processors}"
            print(f"{what:<26} {cpu:7.1f} s of CPU in {passed:.1f} s  (aim {limit:g} s of CPU)")
    sys.exit(0 if all(took <= limit for took, limit in found.values()) else 1)


if __name__ == "__main__":
    main()
