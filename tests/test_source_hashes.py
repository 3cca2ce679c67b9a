"""What tells one source from another: the same hashes for the same files, and no text of all of them in memory."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.jobs.inputs import source
from facekit.jobs.inputs.source import _folder_hashes, _hash_each

PARTS = st.one_of(st.integers(), st.text(), st.tuples(st.integers(), st.integers()), st.just("a\udcff'"))


@given(st.lists(PARTS.filter(lambda part: not isinstance(part, str) or part.isprintable() or "\udcff" in part)))
def test_parts_are_hashed_as_python_writes_a_tuple_of_them(parts: list[Any]) -> None:
    text = repr(tuple(parts)).encode("utf-8", "surrogateescape")
    assert _hash_each(iter(parts)) == hashlib.blake2b(text, digest_size=16).hexdigest()


def test_a_folder_is_told_by_names_and_sizes_and_times(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(4)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(b"x" * number)
        os.utime(tmp_path / name, ns=(0, 10**18 + number))
    (tmp_path / names.pop(2)).unlink()
    gone = [*names, "gone.jpg"]
    whole = repr((*gone, 0, 1, 3)), repr(((0, 10**18), (1, 10**18 + 1), (3, 10**18 + 3)))
    told = tuple(hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in whole)
    assert _folder_hashes(tmp_path, gone) == told


def test_hashes_of_a_folder_take_two_numbers_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_stamps", lambda paths: [(len(path) << 40, 10**18) for path in paths])
    peaks = []
    for count in (1_000, 21_000):
        files = [f"person/{number}.jpg" for number in range(count)]
        tracemalloc.start()
        _folder_hashes(tmp_path, files)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 20_000 < 20
