"""Commands one after the other in one process, and what each took: ``python -m facekit.jobs.cost.timed PLAN``.

Only the first one pays for the start of the interpreter, libraries and compiled kernels.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
import time
from pathlib import Path

from facekit.errors import FacekitError

__all__ = ["TIMINGS", "run_plan"]

TIMINGS = ".timings"
"""After the name of the plan: where the timings are written."""


def run_plan(path: Path) -> None:
    """Run the commands of a plan, and write the CPU seconds and the seconds by the clock of each beside it.

    Parameters
    ----------
    path : Path
        JSON: a list of the words of each command and its output, which is removed before.

    Raises
    ------
    FacekitError
        A command failed.
    """
    found: list[list[float]] = []
    for words, output in json.loads(path.read_text("utf-8")):
        shutil.rmtree(output, ignore_errors=True)
        cpu, started = _cpu_seconds() if found else 0.0, time.perf_counter()
        code = _run_command(words)
        if code:
            raise FacekitError(f"facekit {' '.join(words)} ended with code {code}")
        found.append([_cpu_seconds() - cpu, time.perf_counter() - started])
    Path(f"{path}{TIMINGS}").write_text(json.dumps(found), "utf-8")


def _run_command(words: list[str]) -> int:
    sys.argv[1:] = words
    try:
        runpy.run_module("facekit", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _cpu_seconds() -> float:
    """Of this process since it began, and of its children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    run_plan(Path(sys.argv[1]))
