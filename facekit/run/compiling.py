"""Compile the kernels of a room before its job begins: on two processors at once, and never twice.

numba compiles a kernel where it is first called, one after the other, in every process anew as long as nothing is
cached. Here a second process compiles too: this one takes kernels from the front of the list, and hands that one the
last. What either makes lies in numba's cache on the disk, where the job's workers find it. Where there is one
processor, or the second process fails, this one compiles all.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import IO, Any

from facekit.compiled import is_compiled, say_compiling, writable
from facekit.run.progress import progress

__all__ = ["SIGNATURES", "compile_ahead", "serve", "types_of"]

SIGNATURES = {"masks": "facekit.masks.signatures", "synth": "facekit.synth.signatures"}
"""Where it is written what the kernels of a room are called with."""

WORTHWHILE = 8
"""Kernels for which a second process pays; it takes half a second to start."""

PATIENCE = 60.0
"""Seconds after which a second process that does not answer is given up."""

_SCALARS = {"B": "boolean", "D": "float64", "F": "float32", "I": "int32", "L": "int64", "U": "uint8"}


def types_of(signature: str) -> tuple[Any, ...]:
    """The types of numba's that a signature names.

    Parameters
    ----------
    signature : str
        Words: B boolean, D float64, F float32, I int32, L int64, U uint8; a number behind it makes an array of as many
        axes (contiguous), r behind that one that cannot be written; a number before it a tuple of as many.

    >>> types_of("F2 L 3D I1r")  # doctest: +NORMALIZE_WHITESPACE
    (Array(float32, 2, 'C', False, aligned=True), int64, UniTuple(float64, 3),
     Array(int32, 1, 'C', True, aligned=True))
    """
    return tuple(map(_type_of, signature.split()))


def _type_of(word: str) -> Any:
    from numba import types

    if word[0].isdigit():
        return types.UniTuple(_type_of(word[1:]), int(word[0]))
    scalar = getattr(types, _SCALARS[word[0]])
    return types.Array(scalar, int(word[1]), "C", readonly=word.endswith("r")) if len(word) > 1 else scalar


def _kernels(room: str) -> list[tuple[Any, str]]:
    """Kernels of a room that are called from outside, with their signatures; none with the compiler off."""
    found = []
    for module, signatures in import_module(SIGNATURES[room]).SIGNATURES.items():
        kernels = vars(import_module(module))
        found += [(kernels[name], signature) for name, signature in signatures.items()]
    return [one for one in found if hasattr(one[0], "py_func")]


def compile_ahead(room: str, engine: str = "local") -> None:
    """Have what is missing of a room's kernels compiled, and say so.

    Where nothing can be kept, or those who need them are elsewhere, it is only said.

    Parameters
    ----------
    room : str
        One of `SIGNATURES`.
    engine : str
        See `facekit.run.choice.ExecutorChoice`.
    """
    waiting = {number: one for number, one in enumerate(_kernels(room)) if not is_compiled(one[0])}
    two = len(waiting) >= WORTHWHILE and _processors() > 1
    say_compiling(room, 2 if two else 1)
    kept = all(writable(Path(kernel.stats.cache_path)) for kernel, _ in waiting.values())
    if not waiting or not kept or engine != "local":
        return
    left = deque(waiting)
    with (
        progress("compiling", len(waiting), unit="kernels") as advance,
        _no_collection(),
        _second(room, left, two) as join,
    ):
        shown = 0
        for number in _first(left, join):
            kernel, signature = waiting[number]
            kernel.compile(types_of(signature))
            shown, before = len(waiting) - len(left), shown
            advance(shown - before)
        advance(len(waiting) - shown)


def _first(left: deque[int], join: Callable[[], None]) -> Iterator[int]:
    """Numbers from the front until none is left, here and in the second process."""
    while True:
        while left:
            try:
                yield left.popleft()
            except IndexError:  # the second process has it
                break
        join()
        if not left:
            return


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _no_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _second(room: str, left: deque[int], wanted: bool) -> Iterator[Callable[[], None]]:
    """A process that takes numbers from the end of `left`; what it does not finish it puts back.

    The value waits until it has nothing more to do.
    """
    if not wanted or not sys.executable:
        yield lambda: None
        return
    env = os.environ | {"PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path)}
    command = [sys.executable, "-c", f"from facekit.run.compiling import serve; serve({room!r})"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True
        )
    except OSError:
        yield lambda: None
        return
    asking = Thread(target=_ask, args=(process, left), daemon=True)
    asking.start()

    def join() -> None:
        asking.join(PATIENCE)
        process.kill()
        asking.join()

    try:
        yield join
    finally:
        process.kill()
        asking.join()
        process.wait()


def _ask(process: subprocess.Popen[str], left: deque[int]) -> None:
    asked, answered = process.stdin, process.stdout
    assert asked is not None
    assert answered is not None
    with suppress(OSError), asked, answered:  # closing one flushes what could not be sent
        while left:
            try:
                number = left.pop()
            except IndexError:  # the first process has it
                return
            if not _answers(asked, answered, number):
                left.append(number)
                return


def _answers(asked: IO[str], answered: IO[str], number: int) -> bool:
    try:
        asked.write(f"{number}\n")
        asked.flush()
        return answered.readline() == f"{number}\n"
    except (OSError, ValueError):
        return False


def serve(room: str) -> None:
    """Compile the kernels whose numbers are read from the standard input, and answer each when it is done.

    Parameters
    ----------
    room : str
        One of `SIGNATURES`.
    """
    gc.disable()
    kernels = _kernels(room)
    with open(sys.stdout.fileno(), "w", buffering=1, encoding="ascii", closefd=False) as answers:
        for line in sys.stdin:
            kernel, signature = kernels[int(line)]
            kernel.compile(types_of(signature))
            answers.write(line)
