"""Balanced Curricular Loss, CurricularFace, ArcFace and balanced softmax, for any training code.

Names are resolved when they are asked for, so that looking for plugins does not import torch.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ArcMargin", "BalancedCurricularMargin", "BalancedSoftmax", "CurricularMargin"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from facekit_bcl import margin

    return getattr(margin, name)
