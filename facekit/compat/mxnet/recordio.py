"""``mxnet.recordio``: readers and writers under mxnet's names, on facekit's own.

Different from mxnet 1.9.1 where that goes wrong: after the end of the file ``read_idx`` still reads; a reader may be
shared by any number of threads; a forked worker neither parses the index again nor loses its position; a truncated or
corrupt record is an error that names file, key and offset instead of None; without an ``.idx`` the index is rebuilt;
``write`` takes any bytes-like object; and what a writer writes with an index appears under its name when it is whole.
"""

from __future__ import annotations

from facekit.compat.mxnet.indexed_file import MXIndexedRecordIO
from facekit.compat.mxnet.record_file import MXRecordIO
from facekit.compat.mxnet.record_functions import IRHeader, pack, pack_img, unpack, unpack_img

__all__ = ["IRHeader", "MXIndexedRecordIO", "MXRecordIO", "pack", "pack_img", "unpack", "unpack_img"]
