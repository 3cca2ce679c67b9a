"""Labels kept beside a pack: the same as those in it, and never used when either file has changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from facekit.records import Header, PackWriter, open_pack


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
