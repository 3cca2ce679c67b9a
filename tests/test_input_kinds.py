"""Pictures of every kind, as files of a folder that is masked or packed, not only as photographs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from photo import face
from PIL import Image, features

from facekit.errors import PictureError
from facekit.images import as_payload, decode, encode_like, picture_size, stored_as
from facekit.jobs.inputs.picture_files import files_in
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.job import pack
from facekit.records import open_pack

FACE = face(3)
GREY = cv2.cvtColor(FACE, cv2.COLOR_RGB2GRAY)
AVIF = features.check("avif")


def saved(picture: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, format, **options)
    return out.getvalue()


def turned(format: str, orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return saved(np.ascontiguousarray(stored_as(FACE, orientation)), format, exif=exif, **options)


def kinds() -> dict[str, bytes]:
    """A name, whose suffix tells the format of the payload, and the file."""
    image, other = Image.fromarray(FACE), Image.fromarray(FACE[:, ::-1].copy())
    deep = cv2.imencode(".png", (FACE.astype(np.uint16) * 257)[..., ::-1])[1].tobytes()
    files = {
        "turned.jpg": turned("JPEG", 6, quality=95),
        "upside_down.jpg": turned("JPEG", 3, quality=95),
        "mirrored.png": turned("PNG", 5),
        "turned.webp": turned("WEBP", 8, lossless=True),
        "grey.jpg": saved(GREY, "JPEG", quality=95),
        "grey.png": saved(GREY, "PNG"),
        "transparent.png": saved(np.dstack([FACE, np.full_like(GREY, 200)]), "PNG"),
        "inks.jpg": saved(image.convert("CMYK"), "JPEG", quality=95, icc_profile=b"\0" * 128),
        "deep.png": deep,
        "deep_grey.png": cv2.imencode(".png", GREY.astype(np.uint16) * 257)[1].tobytes(),
        "palette.png": saved(image.quantize(256), "PNG"),
        "lossy.webp": saved(image, "WEBP", quality=90),
        "plain.bmp": saved(image, "BMP"),
        "animated.webp": saved(image, "WEBP", save_all=True, append_images=[other], lossless=True),
        "animated.png": saved(image, "PNG", save_all=True, append_images=[other]),
    }
    return files | ({"next.avif": saved(image, "AVIF", quality=95)} if AVIF else {})


TRUNCATED = {"cut.jpg": saved(FACE, "JPEG", quality=95)[:1500], "cut.png": saved(FACE, "PNG")[:5000]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {**kinds(), **TRUNCATED}.items():
        path = tmp_path / "people" / name.replace(".", "-") / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return tmp_path / "people"


def payloads(destination: Path) -> dict[str, tuple[str, bytes]]:
    """Action and payload of each picture, by the name of its file."""
    lines = (line.split("\t") for line in (destination / "source.lst").read_text().splitlines())
    names = {int(key): path.rpartition("/")[2] for key, _, path in lines}
    rows = pq.read_table(destination / "train.ledger.parquet").to_pylist()
    with open_pack(destination) as opened:
        return {
            names[row["source_key"]]: (row["action"], opened.read(row["key"]).payload if row["key"] else b"")
            for row in rows
            if row["source_key"] is not None
        }


def off(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.usefixtures("capfd")  # the decoder warns
def test_masking_a_folder_of_every_kind(folder: Path, tmp_path: Path) -> None:
    """Upright, in its own kind (AVIF becomes PNG, which all read), with the upper half as it was."""
    mask(MaskConfig(str(folder), str(tmp_path / "out"), ratio=1.0, mode="replace", types=(("surgical-blue", 1.0),)))
    found = payloads(tmp_path / "out")
    assert {name for name, (action, _) in found.items() if action == "error"} == TRUNCATED.keys()
    assert all(found[name][1] == content for name, content in TRUNCATED.items())
    for name in kinds():
        action, payload = found[name]
        assert action == "mask", name
        kind = {"JPG": "JPEG", "AVIF": "PNG"}.get(name[-4:].strip(".").upper(), name[-4:].strip(".").upper())
        shown = Image.open(io.BytesIO(payload))
        assert (shown.format, shown.getexif().get(274, 1)) == (kind, 1), name
        expected = np.repeat(GREY[..., None], 3, -1) if "grey" in name else FACE
        assert off(decode(payload)[:36], expected[:36]) < (12 if name.startswith(("inks", "palette")) else 4), name
        assert off(decode(payload)[70:100, 40:72], expected[70:100, 40:72]) > 10, name
        if "grey" in name:
            assert shown.mode == "L"


@pytest.mark.usefixtures("capfd")
def test_packing_a_folder_of_every_kind(folder: Path, tmp_path: Path) -> None:
    pack(PackConfig(str(folder), str(tmp_path / "out")))
    found, kept = payloads(tmp_path / "out"), 0
    assert {name for name, (action, _) in found.items() if action == "error"} == TRUNCATED.keys()
    for name, content in kinds().items():
        action, payload = found[name]
        copied = name.endswith((".jpg", ".png")) and not name.startswith(("turned", "upside", "mirrored"))
        assert (action, payload == content) == ("copy" if copied else "encode", copied), name
        kept += copied
        expected = np.repeat(GREY[..., None], 3, -1) if "grey" in name else FACE
        assert off(decode(payload), expected) < (12 if name.startswith(("inks", "palette")) else 4), name
    assert kept == 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_payload_is_upright_and_of_the_same_kind(format: str, orientation: int) -> None:
    content = turned(format, orientation, **({"lossless": True} if format == "WEBP" else {}))
    payload = as_payload(content)
    assert (payload is content) == (orientation == 1)
    assert Image.open(io.BytesIO(payload)).format == format
    assert off(decode(payload), FACE) < 4
    assert as_payload(payload) is payload


def test_a_payload_that_is_sound_or_beyond_help_is_left_alone() -> None:
    for content in (*TRUNCATED.values(), b"", b"Exif\0\0", b"\xff\xd8\xffExif\0\0" + b"\0" * 99, saved(FACE, "BMP")):
        assert as_payload(content) is content


@pytest.mark.skipif(not AVIF, reason="this Pillow has no AVIF")
def test_avif_is_read_wherever_pictures_are() -> None:
    content = saved(FACE[:100], "AVIF", quality=95)
    assert picture_size(content) == (100, 112)
    assert off(decode(content), FACE[:100]) < 3
    assert Image.open(io.BytesIO(as_payload(content))).format == "PNG"
    for length in (12, 40, len(content) // 2):
        with pytest.raises(PictureError, match="AVIF"):
            decode(content[:length])


@pytest.mark.parametrize(("format", "options"), [("WEBP", {"lossless": True}), ("WEBP", {"quality": 85}), ("BMP", {})])
def test_a_masked_picture_has_the_kind_and_quality_of_its_source(format: str, options: dict[str, Any]) -> None:
    content = saved(FACE, format, **options)
    again = encode_like(decode(content), content)
    assert Image.open(io.BytesIO(again)).format == format
    assert 0.85 < len(again) / len(content) < 1.15
    assert off(decode(again), decode(content)) < (3 if "quality" in options else 1e-9)


def test_avif_is_counted_as_other_where_pillow_does_not_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.avif").write_bytes(b"")
    assert list(files_in(tmp_path).pictures) == (["one.avif"] if AVIF else [])
    monkeypatch.setattr(features, "check", lambda _: False)
    assert (list(files_in(tmp_path).pictures), dict(files_in(tmp_path).others)) == ([], {".avif": 1})
