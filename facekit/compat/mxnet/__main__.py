"""``python -m facekit.compat.mxnet SCRIPT ARGS``: run a script whose ``import mxnet`` gives the stand-in."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from pathlib import Path

from facekit.compat.mxnet import SHIM, install
from facekit.compat.mxnet.numpy_names import restore_numpy_names

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the script as ``python SCRIPT ARGS`` would; processes that it starts get the stand-in too.

    numpy has the names that it dropped in 1.24 and 2.0, which such scripts use.
    """
    parser = argparse.ArgumentParser(
        prog="python -m facekit.compat.mxnet",
        description="Run a script that imports mxnet without having mxnet.",
        epilog="Example: python -m facekit.compat.mxnet train.py configs/ms1mv3_r50",
    )
    parser.add_argument(
        "-m", dest="module", action="store_true", help="SCRIPT is the name of a module, as after python -m"
    )
    parser.add_argument("script", metavar="SCRIPT", help="the script to run")
    parser.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="handed on to the script")
    given = parser.parse_args(arguments)
    if not given.module and not Path(given.script).is_file():
        parser.error(f"there is no script {given.script}")
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SHIM), *([inherited] if inherited else [])])
    restore_numpy_names()
    sys.argv = [given.script, *given.arguments]
    if given.module:
        install()
        runpy.run_module(given.script, run_name="__main__", alter_sys=True)
        return
    sys.path[0] = str(Path(given.script).resolve().parent)
    install()
    runpy.run_path(given.script, run_name="__main__")


if __name__ == "__main__":
    main()
