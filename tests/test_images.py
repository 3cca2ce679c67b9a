"""Decoding, encoding like a source, and reading how a JPEG was coded."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facekit.errors import ConfigError, PictureError
from facekit.images import SUBSAMPLINGS, decode, encode_jpeg, encode_like, jpeg_coding, picture_size
from facekit.images import jpeg as coding

HEIGHT, WIDTH = 70, 86


def drawn(seed: int = 0, grey: bool = False) -> np.ndarray:
    """(70, 86, 3): smooth colour, an edge and some grain; no side a multiple of 8 or 16."""
    rng = np.random.default_rng(seed)
    coarse = (rng.integers(60, 190, (6, 7, 1)) + rng.integers(-30, 30, (6, 7, 3))).astype(np.uint8)
    picture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    picture[20:50, 30:60] *= 0.6
    picture += rng.normal(0, 3, (HEIGHT, WIDTH, 1))
    if grey:
        picture[:] = picture.mean(axis=2, keepdims=True)
    return np.clip(picture, 0, 255).astype(np.uint8)


def saved(picture: np.ndarray, format: str = "JPEG", mode: str | None = None, **options: Any) -> bytes:
    """Encoded by Pillow, an encoder that is not ours."""
    out = io.BytesIO()
    image = Image.fromarray(picture)
    (image.convert(mode) if mode else image).save(out, format, **options)
    return out.getvalue()


def off(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


tables = st.lists(st.integers(1, 60), min_size=64, max_size=64)


# --- decode -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP"])
def test_other_formats(format: str) -> None:
    payload = saved(drawn(), format, **({"lossless": True} if format == "WEBP" else {}))
    assert (decode(payload) == drawn()).all()
    assert picture_size(payload) == (HEIGHT, WIDTH)


def test_lossy_webp_size() -> None:
    assert picture_size(saved(drawn(), "WEBP", quality=80)) == decode(saved(drawn(), "WEBP", quality=80)).shape[:2]
    extended = saved(drawn(), "WEBP", quality=80, exif=Image.Exif().tobytes() + b"x", icc_profile=b"profile")
    assert picture_size(extended) == (HEIGHT, WIDTH)


@pytest.mark.parametrize(("format", "options"), [("JPEG", {"progressive": True}), ("JPEG", {"optimize": True})])
def test_jpegs_of_all_kinds_are_what_pillow_decodes(format: str, options: dict[str, Any]) -> None:
    payload = saved(drawn(), format, quality=90, subsampling=0, **options)
    assert off(decode(payload), np.asarray(Image.open(io.BytesIO(payload)))) < 0.01


def test_grey_becomes_three_equal_channels() -> None:
    for payload in (saved(drawn(), mode="L"), saved(drawn(), "PNG", mode="L")):
        picture = decode(payload)
        assert picture.shape == (HEIGHT, WIDTH, 3)
        assert (picture == picture[..., :1]).all()


def test_transparency_and_sixteen_bits() -> None:
    assert (decode(saved(drawn(), "PNG", mode="RGBA")) == drawn()).all()
    deep = cv2.imencode(".png", drawn()[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    assert (decode(deep) == drawn()).all()


def test_the_orientation_is_obeyed_only_when_asked() -> None:
    exif = Image.Exif()
    exif[274] = 6
    payload = saved(drawn(), exif=exif, quality=95)
    plain = saved(drawn(), quality=95)
    assert (decode(payload) == decode(plain)).all()
    assert (decode(payload, upright=True) == np.rot90(decode(plain), -1)).all()
    assert picture_size(payload) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like(kind: Any) -> None:
    payload = encode_jpeg(drawn())
    assert (decode(kind(payload)) == decode(payload)).all()
    assert encode_like(drawn(1), kind(payload)) == encode_like(drawn(1), payload)
    assert jpeg_coding(kind(payload)) == jpeg_coding(payload)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "empty"),
        (b"GIF89a....", "begins with 47 49 46 38"),
        (bytes(100), "begins with 00 00 00 00"),
        (b"\xff\xd8\xff", "truncated or corrupt|has no frame"),
        (b"\x89PNG\r\n\x1a\n", "claims 0 x 0"),
        (b"BM" + bytes(24), "claims 0 x 0"),
    ],
)
def test_what_is_no_picture(payload: bytes, problem: str) -> None:
    with pytest.raises(PictureError, match=problem):
        decode(payload)


@pytest.mark.usefixtures("capfd")  # the decoder warns
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_truncated_picture_never_decodes(format: str) -> None:
    payload = saved(drawn(), format)
    for length in range(0, len(payload) - 2, 37):
        with pytest.raises(PictureError):
            decode(payload[:length])


def claiming(width: int, height: int) -> list[bytes]:
    """Small files that claim to be large."""
    jpeg = bytearray(encode_jpeg(drawn()))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", min(height, 65535), min(width, 65535))
    png = bytearray(saved(drawn(), "PNG"))
    png[16:24] = struct.pack(">II", width, height)
    bmp = bytearray(saved(drawn(), "BMP"))
    bmp[18:26] = struct.pack("<ii", width, -height)
    return [bytes(jpeg), bytes(png), bytes(bmp)]


@pytest.mark.parametrize("side", [30_000, 65_535, 2**30])
def test_a_claimed_size_allocates_nothing(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was reached"))
    for payload in claiming(side, side):
        with pytest.raises(PictureError, match=r"claims \d+ x \d+ pixels"):
            decode(payload)


def test_a_flat_picture_of_few_bytes_is_no_forgery() -> None:
    flat = np.zeros((2000, 3000, 3), np.uint8)
    for payload in (saved(flat, quality=5, progressive=True, optimize=True), saved(flat, "PNG", compress_level=9)):
        assert decode(payload).shape == flat.shape


def with_scans(payload: bytes, count: int) -> bytes:
    """A progressive JPEG with its last scan so many times more: each is a few bytes and a pass over all pixels."""
    at = payload.rindex(b"\xff\xda")
    return payload[:-2] + payload[at:-2] * count + payload[-2:]


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    large = saved(np.zeros((2000, 3000, 3), np.uint8), progressive=True)
    small = saved(drawn(), progressive=True)
    few, many = with_scans(large, 5), with_scans(large, 800)
    assert decode(few).shape == (2000, 3000, 3)
    assert decode(with_scans(small, 800)).shape == (HEIGHT, WIDTH, 3)
    assert len(many) < 200_000
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was reached"))
    with pytest.raises(PictureError, match=r"8\d\d scans of 2000 x 3000 pixels"):
        decode(many)


@given(st.data())
def test_any_damage_is_a_picture_or_a_typed_error(data: st.DataObject) -> None:
    payload = bytearray(data.draw(st.sampled_from([encode_jpeg(drawn(), 60), saved(drawn(), "PNG")])))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    for read in (decode, jpeg_coding, picture_size, lambda payload: encode_like(drawn(), payload)):
        try:
            read(bytes(payload))
        except PictureError as error:
            assert str(error)  # noqa: PT017 - no error is right as well


@given(st.binary(max_size=80))
def test_any_bytes_after_a_signature(rest: bytes) -> None:
    for signature in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF", b""):
        for read in (jpeg_coding, picture_size):
            try:
                read(signature + rest)
            except PictureError as error:
                assert str(error)  # noqa: PT017 - no error is right as well


# --- how a JPEG was coded ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", range(1, 101))
def test_every_quality_is_recognised_in_files_of_two_encoders(quality: int) -> None:
    for payload in (encode_jpeg(drawn(), quality), saved(drawn(), quality=quality, subsampling=2)):
        coding = jpeg_coding(payload)
        assert (coding.quality, coding.subsampling, coding.components) == (quality, "4:2:0", 3)
        assert coding.size == (HEIGHT, WIDTH)
    grey = jpeg_coding(saved(drawn(), mode="L", quality=quality))
    assert (grey.quality, grey.subsampling, grey.components, len(grey.tables)) == (quality, "4:0:0", 1, 1)


@pytest.mark.parametrize(("number", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_subsampling_of_another_encoder(number: int, name: str) -> None:
    assert jpeg_coding(saved(drawn(), subsampling=number)).subsampling == name


@given(tables, tables)
def test_tables_come_out_as_they_went_in(luma: list[int], chroma: list[int]) -> None:
    coding = jpeg_coding(saved(drawn(), qtables=[luma, chroma]))
    assert coding.tables == (tuple(luma), tuple(chroma), tuple(chroma))


def test_cmyk_and_progressive() -> None:
    assert jpeg_coding(saved(drawn(), mode="CMYK")).components == 4
    assert jpeg_coding(saved(drawn(), quality=80, progressive=True)).quality == 80


def test_reading_how_is_cheap() -> None:
    """It decodes nothing, and remembers what distinct header bytes mean."""
    payload = encode_jpeg(drawn())
    jpeg_coding(payload)
    before = coding._coding_of.cache_info()
    for _ in range(10):
        jpeg_coding(payload)
    after = coding._coding_of.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (10, 0)


# --- encoding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("quality", [30, 75, 92, 100])
def test_encoding_like_the_source_leaves_it_nearly_as_it_was(quality: int, subsampling: str) -> None:
    source = encode_jpeg(drawn(), quality, subsampling)
    again = encode_like(decode(source), source)
    assert jpeg_coding(again) == jpeg_coding(source)
    change = off(decode(again), decode(source))
    # Chroma that was halved, interpolated and is halved again does not come out the same.
    assert change < (0.1 if subsampling == "4:4:4" else 0.3)
    assert change < off(decode(source), drawn()) / 3 or quality == 100


@given(tables, tables, st.sampled_from([0, 1, 2]))
def test_tables_that_are_not_standard_are_kept(luma: list[int], chroma: list[int], subsampling: int) -> None:
    source = saved(drawn(), qtables=[luma, chroma], subsampling=subsampling)
    again = encode_like(decode(source), source)
    assert jpeg_coding(again) == jpeg_coding(source)
    assert off(decode(again), decode(source)) < 1.5


def test_three_tables_sixteen_bits_and_mixed_qualities() -> None:
    rng = np.random.default_rng(0)
    three = [rng.integers(1, 40, 64).tolist() for _ in range(3)]
    wide = [rng.integers(1, 700, 64).tolist(), three[1]]
    standard = [list(jpeg_coding(encode_jpeg(drawn(), quality)).tables[place]) for quality, place in ((90, 0), (70, 1))]
    for given_tables in (three, wide, standard, three[:1]):
        source = saved(drawn(), qtables=given_tables, subsampling=2)
        assert jpeg_coding(source).quality is None
        assert jpeg_coding(encode_like(decode(source), source)) == jpeg_coding(source)


def test_blocks_that_nothing_touched_stay() -> None:
    """A change in one corner leaves blocks far from it as close as no change at all does."""
    source = encode_jpeg(drawn(), 92, "4:4:4")
    picture = decode(source)
    changed = picture.copy()
    changed[48:, 64:] = 255 - changed[48:, 64:]
    alone, beside = (decode(encode_like(p, source)) for p in (picture, changed))
    assert (alone[:48, :64] == beside[:48, :64]).all()


@pytest.mark.parametrize("options", [{"quality": 85}, {"qtables": [list(range(3, 67))]}])
def test_a_grey_source_stays_grey(options: dict[str, Any]) -> None:
    source = saved(drawn(), mode="L", **options)
    again = encode_like(drawn(grey=True), source)
    assert jpeg_coding(again) == jpeg_coding(source)
    picture = decode(again)
    assert (picture == picture[..., :1]).all()
    assert off(picture, drawn(grey=True)) < 12


def test_png_stays_png_without_loss() -> None:
    assert (decode(encode_like(drawn(), saved(drawn(1), "PNG"))) == drawn()).all()
    assert encode_like(drawn(), saved(drawn(1), "WEBP")).startswith(b"RIFF")
    grey = encode_like(drawn(grey=True), saved(drawn(), "PNG", mode="L"))
    assert (decode(grey) == drawn(grey=True)).all()
    assert Image.open(io.BytesIO(grey)).mode == "L"


def test_what_no_encoder_can_repeat_comes_near() -> None:
    cmyk = saved(drawn(), mode="CMYK", quality=90)
    assert jpeg_coding(encode_like(decode(cmyk), cmyk)).tables[0] == jpeg_coding(cmyk).tables[0]
    at = (odd := bytearray(saved(drawn(), qtables=[[9] * 64, [7] * 64], subsampling=0))).index(b"\xff\xc0") + 11
    assert odd[at] == 0x11
    odd[at] = 0x12
    assert jpeg_coding(bytes(odd)).subsampling == "4:4:0"
    assert jpeg_coding(encode_like(drawn(), bytes(odd))).tables == jpeg_coding(bytes(odd)).tables


def test_an_encoded_picture_has_another_size_than_its_source() -> None:
    assert decode(encode_like(drawn()[:31, :45], encode_jpeg(drawn()))).shape == (31, 45, 3)


@pytest.mark.parametrize(
    "image",
    [drawn()[..., 0], drawn().astype(np.float32), drawn()[:0], np.zeros((3, 3, 4), np.uint8), None, [[1]],
     np.broadcast_to(np.uint8(0), (1, 70_000, 3))],
)  # fmt: skip
def test_what_is_no_picture_is_not_encoded(image: Any) -> None:
    for source in (encode_jpeg(drawn()), saved(drawn(), qtables=[[5] * 64]), saved(drawn(), mode="L")):
        with pytest.raises(PictureError, match="a picture"):
            encode_like(image, source)
    with pytest.raises(PictureError, match="a picture"):
        encode_jpeg(image)


def test_views_that_are_not_contiguous_are_encoded() -> None:
    for view in (drawn()[:, ::-1], drawn()[::2, ::3], drawn()[..., ::-1]):
        assert encode_jpeg(view) == encode_jpeg(np.ascontiguousarray(view))
        source = saved(drawn(), qtables=[[5] * 64])
        assert encode_like(view, source) == encode_like(np.ascontiguousarray(view), source)


@pytest.mark.parametrize(("quality", "subsampling"), [(0, "4:2:0"), (101, "4:2:0"), (90, "4:0:0"), (90, "420")])
def test_what_cannot_be_asked_for(quality: int, subsampling: str) -> None:
    with pytest.raises(ConfigError, match=r"must be one of|was given"):
        encode_jpeg(drawn(), quality, subsampling)


def test_importing_changes_no_global() -> None:
    import subprocess
    import sys

    code = (
        "import sys, facekit.images; assert 'cv2' not in sys.modules; import cv2; n = cv2.getNumThreads(); "
        "facekit.images.decode(facekit.images.encode_jpeg(__import__('numpy').zeros((8, 9, 3), 'uint8'))); "
        "assert cv2.getNumThreads() == n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_real_faces(shared: Path) -> None:
    """Near-idempotent on photographs: a twelfth of a grey level on average."""
    from facekit.records import open_pack

    with open_pack(shared / "data" / "faces") as pack:
        changes = []
        for key in pack.keys[::25].tolist():
            payload = pack.read(key).payload
            again = encode_like(decode(payload), payload)
            assert jpeg_coding(again) == jpeg_coding(payload)
            changes.append(off(decode(again), decode(payload)))
    assert len(changes) > 200
    assert np.mean(changes) < 0.1
    assert max(changes) < 1
