"""What of a machine decides the last bits of floating-point results, so that kept results can say it."""

from __future__ import annotations

import hashlib
import platform
from typing import Any

__all__ = ["instruction_set"]


def instruction_set() -> str:
    """Name the processor that numba compiles for, with a hash of the features that it may use.

    NumPy and OpenCV choose their loops by the same features, so results that are to agree in the last bit must have
    been computed under the same name. ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` change it, as they change what is
    compiled.

    Returns
    -------
    str
        Such as ``x86_64 znver4 7c5a10de``; the same in every process on one machine.
    """
    import llvmlite.binding as llvm
    from numba.core import config
    from numba.core.codegen import get_host_cpu_features

    asked: Any = config  # its names are made when it is loaded
    name = asked.CPU_NAME or llvm.get_host_cpu_name()
    features = get_host_cpu_features() if asked.CPU_FEATURES is None else asked.CPU_FEATURES
    kept = ",".join(sorted(feature for feature in features.split(",") if feature.startswith("+")))
    return f"{platform.machine()} {name} {hashlib.blake2b(kept.encode(), digest_size=4).hexdigest()}"
