"""Verification .bin files: what numpy, Python 2 and Python 3 write is read; what would run a program is refused."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import ConfigError, DestinationExists, RecordError
from facekit.records import read_bins, write_bins

NUMBERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g")
PAYLOADS = [b"\xff\xd8 one", b"", b"\n'\\\"\x00" * 100, b"four"]


def bins_of(content: bytes, folder: Path) -> Any:
    (folder / "pairs.bin").write_bytes(content)
    return read_bins(folder / "pairs.bin")


@given(st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=40), st.booleans()), max_size=8))
def test_what_is_written_is_read_and_the_field_reads_it_too(tmp_path_factory: Any, pairs: Any) -> None:
    payloads = [payload for a, b, _ in pairs for payload in (a, b)]
    path = tmp_path_factory.mktemp("bins") / "pairs.bin"
    write_bins(path, payloads, [same for _, _, same in pairs])
    found = read_bins(path)
    assert (found.payloads, found.same.tolist()) == (payloads, [same for _, _, same in pairs])
    assert found.same.dtype == np.bool_
    with open(path, "rb") as file:  # as InsightFace's eval/verification.py does
        assert pickle.load(file, encoding="bytes") == (payloads, found.same.tolist())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("as_array", [False, True, "column"])
@pytest.mark.parametrize("same", [[True, False], [1, 0], (np.bool_(True), np.bool_(False)), np.array([True, False])])
def test_every_protocol_and_every_kind_of_bytes(tmp_path: Path, protocol: int, as_array: object, same: Any) -> None:
    bins: list[Any] = PAYLOADS
    if as_array:
        bins = [np.frombuffer(payload, np.uint8).copy() for payload in PAYLOADS]
    if as_array == "column":
        bins = [array[:, None] for array in bins]
    found = bins_of(pickle.dumps((bins, same), protocol), tmp_path)
    assert (found.payloads, found.same.tolist()) == (PAYLOADS, [True, False])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["?", *(order + name for order in "<>" for name in NUMBERS)])
@pytest.mark.parametrize("whole", [True, False], ids=["array", "scalars"])
def test_flags_are_numbers_of_any_kind(tmp_path: Path, protocol: int, kind: str, whole: bool) -> None:
    given = np.array([1, 0], kind)
    flags = given if whole else list(given)
    found = bins_of(pickle.dumps((PAYLOADS, flags), protocol), tmp_path)
    assert (found.payloads, found.same.tolist()) == (PAYLOADS, [True, False])
    wrong = np.array([1, 2], kind) if kind != "?" else np.array([1, 2])
    with pytest.raises(RecordError, match="not the two lists"):
        bins_of(pickle.dumps((PAYLOADS, wrong if whole else list(wrong)), protocol), tmp_path)


@pytest.mark.parametrize("flags", [[1.0, 0.0], [True, 0.0], (1, np.float64(0))])
def test_flags_are_floats_too(tmp_path: Path, flags: Any) -> None:
    assert bins_of(pickle.dumps((PAYLOADS, flags)), tmp_path).same.tolist() == [True, False]


@pytest.mark.parametrize("flags", [[0.5, 0.0], [float("nan"), 1], ["1", "0"], [None, 1], [2, 0]])
def test_what_is_no_flag_is_refused(tmp_path: Path, flags: Any) -> None:
    with pytest.raises(RecordError, match="not the two lists"):
        bins_of(pickle.dumps((PAYLOADS, flags)), tmp_path)


@pytest.mark.parametrize("content", [b"hello, this is text\n" * 50, b"name,same\n1,2\n", b"\xff\xd8\xff\xe0 JFIF"])
def test_text_is_no_verification_bin(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(RecordError, match="not a verification"):
        bins_of(content, tmp_path)


def test_pickles_of_python_2(tmp_path: Path) -> None:
    """Python 2's strings and its numpy, by hand: protocol 0 quotes, protocol 2 counts."""
    quoted = b"((lp0\nS'a\\xff\\n'\np1\naS\"it's\"\np2\na(lp3\nI01\na" + b"t."
    found = bins_of(quoted, tmp_path)
    assert (found.payloads, found.same.tolist()) == ([b"a\xff\n", b"it's"], [True])
    counted = b"\x80\x02]q\x00(U\x02a\xffq\x01T\x04\x00\x00\x00four" + b"q\x02e]q\x03I00\na\x86q\x04."
    found = bins_of(counted, tmp_path)
    assert (found.payloads, found.same.tolist()) == ([b"a\xff", b"four"], [False])
    array = (
        b"\x80\x02](cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x02\xff\xd8tbU\x01xe]\x88a\x86."
    )
    assert bins_of(array, tmp_path).payloads == [b"\xff\xd8", b"x"]


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch CANARY",)),
        (eval, ("open('CANARY', 'w')",)),
        (exec, ("open('CANARY', 'w')",)),
        (subprocess.Popen, (["touch", "CANARY"],)),
        (open, ("CANARY", "w")),
        (np.memmap, ("CANARY", "u1", "w+", 0, 8)),
        (np.fromfile, ("/etc/passwd",)),
        (bytes, (1 << 40,)),
        (bytearray, (1 << 40,)),
        (np.zeros, (1 << 40,)),
    ],
)
def test_a_pickle_that_would_run_a_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, function: Any, arguments: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = pickle.dumps(([Call(function, *arguments), b"x"], [True]), protocol)
    with pytest.raises(RecordError, match="pickle") as caught:
        bins_of(evil, tmp_path)
    assert caught.value.offset is not None
    assert not (tmp_path / "CANARY").exists()


