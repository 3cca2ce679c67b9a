"""Flags that are long doubles of numpy's, as each kind of machine writes them: bytes worked out by hand."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import RecordError
from facekit.records import read_bins
from facekit.records.long_doubles import long_flags, long_size

NONE, DOUBLE = "00" * 14, "00" * 8
PATTERNS = {
    # Significand of 64 bits with its first one written, sign and 15 bits of exponent (16383 is 2**0); then padding.
    "intel": {0: DOUBLE + "0000", 1: "0000000000000080ff3f", 2: "00000000000000800040", 0.5: "0000000000000080fe3f"},
    # 112 bits of significand without the first, then sign and 15 bits of exponent.
    "binary128": {0: NONE + "0000", 1: NONE + "ff3f", 2: NONE + "0040", 0.5: NONE + "fe3f"},
    # Two doubles, the larger one first.
    "power": {
        0: DOUBLE * 2,
        1: "000000000000f03f" + DOUBLE,
        2: "0000000000000040" + DOUBLE,
        0.5: "000000000000e03f" + DOUBLE,
    },
}
FORMS = ("intel 12", "intel 16", "binary128 16", "power 16")


def bytes_of(form: str, numbers: list[float], padding: bytes = b"") -> bytes:
    """Little-endian; ``padding`` is what lies behind numbers of Intel's, over and over."""
    name, size = form.split()
    found = b""
    for number in numbers:
        known = bytes.fromhex(PATTERNS[name][number])
        lacking = int(size) - len(known)
        found += known + (padding[:lacking].ljust(lacking, b"\0"))
    return found


def turned(content: bytes, size: int) -> bytes:
    return b"".join(content[at : at + size][::-1] for at in range(0, len(content), size))


def pickled(kind: str, content: bytes, whole: bool, protocol: int) -> bytes:
    """As numpy of such a machine pickles: as numpy here pickles opaque values of as many bytes, but for the name."""
    size = long_size(kind)
    values = np.frombuffer(content, f"V{size}")
    said = pickle.dumps(([b"a", b"b"] * len(values), values if whole else list(values)), protocol)
    for before in (b"V", b"\x8c\x01", b"X\x01\x00\x00\x00"):
        said = said.replace(before + b"|", before + kind[:1].encode())
    return said.replace(b"V%d" % size, b"f%d" % size)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", "<>")
@given(flags=st.lists(st.booleans(), min_size=1, max_size=9), padding=st.binary(min_size=6, max_size=6))
def test_flags_of_every_machine(form: str, order: str, flags: list[bool], padding: bytes) -> None:
    size = int(form.split()[1])
    content = bytes_of(form, [int(flag) for flag in flags], padding if any(flags) else b"")
    content = turned(content, size) if order == ">" else content
    found = long_flags(content, f"{order}f{size}")
    assert found is not None
    assert found.dtype == np.bool_
    assert found.tolist() == flags


def test_two_doubles_of_a_machine_that_puts_the_greatest_byte_first() -> None:
    """Each is turned alone there, so the larger one stays in front."""
    content = turned(bytes_of("power 16", [0, 1, 1]), 8)
    found = long_flags(content, ">f16")
    assert found is not None
    assert found.tolist() == [False, True, True]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("numbers", [[2], [0.5], [1, 2], [0, 0.5], [0.5, 1, 0]])
def test_other_numbers_are_no_flags(form: str, numbers: list[float]) -> None:
    size = int(form.split()[1])
    content = bytes_of(form, numbers)
    assert long_flags(content, f"<f{size}") is None
    assert long_flags(turned(content, size), f">f{size}") is None


def test_what_could_be_numbers_of_another_machine_is_no_list_of_zeros() -> None:
    """.5 and 2 of binary128 are zeros of Intel's with something behind them; beside a 1 of Intel's they are zeros."""
    doubtful = bytes_of("binary128 16", [0.5, 2])
    assert long_flags(doubtful, "<f16") is None
    found = long_flags(doubtful + bytes_of("intel 16", [1]), "<f16")
    assert found is not None
    assert found.tolist() == [False, False, True]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whole", [True, False], ids=["array", "scalars"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_files_of_every_machine(tmp_path: Path, form: str, whole: bool, protocol: int) -> None:
    kind, path = f"<f{form.split()[1]}", tmp_path / "pairs.bin"
    path.write_bytes(pickled(kind, bytes_of(form, [1, 0, 0, 1], b"stack."), whole, protocol))
    found = read_bins(path)
    assert (found.payloads, found.same.tolist()) == ([b"a", b"b"] * 4, [True, False, False, True])
    path.write_bytes(pickled(kind, bytes_of(form, [1, 0, 2, 1], b"stack."), whole, protocol))
    with pytest.raises(RecordError, match="not the two lists"):
        read_bins(path)


def test_numbers_of_several_kinds_in_one_list(tmp_path: Path) -> None:
    flags = [np.longdouble(1), True, 0, np.array([0], ">g")[0], np.float16(1), np.array([1], np.longdouble)]
    (tmp_path / "pairs.bin").write_bytes(pickle.dumps(([b"a", b"b"] * 6, flags)))
    assert read_bins(tmp_path / "pairs.bin").same.tolist() == [True, True, False, False, True, True]


@pytest.mark.parametrize("damage", ["short", "f10", "two in one"])
def test_long_doubles_that_are_none(tmp_path: Path, damage: str) -> None:
    said = pickled("<f16", bytes_of("intel 16", [1]), whole=False, protocol=2)
    if damage == "f10":
        said = said.replace(b"f16", b"f10")
    if damage == "short":
        said = said.replace(b"f16", b"f12")
    if damage == "two in one":
        said = pickle.dumps(([b"a", b"b"] * 2, [np.zeros(0, np.longdouble), np.zeros(2, np.longdouble)]))
    (tmp_path / "pairs.bin").write_bytes(said)
    with pytest.raises(RecordError, match=r"not the two lists|not the bytes of its type|other than numbers"):
        read_bins(tmp_path / "pairs.bin")
