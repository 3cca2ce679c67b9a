"""Freed memory goes back to the system."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import numpy as np
import pytest

from facekit.run.memory import release_freed


def anonymous() -> int:
    """Anonymous bytes of this process."""
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory in this way")
def test_arrays_that_are_freed_below_one_that_stays_are_handed_back() -> None:
    arrays = [np.ones(8_000) for _ in range(1_500)]  # 64 kB each: none is mapped by itself
    last = arrays[-1]
    del arrays
    before = anonymous()
    release_freed()
    assert before - anonymous() > 1_000 * last.nbytes
    assert last.all()


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    release_freed()
