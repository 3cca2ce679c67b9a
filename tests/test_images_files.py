"""Photographs as files: what they show, and the same file with other pixels."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from photo import photograph
from PIL import Image, features

from facekit.compat.mxnet import recordio
from facekit.errors import PictureError
from facekit.images import as_picture, decode, jpeg_coding, open_picture_file, stored_as, upright

SHOWN = np.ascontiguousarray(photograph()[40:200, 150:303])
"""(160, 153, 3): no square, and no side a multiple of 16."""
EXIF = Image.Exif()
EXIF[270], EXIF[315] = "what it shows", "who took it"
ICC = b"\0" * 36 + b"acsp" + b"\0" * 88


def saved(format: str, mode: str | None = None, orientation: int | None = None, **options: Any) -> bytes:
    exif = Image.Exif()
    exif.update({**dict(EXIF), **({} if orientation is None else {274: orientation})})
    pixels = SHOWN if orientation is None else np.ascontiguousarray(stored_as(SHOWN, orientation))
    picture, out = Image.fromarray(pixels), io.BytesIO()
    (picture.convert(mode) if mode else picture).save(out, format, exif=exif.tobytes(), **options)
    return out.getvalue()


def changed(image: np.ndarray) -> np.ndarray:
    """With a blue rectangle."""
    other = image.copy()
    other[60:100, 40:90] = (40, 90, 200)
    return other


AWAY = np.s_[120:, :]
"""Far from the rectangle, blocks of codecs included."""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_pillows_and_has_an_inverse(orientation: int) -> None:
    from PIL import ImageOps

    numbered = np.arange(6, dtype=np.uint8).reshape(2, 3)
    picture = Image.fromarray(numbered)
    picture.getexif()[274] = orientation
    assert (upright(numbered, orientation) == np.asarray(ImageOps.exif_transpose(picture))).all()
    assert (stored_as(upright(numbered, orientation), orientation) == numbered).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_turned_file_is_shown_upright_and_stays_turned(format: str, orientation: int) -> None:
    options = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}}[format]
    content = saved(format, orientation=orientation, **options)
    opened = open_picture_file(content)
    assert opened.orientation == orientation
    assert np.abs(opened.image.astype(int) - SHOWN).mean() < 3
    new = opened.with_image(changed(opened.image))
    again = open_picture_file(new)
    assert (again.kind, again.orientation) == (format, orientation)
    assert np.abs(again.image[65:95, 45:85].astype(int) - (40, 90, 200)).mean() < 6
    off = np.abs(again.image[AWAY].astype(int) - opened.image[AWAY])
    assert off.mean() < 0.6 if format == "JPEG" else not off.any()
    assert dict(Image.open(io.BytesIO(new)).getexif()) == dict(Image.open(io.BytesIO(content)).getexif())


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_colour_profile_and_comments_are_kept(format: str) -> None:
    content = saved(format, icc_profile=ICC, **({"comment": b"by hand"} if format == "JPEG" else {}))
    opened = open_picture_file(content)
    before, after = (Image.open(io.BytesIO(each)) for each in (content, opened.with_image(changed(opened.image))))
    assert after.info["icc_profile"] == before.info["icc_profile"] == ICC
    assert after.info.get("comment") == before.info.get("comment")
    assert after.format == before.format == format


@pytest.mark.parametrize(("quality", "subsampling"), [(70, 2), (92, 0), (97, 1)])
def test_a_jpeg_keeps_its_tables_and_subsampling(quality: int, subsampling: int) -> None:
    content = saved("JPEG", quality=quality, subsampling=subsampling)
    opened = open_picture_file(content)
    assert jpeg_coding(opened.with_image(changed(opened.image)))[:4] == jpeg_coding(content)[:4]


@pytest.mark.parametrize("quality", [30, 60, 80, 95])
def test_a_lossy_webp_keeps_about_its_quality(quality: int) -> None:
    content = saved("WEBP", quality=quality)
    opened = open_picture_file(content)
    again = opened.with_image(opened.image)
    assert 0.85 < len(again) / len(content) < 1.15
    assert np.abs(decode(again).astype(int) - opened.image).mean() < 3


def test_grey_stays_grey_and_cmyk_is_shown_in_colour() -> None:
    for format in ("JPEG", "PNG"):
        opened = open_picture_file(saved(format, "L"))
        assert (opened.image == opened.image[..., :1]).all()
        assert Image.open(io.BytesIO(opened.with_image(changed(opened.image)))).mode == "L"
    content = saved("JPEG", "CMYK", quality=95, icc_profile=ICC)
    opened = open_picture_file(content)
    assert np.abs(opened.image.astype(int) - SHOWN).mean() < 6
    after = Image.open(io.BytesIO(opened.with_image(changed(opened.image))))
    assert (after.mode, after.info.get("icc_profile")) == ("RGB", None)  # a profile of inks is wrong for light
    assert np.abs(np.asarray(after)[65:95, 45:85].astype(int) - (40, 90, 200)).mean() < 6


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparency_is_kept(format: str) -> None:
    alpha = (np.indices(SHOWN.shape[:2]).sum(0) % 256).astype(np.uint8)
    picture, out = Image.fromarray(np.dstack([SHOWN, alpha])), io.BytesIO()
    picture.save(out, format, **({"lossless": True, "exact": True} if format == "WEBP" else {}))
    opened = open_picture_file(out.getvalue())
    assert (opened.image == SHOWN).all()
    after = np.asarray(Image.open(io.BytesIO(opened.with_image(changed(opened.image)))))
    assert (after[..., 3] == alpha).all()
    assert (after[..., :3] == changed(SHOWN)).all()


def deep_png() -> tuple[bytes, np.ndarray]:
    """A 16-bit PNG whose low bytes are noise, and its values in RGB."""
    noise = np.random.default_rng(0).integers(0, 256, SHOWN.shape)
    values = (SHOWN.astype(np.uint16) << 8) + noise.astype(np.uint16)
    return cv2.imencode(".png", values[..., ::-1])[1].tobytes(), values


def test_sixteen_bits_stay_where_nothing_changed() -> None:
    content, values = deep_png()
    opened = open_picture_file(content)
    assert np.abs(opened.image.astype(int) - SHOWN).max() <= 1
    after = cv2.imdecode(np.frombuffer(opened.with_image(changed(opened.image)), np.uint8), -1)[..., ::-1]
    assert after.dtype == np.uint16
    touched = np.zeros(SHOWN.shape[:2], bool)
    touched[60:100, 40:90] = True
    assert (after[~touched] == values[~touched]).all()
    assert (after[touched] == np.array((40, 90, 200), np.uint16) * 257).all()


def test_a_palette_becomes_colours() -> None:
    opened = open_picture_file(saved("PNG", "P"))
    after = open_picture_file(opened.with_image(changed(opened.image)))
    assert (after.image == changed(opened.image)).all()


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_stays_avif() -> None:
    content = saved("AVIF", quality=80)
    opened = open_picture_file(content)
    again = opened.with_image(changed(opened.image))
    assert Image.open(io.BytesIO(again)).format == "AVIF"
    assert 0.8 < len(opened.with_image(opened.image)) / len(content) < 1.2
    assert np.abs(open_picture_file(again).image[AWAY].astype(int) - opened.image[AWAY]).mean() < 3


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_animation_is_refused(format: str) -> None:
    out = io.BytesIO()
    frames = [Image.fromarray(SHOWN), Image.fromarray(changed(SHOWN))]
    frames[0].save(out, format, save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match=r"animated \(2 frames\)"):
        open_picture_file(out.getvalue())


@pytest.mark.usefixtures("capfd")  # the decoder warns
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", *(["AVIF"] if features.check("avif") else [])])
def test_a_truncated_file_is_a_typed_error(format: str) -> None:
    content = saved(format)
    for length in (0, 3, 40, len(content) // 2, len(content) - 40):
        with pytest.raises(PictureError):
            open_picture_file(content[:length])


def test_other_kinds_and_other_shapes_are_refused() -> None:
    out = io.BytesIO()
    Image.fromarray(SHOWN).save(out, "TIFF")
    with pytest.raises(PictureError, match=r"begins with|is a TIFF"):
        open_picture_file(out.getvalue())
    with pytest.raises(PictureError, match="other pixels must be too"):
        open_picture_file(saved("PNG")).with_image(SHOWN[1:])


# --- pictures that callers give ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P", "I;16", "LA", "YCbCr"])
def test_pictures_of_pillow_of_every_mode(mode: str) -> None:
    grey = np.asarray(Image.fromarray(SHOWN).convert("L"))
    given = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(SHOWN).convert(mode)
    picture = as_picture(given)
    assert (picture.shape, picture.dtype) == (SHOWN.shape, np.uint8)
    expected = np.repeat(grey[..., None], 3, -1) if mode in ("L", "I;16", "LA") else SHOWN
    assert np.abs(picture.astype(int) - expected).mean() < (40 if mode == "P" else 2)


def test_pillows_orientation_is_obeyed_only_when_asked() -> None:
    given = Image.open(io.BytesIO(saved("PNG", orientation=6)))
    assert (as_picture(given, turn=True) == SHOWN).all()
    assert (as_picture(given) == stored_as(SHOWN, 6)).all()


def test_what_is_no_picture_is_named() -> None:
    class Tensor:
        shape = (3, 112, 112)

        def detach(self) -> None: ...

    with pytest.raises(PictureError, match=r"tensor of shape \(3, 112, 112\).*permute"):
        as_picture(Tensor())
    with pytest.raises(PictureError, match=r"this is str; facekit\.images\.decode"):
        as_picture("face.jpg")
    with pytest.raises(PictureError, match="mode 'F'"):
        as_picture(Image.fromarray(np.zeros((4, 4), np.float32)))


# --- records, as mxnet gives them -------------------------------------------------------------------------------------


def test_unpack_img_keeps_sixteen_bits_and_turns_as_mxnet_does() -> None:
    content, values = deep_png()
    record = recordio.pack(recordio.IRHeader(0, 1.0, 1, 0), content)
    stored = recordio.unpack_img(record, -1)[1]
    assert stored.dtype == np.uint16
    assert (stored[..., ::-1] == values).all()
    assert np.abs(recordio.unpack_img(record, 1)[1][..., ::-1].astype(int) - SHOWN).max() <= 1
    turned = saved("JPEG", orientation=6)
    record = recordio.pack(recordio.IRHeader(0, 1.0, 1, 0), turned)
    for flag in (-1, 0, 1):
        expected = cv2.imdecode(np.frombuffer(turned, np.uint8), flag)
        assert (recordio.unpack_img(record, flag)[1] == expected).all()
    assert recordio.unpack_img(record, 1)[1].shape == SHOWN.shape
