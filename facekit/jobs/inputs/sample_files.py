"""Files of samples, wherever they lie: tar shards (plain, gzip, zstd) and parquet, on the disk or in a store."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from facekit.errors import ConfigError, RecordError
from facekit.jobs.inputs.published_sets import published_set
from facekit.output import Input
from facekit.records.named_inputs import MARKS, describe_path
from facekit.records.parquet_shards import samples_in_parquet
from facekit.records.tar_members import Sample, samples_in
from facekit.stores import (
    Stored,
    StoreError,
    find_stored,
    is_address,
    local_path,
    open_stored,
    open_stream,
    restamp,
)

__all__ = [
    "SampleFiles",
    "find_sample_files",
    "read_samples",
    "refuse_changed_file",
    "refuse_unknown_source",
    "tried_again",
]

logger = logging.getLogger(__name__)

TARS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")
PARQUET = (".parquet",)
LEDGERS = (".ledger.parquet", ".truth.parquet")
OTHERS = (
    *(MARKS[name] for name in ("decisions.parquet", "features.json", "rounds.json", "config.json")),
    "a list of decisions",
    "a table of decisions",
)
"""What holds tables of facekit's own, which are no pictures."""
"""What facekit itself leaves beside shards, and is none."""

TRIES, PAUSE = 3, 1.0


class SampleFiles(NamedTuple):
    """Files of samples in the order of their names.

    Attributes
    ----------
    named : str
        As they were given.
    files : tuple of Stored
    """

    named: str
    files: tuple[Stored, ...]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)

    @property
    def content(self) -> str:
        """A hash of addresses, sizes and stamps."""
        return _hash(self.files)

    def plain_tars(self) -> tuple[Path, ...] | None:
        """The files, where all are tars on the disk without compression: those are read where they lie."""
        if all(file.address.endswith(".tar") and not is_address(file.address) for file in self.files):
            return tuple(Path(file.address) for file in self.files)
        return None

    def as_input(self) -> Input:
        """Compared before anything is published: in a store by asking it again."""
        paths = [file.address for file in self.files if not is_address(file.address)]
        return Input(local_path(self.named), lambda: paths, self.content, lambda: _hash(restamp(self.files)))


def find_sample_files(named: str) -> SampleFiles | None:
    """The files of samples that a source means; None where it means another thing, such as a pack or a folder.

    Parameters
    ----------
    named : str
        A file, a folder, an address or a prefix in a store; ``*`` and WebDataset's braces stand for several.

    Raises
    ------
    ConfigError
        A library is missing; or tars and parquet files lie in one place.
    RecordError
        A file is not there, or the store does not answer.
    """
    place = local_path(named)
    if not is_address(place):
        if os.path.isdir(place) and _holds_pack(place):
            return None
        if os.path.exists(place) and describe_path(place) in OTHERS:
            return None
        pattern = not os.path.exists(place) and any(sign in place for sign in "*{")
        if not (pattern or os.path.isdir(place) or place.endswith((*TARS, *PARQUET))) or place.endswith(
            (".rec", ".idx")
        ):
            return None
        if not pattern and not os.path.exists(place):
            return None
    elif place.endswith((".rec", ".idx")):
        return None
    files = [file for file in find_stored(place, (*TARS, *PARQUET)) if not file.address.endswith(LEDGERS)]
    if not files and not is_address(place) and os.path.isdir(place):
        return None
    if not files:
        raise RecordError("no file fits this name: mend it", named)
    _refuse_strange(named, files)
    _report_gaps(files)
    return SampleFiles(named, tuple(files))


def _holds_pack(folder: str) -> bool:
    return any(name.endswith(".rec") for name in os.listdir(folder))


def _refuse_strange(named: str, files: Sequence[Stored]) -> None:
    kinds = {_is_parquet(file.address) for file in files}
    if len(kinds) > 1:
        raise ConfigError(
            f"{named} holds tar and parquet files, often the same pictures twice: name one kind, as in '{named}/*.tar'"
        )


def _is_parquet(address: str) -> bool:
    return address.partition("?")[0].endswith(PARQUET)


def _report_gaps(files: Sequence[Stored]) -> None:
    """A number that is missing between the first and the last file is often a file that was not downloaded."""
    numbers = [re.findall(r"\d+", file.address.rpartition("/")[2].partition(".")[0]) for file in files]
    last = sorted({int(found[-1]) for found in numbers if found})
    if len(last) == len(files) > 1 and last[-1] - last[0] >= len(last):
        missing = next(number for number in range(last[0], last[-1]) if number not in set(last))
        logger.warning(
            "the numbers of the files have gaps, %d of %d are missing, the first is %d: is the set complete?",
            last[-1] - last[0] + 1 - len(last), last[-1] - last[0] + 1, missing,
        )  # fmt: skip


def refuse_unknown_source(named: str) -> None:
    """Say what to give where a source is the name of a published set, and no path.

    Raises
    ------
    ConfigError
        It is.
    """
    known = None if os.path.exists(local_path(named)) else published_set(named)
    if known is not None:
        raise ConfigError(known.advice(named))


def read_samples(file: Stored) -> Generator[Sample, None, None]:
    """The samples of one file, from its first byte to its last.

    Raises
    ------
    StoreError
        The store does not answer.
    RecordError
        The file is truncated or damaged, or a sample has no picture or no label.
    """
    if _is_parquet(file.address):
        with open_stored(file) as raw:
            yield from samples_in_parquet(raw, file.address)
        return
    with open_stream(file) as stream:
        # What it calls, read, seek and tell, a stream has; the stubs of tarfile below it ask for a whole file.
        yield from samples_in(stream, file.address)  # type: ignore[arg-type]


def refuse_changed_file(file: Stored) -> None:
    """Refuse a file that is no longer what it was when the job began.

    Raises
    ------
    RecordError
        It has another size or stamp.
    """
    now = restamp([file])[0]
    if now != file:
        raise RecordError(
            f"it changed while it was read (it had {file.size} bytes, {file.stamp}; now {now.size}, {now.stamp}): let "
            "whatever writes there finish, then give the command again with --overwrite",
            file.address,
        )


def tried_again(work: Callable[[], None]) -> None:
    """Do something with a file, and once more from its beginning where the store failed in the middle.

    Raises
    ------
    StoreError
        It failed three times.
    """
    for attempt in range(TRIES):
        try:
            work()
            return
        except StoreError as error:
            if attempt == TRIES - 1 or isinstance(error.__cause__, (FileNotFoundError, PermissionError)):
                raise
            logger.warning("%s; the file is read again from its beginning", error)
            time.sleep(PAUSE * 2**attempt)


def _hash(files: Sequence[Stored]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(f"{file.address}\0{file.size}\0{file.stamp}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
