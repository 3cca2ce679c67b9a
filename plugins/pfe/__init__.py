"""Probabilistic Face Embeddings: a trained network that learns how sure it is, for any training code.

Names are resolved when they are asked for, so that looking for plugins does not import torch.
"""

from __future__ import annotations

from typing import Any

_HOME = {
    "PfeNetwork": "network",
    "genuine_loss": "likelihood",
    "log_variance_of": "likelihood",
    "mutual_likelihood_score": "likelihood",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
