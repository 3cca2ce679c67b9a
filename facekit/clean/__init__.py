"""Cleaning: vectors and labels to decisions. Names are resolved on first use: importing this imports nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.clean.cluster import cluster_identities
    from facekit.clean.decisions import ACTIONS, REASONS, Decisions, Identities
    from facekit.clean.folders import Vectors
    from facekit.clean.pairs import BlockEngine, Pairs, pairs_above, pairs_between
    from facekit.clean.purify import clean_embeddings
    from facekit.clean.settings import CleanSettings

_HOMES = {
    "ACTIONS": "decisions",
    "BlockEngine": "pairs",
    "CleanSettings": "settings",
    "Decisions": "decisions",
    "Identities": "decisions",
    "Pairs": "pairs",
    "REASONS": "decisions",
    "Vectors": "folders",
    "clean_embeddings": "purify",
    "cluster_identities": "cluster",
    "pairs_above": "pairs",
    "pairs_between": "pairs",
}

__all__ = [
    "ACTIONS",
    "REASONS",
    "BlockEngine",
    "CleanSettings",
    "Decisions",
    "Identities",
    "Pairs",
    "Vectors",
    "clean_embeddings",
    "cluster_identities",
    "pairs_above",
    "pairs_between",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
