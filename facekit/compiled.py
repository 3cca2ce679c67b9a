"""How kernels are compiled, and where what was compiled is kept.

numba keeps it beside the source or in the user's cache. Where neither can be written, as in a container that runs as
any user over a read-only install, it would refuse to define a kernel at all: then a folder of this user's below the
system's temporary one is taken.
"""

from __future__ import annotations

import gc
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config, event

from facekit.operator_types import try_numbers_first

__all__ = ["KERNELS", "is_compiled", "kernel", "kernels_of", "say_compiling", "temporary_cache", "writable"]

KERNELS = {
    "records": ("facekit.records.kernels",),
    "masks": tuple(
        f"facekit.masks.{name}" for name in ("scene", "lighting", "raster", "surface", "drape_kernels", "dye", "finish")
    ),
    "rims": ("facekit.masks.rim_lines", "facekit.masks.rim_matte"),
    "synth": tuple(f"facekit.synth.{name}" for name in ("strand_kernels", "raster", "person_kernels", "surfaces")),
    "clean": ("facekit.clean.kernels", "facekit.clean.tree_kernels"),
    "evaluate": ("facekit.evaluate.kernels",),
}
"""The files with kernels, by room; a test holds that none is missing."""

SECONDS = 0.25
"""CPU time to compile one kernel, about."""

_log = logging.getLogger("facekit.run.progress")

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(*, inner: bool = False, allocates: bool = False, **options: Any) -> Callable[[Function], Function]:
    """Compile a function where it is first called, and keep the result.

    Without the interpreter's lock, and with numpy's rules of division: nothing checks for a divisor of zero. No wrapper
    for calls from C is made, which would be compiled too and is called by nobody.

    Parameters
    ----------
    inner : bool
        Only kernels call it: no wrapper for calls from Python is compiled, which takes as long as a small kernel.
    allocates : bool
        It makes arrays or calls one that does. Else references are not counted: those of the caller keep the arrays.
    **options
        Of ``numba.njit``, beside these.
    """
    settings = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    compiled: Callable[[Function], Function] = numba.njit(
        **{**settings, "no_cpython_wrapper": inner, "_nrt": allocates, **options}
    )
    return compiled


def kernels_of(module: str) -> list[Any]:
    """The functions of a file that are compiled by themselves; with the compiler off there are none.

    Parameters
    ----------
    module : str
        Is imported.
    """
    found = [one for one in vars(import_module(module)).values() if hasattr(one, "py_func")]
    return [one for one in found if one.__module__ == module and one.targetoptions.get("inline") != "always"]


def is_compiled(function: Any) -> bool:
    """Whether a kernel was compiled since its file was last changed."""
    source = Path(function.py_func.__code__.co_filename)
    name = f"{source.stem}.{function.py_func.__qualname__}-*.nbi"
    changed = source.stat().st_mtime
    return any(path.stat().st_mtime >= changed for path in Path(function.stats.cache_path).glob(name))


def say_compiling(room: str, processes: int = 1) -> None:
    """Log that the beginning takes long, where kernels of a room are not compiled yet.

    Parameters
    ----------
    room : str
        One of `KERNELS`.
    processes : int
        How many compile them.
    """
    missing = sum(not is_compiled(function) for module in KERNELS[room] for function in kernels_of(module))
    if missing:
        _log.info(
            "compiling the kernels, once (about %.0f s); facekit doctor --compile does it ahead",
            max(SECONDS * missing / processes, 1),
        )


def temporary_cache() -> Path:
    """A folder for compiled kernels that nobody else can write: what lies in it is run.

    Returns
    -------
    Path
        The same for every process of a user, where that one is safe; else a new one.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"facekit-kernels-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if stat.S_ISDIR(about.st_mode) and about.st_uid == user and not about.st_mode & 0o022:
            return folder
    except OSError:
        pass  # something else lies there, or nothing can be written: the next line says so where that is the case
    return Path(tempfile.mkdtemp(prefix="facekit-kernels-"))


def _keep_kernels_somewhere() -> None:
    settings: Any = config  # its names are made when it is loaded
    if settings.CACHE_DIR or settings.DISABLE_JIT:
        return
    home = Path(os.path.expanduser("~"))
    if not any(writable(place) for place in (Path(__file__).parent, home / ".cache")):
        settings.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = str(temporary_cache())  # also for worker processes


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself."""
    near = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(near, os.W_OK)


class _Quicker(event.Listener):
    """Has numba try numbers first, and keeps the garbage collector off while it compiles.

    That would look through all that numba builds, again and again, to find next to nothing: an eighth of the time. Only
    one thread compiles at a time, as numba locks; kernels that a kernel calls are compiled within.
    """

    def __init__(self) -> None:
        self.depth, self.was_on = 0, False

    def on_start(self, _: object) -> None:
        if self.depth == 0:
            try_numbers_first()
            self.was_on = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, _: object) -> None:
        self.depth -= 1
        if self.depth == 0 and self.was_on:
            gc.enable()


event.register("numba:compile", _Quicker())
_keep_kernels_somewhere()
