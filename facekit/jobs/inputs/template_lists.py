"""The lists of IJB: pictures of templates, pairs of templates, and templates of a gallery or of probes.

face_tid_mid        name template medium              one picture a line; a picture may stand in several templates
template_pair_label template template same            one pair a line, same 0 or 1
1:N gallery, probe  TEMPLATE_ID,SUBJECT_ID,...        a table with a header; a line a picture, or a line a template
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError, did_you_mean
from facekit.records.name_list import NameList
from facekit.records.named_inputs import require_file, unreadable
from facekit.run.parquet import read_csv

__all__ = ["TemplateList", "TemplatePairs", "read_subjects", "read_template_pairs", "read_templates"]


class TemplateList(NamedTuple):
    """Which pictures a template has.

    Attributes
    ----------
    names : NameList
        Of each line's picture, as written: ``17.jpg``.
    templates, media : (N,) int64
    """

    names: NameList
    templates: npt.NDArray[np.int64]
    media: npt.NDArray[np.int64]


class TemplatePairs(NamedTuple):
    """Pairs of templates: (P, 2) int64, and whether each shows one person, (P,) bool."""

    templates: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]


def read_templates(path: str) -> TemplateList:
    """Read a list of name, template, medium, with spaces between them.

    Raises
    ------
    ConfigError
        There is no such file.
    FacekitError
        It is empty, or a line is another.
    """
    names, numbers = NameList(), array("q")
    for number, row in _lines(path):
        if len(row) != 3:
            raise FacekitError(f"{path}, line {number} has {len(row)} words; write name, template, medium")
        names.append(row[0])
        _note(numbers, row, (1, 2), path)
    columns = np.frombuffer(numbers, np.int64).reshape(-1, 2)
    return TemplateList(names, columns[:, 0], columns[:, 1])


def read_template_pairs(path: str) -> TemplatePairs:
    """Read a list of template, template, same, with spaces between them.

    Raises
    ------
    ConfigError
        There is no such file.
    FacekitError
        It is empty, a line is another, or ``same`` is neither 0 nor 1.
    """
    numbers, same = array("q"), bytearray()
    for number, row in _lines(path):
        if len(row) != 3 or row[2] not in ("0", "1"):
            raise FacekitError(f"{path}, line {number} is {' '.join(row)[:60]!r}; write template, template, and 0 or 1")
        _note(numbers, row, (0, 1), path)
        same.append(row[2] == "1")
    return TemplatePairs(np.frombuffer(numbers, np.int64).reshape(-1, 2), np.frombuffer(same, np.bool_))


def read_subjects(path: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The templates of a gallery or of probes, ascending, and whom each shows: (T,) and (T,) int64.

    Raises
    ------
    ConfigError
        There is no such file, or it has no column TEMPLATE_ID or SUBJECT_ID.
    FacekitError
        It cannot be read, or gives a template two subjects.
    """
    import pyarrow as pa

    require_file(path, "a table", "name a .csv file")
    try:
        table = read_csv(path)
    except pa.ArrowInvalid as error:
        raise unreadable(path, "a table", (".csv",), error, "name a .csv file") from error
    missing = [name for name in ("TEMPLATE_ID", "SUBJECT_ID") if name not in table.column_names]
    if missing:
        near = did_you_mean(missing[0], table.column_names)
        raise ConfigError(f"{path} has no column {missing[0]}; it has {', '.join(table.column_names)}{near}")
    both = np.stack([table["TEMPLATE_ID"].to_numpy(), table["SUBJECT_ID"].to_numpy()], 1)
    if both.dtype.kind not in "iu":
        raise FacekitError(f"{path}: TEMPLATE_ID and SUBJECT_ID must be whole numbers")
    both = np.unique(both, axis=0).astype(np.int64)
    twice = np.flatnonzero(both[1:, 0] == both[:-1, 0])
    if len(twice):
        raise FacekitError(f"{path}: template {both[twice[0], 0]} shows two subjects")
    return both[:, 0], both[:, 1]


def _lines(path: str) -> Iterator[tuple[int, list[str]]]:
    """The words of each line that is not blank, and which of these it is, from 1 on."""
    require_file(path, "a list", "name a text file with a line for each")
    count = 0
    try:
        with open(path, encoding="utf-8-sig") as file:
            for line in file:
                if words := line.split():
                    count += 1
                    yield count, words
    except UnicodeDecodeError as error:
        raise unreadable(path, "a list", (".txt",), error, "name a text file with a line for each") from error
    if not count:
        raise FacekitError(f"{path} is empty: give it a line for each")


def _note(numbers: array[int], row: list[str], places: tuple[int, ...], path: str) -> None:
    """Put the whole numbers of some columns behind those of the lines before."""
    for place in places:
        try:
            numbers.append(int(row[place]))
        except (ValueError, OverflowError) as error:
            raise FacekitError(f"{path}: column {place + 1} does not hold whole numbers only: {error}") from error
