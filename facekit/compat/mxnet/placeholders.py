"""Parts of mxnet that scripts import and do not use for reading packs: importable, and an error where they are used."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

__all__ = ["PARTS", "Placeholder", "find_placeholders"]

PARTS = (
    "autograd", "callback", "context", "executor", "gluon", "init", "initializer", "io", "kv", "kvstore",
    "lr_scheduler", "metric", "mod", "model", "module", "monitor", "np", "npx", "operator", "optimizer", "profiler",
    "random", "rtc", "sym", "symbol", "test_utils", "util", "visualization", "viz",
)  # fmt: skip
"""Modules of mxnet 1.9.1 that the stand-in does not have; each has whatever name is asked of it."""


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f"facekit's stand-in for mxnet has only a placeholder for {name}: it covers recordio, image and nd, what is "
        "needed to read and write packs; take this part of the script out, or run it where mxnet is"
    )


class _Unusable(type):
    """The class of classes that may be named, subclassed and passed on, and complain when they are made or called."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _stand_in(f"{cls.__module__}.{cls.__qualname__}", name)

    def __call__(cls, *given: object, **named: object) -> NoReturn:
        _refuse(f"{cls.__module__}.{cls.__qualname__}")


def _stand_in(outer: str, name: str) -> _Unusable:
    made = _Unusable(name, (), {"__module__": outer})
    made.__doc__ = "A placeholder."
    return made


class Placeholder(ModuleType):
    """A module that has every name; using one is an error that says what the stand-in is for.

    Parameters
    ----------
    name : str
        Such as ``mxnet.gluon``.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _stand_in(self.__name__, name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``mxnet.gluon``, ``mxnet.gluon.nn`` and what else lies below a placeholder."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        parts = fullname.split(".")
        if parts[0] != "mxnet" or len(parts) < 2 or parts[1] not in PARTS:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return Placeholder(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


_finder = _Finder()


def find_placeholders() -> None:
    """Let ``import mxnet.PART`` find placeholders; calling it again is harmless."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
