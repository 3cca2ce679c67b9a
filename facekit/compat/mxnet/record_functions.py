"""mxnet's four functions on one record: header and payload to a buffer and back, with a picture or without."""

from __future__ import annotations

from typing import Any

import numpy as np

from facekit.images import decode_stored, encode_stored
from facekit.records import Header, pack_record, unpack_record

__all__ = ["IRHeader", "pack", "pack_img", "unpack", "unpack_img"]

IRHeader = Header


def pack(header: Any, s: bytes | bytearray | memoryview | str) -> bytes:
    """Header and payload as a record buffer; the flag follows from the label, whatever it was.

    Parameters
    ----------
    header : IRHeader
    s : bytes-like or str
        The payload; a str is encoded as UTF-8.

    Returns
    -------
    bytes

    Raises
    ------
    ConfigError
        A field does not fit.
    """
    return pack_record(header, s.encode() if isinstance(s, str) else s)


class _Labels(np.ndarray[Any, Any]):
    """A vector of float32 whose elements are Python floats."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return found.item() if isinstance(found, np.generic) else found


def unpack(s: bytes | bytearray | memoryview) -> tuple[Any, bytes]:
    """Header and payload of a record buffer.

    Parameters
    ----------
    s : bytes-like

    Returns
    -------
    IRHeader
        The label is a Python float or, where the flag is not 0, a vector of float32 whose elements are Python floats,
        so that ``torch.tensor(label[0], dtype=torch.long)`` takes them, which refuses numpy's float32.
    bytes

    Raises
    ------
    facekit.RecordError
        The buffer is too short.
    """
    header, payload = unpack_record(s)
    if header.flag:
        header = header._replace(label=header.label.view(_Labels))
    return header, payload


def pack_img(header: Any, img: Any, quality: int = 95, img_fmt: str = ".jpg") -> bytes:
    """Encode a picture and pack it.

    Parameters
    ----------
    header : IRHeader
    img : (H, W, 3) uint8 in BGR, or (H, W)
    quality : int
        JPEG 1 to 100, PNG compression 0 to 9.
    img_fmt : str
        ``".jpg"``, ``".jpeg"`` or ``".png"``.

    Returns
    -------
    bytes
        What `unpack_img` takes.
    """
    return pack(header, encode_stored(np.asarray(img), img_fmt, quality))


def unpack_img(s: bytes | bytearray | memoryview, iscolor: int = -1) -> tuple[Any, np.ndarray[Any, Any]]:
    """Unpack a record buffer and decode its picture.

    Parameters
    ----------
    s : bytes-like
    iscolor : int
        As ``cv2.imdecode`` takes it.

    Returns
    -------
    IRHeader
    (H, W, 3) uint8 in BGR
        As stored with ``iscolor`` -1 (then a grey picture is (H, W), and 16 bits are uint16), 1: always three channels,
        0: grey; both turned as the EXIF orientation says, which -1 is not.
    """
    header, payload = unpack(s)
    return header, decode_stored(payload, iscolor, upright=True)
