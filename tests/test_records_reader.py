"""Random access: threads, forks, pickles, damage."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reads_by_place import replace_reads

from facekit.errors import ConfigError, RecordError
from facekit.output.aside import aside_file
from facekit.records import (
    Header,
    Record,
    RecordReader,
    RecordWriter,
    frame,
    pack_record,
    unframe,
    unpack_record,
)
from facekit.records import writer as writer_module
from facekit.records.read_at import read_at

MAGIC = bytes.fromhex("0a23d7ce")


def buffer_of(key: int) -> bytes:
    """Bytes that only this key has; every third with magic words in it, some longer than one read."""
    draw = random.Random(key)
    body = draw.randbytes(draw.choice((0, 1, 30, 500, 5_000, 90_000)))
    return body + MAGIC + body[: 4 * (key % 5)] + MAGIC if key % 3 == 0 else body


@pytest.fixture(scope="module")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reader") / "x.rec"
    keys = list(range(60))
    random.Random(0).shuffle(keys)
    with RecordWriter(path) as writer:
        for key in keys:
            writer.write_bytes(key, buffer_of(key))
    return path


def test_every_record(rec: Path) -> None:
    with RecordReader(rec) as reader:
        assert len(reader) == 60
        assert sorted(reader.keys.tolist()) == list(range(60))
        for key in range(60):
            assert reader.read_bytes(key) == buffer_of(key)
            assert reader.read_framed(key) == frame(buffer_of(key))
        assert b"".join(reader.read_framed(key) for key in reader.keys.tolist()) == rec.read_bytes()


def test_threads_share_one_reader(rec: Path) -> None:
    expected = {key: buffer_of(key) for key in range(60)}
    with RecordReader(rec) as reader, ThreadPoolExecutor(4) as threads:
        asked = random.Random(1).choices(range(60), k=4_000)
        wrong = [
            key
            for key, found in zip(asked, threads.map(reader.read_bytes, asked), strict=True)
            if found != expected[key]
        ]
    assert wrong == []


def read_in_child(reader: RecordReader, key: int) -> bytes:
    return reader.read_bytes(key)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_processes(rec: Path, method: str) -> None:
    with RecordReader(rec) as reader, multiprocessing.get_context(method).Pool(1) as pool:
        for key in (5, 9, 33):
            assert pool.apply(read_in_child, (reader, key)) == reader.read_bytes(key) == buffer_of(key)


def test_a_fork_does_not_disturb_its_parent(rec: Path) -> None:
    with RecordReader(rec) as reader:
        child = os.fork()
        if child == 0:
            os._exit(0 if all(reader.read_bytes(key) == buffer_of(key) for key in range(60)) else 1)
        assert all(reader.read_bytes(key) == buffer_of(key) for key in range(60))
        assert os.waitpid(child, 0)[1] == 0


def test_pickle_opens_anew(rec: Path) -> None:
    reader = RecordReader(rec)
    text = pickle.dumps(reader)
    reader.close()
    assert len(text) < 1_000
    with pickle.loads(text) as again:
        assert again.read_bytes(7) == buffer_of(7)


def test_a_closed_reader_says_so(rec: Path) -> None:
    reader = RecordReader(rec)
    reader.close()
    reader.close()
    with pytest.raises(RecordError, match="closed"):
        reader.read_bytes(1)


def test_a_missing_key(rec: Path) -> None:
    with RecordReader(rec) as reader, pytest.raises(RecordError, match="no such key") as caught:
        reader.read_bytes(60)
    assert (caught.value.path, caught.value.key) == (str(rec), 60)


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.mkdir()])
def test_a_missing_file(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "x.rec")
    with pytest.raises(RecordError, match=r"x\.rec: the record file cannot be read"):
        RecordReader(tmp_path / "x.rec")


def test_a_missing_index_that_was_named(rec: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"other\.idx: the index cannot be read"):
        RecordReader(rec, tmp_path / "other.idx")


def written(tmp_path: Path, buffers: list[bytes], lines: str | None = None) -> Path:
    with RecordWriter(tmp_path / "x.rec", overwrite=True) as writer:
        for key, buffer in enumerate(buffers):
            writer.write_bytes(key, buffer)
    if lines is not None:
        (tmp_path / "x.idx").write_text(lines)
    return tmp_path / "x.rec"


@pytest.mark.parametrize(
    ("offset", "problem"),
    [(4, "no part starts here"), (8, "no part starts here"), (1, "no part starts here"), (-8, "outside the file"),
     (28, "outside the file"), (2**40, "outside the file"), (24, "inside a part header"), (2**62, "outside the file")],
)  # fmt: skip
def test_an_index_that_points_elsewhere(tmp_path: Path, offset: int, problem: str) -> None:
    rec = written(tmp_path, [b"0123456789abcdefghij"], f"5\t{offset}\n")
    with RecordReader(rec) as reader:
        for read in (reader.read_bytes, reader.read_framed):
            with pytest.raises(RecordError, match=problem) as caught:
                read(5)
            assert (caught.value.path, caught.value.key, caught.value.offset) == (str(rec), 5, offset)


def test_an_index_that_points_into_a_record_of_several_parts(tmp_path: Path) -> None:
    rec = written(tmp_path, [b"abcd" + MAGIC + b"efgh" + MAGIC], "0\t0\n1\t12\n2\t24\n")
    with RecordReader(rec) as reader:
        for key in (1, 2):
            with pytest.raises(RecordError, match=r"flag [23] stands where flag 0 or 1"):
                reader.read_bytes(key)


def test_a_length_that_claims_half_a_gigabyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = tmp_path / "x.rec"
    rec.write_bytes(MAGIC + struct.pack("<I", 2**29 - 1) + bytes(40))
    (tmp_path / "x.idx").write_text("0\t0\n")
    asked: list[int] = []
    with RecordReader(rec) as reader:
        replace_reads(monkeypatch, lambda fd, count, at: (asked.append(count), read_at(fd, count, at))[1])
        with pytest.raises(RecordError, match="claims 536870911 bytes, 40 are left"):
            reader.read_bytes(0)
    assert max(asked) <= 1 << 16


@given(st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=9)), min_size=1, max_size=5).map(b"".join), st.data())
def test_a_truncated_file_is_an_error_not_none(
    tmp_path_factory: pytest.TempPathFactory, buffer: bytes, data: st.DataObject
) -> None:
    rec = written(tmp_path_factory.getbasetemp(), [buffer])
    whole = rec.read_bytes()
    rec.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with RecordReader(rec) as reader, pytest.raises(RecordError) as caught:
        reader.read_bytes(0)
    assert (caught.value.key, caught.value.offset) == (0, 0)


@given(st.data())
def test_damage_anywhere_gives_the_bytes_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rec = written(tmp_path_factory.getbasetemp(), [b"x" * 9, b"ab" * 6 + MAGIC + b"y", b"", b"z" * 40])
    damaged = bytearray(rec.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    rec.write_bytes(damaged)
    with RecordReader(rec) as reader:
        for key in range(4):
            try:
                found = reader.read_bytes(key)
            except RecordError as error:
                assert (error.path, error.key) == (str(rec), key)  # noqa: PT017 - either is right
            else:
                assert unframe(damaged, reader.offset(key))[0] == found


def test_the_file_becomes_shorter_while_it_is_open(tmp_path: Path) -> None:
    rec = written(tmp_path, [b"x" * 100_000])
    with RecordReader(rec) as reader:
        os.truncate(rec, 50_000)
        with pytest.raises(RecordError, match="shorter while it was read") as caught:
            reader.read_bytes(0)
        assert (caught.value.key, caught.value.offset) == (0, 0)


def test_read_span_stays_in_the_file(rec: Path) -> None:
    with RecordReader(rec) as reader:
        assert reader.read_span(4, 12) == rec.read_bytes()[4:12]
        for span in ((-1, 4), (8, 4), (0, reader.size + 1)):
            with pytest.raises(RecordError, match="do not lie in the file"):
                reader.read_span(*span)


def test_a_forgotten_reader_closes_itself(rec: Path) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        RecordReader(rec)
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1


# --- writer ---------------------------------------------------------------------------------------------------------


def test_nothing_appears_before_close_and_nothing_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RecordWriter(tmp_path / "x.rec") as writer:
        writer.write_bytes(0, b"abc")
        assert not (tmp_path / "x.rec").exists()
        assert not (tmp_path / "x.idx").exists()
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []
    writer.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="closed"):
        writer.write_bytes(1, b"")


@pytest.mark.parametrize("name", ["x.rec", "x.idx"])
def test_existing_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(FileExistsError, match=name):
        RecordWriter(tmp_path / "x.rec")
    assert (tmp_path / name).read_bytes() == b"old"
    with RecordWriter(tmp_path / "x.rec", overwrite=True) as writer:
        writer.write_bytes(3, b"new")
        assert (tmp_path / name).read_bytes() == b"old"
    with RecordReader(tmp_path / "x.rec") as reader:
        assert reader.read_bytes(3) == b"new"


def test_an_overwritten_index_loses_its_sidecar(tmp_path: Path) -> None:
    from facekit.records.index import read_index, save_sidecar

    rec = written(tmp_path, [b"a", b"b"])
    save_sidecar(tmp_path / "x.idx", read_index(tmp_path / "x.idx"))
    written(tmp_path, [b"c", b"d"])
    assert not (tmp_path / "x.idx.bin").exists()
    with RecordReader(rec) as reader:
        assert reader.read_bytes(1) == b"d"


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device that is always full takes the bytes of records, once they leave the buffer."""
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")

    def full(path: Path, buffering: int) -> tuple[IO[bytes], Path]:
        file, aside = aside_file(path, buffering)
        if path.suffix != ".rec":
            return file, aside
        file.close()
        return open("/dev/full", "wb", buffering), aside

    monkeypatch.setattr(writer_module, "aside_file", full)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "x.rec")
    with pytest.raises(RecordError, match="No space left"):
        for _ in range(3):
            writer.write_bytes(0, bytes(2 << 20))
    with pytest.raises(RecordError, match="earlier write failed"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_seen_only_at_the_end(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "x.rec")
    writer.write_bytes(0, b"small")
    with pytest.raises(RecordError, match="No space left"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_a_forgotten_writer_loses_nothing_and_pretends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = RecordWriter(tmp_path / "x.rec")
    writer.write_bytes(0, b"abc")
    del writer
    assert "never closed" in caplog.text
    index, records = sorted(tmp_path.iterdir())
    assert index.suffix == records.suffix == ".partial"
    assert (index.name[:7], records.name[:7]) == (".x.idx.", ".x.rec.")
    assert unframe(records.read_bytes())[0] == b"abc"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be written"):
        RecordWriter(tmp_path / "no" / "x.rec")


def test_what_a_writer_refuses(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec") as writer:
        for key in ("1", 1.0, None):
            with pytest.raises(ConfigError, match="whole number"):
                writer.write_bytes(key, b"")  # type: ignore[arg-type]
        block = frame(b"abcd") + frame(b"efgh")
        for offsets in ([0, 8], [0, 10], [12, 0], [0, 0], [-12, 0], [0, 400]):
            with pytest.raises(ConfigError, match="no framed record starts"):
                writer.append_framed(block, [1, 2], offsets)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="as many keys"):
            writer.append_framed(block, [1], [0, 12])  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="multiple of four"):
            writer.append_framed(block + b"x", [1, 2], [0, 12])  # type: ignore[arg-type]
    assert (tmp_path / "x.rec").read_bytes() == b""


@pytest.mark.parametrize("mapped", [False, True])
def test_read_is_read_bytes_split(tmp_path: Path, mapped: bool) -> None:
    """Whatever the label, the length, the alignment or the place in the file; magic words inside included."""
    rng = np.random.default_rng(0)
    buffers = [pack_record((0, 1.5, 7, 9), rng.bytes(length)) for length in (0, 1, 2, 3, 4, 5000, 9000, 70_000)]
    buffers += [pack_record((0, label, 3, 4), b"abc") for label in ([1, 2], [], 3)]
    buffers.append(pack_record((0, 3, 0, 0), MAGIC * 3))
    rec = written(tmp_path, buffers)
    with RecordReader(rec, mapped=mapped) as reader:
        for key, buffer in enumerate(buffers):
            record = reader.read(np.int64(key))
            assert (type(record), type(record.key), type(record.header)) == (Record, int, Header)
            assert record == Record(key, *unpack_record(buffer))
            assert type(record.payload) is bytes
        again = pickle.loads(pickle.dumps(reader))
        assert again.read(3) == reader.read(3)
        with pytest.raises(RecordError, match="no such key") as caught:
            reader.read(len(buffers))
        assert caught.value.key == len(buffers)
    with pytest.raises(RecordError, match="closed"):
        reader.read(0)


@pytest.mark.parametrize("mapped", [False, True])
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_read_of_damage_is_right_or_an_error(tmp_path: Path, mapped: bool, data: st.DataObject) -> None:
    rec = written(tmp_path, [pack_record((0, 1, 0, 0), b"abc"), pack_record((0, [1, 2], 0, 0), b"de")])
    damaged = bytearray(rec.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    rec.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with RecordReader(rec, mapped=mapped) as reader:
        for key in range(2):
            try:
                found = reader.read(key)
            except RecordError as error:
                assert (error.path, error.key) == (str(rec), key)  # noqa: PT017 - either is right
            else:
                assert found == Record(key, *unpack_record(reader.read_bytes(key)))
