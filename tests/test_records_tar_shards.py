"""Labels of samples in tar files: what facekit writes comes back, what is no label is refused by name."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import RecordError
from facekit.records import Header
from facekit.records.tar_shards import TarReader, TarWriter, scan_shards

whole = st.integers(-(2**24), 2**24).map(float)
numbers = st.floats(width=32)
labels = whole | st.tuples(whole, st.lists(numbers, max_size=3)).map(
    lambda parts: np.array([parts[0], *parts[1]], "<f4")
)
ids = st.sampled_from([0, 1, 7, 2**63, 2**64 - 1])
headers = st.tuples(labels, ids, ids).map(
    lambda parts: Header(0 if isinstance(parts[0], float) else len(parts[0]), *parts)
)


@given(st.lists(headers, min_size=1, max_size=5))
def test_every_header_with_a_whole_label_comes_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[Header]
) -> None:
    folder = tmp_path_factory.mktemp("tars")
    with TarWriter(folder, 2) as writer:
        for key, header in enumerate(written):
            writer.write(key, header, b"\xff\xd8" + bytes([key]))
    with TarReader(scan_shards(tuple(sorted(folder.glob("*.tar"))))) as reader:
        for place, header in enumerate(written):
            record = reader.read(place)
            assert (record.key, record.header, record.payload) == (place, header, b"\xff\xd8" + bytes([place]))


@pytest.mark.parametrize("label", [0.5, np.nan, np.inf, np.array([0.5, 1], np.float32), np.array([np.nan], np.float32)])
def test_a_label_that_is_not_whole_is_not_written(tmp_path: Path, label: object) -> None:
    """A .cls member holds whole numbers: half a label came back as 0."""
    with TarWriter(tmp_path, 10) as writer, pytest.raises(RecordError, match="not a whole number") as caught:
        writer.write(3, Header(np.size(label) if np.ndim(label) else 0, label, 3, 0), b"\xff\xd8")
    assert caught.value.key == 3


def sample(folder: Path, suffix: str, text: str) -> Path:
    with tarfile.open(folder / "x.tar", "w") as tar:
        for name, content in (("a.jpg", b"\xff\xd8"), (f"a.{suffix}", text.encode())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return folder / "x.tar"


LONG = "1" + "0" * 400

NO_LABELS = [
    ("cls", LONG), ("cls", "9" * 5000), ("cls", str(2**63)), ("cls", str(-(2**63))), ("cls", str(2**62)),
    ("cls", "1.5"), ("cls", "x"), ("cls", ""),
    *(("json", f'{{"label": {text}}}') for text in (
        "1e400", '"x"', "[1, [2]]", "0.5", "[0.5]", "null", "true", "NaN", "Infinity", "[NaN, 1]", "{}", '"3"', "[]",
        LONG,
        "[1, 1e39]", f"[1, {LONG}]", "[1, null]", str(2**63), "1e30", "[" * 5000 + "]" * 5000,
    )),
    *(("json", f'{{"label": 1, "id": {text}}}') for text in (
        "0.5", "-2", str(2**64), '"x"', "null", "1e400", "[]", LONG,
    )),
    ("json", '{"label": 1, "id2": -1}'), ("json", '{"label": 1, "id2": 1e400}'),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "text"), NO_LABELS)
def test_what_is_no_label_is_refused_by_name(tmp_path: Path, suffix: str, text: str) -> None:
    path = sample(tmp_path, suffix, text)
    with pytest.raises(RecordError, match=rf"a\.{suffix} is no label: ") as caught:
        scan_shards((path,))
    assert caught.value.path == str(path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "label"), [("3", 3), ("3.0", 3), ("-1", -1), ("[7, 0.5]", 7), ("[7]", 7), ("1e3", 1000)]
)
def test_whole_labels_in_json_are_read(tmp_path: Path, text: str, label: int) -> None:
    path = sample(tmp_path, "json", f'{{"label": {text}}}')
    found = scan_shards((path,))
    assert found.labels.tolist() == [label]
    with TarReader(found) as reader:
        header = reader.read(0).header
    assert header.flag == (text.count(",") + 1 if text.startswith("[") else 0)
