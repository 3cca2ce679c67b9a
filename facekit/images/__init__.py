"""JPEG and other payloads <-> pictures. A picture is ``(H, W, 3) uint8`` RGB everywhere in facekit."""

from facekit.images.avif import reads_avif
from facekit.images.blur import blurred
from facekit.images.codec import SUBSAMPLINGS, decode, decode_stored, encode_jpeg, encode_like, encode_stored
from facekit.images.files import PictureFile, open_picture_file
from facekit.images.jpeg import JpegCoding, jpeg_coding
from facekit.images.payload import as_payload
from facekit.images.picture_like import as_picture, is_pillow, stored_as, to_pillow, upright
from facekit.images.size import picture_size

__all__ = [
    "SUBSAMPLINGS",
    "JpegCoding",
    "PictureFile",
    "as_payload",
    "as_picture",
    "blurred",
    "decode",
    "decode_stored",
    "encode_jpeg",
    "encode_like",
    "encode_stored",
    "is_pillow",
    "jpeg_coding",
    "open_picture_file",
    "picture_size",
    "reads_avif",
    "stored_as",
    "to_pillow",
    "upright",
]
