"""SIGKILL at seeded random moments, and the same command again: byte for byte what an undisturbed run leaves?

    python benchmarks/kills.py --kills 12 --out FOLDER

Prints a table with a row a command; ends with 1 where anything was lost, differs, or stayed behind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from killed_runs import JOBS, Tally, kill_runs, make_material


def main() -> int:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", type=int, default=400, help="of the packs")
    parser.add_argument("--jobs", default=",".join(job.name for job in JOBS))
    parser.add_argument("--out", type=Path, help="an existing folder to work in; by default a temporary one")
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=given.out) as folder:
        material = make_material(_made(Path(folder) / "material"), given.people)
        tallies = {}
        for job in JOBS:
            if job.name in given.jobs.split(","):
                tallies[job.name] = kill_runs(job, material, _made(Path(folder) / job.name), given.kills, given.seed)
                print(row_of(job.name, tallies[job.name]), flush=True)
    wrong = [f"{name}: {problem}" for name, tally in tallies.items() for problem in tally.wrong]
    print("\n".join(wrong))
    print(f"{sum(tally.kills for tally in tallies.values())} kills in {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


def row_of(name: str, tally: Tally) -> str:
    """A row of the table in benchmarks/README.md."""
    cells = (name, f"{tally.seconds:.1f}", tally.kills, tally.early, tally.amid, tally.done, len(tally.wrong))
    return f"| {' | '.join(map(str, cells))} |"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
