"""JPEG and other payloads <-> pictures: the only home of decoding and encoding.

A picture is ``(H, W, 3) uint8`` RGB everywhere in facekit; BGR exists only inside this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import ConfigError, PictureError, none_of
from facekit.images.avif import avif_pixels
from facekit.images.jpeg import JPEG, JpegCoding, jpeg_coding
from facekit.images.size import claimed_size, is_grey_png, picture_size, refuse_impossible, refuse_many_scans
from facekit.images.webp import saved_like

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Payload = bytes | bytearray | memoryview

__all__ = [
    "SUBSAMPLINGS",
    "JpegCoding",
    "decode",
    "decode_stored",
    "encode_jpeg",
    "encode_like",
    "encode_png_stored",
    "encode_stored",
    "jpeg_coding",
    "picture_size",
]


def decode(payload: Payload, upright: bool = False) -> Picture:
    """Decode an encoded picture.

    Parameters
    ----------
    payload : bytes-like
        A JPEG, PNG, WebP or BMP file, or AVIF where Pillow reads it.
    upright : bool
        Turn the picture as its EXIF orientation says: right for photographs. By default the pixels come as they are
        stored, which is what training code sees in a pack.

    Returns
    -------
    (H, W, 3) uint8
        RGB. Grey pictures have three equal channels, transparency is dropped, 16 bits become 8. Of a JPEG the same
        pixels as ``mx.image.imdecode`` gives.

    Raises
    ------
    PictureError
        The payload is empty, of another format, truncated, corrupt, or claims a size that its bytes cannot hold.
    """
    import cv2

    colour = getattr(cv2, "IMREAD_COLOR_RGB", cv2.IMREAD_COLOR)  # OpenCV 4.11 and later spare a pass over the pixels
    pixels = _decoded(payload, colour if upright else colour | cv2.IMREAD_IGNORE_ORIENTATION)
    if colour == cv2.IMREAD_COLOR:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    return pixels


def decode_stored(payload: Payload, iscolor: int = -1, upright: bool = False) -> NDArray[Any]:
    """Decode in the channel order of ``cv2.imdecode``, for code that expects it.

    Parameters
    ----------
    payload : bytes-like
    iscolor : int
        1: three channels; 0: grey; -1: as stored.
    upright : bool
        Turn the picture as its EXIF orientation says where `iscolor` is 0 or 1, as ``cv2.imdecode`` does unasked.

    Returns
    -------
    (H, W, 3) in BGR, (H, W) where it is grey, (H, W, 4) where it is stored with transparency
        uint8; uint16 where `iscolor` is -1 and 16 bits are stored.

    Raises
    ------
    PictureError
        As `decode`.
    """
    import cv2

    return _decoded(payload, iscolor if iscolor < 0 or upright else iscolor | cv2.IMREAD_IGNORE_ORIENTATION)


def _decoded(payload: Payload, flags: int) -> NDArray[Any]:
    import cv2

    content = payload if isinstance(payload, bytes) else bytes(payload)
    kind, size = claimed_size(content)
    refuse_impossible(kind, size, len(content))
    if kind == "JPEG":
        refuse_many_scans(content, size)
    if kind == "AVIF":
        return _of_avif(content, flags)
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise PictureError(f"the decoder refused this {kind} of {len(content)} bytes: {error}") from error
    if pixels is None:
        raise PictureError(f"the {kind} of {len(content)} bytes is truncated or corrupt: it does not decode")
    return np.asarray(pixels)


def _of_avif(content: bytes, flags: int) -> NDArray[Any]:
    """As OpenCV would give it, which in most builds reads none."""
    import cv2

    turn = flags >= 0 and not flags & cv2.IMREAD_IGNORE_ORIENTATION
    pixels = avif_pixels(content, turn)
    kind = flags & ~cv2.IMREAD_IGNORE_ORIENTATION if flags >= 0 else cv2.IMREAD_COLOR
    if kind == getattr(cv2, "IMREAD_COLOR_RGB", None):
        return pixels
    to = cv2.COLOR_RGB2GRAY if kind == cv2.IMREAD_GRAYSCALE else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(pixels, to))


def encode_jpeg(image: Picture, quality: int = 95, subsampling: str = "4:2:0") -> bytes:
    """Encode a picture as a baseline JPEG with the standard tables.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.
    quality : int
        1 to 100, scaled as libjpeg does.
    subsampling : str
        ``"4:4:4"``, ``"4:2:2"``, ``"4:2:0"``, ``"4:4:0"`` or ``"4:1:1"``.

    Returns
    -------
    bytes
        Baseline sequential DCT, Huffman tables of ITU-T T.81 annex K.3.

    Raises
    ------
    ConfigError
        The quality or the subsampling is outside what is allowed.
    PictureError
        The array is not a picture.
    """
    if not 1 <= quality <= 100:
        raise ConfigError(f"JPEG quality must lie in 1 to 100, {quality} was given")
    if subsampling not in SUBSAMPLINGS:
        raise none_of("chroma subsampling", subsampling, SUBSAMPLINGS)
    return _encode_standard(_bgr(image), quality, subsampling)


def encode_stored(pixels: NDArray[np.uint8], extension: str = ".jpg", quality: int = 95) -> bytes:
    """Encode pixels in the channel order of ``cv2.imencode``, for code that has them so.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 in BGR, or (H, W)
    extension : str
        ``".jpg"``, ``".jpeg"`` or ``".png"``.
    quality : int
        JPEG 1 to 100; PNG compression 0 to 9.

    Returns
    -------
    bytes

    Raises
    ------
    ConfigError
        The extension is another.
    PictureError
        The array is not a picture.
    """
    import cv2

    options = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".png": cv2.IMWRITE_PNG_COMPRESSION}
    option = options.get(extension.lower())
    if option is None:
        raise ConfigError(f"pictures are encoded as {', '.join(options)}, {extension!r} was given")
    if pixels.ndim not in (2, 3) or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise PictureError(f"a picture is an (H, W, 3) or (H, W) uint8 array, this is {pixels.shape} {pixels.dtype}")
    return _encode(extension, pixels, [option, quality])


def encode_png_stored(pixels: NDArray[Any]) -> bytes:
    """Encode pixels in the channel order of ``cv2.imencode`` as a PNG, with transparency and 16 bits.

    Parameters
    ----------
    pixels : (H, W), (H, W, 3) in BGR or (H, W, 4) in BGRA, uint8 or uint16

    Returns
    -------
    bytes

    Raises
    ------
    PictureError
        The encoder refuses them.
    """
    return _encode(".png", pixels, [])


def encode_like(image: Picture, source: Payload) -> bytes:
    """Encode a picture the way another payload was encoded, so that the codec does not tell them apart.

    A JPEG source gives its own quantisation tables, chroma subsampling and number of components (grey stays grey);
    standard tables take the fast encoder, others an encoder that accepts tables. A source of another kind gives a
    PNG (lossless, and grey where a PNG source is grey). The result is always baseline Huffman. Subsamplings that the
    table encoder does not know (4:4:0, 4:1:1) with tables that are not standard come out as 4:4:4, and CMYK as YCbCr.
    WebP stays WebP, lossless or of about the same quality, and BMP stays BMP.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, of any size.
    source : bytes-like
        The payload to imitate.

    Returns
    -------
    bytes

    Raises
    ------
    PictureError
        The array is not a picture, or the source is not one.
    """
    content = bytes(source)
    if content.startswith(b"RIFF"):
        return _encode_webp(image, content)
    if content.startswith(b"BM"):
        return _encode(".bmp", _bgr(image), [])
    if not content.startswith(JPEG):
        return _encode_png(image, grey=is_grey_png(content))
    coding = jpeg_coding(content)
    if coding.quality is not None and coding.subsampling in _SAMPLING_FACTORS:
        return _encode_standard(
            _grey(image) if coding.components == 1 else _bgr(image), coding.quality, coding.subsampling
        )
    return _encode_tables(image, coding)


# --- encoding ---------------------------------------------------------------------------------------------------------

# Horizontal and vertical factors of Y, Cb and Cr, a hexadecimal digit each, as cv2.IMWRITE_JPEG_SAMPLING_FACTOR takes
# them.
_SAMPLING_FACTORS = {
    "4:4:4": 0x111111, "4:2:2": 0x211111, "4:2:0": 0x221111, "4:4:0": 0x121111, "4:1:1": 0x411111, "4:0:0": 0x111111,
}  # fmt: skip
SUBSAMPLINGS = tuple(name for name in _SAMPLING_FACTORS if name != "4:0:0")
_PILLOW_SUBSAMPLING = {"4:2:2": 1, "4:2:0": 2}


def _checked(image: Picture) -> Picture:
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    if shape is None or len(shape) != 3 or shape[2] != 3 or dtype != np.uint8 or 0 in shape:
        raise PictureError(f"a picture is an (H, W, 3) uint8 array, this is {type(image).__name__} {shape} {dtype}")
    if max(shape) > 65500:
        raise PictureError(f"a picture of {shape[0]} x {shape[1]} pixels is more than JPEG can hold (65500 a side)")
    return image


def _bgr(image: Picture) -> Picture:
    import cv2

    return np.asarray(cv2.cvtColor(_checked(image), cv2.COLOR_RGB2BGR), np.uint8)


def _grey(image: Picture) -> Picture:
    import cv2

    return np.asarray(cv2.cvtColor(_checked(image), cv2.COLOR_RGB2GRAY), np.uint8)


def _encode_standard(pixels: Picture, quality: int, subsampling: str) -> bytes:
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING_FACTORS[subsampling]]
    return _encode(".jpg", pixels, options)


def _encode_webp(image: Picture, content: bytes) -> bytes:
    from PIL import Image

    return saved_like(Image.fromarray(_checked(image)), Image.fromarray(decode(content)), content, "WEBP")


def _encode_png(image: Picture, grey: bool) -> bytes:
    return _encode(".png", _grey(image) if grey else _bgr(image), [])


def _encode(extension: str, pixels: NDArray[Any], options: list[int]) -> bytes:
    import cv2

    done, content = cv2.imencode(extension, pixels, options)
    if not done:
        raise PictureError(f"the encoder refused a picture of shape {pixels.shape} as {extension}")
    return content.tobytes()


def _encode_tables(image: Picture, coding: JpegCoding) -> bytes:
    """Any 8- or 16-bit tables, by way of Pillow."""
    import io

    from PIL import Image

    picture = Image.fromarray(_grey(image) if coding.components == 1 else _checked(image))
    tables = [list(table) for table in coding.tables[: 1 if coding.components == 1 else 3]]
    out = io.BytesIO()
    picture.save(out, "JPEG", qtables=tables, subsampling=_PILLOW_SUBSAMPLING.get(coding.subsampling, 0))
    return out.getvalue()
