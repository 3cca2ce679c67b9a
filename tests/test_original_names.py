"""Pictures get back the names that they had before they were packed, as far as ledger and list tell them."""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mask_stand_ins import png
from photo import face, photograph

from facekit.cli import main
from facekit.images import encode_jpeg
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask
from facekit.jobs.outputs.original_names import listed_names, write_original_names
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.job import pack
from facekit.jobs.packs.unpack import UnpackConfig, unpack
from facekit.records import open_pack
from facekit.run.ledger import schema

FILES = {
    "anna/holiday/one.jpeg": encode_jpeg(face(1)),
    "anna/two.JPG": encode_jpeg(face(2)),
    "bert/one.jpeg": encode_jpeg(face(3)),
    "bert/\udcff.png": png(face(4)),  # a byte that is no UTF-8
}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return laid_out(tmp_path / "people", FILES)


def laid_out(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("unpacked.lst", "run.json")
    }


def unpacked(source: Path, destination: Path) -> dict[str, bytes]:
    summary = unpack(UnpackConfig(str(source), str(destination)))
    found = tree(destination)
    assert summary.pictures == len(found)
    return found


def test_packing_and_unpacking_gives_the_same_tree(people: Path, tmp_path: Path) -> None:
    pack(PackConfig(str(people), str(tmp_path / "pack")))
    assert unpacked(tmp_path / "pack", tmp_path / "out") == FILES
    pack(PackConfig(str(tmp_path / "out" / "unpacked.lst"), str(tmp_path / "again")))
    with open_pack(tmp_path / "pack") as first, open_pack(tmp_path / "again") as second:
        assert first.labels.tolist() == second.labels.tolist()
    assert unpacked(tmp_path / "again", tmp_path / "out2") == FILES
    unpack(UnpackConfig(str(tmp_path / "pack"), str(tmp_path / "out"), limit=1, overwrite=True))
    assert list(tree(tmp_path / "out")) == ["anna/holiday/one.jpeg"]


@pytest.mark.parametrize("first", ["pack", "folder"])
def test_masking_keeps_them_and_tells_the_copies_apart(people: Path, tmp_path: Path, first: str) -> None:
    source = people
    if first == "pack":
        pack(PackConfig(str(people), str(tmp_path / "pack")))
        source = tmp_path / "pack"
    for mode, ratio in (("replace", 1.0), ("add", 0.5)):
        types = (("kn95", 1.0),)
        summary = mask(MaskConfig(str(source), str(tmp_path / mode), ratio=ratio, mode=mode, types=types))
        assert summary.masked + sum(summary.refused.values()) == 4
        found = unpacked(tmp_path / mode, tmp_path / f"{mode}-files")
        masked = {name for name in found if name.rpartition(".")[0].endswith("-kn95")}
        assert found.keys() - masked == FILES.keys()
        if mode == "replace":
            assert (len(masked), sum(found[name] != FILES[name] for name in FILES)) == (0, summary.masked)
        else:
            assert len(masked) == summary.masked
            assert all(found[name] == FILES[name] for name in FILES)
            assert {name.replace("-kn95", "") for name in masked} <= FILES.keys()
    mask(MaskConfig(str(tmp_path / "replace"), str(tmp_path / "thrice"), ratio=1.0, mode="replace"))
    assert unpacked(tmp_path / "thrice", tmp_path / "thrice-files").keys() == FILES.keys()


def test_what_was_aligned_has_the_suffix_of_what_it_is_now(tmp_path: Path) -> None:
    laid_out(tmp_path / "people", {"anna/portrait.png": png(photograph())})
    pack(PackConfig(str(tmp_path / "people"), str(tmp_path / "pack"), align=True))
    (name,) = unpacked(tmp_path / "pack", tmp_path / "out")
    assert name == "anna/portrait.jpg"


