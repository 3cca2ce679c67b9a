"""Where files may lie besides the disk: http, S3, the Hugging Face hub and whatever else fsspec knows by an address."""

from facekit.stores.addresses import expand_braces, is_address, local_path
from facekit.stores.filesystem import Stored, StoreError, find_stored, restamp, stored_file
from facekit.stores.reading import open_stored
from facekit.stores.streams import open_stream

__all__ = [
    "StoreError",
    "Stored",
    "expand_braces",
    "find_stored",
    "is_address",
    "local_path",
    "open_stored",
    "open_stream",
    "restamp",
    "stored_file",
]
