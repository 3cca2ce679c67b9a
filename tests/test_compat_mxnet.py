"""The stand-in for mxnet against what real mxnet 1.9.1 answered (tests/golden)."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from facekit.compat import mxnet as mx
from facekit.compat.mxnet import ndarray as nd
from facekit.errors import ConfigError, PictureError
from facekit.images import decode
from facekit.records import pack_record

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


def test_label_vectors_are_of_mxnets_type_and_their_elements_are_numbers() -> None:
    header, _ = mx.recordio.unpack(mx.recordio.pack(mx.recordio.IRHeader(0, [3, 0.1], 1, 0), b"x"))
    assert (header.flag, header.label.dtype) == (2, np.float32)
    assert header.label.tobytes() == np.array([3, 0.1], np.float32).tobytes()
    assert torch.tensor(header.label[0], dtype=torch.long).item() == 3
    assert [type(value) for value in header.label] == [float, float]
    assert type(header.label[:1][0]) is float
    again = pickle.loads(pickle.dumps(header))
    assert again.label.dtype == np.float32
    assert type(again.label[1]) is float
    assert isinstance(mx.recordio.unpack(pack_record((0, 7, 3, 0), b"x"))[0].label, float)


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
