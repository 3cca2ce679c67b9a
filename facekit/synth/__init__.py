"""Drawn 3-D faces, with everything about them known: packs for the demo, the tests and the benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.synth.chance import Identity, Shot, draw_identity, draw_shot
    from facekit.synth.person import Drawn, Person, Truth, build_person, draw_person, draw_shot_of

__all__ = [
    "Drawn",
    "Identity",
    "Person",
    "Shot",
    "Truth",
    "build_person",
    "draw_identity",
    "draw_person",
    "draw_shot",
    "draw_shot_of",
]

_HOMES = {
    "Drawn": "person",
    "Identity": "chance",
    "Person": "person",
    "Shot": "chance",
    "Truth": "person",
    "build_person": "person",
    "draw_identity": "chance",
    "draw_person": "person",
    "draw_shot": "chance",
    "draw_shot_of": "person",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