def test_the_pickles_above_do_run_programs_when_they_are_read_the_usual_way(tmp_path: Path) -> None:
    """Otherwise their refusal would say nothing."""
    evil = pickle.dumps(([Call(eval, "open('CANARY', 'w').close()")], [True]))
    script = f"import pickle; pickle.loads({evil!r})"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert (tmp_path / "CANARY").exists()


DEEP = b"(K\x00t" + b"2\x86" * 60  # 2**60 leaves, had anyone to hash or print it


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04",
        b"no pickle",
        b"}.",
        b"\x93.",
        b"R.",
        b"b.",
        b"(.",
        b"K\x00R.",
        b"]K\x01K\x02e.",
        b"\x8e" + struct.pack("<Q", 1 << 40) + b"x.",  # BINBYTES8 that claims a terabyte
        b"\x96" + struct.pack("<Q", 1 << 40) + b"x.",  # BYTEARRAY8, which pickle allocates before it reads
        b"\x95" + struct.pack("<Q", 1 << 40) + b".",  # FRAME
        b"K\x00r\xff\xff\xff\xff.",  # LONG_BINPUT at 4 billion, for which pickle makes room
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x8b\xff\xff\xff\x7f.",
        DEEP + b".",
        DEEP + b"\x86\x93.",
        b"cnumpy\ndtype\n" + DEEP + b"\x85R.",
        b"c_codecs\nencode\nX\x01\x00\x00\x00x" + DEEP + b"\x86R.",
        b"](cnumpy.core.multiarray\n_reconstruct\n)R" + b"(K\x01" + DEEP + b"\x85NNNtb.",
        b"S'a' + 'b'\n.",
        b"S" + b"(" * 10_000 + b"\n.",
        b"]" + b"\x94h\x00h\x00a" * 1000 + b".",
        b"\x82\x01.",
        b"P1\n.",
        b"\x97.",
        pickle.dumps(([b"a", b"b"], [True, False])),
        pickle.dumps(([b"a", b"b"], [True], 1)),
        pickle.dumps(([b"a", "b"], [True])),
        pickle.dumps(([b"a", np.zeros(3, np.float32)], [True])),
        pickle.dumps(([b"a", np.zeros((2, 2), np.uint8)], [True])),
        pickle.dumps(([b"a", b"b"], [2])),
        pickle.dumps(([b"a", b"b"], ["yes"])),
        pickle.dumps({"bins": []}),
    ],
)
def test_anything_else_is_refused_quickly(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(RecordError, match=r"pickle|pictures|picture 1|empty file"):
        bins_of(content, tmp_path)


@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(0, 255))
def test_damage_is_refused_or_read(tmp_path_factory: Any, junk: bytes, place: int, byte: int) -> None:
    folder = tmp_path_factory.mktemp("damage")
    content = bytearray(pickle.dumps((PAYLOADS, [True, False]), place % 6))
    content[place % len(content)] = byte
    for tried in (bytes(content), bytes(content[: place % len(content)]), junk):
        try:
            found = bins_of(tried, folder)
        except RecordError:
            continue
        assert len(found.payloads) == 2 * len(found.same)


def test_doors(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no such file"):
        read_bins(tmp_path / "missing.bin")
    with pytest.raises(ConfigError, match="want two pictures each, 3 were given"):
        write_bins(tmp_path / "a.bin", [b"", b"", b""], [True])
    write_bins(tmp_path / "deep" / "a.bin", [b"a", b"b"], [True])
    with pytest.raises(DestinationExists):
        write_bins(tmp_path / "deep" / "a.bin", [b"c", b"d"], [False])
    write_bins(tmp_path / "deep" / "a.bin", [b"c", b"d"], [False], overwrite=True)
    assert read_bins(tmp_path / "deep" / "a.bin").payloads == [b"c", b"d"]
    assert os.listdir(tmp_path / "deep") == ["a.bin"]


def test_a_bin_that_the_field_wrote(shared: Path) -> None:
    found = read_bins(shared / "data" / "faces" / "pairs.bin")
    assert (len(found.payloads), len(found.same), int(found.same.sum())) == (1200, 600, 300)
    assert all(payload.startswith(b"\xff\xd8") for payload in found.payloads)
