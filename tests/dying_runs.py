"""Commands that kill themselves with SIGKILL at a chosen place: a test that waits for a moment may miss it."""

from __future__ import annotations

import signal
import subprocess
import sys

__all__ = ["die_after"]

SCRIPT = """
import functools, os, signal, sys
from importlib import import_module
from pathlib import Path

place, calls, *words = sys.argv[1:]
module, _, path = place.partition(":")
holder = import_module(module)
*outer, name = path.split(".")
for one in outer:
    holder = getattr(holder, one)
real, made = getattr(holder, name), [0]

@functools.wraps(real)
def dying(*given, **named):
    result = real(*given, **named)
    made[0] += 1
    if made[0] == int(calls):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(holder, name, dying)
from facekit.cli import main
main(words)
"""


def die_after(place: str, words: list[str], calls: int = 1) -> None:
    """Run a command that dies when a function has returned for the n-th time.

    Parameters
    ----------
    place : str
        ``module:function`` or ``module:class.method``, called by the process of the command itself.
    words : list of str
        The command.
    calls : int
        n.
    """
    command = [sys.executable, "-c", SCRIPT, place, str(calls), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, f"{place} was not called {calls} times: {done.stderr[-2000:]}"
