"""Lists of decisions <-> files: one parquet table a list, sorted, with who said it in the file's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import facekit
from facekit.clean.decisions import ACTIONS, REASONS
from facekit.clean.lists import MOST_VOTERS, CleanList, Pictures
from facekit.errors import FacekitError, WrongInput
from facekit.images.perceptual import HASH_BYTES, HASH_NAME
from facekit.records.distinct import blocks
from facekit.records.mapped_array import mapped_array
from facekit.records.named_inputs import MARKS, describe_path, require_there, unreadable
from facekit.run.parquet import count_rows, parquet_batches, parquet_schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMAT", "is_list", "list_cure", "read_list", "require_list_file", "write_list"]

FORMAT = 1
_META = b"facekit.list"
_PAYLOAD = "blake2b-128"


def write_list(path: Path, listed: CleanList) -> None:
    """Write a list; the same rows give the same bytes.

    Columns: payload_hash, 16 bytes; perceptual, 40 bytes; action and reason, words; identity, int64; known_by and
    said_by, uint64. Metadata ``facekit.list``: JSON with format, payload and perceptual (which hashes), facekit,
    counts, and what ``about`` has.
    """
    import pyarrow.parquet as pq

    about = {
        "format": FORMAT,
        "payload": _PAYLOAD,
        "perceptual": HASH_NAME,
        "facekit": facekit.__version__,
        "counts": listed.counts(),
        "identities": listed.identities(),
        **listed.about,
    }
    parts = [*blocks(len(listed))] or [slice(0, 0)]
    meta = {_META: json.dumps(about, sort_keys=True).encode()}
    schema = _arrow_rows(listed, parts[0]).schema.with_metadata(meta)
    with open(path, "wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for part in parts:  # pyarrow itself opens no name that is not UTF-8
            writer.write_table(_arrow_rows(listed, part).cast(schema))


def _arrow_rows(listed: CleanList, part: slice) -> pa.Table:
    import pyarrow as pa

    columns = {
        "payload_hash": _binary(listed.pictures.payload_hash[part]),
        "perceptual": _binary(listed.pictures.perceptual[part]),
        "action": _words(listed.action_code[part], ACTIONS),
        "reason": _words(listed.reason_code[part], REASONS),
    }
    columns |= {name: pa.array(getattr(listed, name)[part]) for name in ("identity", "known_by", "said_by")}
    return pa.table(columns)


def _binary(hashes: npt.NDArray[np.uint8]) -> pa.Array:
    import pyarrow as pa

    kept = pa.py_buffer(np.ascontiguousarray(hashes))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(hashes.shape[1]), len(hashes), [None, kept])


def _words(codes: npt.NDArray[np.int8], words: tuple[str, ...]) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words, pa.string()))


def is_list(path: str | Path) -> bool:
    """Whether a file is a list, of whatever format."""
    import pyarrow as pa

    try:
        return Path(path).is_file() and _META in (parquet_schema(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False


def read_list(path: str | Path) -> CleanList:
    """Read a list.

    Parameters
    ----------
    path : path

    Raises
    ------
    ConfigError
        Nothing is there, or it is something else.
    FacekitError
        It is damaged, or of a later facekit.
    """
    import pyarrow as pa

    require_list_file(path)
    try:
        meta = (parquet_schema(path).metadata or {}).get(_META)
        if meta is None:
            raise WrongInput(f"it is {describe_path(path)}, not a list: {list_cure(path)}", path)
        about = json.loads(meta)
        _check_format(path, about)
        listed = _read_rows(path, about)
        _check_rows(listed)
        return listed
    except FacekitError as error:
        if str(path) in str(error):
            raise
        raise FacekitError(f"{path}: {error}; fetch it again, from somebody whom you trust") from error
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        begun = describe_path(path) in ("a parquet table", "a list of decisions", "a table of decisions")
        suffixes = (Path(path).suffix.lower(),) if begun else (".list",)
        cure = f"{list_cure(path)}, or fetch it again"
        raise unreadable(path, "a list", suffixes, error, cure) from error


def require_list_file(path: str | Path) -> None:
    """Refuse the name of a list where no file is; what is in it shows when it is read."""
    require_there(path, "list")
    if not Path(path).is_file():
        raise WrongInput(f"it is {describe_path(path)}, not a list: {list_cure(path)}", path)


def list_cure(path: str | Path) -> str:
    """What helps where something else is given for a list."""
    cleaned = describe_path(path) in (MARKS["decisions.parquet"], "a table of decisions")
    return f"facekit lists export {path} LIST writes one" if cleaned else "name what facekit lists export wrote"


def _check_format(path: str | Path, about: dict[str, Any]) -> None:
    if about["format"] != FORMAT:
        raise FacekitError(
            f"{path} is a list of format {about['format']}, this facekit reads {FORMAT}: take the facekit that wrote "
            f"it, {about.get('facekit', 'which it does not say')}"
        )
    if (about["payload"], about["perceptual"]) != (_PAYLOAD, HASH_NAME):
        raise FacekitError(
            f"{path} knows pictures by {about['payload']} and {about['perceptual']}, this facekit by {_PAYLOAD} and "
            f"{HASH_NAME}: take the facekit that wrote it, {about.get('facekit', 'which it does not say')}"
        )
    voters = about["voters"]
    if not isinstance(voters, list) or not 0 < len(voters) <= MOST_VOTERS or not all(map(_is_voter, voters)):
        raise ValueError("its metadata do not say whose it is")


def _is_voter(voter: Any) -> bool:
    """Whether somebody is named in a line each, as the terminal shows them, with those whose list they took over."""
    if not isinstance(voter, dict):
        return False
    words = all(isinstance(voter.get(name, ""), str) and voter.get(name, "").isprintable() for name in ("who", "model"))
    others = voter.get("from", [])
    counted = type(voter.get("pictures", 0)) is int and isinstance(voter.get("settings", {}), dict)
    return words and counted and isinstance(others, list) and all(map(_is_voter, others))


def _check_rows(listed: CleanList) -> None:
    """Refuse numbers that no list has: whoever forged them would have memory taken, or votes counted."""
    if listed.identity.max(initial=-1) >= max(len(listed), 1) or listed.identity.min(initial=0) < -1:
        raise FacekitError("the list contradicts itself: it numbers more people than it has pictures, or below -1")
    strangers = np.uint64(2 ** len(listed.about["voters"]) - 1)
    parts = ((listed.known_by[part], listed.said_by[part]) for part in blocks(len(listed)))
    if any((known & ~strangers).any() or (said & ~known).any() or not known.all() for known, said in parts):
        raise FacekitError("the list contradicts itself: pictures are known or said by voters whom it does not name")


def _read_rows(path: str | Path, about: dict[str, Any]) -> CleanList:
    count = count_rows(path)
    hashes, perceptual = mapped_array((count, 16), np.uint8), mapped_array((count, HASH_BYTES), np.uint8)
    action, reason, identity, known, said = (
        mapped_array(count, kind) for kind in (np.int8, np.int8, np.int64, np.uint64, np.uint64)
    )
    names, row = ("payload_hash", "perceptual", "action", "reason", "identity", "known_by", "said_by"), 0
    for batch in parquet_batches(path, names):
        part = slice(row, row + batch.num_rows)
        hashes[part], perceptual[part] = (_bytes_of(batch, name) for name in names[:2])
        action[part], reason[part] = _codes(batch.column("action"), ACTIONS), _codes(batch.column("reason"), REASONS)
        identity[part], known[part], said[part] = (_numbers(batch, name) for name in names[4:])
        row = part.stop
    own = {name: value for name, value in about.items() if name not in _WRITTEN}
    return CleanList(Pictures(hashes, perceptual), action, reason, identity, known, said, own)


_WRITTEN = ("format", "payload", "perceptual", "facekit", "counts", "identities")


def _bytes_of(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.uint8]:
    import pyarrow as pa

    column, width = batch.column(name), HASH_BYTES if name == "perceptual" else 16
    if column.type != pa.binary(width) or column.null_count:
        raise ValueError(f"{name} is not {width} bytes in every row")
    found = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :]
    return found[: len(column) * width].reshape(-1, width)


def _numbers(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    import pyarrow as pa

    column, kind = batch.column(name), pa.int64() if name == "identity" else pa.uint64()
    if column.type != kind or column.null_count:
        raise ValueError(f"{name} is not {kind} in every row")
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _codes(column: pa.Array, words: tuple[str, ...]) -> npt.NDArray[np.int8]:
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if encoded.null_count:
        raise ValueError("a row without an action or a reason")
    places = {word: code for code, word in enumerate(words)}
    found = encoded.dictionary.cast(pa.string()).to_pylist()
    unknown = [word for word in found if word not in places]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(words)}")
    return np.array([places[word] for word in found], np.int8)[encoded.indices.to_numpy(zero_copy_only=False)]
