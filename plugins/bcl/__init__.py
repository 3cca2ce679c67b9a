"""Balanced Curricular Loss, CurricularFace, ArcFace, balanced softmax, CosFace and AdaFace, for any training code.

Names are resolved when they are asked for, so that looking for plugins does not import torch.
"""

from __future__ import annotations

from typing import Any

_HOME = {
    "AdaMargin": "additive",
    "ArcMargin": "margin",
    "BalancedCurricularMargin": "balanced",
    "BalancedSoftmax": "balanced",
    "CosMargin": "additive",
    "CurricularMargin": "curricular",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
