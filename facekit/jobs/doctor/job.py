"""``facekit doctor``: versions, processor, libraries and what they see, caches, and what each extra would add."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import facekit
from facekit.jobs.doctor.caches import KernelCache, kernel_cache
from facekit.jobs.doctor.extras import Extra, find_extras
from facekit.jobs.doctor.probes import PROBES, Probe, run_probe
from facekit.run.platform_stamp import instruction_set
from facekit.run.processors import processors

__all__ = ["Examination", "Machine", "examine_machine"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "firefox")
"""What could show a report or the review here."""


@dataclass(frozen=True)
class Machine:
    """The machine and the interpreter.

    Attributes
    ----------
    facekit, python, system : str
        Versions.
    interpreter : str
        Its path.
    cores : int
        Those that this process may use.
    memory : int or None
        Bytes of the machine; None where it cannot be known.
    instruction_set : str
        Results of one are the same bytes; see `facekit.run.platform_stamp`.
    browser : str or None
        Where one is.
    """

    facekit: str
    python: str
    system: str
    interpreter: str
    cores: int
    memory: int | None
    instruction_set: str
    browser: str | None


@dataclass(frozen=True)
class Examination:
    """What ``facekit doctor`` found.

    Attributes
    ----------
    machine : Machine
        Below.
    libraries : list of Probe
        What each library says of itself when it is loaded.
    extras : list of Extra
        What each would add, below.
    kernels : KernelCache
        Below.
    problems : list of str
        What keeps facekit from working at all, with the cure.
    """

    machine: Machine
    libraries: list[Probe]
    extras: list[Extra]
    kernels: KernelCache
    problems: list[str]


def examine_machine() -> Examination:
    """Look at everything; each library is loaded in a process of its own, so that one that crashes is a finding."""
    with ThreadPoolExecutor(max_workers=processors()) as pool:
        libraries = list(pool.map(run_probe, PROBES))
    kernels = kernel_cache()
    problems = [f"{one.name} does not work: {one.problem}" for one in libraries if one.needed and one.problem]
    if kernels.problem:
        problems.append(kernels.problem)
    return Examination(_machine(), libraries, find_extras(), kernels, problems)


def _machine() -> Machine:
    return Machine(
        facekit.__version__,
        platform.python_version(),
        platform.platform(),
        sys.executable,
        processors(),
        _memory(),
        instruction_set(),
        next((str(Path(found)) for found in map(shutil.which, BROWSERS) if found), None),
    )


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not every system says it
        return None
