"""A result -> JSON in which every field has its name."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["named", "to_json"]


def named(value: Any) -> Any:
    """Plain values of a result: dataclasses and named tuples become objects, numbers that JSON lacks become null.

    Parameters
    ----------
    value : object
        A dataclass or named tuple; inside it those, mappings, lists, tuples, strings and numbers.

    Examples
    --------
    >>> from facekit.evaluate.open_set import OpenSetPoint
    >>> named((OpenSetPoint(0.1, 0.9, math.inf),))
    [{'fpir': 0.1, 'tpir': 0.9, 'threshold': None}]
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: named(getattr(value, one.name)) for one in fields(value)}
    if hasattr(value, "_asdict"):
        return {name: named(item) for name, item in value._asdict().items()}
    if isinstance(value, dict):
        return {name: named(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [named(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(value: Any) -> str:
    """The text of it, as ``--json`` prints it.

    Parameters
    ----------
    value : object
        As in `named`.
    """
    return json.dumps(named(value), indent=2, allow_nan=False)