def test_folders_that_hold_two_labels_give_way_to_labels(people: Path, tmp_path: Path) -> None:
    (people / "all.lst").write_text("7\t1\tanna/two.JPG\n8\t0\tanna/holiday/one.jpeg\n9\t0\tbert/one.jpeg\n4\t2\tbert/one.jpeg\n")  # fmt: skip # noqa: E501
    pack(PackConfig(str(people / "all.lst"), str(tmp_path / "pack")))
    found = unpacked(tmp_path / "pack", tmp_path / "out")
    assert sorted(found) == ["0000000/one-00000002.jpeg", "0000000/one.jpeg", "0000001/two.JPG", "0000002/one.jpeg"]
    assert found["0000001/two.JPG"] == FILES["anna/two.JPG"]


def test_names_that_lead_out_of_the_folder_are_not_taken(people: Path, tmp_path: Path) -> None:
    pack(PackConfig(str(people), str(tmp_path / "pack")))
    listed = tmp_path / "pack" / "source.lst"
    for name in ("/etc/one.jpeg", "../one.jpeg", "anna/../../one.jpeg", "anna/..", ".", "anna/\x01", ""):
        lines = listed.read_bytes().split(b"\n")
        lines[0] = b"1\t0\t" + name.encode()
        listed.write_bytes(b"\n".join(lines))
        names = listed_names(tmp_path / "pack" / "train.rec")
        assert names is not None
        told = [name if name is None else os.fsdecode(name) for name in names.of(np.array([1, 2, 3, 99]))]
        assert told == [None, "anna/two.JPG", "bert/one.jpeg", None], name
    for content in (b"", b"no list", b"\0\xff\n" * 9):
        listed.write_bytes(content)
        found = unpacked(tmp_path / "pack", tmp_path / f"out{len(content)}")
        assert sorted(found)[0] == "0000000/00000001.jpg"
    listed.unlink()
    assert listed_names(tmp_path / "pack" / "train.rec") is None


@pytest.mark.parametrize("shuffled", [False, True])
def test_names_are_looked_up_in_arrays(tmp_path: Path, shuffled: bool) -> None:
    """Keys, places and what was made from what: no object a row, and the names stay in their mapped file."""
    peaks = []
    for count in (70_000, 140_000):  # more than a batch of the ledger
        folder = tmp_path / str(count)
        folder.mkdir()
        keys, labels, pictures = np.arange(1, count + 1), np.arange(count) // 50, np.arange(count) % 5 > 0
        listed = np.random.default_rng(0).permutation(count) + 1 if shuffled else keys
        with open(folder / "source.lst", "wb") as file:
            file.writelines(b"%d\t0\tsomebody/picture %d.jpg\n" % (key, key) for key in listed.tolist())
        columns = {name: pa.nulls(count, schema().field(name).type) for name in schema().names}
        made = pa.table(columns | {"key": keys, "source_key": keys[::-1].copy()}, schema())
        pq.write_table(made, folder / "train.ledger.parquet")
        given = folder / "train.rec", keys, labels, pictures, folder / "out.lst"
        write_original_names(*given)
        gc.collect()
        tracemalloc.start()
        write_original_names(*given)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        wanted = [b"%d\t%d\tsomebody/picture %d.jpg" % (key, (key - 1) // 50, count + 1 - key)
                  for key in keys[pictures].tolist()]  # fmt: skip
        assert (folder / "out.lst").read_bytes().splitlines() == wanted
    # Two columns of the list and two of the ledger; sorting takes one more.
    assert (peaks[1] - peaks[0]) / 70_000 < (46 if shuffled else 38)


def test_a_flat_folder_that_becomes_one_person_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    laid_out(tmp_path / "flat", {f"{number}.jpg": encode_jpeg(face(number)) for number in range(3)})
    laid_out(tmp_path / "people", {f"{number}/1.jpg": encode_jpeg(face(number)) for number in range(3)})
    for source, said in (("flat", True), ("people", False)):
        with pytest.raises(SystemExit) as done:
            main(["pack", str(tmp_path / source), str(tmp_path / f"{source}-pack"), "--workers", "1"])
        assert done.value.code == 0
        assert ("one folder and became one person" in capsys.readouterr().out) == said
    assert sorted(unpacked(tmp_path / "flat-pack", tmp_path / "out")) == [f"0000000/{n}.jpg" for n in range(3)]
