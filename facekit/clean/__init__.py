"""Cleaning: vectors and labels to decisions. Names are resolved on first use: importing this imports nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.clean.cluster import cluster_identities
    from facekit.clean.decisions import ACTIONS, REASONS, Action, Decisions, Identities, Reason
    from facekit.clean.pairs import BlockEngine, Pairs, pairs_above, pairs_between
    from facekit.clean.purify import clean_embeddings
    from facekit.clean.settings import CleanSettings
    from facekit.clean.vectors import Vectors

_HOMES = {
    "ACTIONS": "decisions",
    "Action": "decisions",
    "BlockEngine": "pairs",
    "CleanSettings": "settings",
    "Decisions": "decisions",
    "Identities": "decisions",
    "Pairs": "pairs",
    "REASONS": "decisions",
    "Reason": "decisions",
    "Vectors": "vectors",
    "clean_embeddings": "purify",
    "cluster_identities": "cluster",
    "pairs_above": "pairs",
    "pairs_between": "pairs",
}

__all__ = [
    "ACTIONS",
    "REASONS",
    "Action",
    "BlockEngine",
    "CleanSettings",
    "Decisions",
    "Identities",
    "Pairs",
    "Reason",
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
