"""Bytes on disk <-> Record: RecordIO framing, headers, index, packs and their layouts."""

from facekit.records.columns import HeaderColumns, header_columns
from facekit.records.framing import frame, unframe
from facekit.records.header import Header, Record, pack_record, unpack_record
from facekit.records.pack import Pack, PackPaths, open_pack
from facekit.records.pack_writer import PackWriter
from facekit.records.reader import RecordReader
from facekit.records.writer import RecordWriter

__all__ = [
    "Header",
    "HeaderColumns",
    "Pack",
    "PackPaths",
    "PackWriter",
    "Record",
    "RecordReader",
    "RecordWriter",
    "frame",
    "header_columns",
    "open_pack",
    "pack_record",
    "unframe",
    "unpack_record",
]
