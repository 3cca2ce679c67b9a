"""Names that numpy dropped and that training code of its time still uses."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

__all__ = ["ASKED", "restore_numpy_names"]

ASKED = "FACEKIT_NUMPY_NAMES"
"""The environment variable that asks for them in processes that a script starts."""


def restore_numpy_names() -> list[str]:
    """Give numpy the names back that it had before 1.24 and 2.0, where they are missing.

    Returns
    -------
    list of str
        Those that were missing: ``numpy.float_``, ``numpy.int``, ``numpy.NaN``, ...
    """
    numpy: Any = np
    former = {
        # dropped in 1.24: names of Python's own types
        "bool": bool, "complex": complex, "float": float, "int": int, "long": int, "object": object, "str": str,
        "unicode": str,
        # dropped in 2.0
        "Inf": np.inf, "Infinity": np.inf, "NINF": -np.inf, "NaN": np.nan, "PINF": np.inf, "infty": np.inf,
        "asfarray": lambda values, dtype=np.float64: np.asarray(values, dtype), "alltrue": np.all,
        "complex_": np.complex128, "cumproduct": np.cumprod, "float_": np.float64, "longfloat": np.longdouble,
        "mat": np.asmatrix, "product": np.prod, "round_": np.round, "singlecomplex": np.complex64, "sometrue": np.any,
        "string_": np.bytes_, "unicode_": np.str_,
        # dropped later
        "in1d": lambda values, known, **more: np.isin(np.ravel(values), known, **more),
        "row_stack": np.vstack, "trapz": numpy.trapezoid,
    }  # fmt: skip
    missing = [name for name in former if name not in vars(numpy)]
    for name in missing:
        setattr(numpy, name, former[name])
    os.environ[ASKED] = "1"
    return missing
