"""facekit: dataset cleaning and mask augmentation for mask-robust face recognition, on InsightFace RecordIO packs.

The names below are the public interface. Each is loaded when it is first used, so ``import facekit`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.clean import CleanSettings, clean_embeddings
    from facekit.errors import FacekitError, NoFace, RecordError
    from facekit.masks import MaskAugment, MaskParams, Worn, render_worn, wear_mask
    from facekit.records import (
        Header,
        Pack,
        PackWriter,
        Record,
        RecordReader,
        RecordWriter,
        open_pack,
        pack_record,
        unpack_record,
    )

__version__ = "0.1.0"

_HOMES = {
    "CleanSettings": "facekit.clean",
    "FacekitError": "facekit.errors",
    "Header": "facekit.records",
    "MaskAugment": "facekit.masks",
    "MaskParams": "facekit.masks",
    "NoFace": "facekit.errors",
    "Pack": "facekit.records",
    "PackWriter": "facekit.records",
    "Record": "facekit.records",
    "RecordError": "facekit.errors",
    "RecordReader": "facekit.records",
    "RecordWriter": "facekit.records",
    "Worn": "facekit.masks",
    "clean_embeddings": "facekit.clean",
    "open_pack": "facekit.records",
    "pack_record": "facekit.records",
    "render_worn": "facekit.masks",
    "unpack_record": "facekit.records",
    "wear_mask": "facekit.masks",
}

__all__ = [
    "CleanSettings",
    "FacekitError",
    "Header",
    "MaskAugment",
    "MaskParams",
    "NoFace",
    "Pack",
    "PackWriter",
    "Record",
    "RecordError",
    "RecordReader",
    "RecordWriter",
    "Worn",
    "clean_embeddings",
    "open_pack",
    "pack_record",
    "render_worn",
    "unpack_record",
    "wear_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
