"""Bytes on disk <-> Record: RecordIO framing, headers, index, packs and their layouts."""

from facekit.records.bins import Bins, read_bins, write_bins
from facekit.records.columns import HeaderColumns, header_columns
from facekit.records.framing import frame, unframe
from facekit.records.header import Header, Record, pack_record, unpack_record
from facekit.records.index import RecordIndex
from facekit.records.opening import open_pack
from facekit.records.pack import Pack, PartialIndex
from facekit.records.pack_files import PackPaths
from facekit.records.pack_writer import PackWriter
from facekit.records.reader import RecordReader
from facekit.records.record_index import IndexEnds
from facekit.records.writer import RecordWriter

__all__ = [
    "Bins",
    "Header",
    "HeaderColumns",
    "IndexEnds",
    "Pack",
    "PackPaths",
    "PackWriter",
    "PartialIndex",
    "Record",
    "RecordIndex",
    "RecordReader",
    "RecordWriter",
    "frame",
    "header_columns",
    "open_pack",
    "pack_record",
    "read_bins",
    "unframe",
    "unpack_record",
    "write_bins",
]
