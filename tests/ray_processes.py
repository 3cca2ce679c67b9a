"""Scripts that start a Ray cluster, run in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["run_script"]

SECONDS = 400


def run_script(name: str, out: Path, *words: str) -> Path:
    """Run a script of this folder with a folder for Ray, one for its results, and some words.

    Ray asks nobody outside and leaves nothing in the home of who runs the tests, nor in the folder in which clusters
    of a machine write their address, and which a cluster that is told its own folder does not make. That folder is
    short: the path of a socket below it must stay under 108 bytes.

    Parameters
    ----------
    name : str
        Of the script.
    out : Path
        Where it writes what it found.
    *words : str

    Returns
    -------
    Path
        ``out``.
    """
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "HOME": str(out)}
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | settings
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        Path(folder, "ray").mkdir()
        environment["RAY_TMPDIR"] = folder
        command = [sys.executable, str(Path(__file__).with_name(name)), folder, str(out), *words]
        # Into a file: Ray's servers hold what they inherit a while longer than the script runs.
        with open(out / "said.txt", "w+") as said:
            done = subprocess.run(command, env=environment, stdout=said, stderr=said, check=False, timeout=SECONDS)
            said.seek(0)
            assert done.returncode == 0, said.read()
    return out
