"""The stand-in for mxnet against what real mxnet 1.9.1 answered (tests/golden), and where that is wrong."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mask_stand_ins import write_pack

from facekit.compat import mxnet as mx
from facekit.compat.mxnet import ndarray as nd
from facekit.errors import ConfigError, PictureError, RecordError
from facekit.images import decode
from facekit.records import Header, PackWriter, RecordWriter, pack_record

GOLDEN = json.loads((Path(__file__).parent / "golden" / "mxnet" / "calls.json").read_text())
RECORDIO = Path(__file__).parent / "golden" / "recordio"
MANIFEST = json.loads((RECORDIO / "manifest.json").read_text())
CASES = list(GOLDEN["pictures"])


def payload_of(case: str) -> bytes:
    return bytes.fromhex(GOLDEN["pictures"][case])


def told(array: np.ndarray) -> dict[str, Any]:
    array = np.ascontiguousarray(array)
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
    }


# --- the same answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_pictures_decode_to_the_pixels_of_mxnet(case: str) -> None:
    payload, expected = payload_of(case), GOLDEN["results"][case]
    image = mx.image.imdecode(payload)
    flipped = mx.ndarray.flip(data=nd.transpose(image, axes=(2, 0, 1)), axis=2)
    answers = {
        "imdecode": image.asnumpy(),
        "imdecode_bgr": mx.image.imdecode(payload, to_rgb=0),
        "imdecode_grey": mx.image.imdecode(payload, flag=0),
        "transpose_flip": flipped.asnumpy(),
        "slice_axis": nd.slice_axis(image, axis=0, begin=3, end=9),
        "array": nd.array(np.asarray(image).astype(np.float64)),
    }
    for name, answer in answers.items():
        assert told(answer) == expected[name], name


@pytest.mark.parametrize("case", CASES)
def test_resizing_is_that_of_mxnet_but_for_a_level_in_the_bicubic(case: str) -> None:
    image, expected = mx.image.imdecode(payload_of(case)), GOLDEN["results"][case]
    for size in (20, 77):
        for interp in (0, 1, 3, 4):
            assert told(mx.image.resize_short(image, size, interp)) == expected[f"resize_short {size} {interp}"]
    assert told(mx.image.resize_short(image, 20, 9)) == expected["resize_short 20 9"]
    bicubic = mx.image.resize_short(image, 20)
    assert list(bicubic.shape) == expected["resize_short 20 2"]["shape"]
    assert np.abs(np.asarray(bicubic, int).ravel() - expected["bicubic"]).max() <= 1
    assert (mx.image.resize_short(image, 77, 9) == mx.image.resize_short(image, 77, 2)).all()


@pytest.mark.parametrize("name", [name for name in MANIFEST["files"] if (RECORDIO / f"{name}.idx").exists()])
def test_every_layout_reads_as_mxnet_reads_it(name: str) -> None:
    with mx.recordio.MXIndexedRecordIO(RECORDIO / f"{name}.idx", RECORDIO / f"{name}.rec", "r") as record:
        for expected in MANIFEST["files"][name]["read"]:
            buffer = record.read_idx(expected["key"])
            assert hashlib.sha256(buffer).hexdigest() == expected["buffer"]
            if "flag" in expected:
                header, payload = mx.recordio.unpack(buffer)
                assert (header.flag, header.id, header.id2) == (expected["flag"], expected["id"], expected["id2"])
                bits = np.atleast_1d(np.asarray(header.label, np.float32)).view(np.uint32)
                assert bits.tolist() == expected["label_bits"]
                assert hashlib.sha256(payload).hexdigest() == expected["payload"]


def test_writing_gives_the_files_of_mxnet(tmp_path: Path) -> None:
    for name, entry in MANIFEST["files"].items():
        calls = [call for call in entry["calls"] if "buffer" in call]
        if len(calls) < len(entry["calls"]) or not (RECORDIO / f"{name}.idx").exists():
            continue
        record = mx.recordio.MXIndexedRecordIO(tmp_path / f"{name}.idx", tmp_path / f"{name}.rec", "w")
        for call in calls:
            record.write_idx(call["key"], bytes.fromhex(call["buffer"]))
        record.close()
        for suffix in (".rec", ".idx"):
            written = (tmp_path / (name + suffix)).read_bytes()
            assert hashlib.sha256(written).hexdigest() == entry["sha256"][name + suffix]


def test_pack_and_unpack_pictures_as_mxnet_does_by_way_of_cv2() -> None:
    bgr = np.ascontiguousarray(mx.image.imdecode(payload_of("4:2:0")).asnumpy()[..., ::-1])
    header = mx.recordio.IRHeader(0, 5, 9, 0)
    for pixels in (bgr, bgr[..., 0]):
        for kind, option, quality in ((".jpg", cv2.IMWRITE_JPEG_QUALITY, 60), (".png", cv2.IMWRITE_PNG_COMPRESSION, 3)):
            packed = mx.recordio.pack_img(header, pixels, quality=quality, img_fmt=kind)
            assert packed == mx.recordio.pack(header, cv2.imencode(kind, pixels, [option, quality])[1].tobytes())
            assert (mx.recordio.unpack_img(packed)[1] == cv2.imdecode(np.frombuffer(packed[24:], np.uint8), -1)).all()
    assert mx.recordio.unpack_img(packed, 0)[1].ndim == 2
    assert mx.recordio.unpack_img(packed, 1)[1].shape == bgr.shape
    with pytest.raises(ConfigError, match="gif"):
        mx.recordio.pack_img(header, bgr, img_fmt=".gif")


def test_vector_labels_go_into_torch() -> None:
    header, _ = mx.recordio.unpack(mx.recordio.pack(mx.recordio.IRHeader(0, [7, 1], 3, 0), b"x"))
    assert torch.tensor(header.label[0], dtype=torch.long).item() == 7
    assert (header.flag, header.label.tolist()) == (2, [7.0, 1.0])
    assert isinstance(mx.recordio.unpack(pack_record((0, 7, 3, 0), b"x"))[0].label, float)


# --- right where mxnet is wrong ---------------------------------------------------------------------------------------


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "pack")


def opened(pack: Path) -> Any:
    return mx.recordio.MXIndexedRecordIO(str(pack / "train.idx"), str(pack / "train.rec"), "r")


def test_keys_can_be_read_after_the_end_of_the_file(pack: Path) -> None:
    record = opened(pack)
    first = record.read_idx(1)
    record.seek(record.keys[-1])
    assert record.read() is not None
    assert record.read() is None
    assert record.read_idx(1) == first


def test_read_goes_on_behind_the_last_key_and_reset_goes_back(pack: Path) -> None:
    record = opened(pack)
    assert record.read() == record.read_idx(1)
    assert record.read() == record.read_idx(2)
    assert record.tell() == record.idx[3]
    record.reset()
    assert record.read() == record.read_idx(1)
    assert [record.idx[key] for key in record.keys] == sorted(record.idx.values())
    assert len(record.idx) == len(record.keys)
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


def test_a_picture_that_is_cut_short_decodes_as_far_as_it_goes(caplog: pytest.LogCaptureFixture) -> None:
    payload = payload_of("4:2:0")
    whole = decode(payload)
    assert (mx.image.imdecode(payload[:-2]).asnumpy() == whole).all()
    half = mx.image.imdecode(payload[: len(payload) * 3 // 4]).asnumpy()
    assert half.shape == whole.shape
    assert (half[:16] == whole[:16]).all()
    assert (half != whole).any()
    assert caplog.text.count("cut short") == 2
    with pytest.raises(PictureError):
        mx.image.imdecode(payload[:100])


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
def test_any_bytes_like_can_be_written(tmp_path: Path, kind: Any) -> None:
    record = mx.recordio.MXRecordIO(tmp_path / "a.rec", "w")
    record.write(kind(b"abcdefg"))
    record.write(kind(b""))
    size = record.tell()
    record.close()
    assert size == (tmp_path / "a.rec").stat().st_size
    again = mx.recordio.MXRecordIO(tmp_path / "a.rec", "r")
    assert [again.read(), again.read(), again.read(), again.read()] == [b"abcdefg", b"", None, None]
    again.reset()
    assert pickle.loads(pickle.dumps(again)).read() == b"abcdefg"


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


def test_label_vectors_are_of_mxnets_type_and_their_elements_are_numbers() -> None:
    torch = pytest.importorskip("torch")
    header, _ = mx.recordio.unpack(mx.recordio.pack(mx.recordio.IRHeader(0, [3, 0.1], 1, 0), b""))
    assert header.label.dtype == np.float32
    assert header.label.tobytes() == np.array([3, 0.1], np.float32).tobytes()
    assert torch.tensor(header.label[0], dtype=torch.long) == 3
    assert [type(value) for value in header.label] == [float, float]
    assert type(header.label[:1][0]) is float
    again = pickle.loads(pickle.dumps(header))
    assert again.label.dtype == np.float32
    assert type(again.label[1]) is float


IMPORTS = """
import mxnet as mx
from mxnet import autograd, context, gluon, io, metric, module, optimizer
import mxnet.gluon.nn as nn
from mxnet.gluon.data.vision import transforms
from mxnet.io import DataBatch, DataDesc, DataIter

