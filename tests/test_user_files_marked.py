"""Files that people saved with a byte order mark, as Notepad and Excel do, say what they say without it."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from pathlib import Path

import numpy as np
import pytest

from facekit.clean.overrides import load_overrides
from facekit.errors import RecordError
from facekit.jobs.clean.sweep import read_truth
from facekit.jobs.inputs.pair_tables import read_groups, read_pairs
from facekit.jobs.inputs.template_lists import _lines
from facekit.jobs.pack.picture_list import _entries
from facekit.jobs.packs.convert_write import read_keys
from facekit.records import open_pack
from facekit.records.index_text import parse_text
from facekit.records.roles import read_property
from facekit.run.user_files import read_toml


@pytest.mark.parametrize("mark", [b"", BOM_UTF8])
def test_lists_keys_and_templates(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "a.lst").write_bytes(mark + b"0\t1.0\ta/b.jpg\n")
    (tmp_path / "keys.txt").write_bytes(mark + b"5\n6\n")
    (tmp_path / "property").write_bytes(mark + b"10,112,112\n")
    assert next(_entries(tmp_path / "a.lst")).file == "a/b.jpg"
    assert read_keys(str(tmp_path / "keys.txt")).tolist() == [5, 6]
    assert [row for _, row in _lines(str(tmp_path / "keys.txt"))] == [["5"], ["6"]]
    assert read_property(tmp_path / "property") == (10, 112, 112)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("rest", ["", "|", "||", "|  |\t|"])
def test_lines_of_any_system_and_blank_ones(tmp_path: Path, mark: str, end: str, rest: str) -> None:
    """Files as Windows and careless hands leave them say what they say without."""

    def saved(name: str, text: str) -> Path:
        (tmp_path / name).write_bytes((mark + text + rest).replace("|", end).encode())
        return tmp_path / name

    pictures = saved("a.lst", "0\t1.0\ta/b c.jpg|1\t2.0\tc.jpg")
    assert [one.file for one in _entries(pictures)] == ["a/b c.jpg", "c.jpg"]
    assert read_keys(str(saved("keys.txt", "5|6"))).tolist() == [5, 6]
    assert [row for _, row in _lines(str(saved("templates.txt", "a 1 2|b 3 4")))] == [["a", "1", "2"], ["b", "3", "4"]]
    assert read_property(saved("property", "10,112,112")) == (10, 112, 112)
    assert read_pairs(str(saved("pairs.csv", "key_a,key_b,same|1,2,1|3,4,0"))).keys.tolist() == [[1, 2], [3, 4]]
    keys = np.array([1, 3])
    groups = read_groups(str(saved("groups.csv", "key,age|1,old|3,young")), keys)
    assert groups["age"].tolist() == ["old", "young"]
    assert read_truth(str(saved("truth.csv", "key,wrong|1,0|3,1")), keys)[0].tolist() == [False, True]
    assert load_overrides(saved("overrides.json", '{"drop": [3]}')).drop == (3,)
    assert read_toml(saved("recipe.toml", "epochs = 3|lr = 0.1")) == {"epochs": 3, "lr": 0.1}
    index = saved("a.idx", "1\t0|2\t100")
    descriptor = os.open(index, os.O_RDONLY)
    try:
        assert np.stack(parse_text(descriptor, index)).tolist() == [[1, 2], [0, 100]]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("text", [b"1\t0\n2\t100\n", b"1\t0\n2\t100", b"", b"1\t0\n2\t100\nx"])
def test_an_index(tmp_path: Path, text: bytes) -> None:
    plain, marked = tmp_path / "a.idx", tmp_path / "b.idx"
    plain.write_bytes(text)
    marked.write_bytes(BOM_UTF8 + text)
    results = []
    for path in (plain, marked):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            results.append(np.stack(parse_text(descriptor, path)).tolist())
        except RecordError as error:
            results.append(error.problem)
        finally:
            os.close(descriptor)
    assert results[0] == results[1]


def test_check_names_the_mark_that_mxnet_fails_on(tmp_path: Path) -> None:
    said: list[tuple[int, str]] = []
    (tmp_path / "a.idx").write_bytes(BOM_UTF8 + b"1\t0\n2\t100\n")
    descriptor = os.open(tmp_path / "a.idx", os.O_RDONLY)
    keys, _ = parse_text(descriptor, "a.idx", lambda number, problem: said.append((number, problem)))
    os.close(descriptor)
    assert (keys.tolist(), [number for number, _ in said]) == ([2], [1])


@pytest.mark.parametrize("name", ["train.rec", "a\\b.rec", "it's.rec", 'a "b".rec'])
def test_text_is_no_record_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("hello, this is text\n")
    with pytest.raises(RecordError, match="not a RecordIO file: it begins with 68 65 6c 6c") as caught:
        open_pack(tmp_path / name).keys  # noqa: B018 -- the index is read then
    assert str(tmp_path / name) in str(caught.value)
