"""Names -> eight bytes each, in which many are compared without a Python object for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["name_hashes"]


def name_hashes(names: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """BLAKE2b of each name, (n,) uint64.

    Parameters
    ----------
    names : iterable of bytes
    """
    digests = (int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") for name in names)
    return np.fromiter(digests, np.uint64)
