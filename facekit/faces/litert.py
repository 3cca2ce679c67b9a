"""TensorFlow Lite models that ship with facekit, opened on one CPU thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["open_interpreter"]


def open_interpreter(content: bytes) -> Any:
    """An interpreter with its tensors allocated.

    Parameters
    ----------
    content : bytes
        A ``.tflite`` file.

    Returns
    -------
    ai_edge_litert.interpreter.Interpreter
    """
    from ai_edge_litert.interpreter import Interpreter

    with _quiet_stderr():
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hide what LiteRT's C++ side writes to file descriptor 2 while it is built; it has no switch for it."""
    try:
        saved = os.dup(2)
    except OSError:  # a daemon has closed it: there is nothing to hide it from
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
