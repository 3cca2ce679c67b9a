"""Drawn 3-D faces, with everything about them known: packs for the demo, the tests and the benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.synth.person import Person, build_person
    from facekit.synth.picture import DrawnFace, draw_person, render_compressed
    from facekit.synth.radiance import Truth
    from facekit.synth.sampling import CaptureParams, Identity, sample_capture, sample_identity

__all__ = [
    "CaptureParams",
    "DrawnFace",
    "Identity",
    "Person",
    "Truth",
    "build_person",
    "draw_person",
    "render_compressed",
    "sample_capture",
    "sample_identity",
]

_HOMES = {
    "DrawnFace": "picture",
    "Identity": "sampling",
    "Person": "person",
    "CaptureParams": "sampling",
    "Truth": "radiance",
    "build_person": "person",
    "sample_identity": "sampling",
    "draw_person": "picture",
    "sample_capture": "sampling",
    "render_compressed": "picture",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
