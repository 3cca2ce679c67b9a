"""The readers and writers of the stand-in, right where mxnet's are wrong, and what they refuse."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_stand_ins import write_pack

from facekit.compat import mxnet as mx
from facekit.errors import ConfigError, PictureError, RecordError
from facekit.records import Header, PackWriter, RecordWriter


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "pack")


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of twelve records of many lengths whose keys stand in another order than its records."""
    folder = tmp_path_factory.mktemp("shuffled") / "pack"
    keys = np.random.default_rng(0).permutation(12).tolist()
    with PackWriter(folder, layout="flat") as writer:
        for key in keys:
            writer.write(Header(0, 0.0, key, 0), bytes([key]) * (7 * key), key=key)
    return folder


def opened(pack: Path) -> Any:
    return mx.recordio.MXIndexedRecordIO(str(pack / "train.idx"), str(pack / "train.rec"), "r")


@given(
    steps=st.lists(
        st.tuples(st.just("read"), st.none()) | st.tuples(st.sampled_from(["read_idx", "seek"]), st.integers(0, 11))
        | st.tuples(st.sampled_from(["tell", "reset"]), st.none()), max_size=30,
    )
)  # fmt: skip
def test_a_reader_is_where_it_was_sent(steps: list[tuple[str, int | None]], shuffled: Path) -> None:
    """In the order of the file, whatever that of the index; also behind the end, where mxnet reads no key any more."""
    record = opened(shuffled)
    order = sorted(record.keys, key=record.idx.__getitem__)
    buffers = [record.read_idx(key) for key in order]
    starts = [*(record.idx[key] for key in order), (shuffled / "train.rec").stat().st_size]
    record.reset()
    at = 0
    for call, number in steps:
        if call == "read":
            assert record.read() == (buffers[at] if at < len(buffers) else None)
            at = min(at + 1, len(buffers))
        elif call == "tell":
            assert record.tell() == starts[at]
        elif call == "reset":
            record.reset()
            at = 0
        else:
            at = number or 0
            found = getattr(record, call)(order[at])
            if call == "read_idx":
                assert found == buffers[at]
                at += 1
    assert len(record.idx) == len(record.keys) == 12
    with pytest.raises(KeyError):
        record.idx[10**9]


def test_a_shared_reader_is_right_in_every_thread(pack: Path) -> None:
    record = opened(pack)
    expected = {key: record.read_idx(key) for key in record.keys}
    drawn = np.random.default_rng(0).choice(record.keys, 4000).tolist()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda key: record.read_idx(key) == expected[key], drawn))


def test_threads_share_what_read_gives(pack: Path) -> None:
    record, found, lock = opened(pack), [], threading.Lock()

    def drain() -> None:
        while (buffer := record.read()) is not None:
            with lock:
                found.append(buffer)

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(record.read_idx(key) for key in record.keys)


def child_reads(record: Any, keys: list[int], connection: Any) -> None:
    connection.send([record.read(), *map(record.read_idx, keys)])


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # Python 3.12 warns that pytest may have threads when it forks
def test_another_process_reads_the_same_and_keeps_its_place(pack: Path, method: str) -> None:
    record = opened(pack)
    record.close_hook = lambda: None  # CVLface hangs a lambda on it, which no pickle takes
    record.read()
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=child_reads, args=(record, record.keys, there))
    process.start()
    second, *all_of_them = here.recv()
    process.join()
    assert second == record.read() == record.read_idx(2)
    assert all_of_them == [record.read_idx(key) for key in record.keys]


def test_a_truncated_file_is_an_error_that_names_the_place(pack: Path) -> None:
    last = opened(pack).keys[-1]
    content = (pack / "train.rec").read_bytes()
    (pack / "train.rec").write_bytes(content[:-4])
    record = opened(pack)
    with pytest.raises(RecordError, match=rf"train\.rec, key {last}, offset .*truncated"):
        record.read_idx(last)
    with pytest.raises(RecordError, match="truncated"):
        while record.read() is not None:
            pass


def test_a_missing_key_is_a_key_error_with_advice(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "pack", layout="flat") as writer:
        writer.write(Header(0, 0.0, 5, 0), b"x", key=5)
    with pytest.raises(KeyError, match=r"train.rec, key 0: .*facekit convert SRC DST --layout insightface"):
        opened(tmp_path / "pack").read_idx(0)
    with pytest.raises(RecordError, match="no such key"):
        opened(tmp_path / "pack").read_idx(6)


