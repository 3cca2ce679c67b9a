"""Verification ``.bin`` files <-> pairs of pictures.

The field's format: a pickle of ``(bins, issame_list)``, two encoded pictures a pair, one pair after another. Such files
come from the internet, and a pickle can ask for any function to be called; :mod:`facekit.records.pickle_walk` calls
none.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, DestinationExists, RecordError, WrongInput
from facekit.output.aside import replacing
from facekit.records.long_doubles import long_flags, long_size
from facekit.records.named_inputs import describe_path, require_there
from facekit.records.pickle_walk import ByteArray, NoPickle, PickleError, PickleWalk

__all__ = ["Bins", "read_bins", "write_bins"]


_HEAD = 64
"""Bytes in which it shows whether a file is a pickle; what fails later is a damaged one."""


class Bins(NamedTuple):
    """Verification pairs.

    Attributes
    ----------
    payloads : list of bytes
        2 N encoded pictures; those of pair i are 2 i and 2 i + 1.
    same : (N,) bool
        Whether both show one person.
    """

    payloads: list[bytes]
    same: npt.NDArray[np.bool_]


def read_bins(path: str | os.PathLike[str]) -> Bins:
    """Read a verification ``.bin``, of Python 2 or 3, with bytes or uint8 arrays.

    Parameters
    ----------
    path : path

    Returns
    -------
    Bins

    Raises
    ------
    RecordError
        The file cannot be read, is no such pickle, or holds anything else: above all one that asks for a function to be
        called. Names the offset in the file where there is one.
    """
    require_there(path, "file")
    try:
        content = Path(path).read_bytes()
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is {describe_path(path)}, not a verification .bin") from error
    except OSError as error:
        raise RecordError(f"the file cannot be read: {error.strerror}", path) from error
    walk = PickleWalk(content)
    try:
        held = walk.run()
    except NoPickle as error:
        _refuse_other_kind(path)
        what = "this is not a verification .bin: it begins as no pickle does" if walk.offset < _HEAD else str(error)
        raise RecordError(what if content else "this is an empty file", path, None, walk.offset) from None
    except PickleError as error:
        _refuse_other_kind(path)
        raise RecordError(str(error), path, None, walk.offset) from None
    return _pairs(held, path)


def _refuse_other_kind(path: str | os.PathLike[str]) -> None:
    """Refuse what is no .bin by its name either: it was named by mistake, and is not damaged."""
    if Path(path).suffix.lower() != ".bin":
        raise WrongInput(f"it is {describe_path(path)}, not a verification .bin: name one", path)


def write_bins(
    path: str | os.PathLike[str],
    payloads: Sequence[bytes],
    same: npt.ArrayLike,
    overwrite: bool = False,
) -> None:
    """Write a verification ``.bin`` that InsightFace's and AdaFace's loaders take (pickle protocol 4).

    Parameters
    ----------
    path : path
    payloads : sequence of bytes
        2 N encoded pictures, pair after pair.
    same : (N,) bool
    overwrite : bool

    Raises
    ------
    ConfigError
        There are not two pictures to each of ``same``.
    DestinationExists
        The file exists and ``overwrite`` is not set.
    RecordError
        The disk refuses.
    """
    target, flags = Path(path), np.asarray(same, np.bool_)
    if flags.ndim != 1 or len(payloads) != 2 * len(flags):
        raise ConfigError(f"{flags.shape} pairs want two pictures each, {len(payloads)} were given")
    if target.exists() and not overwrite:
        raise DestinationExists(f"{target} exists: choose another name or ask to overwrite it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            pickle.dump(([bytes(payload) for payload in payloads], flags.tolist()), file, protocol=4)
    except OSError as error:
        raise RecordError(f"the file cannot be written: {error.strerror}", target) from error


def bins_size(payloads: Sequence[bytes], same: npt.ArrayLike) -> int:
    """Bytes that `write_bins` would write; nothing is written, and nothing copied.

    Parameters
    ----------
    payloads, same
        As there.

    Examples
    --------
    >>> bins_size([b"first", b"second"], [True])
    39
    """
    counted = _Counted()
    pickle.dump((list(map(bytes, payloads)), np.asarray(same, np.bool_).tolist()), counted, protocol=4)
    return counted.bytes


class _Counted:
    """A file that counts what is written to it, and keeps none of it."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, some: bytes) -> int:
        """Count."""
        size = memoryview(some).nbytes
        self.bytes += size
        return size


def _pairs(held: Any, path: str | os.PathLike[str]) -> Bins:
    if not isinstance(held, (tuple, list)) or len(held) != 2:
        raise RecordError("this pickle is not the two lists (pictures, same person or not)", path)
    bins, same = held
    flags = _flags(same)
    if not isinstance(bins, (list, tuple)) or flags is None:
        raise RecordError("this pickle is not the two lists (pictures, same person or not)", path)
    if len(bins) != 2 * len(flags):
        raise RecordError(f"{len(bins)} pictures do not make the {len(flags)} pairs that the list of same says", path)
    payloads = [_payload(item) for item in bins]
    if None in payloads:
        raise RecordError(f"picture {payloads.index(None)} is neither bytes nor an array of uint8", path)
    return Bins([payload for payload in payloads if payload is not None], flags)


def _payload(item: Any) -> bytes | None:
    if isinstance(item, bytes):
        return item
    return item.content if isinstance(item, ByteArray) and item.kind == "u1" else None


def _flags(same: Any) -> npt.NDArray[np.bool_] | None:
    if isinstance(same, ByteArray):
        if long_size(same.kind):
            return long_flags(same.content, same.kind)
        given = np.frombuffer(same.content, np.uint8 if same.kind == "b1" else same.kind)
        return given == 1 if ((given == 0) | (given == 1)).all() else None
    if not isinstance(same, (list, tuple)):
        return None
    values = [_flag(item) for item in _shown(same)]
    return None if None in values else np.array(values, np.bool_)


def _shown(same: Sequence[Any]) -> Sequence[Any]:
    """The items, with bool in place of long doubles: what form these have shows in all of a kind together."""
    items = list(same)
    for kind in {item.kind for item in same if isinstance(item, ByteArray) and long_size(item.kind)}:
        places = [place for place, item in enumerate(same) if isinstance(item, ByteArray) and item.kind == kind]
        numbers = [same[place].content for place in places]
        flags = long_flags(b"".join(numbers), kind) if {*map(len, numbers)} == {long_size(kind)} else None
        if flags is None:
            return [None]
        for place, flag in zip(places, flags.tolist(), strict=True):
            items[place] = flag
    return items


def _flag(item: Any) -> bool | None:
    """Whether a flag is set; None where it is none: 0 or 1, of whichever type."""
    if isinstance(item, ByteArray):
        found = _flags(item)
        return bool(found[0]) if found is not None and len(found) == 1 else None
    return bool(item) if isinstance(item, (bool, int, float)) and item in (0, 1) else None
