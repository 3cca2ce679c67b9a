"""pack -> model. Everything here needs torch (the extra ``train``); names are loaded when they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.train.dataset import RecordDataset

__all__ = ["RecordDataset"]

_HOMES = {"RecordDataset": "dataset"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