class Iter(mx.io.DataIter):
    size = 3
    def reset(self): pass

assert issubclass(Iter, DataIter) or Iter.size == 3
for use in (lambda: Iter(), lambda: mx.metric.Accuracy(), lambda: nn.Dense(4), lambda: mx.context.gpu(0),
            lambda: mx.optimizer.SGD.create(1), lambda: transforms.Compose([]), lambda: autograd.record()):
    try:
        use()
    except NotImplementedError as error:
        assert "recordio, image and nd" in str(error)
    else:
        raise AssertionError(use)
for missing in ("mxnet.nothing", "mxnet.recordio.nothing"):
    try:
        __import__(missing)
    except ImportError:
        pass
    else:
        raise AssertionError(missing)
assert not hasattr(gluon, "__wrapped__")
"""


@pytest.mark.parametrize("how", ["-m", "install", "path"])
def test_parts_that_are_only_imported_can_be_imported(tmp_path: Path, how: str) -> None:
    script, env = tmp_path / "script.py", dict(os.environ)
    begin = "from facekit.compat import mxnet; mxnet.install()\n" if how == "install" else ""
    script.write_text(begin + IMPORTS)
    if how == "path":
        env["PYTHONPATH"] = str(mx.SHIM)
    before = ["-m", "facekit.compat.mxnet"] if how == "-m" else []
    done = subprocess.run([sys.executable, *before, script], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr


FORMER = """
import numpy as np, subprocess, sys
assert np.float_ is np.float64 and np.int is int and np.NaN != np.NaN and np.Inf == float("inf")
assert np.arange(3, dtype=np.float).dtype == np.float64 and np.in1d([1, 2], [2]).tolist() == [False, True]
assert np.trapz([1, 1]) == 1 and np.product([2, 3]) == 6 and np.asfarray([1]).dtype == np.float64
if len(sys.argv) < 2:
    import mxnet
    code = "import mxnet\\n" + open(__file__).read()
    sys.exit(subprocess.run([sys.executable, "-c", code, "child"]).returncode)
