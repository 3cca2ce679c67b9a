"""CPU time until something is there: the help, the list of plugins, the first record in a spawned worker.

    python benchmarks/start_speed.py

Each is a process of its own, repeated; the index of the pack that the worker opens has a million lines.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from timing import machine

from facekit.images import encode_jpeg
from facekit.records import RecordWriter, pack_record
from facekit.train import RecordDataset

REPEATS = 7
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
    with open(folder / "a.idx", "w") as index:
        index.writelines(f"{key}\t0\n" for key in np.random.default_rng(0).permutation(1_000_000).tolist())
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
    sys.exit(0 if all(took <= limit for took, limit in found.values()) else 1)


if __name__ == "__main__":
    main()
