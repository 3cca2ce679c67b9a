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
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scale_commands import NAMES, OF_FILES, PARENTS, ROWS, STAND_INS, before, commands
from scale_material import (
    write_pack,
    write_pairs,
    write_people,
    write_probes,
    write_real_pack,
    write_templates,
    write_vectors,
)
from timing import machine

LIMIT, LIMIT_OF_PARENT = 100, 64


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
            (getattr(two, part) - getattr(one, part)) / max(large - small, 1) / ROWS.get(name, 1)
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
