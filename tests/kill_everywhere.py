"""Kill a masking run before each thing it does to the file system, run it again, and compare with a run in peace.

    python tests/kill_everywhere.py PACK SCRATCH

Every step is a process of its own, forked after the slow imports: number n kills itself with SIGKILL at its n-th audit
event that touches the scratch folder; the next one must finish. Prints how many places it was killed at.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import shutil
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mask_stand_ins import painter, stored_mesh

import facekit.jobs.mask.plan
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask

SLOW_IMPORTS = ("cv2", "pandas", "pyarrow.parquet", "PIL.ImageDraw", "PIL.ImageFont", "PIL.PngImagePlugin")
for module in (*SLOW_IMPORTS, "facekit.report.contact"):
    with contextlib.suppress(ImportError):
        importlib.import_module(module)

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree", "fcntl.flock"}


def run(pack: str, destination: Path, kill_at: int | None, overwrite: bool, ratio: float = 0.3) -> int:
    """Mask in a child process; its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    seen = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event == "open" and arguments[1] == "r" and str(arguments[0]).startswith(f"{destination}{os.sep}"):
            return  # all is done then, and only the summary is counted
        if event in EVENTS and (event == "fcntl.flock" or str(destination.parent) in str(arguments[0])):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if kill_at is not None:
        sys.addaudithook(watch)
    try:
        config = MaskConfig(pack, str(destination), ratio, types=(("kn95", 1.0),), overwrite=overwrite)
        mask(config, stored_mesh, painter)
        os._exit(0)
    except BaseException as error:
        print(f"kill_at {kill_at}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main() -> None:
    pack, scratch = sys.argv[1], Path(sys.argv[2]) / "killed"
    facekit.jobs.mask.plan.shard_size = lambda count: 4
    scratch.mkdir()
    assert run(pack, scratch / "straight" / "out", None, False) == 0
    assert run(pack, scratch / "former" / "out", None, False, ratio=0.6) == 0
    expected, former = content(scratch / "straight" / "out"), content(scratch / "former" / "out")
    places = 0
    for replacing in (False, True):
        # Replacing differs only at the ends: there every seventh place will do.
        for kill_at in itertools.count(1, 7 if replacing else 1):
            destination = scratch / "again" / "out"
            shutil.rmtree(destination.parent, ignore_errors=True)
            if replacing:
                shutil.copytree(scratch / "former" / "out", destination)
            status = run(pack, destination, kill_at, replacing)
            if status == 0:
                break
            assert os.WIFSIGNALED(status), f"step {kill_at} failed by itself"
            whole = (expected, former)
            assert not destination.exists() or content(destination) in whole, f"half-written at {kill_at}"
            assert run(pack, destination, None, replacing) == 0, f"not finished after a kill at {kill_at}"
            assert content(destination) == expected, f"other bytes after a kill at {kill_at}"
            assert [path.name for path in destination.parent.iterdir()] == ["out"], f"something left at {kill_at}"
            places += 1
    print(places)


if __name__ == "__main__":
    main()
