"""Take over what reads files by place, in every file of facekit that does."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from facekit.records.read_at import read_at

Read = Callable[[int, int, int], bytes]


def replace_reads(patch: pytest.MonkeyPatch, read: Read) -> None:
    """Have `read` called in place of `facekit.records.read_at.read_at`, in all files that are loaded."""
    for name, module in list(sys.modules.items()):
        if name.startswith("facekit") and vars(module).get("read_at") is read_at:
            patch.setattr(module, "read_at", read)
