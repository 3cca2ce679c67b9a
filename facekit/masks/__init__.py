"""mesh + recipe -> layer -> picture: worn masks by UV texture mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facekit.masks.catalogue import TYPES

if TYPE_CHECKING:
    from facekit.masks.augment import MaskAugment, MeshLookup
    from facekit.masks.custom import add_masks
    from facekit.masks.params import MaskOptions, MaskParams
    from facekit.masks.photograph import WornFace, WornPhoto, wear_masks
    from facekit.masks.recipe import sample_params
    from facekit.masks.render import Worn, render_worn
    from facekit.masks.wear import wear_mask

__all__ = [
    "TYPES",
    "MaskAugment",
    "MaskOptions",
    "MaskParams",
    "MeshLookup",
    "Worn",
    "WornFace",
    "WornPhoto",
    "add_masks",
    "render_worn",
    "sample_params",
    "wear_mask",
    "wear_masks",
]

_HOMES = {
    "MaskAugment": "augment",
    "MeshLookup": "augment",
    "add_masks": "custom",
    "MaskOptions": "params",
    "MaskParams": "params",
    "sample_params": "recipe",
    "Worn": "render",
    "render_worn": "render",
    "wear_mask": "wear",
    "WornFace": "photograph",
    "WornPhoto": "photograph",
    "wear_masks": "photograph",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
