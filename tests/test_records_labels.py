"""Labels kept beside a pack: the same as those in it, and never used when either file has changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from facekit.records import Header, PackWriter, Record, open_pack, pack_record
from facekit.records.framing import frame
from facekit.records.label_sidecar import MIN_KEPT, labels_path, load_labels, save_labels


def write(folder: Path, labels: list[float], layout: str = "flat", overwrite: bool = False) -> Path:
    with PackWriter(folder, layout, overwrite) as writer:
        for label in labels:
            writer.write(Header(0, label, 0, 0), b"x" * 40)
    return folder


@pytest.mark.parametrize("labels", [[3.0, 1.0, 1.0], [0.0, 2.0**40, 5.0], [-1.0, 7.0]])
def test_what_was_saved_is_what_is_there(tmp_path: Path, labels: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "p", labels)
    with open_pack(folder) as pack:
        assert pack.save_labels() == folder / "train.labels.bin"
    monkeypatch.setattr("facekit.records.pack.header_columns", None)  # nothing is read for them
    with open_pack(folder) as pack:
        assert pack.labels.tolist() == [int(label) for label in labels]
        assert (pack.labels.dtype, pack.labels.flags.writeable) == (np.int64, False)
        assert pack.num_identities == len(set(labels))


def test_they_are_those_of_the_images_only(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", [0.0, 0.0, 4.0], "insightface")
    with open_pack(folder) as pack:
        pack.save_labels()
    with open_pack(folder) as pack:
        assert pack.labels.tolist() == [0, 0, 4]


def test_a_pack_that_changed_is_read_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", [3.0, 1.0])
    with open_pack(folder) as pack:
        pack.save_labels()
    write(folder, [4.0, 2.0], overwrite=True)
    assert open_pack(folder).labels.tolist() == [4, 2]
    with open_pack(folder) as pack:
        pack.save_labels()
    (folder / "train.idx").write_text("0\t0\n")
    assert open_pack(folder).labels.tolist() == [4]


@pytest.mark.parametrize("damage", ["cut", "empty", "signature", "longer"])
def test_a_damaged_file_is_not_used(tmp_path: Path, damage: str) -> None:
    folder = write(tmp_path / "p", [3.0, 1.0])
    with open_pack(folder) as pack:
        saved = pack.save_labels()
    content = saved.read_bytes()
    saved.write_bytes(
        {"cut": content[:-1], "empty": b"", "signature": b"X" + content[1:], "longer": content + b"x"}[damage]
    )
    assert open_pack(folder).labels.tolist() == [3, 1]
    os.unlink(saved)
    assert open_pack(folder).labels.tolist() == [3, 1]


# --- left by the writer of a long pack --------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three labels are many."""
    monkeypatch.setattr("facekit.records.label_sidecar.MIN_KEPT", 3)


def kept(pack: Path) -> list[int] | None:
    rec = pack if pack.suffix == ".rec" else pack / "train.rec"
    found = load_labels(rec, rec.with_suffix(".idx"))
    return None if found is None else found.tolist()


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("layout", ["flat", "insightface"])
@pytest.mark.parametrize("name", ["pack", "pack.rec"])
@pytest.mark.parametrize("labels", [[4, 4, 1, 6], [0, 0, 0], [(1 << 24) + 1, 0, 7], [-3, 2, 2]])
def test_the_writer_leaves_what_the_headers_say(tmp_path: Path, layout: str, name: str, labels: list[int]) -> None:
    with PackWriter(tmp_path / name, layout) as writer:
        writer.write(Record(0, Header(0, [float(labels[0]), 9.5], 0, 0), b"x"))
        block = frame(pack_record(Header(0, 0, 0, 0), b"y"))
        rest = np.array(labels[1:])
        writer.append_block(block * len(rest), np.arange(len(rest)) * len(block), rest, relabel=True)
    with open_pack(tmp_path / name) as pack:
        assert kept(tmp_path / name) == pack._read_labels().tolist() == [int(np.float32(label)) for label in labels]
        assert pack.labels.tolist() == kept(tmp_path / name)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("keys", "labels"),
    [([2, 1, 0], [5, 6, 7]), ([1, 1, 2, 3], [5, 6, 7, 8]), ([0, 1, 2], [5, 1 << 31, 7]), ([0, 1], [5, 6])],
    ids=["keys that descend", "a key twice", "a label that takes more than four bytes", "too few"],
)
def test_labels_that_are_not_plain_are_not_kept(tmp_path: Path, keys: list[int], labels: list[int]) -> None:
    with PackWriter(tmp_path / "p", "flat") as writer:
        for key, label in zip(keys, labels, strict=True):
            writer.write(Header(0, label, 0, 0), b"x", key=key)
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["property", "train.idx", "train.rec"]
    assert open_pack(tmp_path / "p").labels.tolist() == list(
        {key: int(np.float32(label)) for key, label in zip(keys, labels, strict=True)}.values()
    )


@pytest.mark.usefixtures("few")
def test_labels_of_a_replaced_pack_go_with_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", [3, 1, 1, 2])
    assert kept(folder) == [3, 1, 1, 2]
    with pytest.raises(ZeroDivisionError), PackWriter(folder, "flat", overwrite=True) as writer:
        writer.write(Header(0, 9, 0, 0), b"x")
        1 / 0  # noqa: B018
    assert kept(folder) == [3, 1, 1, 2]
    write(folder, [7, 8], overwrite=True)
    assert not labels_path(folder / "train.rec").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_long_pack_has_them_and_a_short_one_has_not(tmp_path: Path) -> None:
    block = frame(pack_record(Header(0, 3, 0, 0), b"y"))
    for count in (MIN_KEPT - 1, MIN_KEPT):
        with PackWriter(tmp_path / str(count), "flat") as writer:
            writer.append_block(block * count, np.arange(count) * len(block), np.full(count, 3))
        assert (kept(tmp_path / str(count)) is not None) == (count == MIN_KEPT)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("moment", ["open", "add", "close"])
def test_labels_that_cannot_be_kept_are_no_fault(tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """A disk that is full from some moment on."""

        def __init__(self, *_: object, **__: object) -> None:
            if moment == "open":
                raise OSError(28, "No space left on device")

        def write(self, content: bytes) -> None:
            if moment == "add" and len(content) == 4:
                raise OSError(28, "No space left on device")

        def seek(self, _: int) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            """As files do."""

    monkeypatch.setattr("facekit.records.label_sidecar.open", Full, raising=False)
    folder = write(tmp_path / "p", [3, 1, 1, 2])
    monkeypatch.undo()
    assert kept(folder) is None
    assert open_pack(folder).labels.tolist() == [3, 1, 1, 2]


def test_as_many_labels_as_images_or_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", [3.0, 1.0])
    save_labels(folder / "train.rec", folder / "train.idx", np.array([7, 7, 7]))
    assert open_pack(folder).labels.tolist() == [3, 1]