def test_keys_are_looked_up_as_a_dict_does(pack: Path) -> None:
    record = opened(pack)
    known = dict.fromkeys(record.keys, True)
    for key in (1, 1.0, np.int64(1), np.float32(1), np.array(1), True):
        assert record.read_idx(key) == record.read_idx(1)
        assert (not isinstance(key, np.ndarray) and known[key]) or isinstance(key, np.ndarray)  # which a dict refuses
    for key in ("1", 1.5, None, float("nan"), float("inf"), b"1", [1], 10**30):
        with pytest.raises(KeyError):
            record.read_idx(key)
        with pytest.raises(KeyError):
            record.seek(key)


def test_without_an_index_one_is_rebuilt(pack: Path) -> None:
    expected = {key: opened(pack).read_idx(key) for key in opened(pack).keys}
    (pack / "train.idx").unlink()
    record = opened(pack)
    assert {key: record.read_idx(key) for key in record.keys} == expected


def test_a_wrong_name_for_the_index_is_not_replaced_by_another(pack: Path) -> None:
    with pytest.raises(RecordError, match=r"other\.idx"):
        mx.recordio.MXIndexedRecordIO(pack / "other.idx", pack / "train.rec", "r")
    with pytest.raises(RecordError, match="nowhere"):
        mx.recordio.MXIndexedRecordIO(pack / "nowhere.idx", pack / "nowhere.rec", "r")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@given(buffers=st.lists(st.binary(max_size=20) | st.just(b"\n#\xd7\xce" * 3), max_size=6), place=st.integers(0, 6))
def test_any_bytes_like_can_be_written(
    kind: Any, buffers: list[bytes], place: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And is read again, by a pickled reader from the same place on; None at the end, however often it is asked."""
    path = tmp_path_factory.mktemp("written") / "a.rec"
    record = mx.recordio.MXRecordIO(path, "w")
    for buffer in buffers:
        record.write(kind(buffer))
    size = record.tell()
    record.close()
    assert size == path.stat().st_size
    again = mx.recordio.MXRecordIO(path, "r")
    expected = [*buffers, None, None]
    assert [again.read() for _ in range(place)] == (expected + [None] * 6)[:place]
    assert [pickle.loads(pickle.dumps(again)).read()] == (expected + [None] * 6)[place : place + 1]
    again.reset()
    assert [again.read() for _ in expected] == expected


def test_a_script_may_forget_to_close_what_it_wrote(tmp_path: Path) -> None:
    script = (
        "from facekit.compat import mxnet; mxnet.install()\n"
        "import mxnet as mx, os, sys\n"
        "record = mx.recordio.MXIndexedRecordIO('a.idx', 'a.rec', 'w')\n"
        "record.write_idx(3, b'abc')\n"
        "if os.fork() == 0: sys.exit()\n"  # the child must neither write nor finish anything
        "os.wait(); record.write_idx(4, b'def')\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, check=True)
    record = mx.recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "r")
    assert [(key, record.read_idx(key)) for key in record.keys] == [(3, b"abc"), (4, b"def")]


def test_wrong_use_is_refused(tmp_path: Path, pack: Path) -> None:
    with pytest.raises(ConfigError, match="'a'"):
        mx.recordio.MXRecordIO(tmp_path / "a.rec", "a")
    with pytest.raises(ConfigError, match="whole numbers"):
        mx.recordio.MXIndexedRecordIO(pack / "train.idx", pack / "train.rec", "r", key_type=str)
    record = opened(pack)
    with pytest.raises(ConfigError, match="flag 'r'"):
        record.write_idx(1, b"")
    record.close()
    with pytest.raises(ConfigError, match="closed"):
        record.read_idx(1)
    writer = mx.recordio.MXIndexedRecordIO(tmp_path / "w.idx", tmp_path / "w.rec", "w")
    with pytest.raises(ConfigError, match="write_idx"):
        writer.write(b"x")
    with pytest.raises(ConfigError, match="another process"):
        pickle.dumps(writer)
    with pytest.raises(PictureError, match="empty"):
        mx.image.imdecode(b"")
    for module, name in ((mx, "gpu"), (mx.image, "ImageIter"), (mx.nd, "softmax")):
        with pytest.raises(AttributeError, match=f"stand-in for mxnet has no .*{name}"):
            getattr(module, name)


def test_a_writer_may_be_killed_and_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "x.rec")
    writer.abort()
    record = mx.recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "w")
    record.write_idx(0, b"abc")
    assert not (tmp_path / "a.rec").exists()
    record.close()
    assert (tmp_path / "a.rec").exists()