"""


def test_scripts_find_the_names_that_numpy_dropped(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(FORMER)
    run = [sys.executable, "-W", "error", "-m", "facekit.compat.mxnet", tmp_path / "script.py"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False)
    assert "AttributeError" in alone.stderr, "numpy has them again: they need not be restored"


# --- how it is installed ----------------------------------------------------------------------------------------------

SCRIPT = """
import multiprocessing, os, sys
import mxnet as mx
import mxnet.recordio
from mxnet import ndarray as nd
from helper_of_the_script import ANSWER

def look(path):
    import mxnet
    return mxnet.__name__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(sys.argv[1:], mx.__name__, ANSWER, pool.map(look, [0]), mx.recordio is mxnet.recordio)
    os.system(sys.executable + ' -c "import mxnet; print(mxnet.__name__)"')
"""


@pytest.mark.parametrize("by_module", [False, True])
def test_a_script_runs_with_the_stand_in_in_all_its_processes(tmp_path: Path, by_module: bool) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper_of_the_script.py").write_text("ANSWER = 42\n")
    name = ["-m", "script"] if by_module else [str(tmp_path / "script.py")]
    done = subprocess.run(
        [sys.executable, "-m", "facekit.compat.mxnet", *name, "--lr", "0.1"],
        capture_output=True, text=True, check=True, cwd=tmp_path if by_module else Path("/"),
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    own = "facekit.compat.mxnet"
    assert set(done.stdout.splitlines()) == {own, f"['--lr', '0.1'] {own} 42 ['{own}'] True"}


def test_without_a_script_there_is_a_usage() -> None:
    for arguments, message in ([], "SCRIPT"), (["nowhere.py"], "nowhere.py"):
        done = subprocess.run(
            [sys.executable, "-m", "facekit.compat.mxnet", *arguments], capture_output=True, text=True
        )
        assert done.returncode == 2
        assert message in done.stderr


def test_the_real_one_is_not_pushed_aside_once_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "mxnet.py").touch()
    script = "import mxnet\nfrom facekit.compat import mxnet as mx\nmx.install()"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "mxnet is imported already, from" in done.stderr
    twice = "from facekit.compat import mxnet as mx\nmx.install(); mx.install()\nimport mxnet; assert mxnet is mx"
    subprocess.run([sys.executable, "-c", twice], check=True)


def test_a_writer_may_be_killed_and_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "x.rec")
    writer.abort()
    record = mx.recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "w")
    record.write_idx(0, b"abc")
    assert not (tmp_path / "a.rec").exists()
    record.close()
    assert (tmp_path / "a.rec").exists()
