"""Opening a pack: does its index reach to the end of its file, and what if its files are replaced meanwhile."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reads_by_place import replace_reads

from facekit.compat.mxnet.recordio import MXIndexedRecordIO
from facekit.errors import RecordError
from facekit.jobs.packs.check import CheckConfig, check
from facekit.records import Header, Pack, PackWriter, PartialIndex, RecordReader, open_pack, reader
from facekit.records.index import RecordIndex, format_index, read_index, save_sidecar, sidecar_path
from facekit.records.read_at import read_at

MAGIC = b"\n#\xd7\xce"


def write(folder: Path, images: int = 7, layout: str = "insightface", last: bytes = b"last!") -> Path:
    """A pack of images under labels 0, 0, 1, 1, ...; its last image can be a record of several parts."""
    with PackWriter(folder, layout) as writer:
        for number in range(images):
            payload = last if number == images - 1 else b"\xff\xd8" + bytes([number]) * (number + 1)
            writer.write(Header(0, float(number // 2), writer.next_key, 0), payload)
    return folder / "train.rec"


def lines_of(rec: Path) -> list[str]:
    return rec.with_suffix(".idx").read_text().splitlines(keepends=True)


def problem_of(rec: Path) -> str | None:
    with open_pack(rec) as pack:
        assert pack.index_reaches_end() == (pack.reader.index_problem() is None)
        return pack.reader.index_problem()


@settings(max_examples=40)
@given(st.sampled_from(["insightface", "flat"]), st.integers(1, 9), st.randoms(use_true_random=False), st.booleans(), st.booleans())  # fmt: skip # noqa: E501
def test_a_whole_index_reaches_the_end_whatever_its_order(
    tmp_path_factory: pytest.TempPathFactory, layout: str, images: int, random: object, parts: bool, sidecar: bool
) -> None:
    """Identity records stand behind the images, records may have several parts, lines may stand in any order."""
    rec = write(tmp_path_factory.mktemp("whole") / "pack", images, layout, MAGIC * 3 if parts else b"last!")
    lines = lines_of(rec)
    random.shuffle(lines)  # type: ignore[attr-defined]
    rec.with_suffix(".idx").write_text("".join(lines))
    if sidecar:
        save_sidecar(rec.with_suffix(".idx"), read_index(rec.with_suffix(".idx")))
    assert problem_of(rec) is None
    with open_pack(rec) as pack:
        pack.require_whole_index()


@pytest.mark.parametrize("layout", ["insightface", "flat"])
@pytest.mark.parametrize("sidecar", [False, True])
def test_an_index_that_was_cut_is_noticed_at_every_length(
    tmp_path: Path, layout: str, sidecar: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rec = write(tmp_path / "pack", layout=layout)
    idx, lines = rec.with_suffix(".idx"), lines_of(rec)
    for kept in range(len(lines)):
        idx.write_text("".join(lines[:kept]))
        if sidecar:
            save_sidecar(idx, read_index(idx))
        caplog.clear()
        with open_pack(rec) as pack:
            assert not pack.index_reaches_end()
            with pytest.raises(
                PartialIndex, match=r"facekit check .*train\.rec .*facekit reindex .*train\.rec"
            ) as caught:
                pack.require_whole_index()
        assert caught.value.path == str(idx)
        assert ("is empty" if kept == 0 else "before the end of the file") in caught.value.problem
        [record] = caplog.records
        assert (record.levelno, record.getMessage()) == (logging.WARNING, str(caught.value))


def cut(count: int) -> Callable[[Path], None]:
    return lambda rec: os.truncate(rec, rec.stat().st_size - count)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (cut(1), None),  # padding alone is missing: the last record is there
        (cut(4), "is not whole"),
        (cut(30), "is not whole"),
        (cut(60), "belong together"),  # the last record is gone
        (lambda rec: rec.write_bytes(rec.read_bytes() + b"junk"), "ends 4 bytes before the end"),
        (lambda rec: rec.write_bytes(b"junk"), "belong together"),
        (lambda rec: rec.write_bytes(rec.read_bytes()[4:]), "is not whole"),
    ],
)
def test_a_file_that_is_not_the_index_s_is_noticed(
    tmp_path: Path, change: Callable[[Path], None], problem: str | None
) -> None:
    rec = write(tmp_path / "pack", layout="flat")
    change(rec)
    with RecordReader(rec) as opened:
        found = opened.index_problem()
    assert found is None if problem is None else problem in (found or "")


def test_an_empty_pack_is_whole(tmp_path: Path) -> None:
    for name in ("x.rec", "x.idx"):
        (tmp_path / name).touch()
    assert problem_of(tmp_path / "x.rec") is None


def test_a_rebuilt_index_reaches_the_end(tmp_path: Path) -> None:
    rec = write(tmp_path / "pack")
    rec.with_suffix(".idx").unlink()
    assert problem_of(rec) is None


def test_looking_takes_one_read_and_no_pass_over_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = write(tmp_path / "pack", 50)
    idx = rec.with_suffix(".idx")
    save_sidecar(idx, read_index(idx))
    with RecordReader(rec) as opened:
        assert "furthest" in vars(opened.index), "the sidecar says where the furthest record is"
        assert opened.index.furthest == RecordIndex(opened.index.keys, opened.index.offsets).furthest
        assert pickle.loads(pickle.dumps(opened.index)).furthest == opened.index.furthest
        reads: list[int] = []
        replace_reads(monkeypatch, lambda fd, count, at: (reads.append(count), read_at(fd, count, at))[1])
        assert opened.index_problem() is None
    assert reads == [8]


def test_a_script_of_mxnet_is_warned_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rec = write(tmp_path / "pack")
    idx = rec.with_suffix(".idx")
    idx.write_text("".join(lines_of(rec)[:3]))
    with MXIndexedRecordIO(idx, rec, "r") as file:
        assert len(file.keys) == 3
        assert file.read_idx(1)
    assert "facekit check" in caplog.text


# --- damage and malice ------------------------------------------------------------------------------------------------

edges = st.sampled_from([0, 1, 2, -1, 3, 40, 4096, 2**31, 2**62, 2**63 - 8, 2**63 - 1, -(2**63 - 1), -(2**62)])


@settings(max_examples=150)
@given(st.lists(st.tuples(edges, edges), max_size=6), st.lists(st.integers(0, 11), max_size=12), st.booleans())
def test_an_index_of_any_numbers_gives_records_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, odd: list[tuple[int, int]], kept: list[int], sidecar: bool
) -> None:
    """No other exception and no overflow (which numpy only warns of, and warnings are errors here)."""
    folder = tmp_path_factory.getbasetemp() / "odd"
    shutil.rmtree(folder, ignore_errors=True)
    rec = write(folder)
    idx, lines = rec.with_suffix(".idx"), lines_of(rec)
    chosen = [lines[number] for number in kept if number < len(lines)]
    idx.write_text("".join([*chosen, *(f"{key}\t{offset}\n" for key, offset in odd)]))
    if sidecar:
        save_sidecar(idx, read_index(idx))
    check(CheckConfig(str(rec), deep=True))
    try:
        pack = open_pack(rec)
    except RecordError:
        return
    with pack:
        for read in (
            lambda: pack.labels,
            lambda: pack.identity_ranges,
            lambda: list(pack),
            lambda: [pack.read_framed(key) for key in pack.reader.keys.tolist()],
            lambda: list(pack.header_columns(pack.physical_keys)),
            pack.index_reaches_end,
        ):
            try:
                read()
            except RecordError as error:
                assert error.path  # noqa: PT017 -- either is right


@pytest.mark.parametrize("keys", [[0, 1, 2, 3], [10, 5, 7, 1], [3, 1, 2, 0], [2**40, 7, 2, 1]])
def test_a_sidecar_of_any_order_is_right_or_a_typed_error(tmp_path: Path, keys: list[int]) -> None:
    """`order` may hold anything: never another record than the one asked for, and `check` says so."""
    rec = write(tmp_path / "pack", 4, "flat")
    offsets = read_index(rec.with_suffix(".idx")).offsets
    idx = rec.with_suffix(".idx")
    idx.write_text(format_index(keys, offsets))
    true = dict(zip(keys, offsets.tolist(), strict=True))
    whole = save_sidecar(idx, read_index(idx)).read_bytes()
    width = (len(whole) - 64) // len(keys) - 16
    stale = 0
    for place in range(len(keys) if width else 0):
        for value in (-1, 0, 1, 2, 3, 4, 2**31 - 1, -(2**31)):
            at = 64 + 16 * len(keys) + width * place
            damaged = bytearray(whole)
            damaged[at : at + width] = value.to_bytes(width, "little", signed=True)
            sidecar_path(idx).write_bytes(damaged)
            index = read_index(idx)
            for key in [*keys, 4, -1]:
                look_up_or_error(index, key, true.get(key, -1), sidecar_path(idx))
            stale += check(CheckConfig(str(rec))).counts.get("index_stale", 0)
    assert stale > 0 or not width


def look_up_or_error(index: RecordIndex, key: int, offset: int, sidecar: Path) -> None:
    for look_up in (
        lambda: index.offset(key),
        lambda: int(np.append(index.offsets, -1)[index.positions(np.array([key]))[0]]),
    ):
        try:
            found = look_up()
        except RecordError as error:
            assert error.path == str(sidecar)  # noqa: PT017 -- either is right
            assert "delete it" in error.problem  # noqa: PT017
        else:
            assert found == offset


def test_an_index_of_more_keys_than_the_file_has_room_for_is_refused(tmp_path: Path) -> None:
    """Every job would be busy for as many records: ten million lines with one offset."""
    rec = write(tmp_path / "pack")
    with open(rec.with_suffix(".idx"), "w") as idx:
        idx.writelines(f"{key}\t0\n" for key in range(100_001))
    with pytest.raises(RecordError, match=r"100,001 keys.*room for .* records at most.*facekit reindex"):
        open_pack(rec)
    assert check(CheckConfig(str(rec))).counts


def test_a_closed_reader_is_not_opened_again_by_a_pickle(tmp_path: Path) -> None:
    pack = open_pack(write(tmp_path / "pack"))
    pack.close()
    for closed in (pack, pack.reader):
        with pytest.raises(RecordError, match="closed"):
            pickle.dumps(closed)


# --- replaced while it is opened --------------------------------------------------------------------------------------


def contents(pack: Pack) -> list[bytes]:
    return [record.payload for record in pack]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("moment", ["before the index is read", "after the index is read"])
def test_a_pack_that_is_replaced_while_it_is_opened_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, times: int
) -> None:
    """The old file and the new index do not fit: what comes back is one of the two packs, whole."""
    rec = write(tmp_path / "pack", 3)
    packs = [write(tmp_path / f"new{number}", 9 + 4 * number) for number in range(times)]
    true_read_index, left = reader.read_index, list(packs)

    def read_index_meanwhile(path: str | os.PathLike[str]) -> RecordIndex:
        found = true_read_index(path) if moment.startswith("after") else None
        if left:
            new = left.pop(0)
            rec.with_suffix(".idx").unlink()
            os.replace(new, rec)
            os.replace(new.with_suffix(".idx"), rec.with_suffix(".idx"))
        return true_read_index(path) if found is None else found

    monkeypatch.setattr(reader, "read_index", read_index_meanwhile)
    with open_pack(rec) as pack:
        assert left == []
        assert len(contents(pack)) == 9 + 4 * (times - 1)
        pack.require_whole_index()


def test_a_pack_that_does_not_change_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = write(tmp_path / "pack")
    rec.with_suffix(".idx").write_text("no index\n")
    opened: list[Path] = []
    true_read_index = reader.read_index
    monkeypatch.setattr(reader, "read_index", lambda path: (opened.append(path), true_read_index(path))[1])
    with pytest.raises(RecordError, match="line 1"):
        open_pack(rec)
    assert len(opened) == 1
