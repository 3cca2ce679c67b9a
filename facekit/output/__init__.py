"""The one way anything of facekit's is written: locked, refused, staged, resumed, compared once more, and published.

Nothing of anybody's is ever lost: a destination that is an input, holds one or lies in one is refused, through links
and mounts; only files that facekit's own record lists are replaced; everything appears whole, by rename.
"""

from facekit.output.aside import aside_file, new_aside, replace_file, replacing
from facekit.output.files import (
    BINS,
    HTML,
    INDEX,
    JSON,
    ONNX,
    PARQUET,
    PNG,
    SVG,
    FileKind,
    FilesOutput,
    check_files,
    is_moving,
    open_files,
)
from facekit.output.flush import flush_files
from facekit.output.folder import FolderOutput, check_folder, is_begun, open_folder
from facekit.output.inputs import Input, folder_input, input_of
from facekit.output.prefix import PrefixOutput, open_prefix
from facekit.output.record import RECORD, note_replaced, read_record
from facekit.output.run_folder import look_at_run_folder, open_run_folder

__all__ = [
    "BINS",
    "HTML",
    "INDEX",
    "JSON",
    "ONNX",
    "PARQUET",
    "PNG",
    "RECORD",
    "SVG",
    "FileKind",
    "FilesOutput",
    "FolderOutput",
    "Input",
    "PrefixOutput",
    "aside_file",
    "check_files",
    "check_folder",
    "flush_files",
    "folder_input",
    "input_of",
    "is_begun",
    "is_moving",
    "look_at_run_folder",
    "new_aside",
    "note_replaced",
    "open_files",
    "open_folder",
    "open_prefix",
    "open_run_folder",
    "read_record",
    "replace_file",
    "replacing",
]
