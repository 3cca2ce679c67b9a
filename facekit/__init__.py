"""facekit: dataset cleaning and mask augmentation for mask-robust face recognition, on InsightFace RecordIO packs.

The names below are the public interface. Each is loaded when it is first used, so ``import facekit`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.clean import (
        BlockEngine,
        CleanSettings,
        Decisions,
        Identities,
        Pairs,
        Vectors,
        clean_embeddings,
    )
    from facekit.errors import ConfigError, DestinationExists, FacekitError, NoFace, PictureError, RecordError
    from facekit.faces.cache import MeshCache
    from facekit.faces.mesh import Mesh, MeshEstimator
    from facekit.faces.pack_meshes import open_meshes
    from facekit.masks import (
        MaskAugment,
        MaskOptions,
        MaskParams,
        MeshLookup,
        Worn,
        WornFace,
        WornPhoto,
        render_worn,
        wear_mask,
        wear_masks,
    )
    from facekit.records import (
        Header,
        HeaderColumns,
        IndexEnds,
        Pack,
        PackWriter,
        Record,
        RecordIndex,
        RecordReader,
        RecordWriter,
        open_pack,
        pack_record,
        unpack_record,
    )

__version__ = "0.1.0"

_HOMES = {
    "BlockEngine": "facekit.clean",
    "CleanSettings": "facekit.clean",
    "ConfigError": "facekit.errors",
    "Decisions": "facekit.clean",
    "DestinationExists": "facekit.errors",
    "FacekitError": "facekit.errors",
    "Header": "facekit.records",
    "HeaderColumns": "facekit.records",
    "Identities": "facekit.clean",
    "MaskAugment": "facekit.masks",
    "MaskOptions": "facekit.masks",
    "MaskParams": "facekit.masks",
    "Mesh": "facekit.faces.mesh",
    "MeshCache": "facekit.faces.cache",
    "MeshEstimator": "facekit.faces.mesh",
    "MeshLookup": "facekit.masks",
    "NoFace": "facekit.errors",
    "Pack": "facekit.records",
    "PackWriter": "facekit.records",
    "Pairs": "facekit.clean",
    "PictureError": "facekit.errors",
    "Record": "facekit.records",
    "RecordError": "facekit.errors",
    "IndexEnds": "facekit.records",
    "RecordIndex": "facekit.records",
    "RecordReader": "facekit.records",
    "RecordWriter": "facekit.records",
    "Vectors": "facekit.clean",
    "Worn": "facekit.masks",
    "WornFace": "facekit.masks",
    "WornPhoto": "facekit.masks",
    "clean_embeddings": "facekit.clean",
    "open_meshes": "facekit.faces.pack_meshes",
    "open_pack": "facekit.records",
    "pack_record": "facekit.records",
    "render_worn": "facekit.masks",
    "unpack_record": "facekit.records",
    "wear_mask": "facekit.masks",
    "wear_masks": "facekit.masks",
}

__all__ = [
    "BlockEngine",
    "CleanSettings",
    "ConfigError",
    "Decisions",
    "DestinationExists",
    "FacekitError",
    "Header",
    "HeaderColumns",
    "Identities",
    "IndexEnds",
    "MaskAugment",
    "MaskOptions",
    "MaskParams",
    "Mesh",
    "MeshCache",
    "MeshEstimator",
    "MeshLookup",
    "NoFace",
    "Pack",
    "PackWriter",
    "Pairs",
    "PictureError",
    "Record",
    "RecordError",
    "RecordIndex",
    "RecordReader",
    "RecordWriter",
    "Vectors",
    "Worn",
    "WornFace",
    "WornPhoto",
    "clean_embeddings",
    "open_meshes",
    "open_pack",
    "pack_record",
    "render_worn",
    "unpack_record",
    "wear_mask",
    "wear_masks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
