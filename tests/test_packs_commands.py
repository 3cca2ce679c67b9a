"""inspect, unpack, reindex and bins, and what all commands on packs share: what they write, say and refuse."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from mask_stand_ins import painter, stored_mesh, write_pack
from small_packs import call, drops, held, picture, write

from facekit.errors import DestinationExists, FacekitError, RecordError
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask
from facekit.jobs.packs.bins import MakeConfig, make_bins
from facekit.jobs.packs.check import CheckConfig, check
from facekit.jobs.packs.convert import ConvertConfig, convert
from facekit.jobs.packs.inspect import InspectConfig, inspect
from facekit.jobs.packs.merge import MergeConfig, merge
from facekit.jobs.packs.reindex import ReindexConfig, reindex
from facekit.jobs.packs.split import SplitConfig, split
from facekit.jobs.packs.unpack import UnpackConfig, unpack
from facekit.records import Header, PackWriter, RecordWriter, open_pack, pack_record, read_bins, write_bins
from facekit.run.ledger import LedgerRow, LedgerWriter, table

# --- names that are not UTF-8 -----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_names_that_are_not_utf_8(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xffb"))
    source = write(odd / "source", [0, 0, 1, 1])
    other = write(odd / "other", [0], first=9)
    with LedgerWriter(source / "train.ledger.parquet") as ledger:
        ledger.append(table([LedgerRow(1, 1, b"0" * 16, "mask", "cloth"), LedgerRow(2, 2, b"0" * 16, "copy")]))
    assert call("inspect", source, "--sheet", odd / "sheet.png") == 0
    assert "masked: 25.0%" in capfd.readouterr().out
    for layout in ("insightface", "flat", "webdataset"):
        assert call("convert", source, odd / layout, "--layout", layout) == 0
    assert call("convert", odd / "webdataset", odd / "back", "--json") == 0
    assert call("split", source, odd / "parts", "--test", 0.5) == 0
    assert call("unpack", source, odd / "files") == 0
    assert call("merge", source, other, odd / "merged") == 0
    assert call("merge", source, other, odd / "again", "--identities", odd / "merged" / "identities.csv") == 0
    everyone = [*held(odd / "insightface"), (2, picture(9))]
    assert held(odd / "again") == held(odd / "merged") == everyone
    assert held(odd / "back") == held(source)
    (odd / "pairs.csv").write_text("key_a,key_b,same\n1,2,1\n")
    assert call("bins", "make", odd / "pairs.csv", source, odd / "pairs.bin") == 0
    assert read_bins(odd / "pairs.bin").payloads == [picture(0), picture(1)]
    with open(odd / "merged" / "train.ledger.parquet", "rb") as file:
        rows = pq.read_table(file).to_pylist()
    assert [row["type"] for row in rows if row["action"] == "mask"] == ["cloth"]
    assert {json.loads(row["params"])["pack"] for row in rows if row["action"] == "copy"} == {str(source), str(other)}


def test_masking_where_names_are_not_utf_8(tmp_path: Path) -> None:
    source = write_pack(tmp_path / os.fsdecode(b"a\xffb"))
    summary = mask(MaskConfig(str(source), str(tmp_path / "out")), stored_mesh, painter)
    odd = mask(MaskConfig(str(source), str(tmp_path / os.fsdecode(b"\xfe") / "out")), stored_mesh, painter)
    assert (odd.images, odd.by_type, odd.refused) == (summary.images, summary.by_type, summary.refused)
    assert odd.masked > 0


# --- unlabelled records -----------------------------------------------------------------------------------------------


def test_a_label_below_0_is_no_identity_to_any_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "source", [-1, 4, -1, 4, 6, 6, 9], layout="flat")
    other = write(tmp_path / "other", [0], first=20, layout="flat")
    parts = split(SplitConfig(str(source), str(tmp_path / "parts"), 0.4))
    assert (parts.dropped, sum(parts.identities.values())) == ({"label_not_whole": 2}, 3)
    assert drops(tmp_path / "parts" / "train") == [(0, "label_not_whole"), (2, "label_not_whole")]
    assert drops(tmp_path / "parts" / "test") == []
    kept = sorted(payload for part in ("train", "test") for _, payload in held(tmp_path / "parts" / part))
    assert kept == sorted(picture(number) for number in (1, 3, 4, 5, 6))
    joined = merge(MergeConfig((str(source), str(other)), str(tmp_path / "joined")))
    assert (joined.images, joined.identities, joined.dropped) == (6, 4, {"label_not_whole": 2})
    assert drops(tmp_path / "joined") == [(0, "label_not_whole"), (2, "label_not_whole")]
    (tmp_path / "t.csv").write_text(f"source,old_label,new_label\n{source},-1,0\n{source},9,1\n{other},0,2\n")
    named = merge(MergeConfig((str(source), str(other)), str(tmp_path / "named"), str(tmp_path / "t.csv")))
    assert (named.images, named.dropped) == (2, {"label_not_whole": 2, "not_wanted": 4})
    files = unpack(UnpackConfig(str(source), str(tmp_path / "files")))
    assert (files.pictures, files.identities, files.dropped) == (5, 3, {"label_not_whole": 2})
    assert sorted(path.name for path in (tmp_path / "files").iterdir() if path.is_dir()) == [
        "0000004",
        "0000006",
        "0000009",
    ]
    some = unpack(UnpackConfig(str(source), str(tmp_path / "some"), limit=3))
    assert (some.pictures, some.dropped) == (3, {"label_not_whole": 2})
    for words in (("split", source, tmp_path / "s", "--test", 0.4), ("merge", source, other, tmp_path / "m")):
        assert call(*words) == 0
    assert call("unpack", source, tmp_path / "u") == 0
    assert capsys.readouterr().out.count("  2 dropped: label not whole\n") == 3
    assert set(check(CheckConfig(str(source), repair=str(tmp_path / "fixed"))).counts) >= {"label_not_whole"}
    assert drops(tmp_path / "fixed") == drops(tmp_path / "parts" / "train")


# --- unpack -----------------------------------------------------------------------------------------------------------


def test_unpacking_writes_payloads_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with PackWriter(tmp_path / "pack", "flat") as writer:
        for key, (label, payload) in enumerate([(7, picture(0)), (7, b"\x89PNG?"), (2, b"no picture"), (7, b"BM?")]):
            writer.write(Header(0, float(label), key, 0), payload)
    summary = unpack(UnpackConfig(str(tmp_path / "pack"), str(tmp_path / "out")))
    assert (summary.pictures, summary.identities, summary.strange) == (4, 2, 1)
    lines = [line.split("\t") for line in (tmp_path / "out" / "unpacked.lst").read_text().splitlines()]
    assert [(int(key), int(label)) for key, label, _ in lines] == [(0, 7), (1, 7), (2, 2), (3, 7)]
    assert [Path(name).suffix for *_, name in lines] == [".jpg", ".png", ".bin", ".bmp"]
    assert [(tmp_path / "out" / name).read_bytes() for *_, name in lines] == [p for _, p in held(tmp_path / "pack")]
    assert call("unpack", tmp_path / "pack", tmp_path / "out") == 2
    assert call("unpack", tmp_path / "pack", tmp_path / "out", "--limit", "0") == 2
    capsys.readouterr()
    assert call("unpack", tmp_path / "pack", tmp_path / "out", "--limit", "1", "--overwrite", "--json") == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 1
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["00000000.jpg", "run.json", "unpacked.lst"]
    assert call("unpack", tmp_path / "pack", tmp_path / "new") == 0
    assert "1 are no picture" in capsys.readouterr().out


# --- reindex ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_an_index_made_anew_is_the_one_that_was_lost(tmp_path: Path, layout: str) -> None:
    source = write(tmp_path / "pack", [0, 0, 1, 2, 2], layout=layout)
    index = (source / "train.idx").read_bytes()
    with pytest.raises(DestinationExists):
        reindex(ReindexConfig(str(source)))
    (source / "train.idx").write_text("0\t0\n")
    summary = reindex(ReindexConfig(str(source), overwrite=True))
    assert (source / "train.idx").read_bytes() == index
    assert (summary.layout, summary.images, summary.sidecar) == (layout, 5, None)
    (source / "train.idx").unlink()
    summary = reindex(ReindexConfig(str(source), sidecar=True))
    assert (source / "train.idx").read_bytes() == index
    assert summary.sidecar is not None
    kept = {path.name for path in source.iterdir()} - {"train.rec", "train.idx", "property", Path(summary.sidecar).name}
    assert len(kept) == 1  # the labels, which are then read instead of the headers
    with open_pack(source) as pack:
        assert pack.labels.tolist() == [0, 0, 1, 2, 2]
    assert check(CheckConfig(str(source))).counts == {}


def test_the_command_reindex(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "pack", [0, 0, 1])
    assert call("reindex", source) == 2
    assert call("reindex", source, "--overwrite", "--sidecar") == 0
    assert "sidecar" in capsys.readouterr().out
    (source / "train.idx").unlink()
    content = bytearray((source / "train.rec").read_bytes())
    content[0] ^= 1
    (source / "train.rec").write_bytes(content)
    assert call("reindex", source) == 1
    assert "train.rec, offset 0: " in capsys.readouterr().err
    assert not (source / "train.idx").exists()


# --- inspect ----------------------------------------------------------------------------------------------------------


def test_what_is_in_a_pack(tmp_path: Path) -> None:
    sizes = [1, 2, 3, 4, 9, 17]
    with PackWriter(tmp_path / "pack") as writer:
        for label, count in enumerate(sizes):
            for number in range(count):
                value: Any = np.array([2 * label, 1], np.float32) if label == 2 else float(2 * label)
                writer.write(Header(0, value, 0, 0), picture(number, 80 if label == 3 else 95))
    rows = [LedgerRow(key, key, b"0" * 16, "mask", "kn95" if key % 2 else "cloth") for key in range(1, 10)]
    with LedgerWriter(tmp_path / "pack" / "train.ledger.parquet") as ledger:
        ledger.append(table([*rows, LedgerRow(None, 50, b"0" * 16, "mask", "kn95")]))
    found = inspect(InspectConfig(str(tmp_path / "pack"), sheet=str(tmp_path / "sheet.png")))
    assert (found.images, found.identities, found.num_classes, found.unused_labels) == (36, 6, 11, 5)
    assert found.histogram == {"1": 1, "2-3": 2, "4-7": 1, "8-15": 1, "16-31": 1}
    assert found.images_each == {"smallest": 1, "median": 3.5, "mean": 6, "largest": 17}
    assert found.label_width == {0: 33, 2: 3}
    assert (found.formats, found.sizes) == ({"jpg": 36}, {"10 x 12": 36})
    assert found.qualities == {"95": 32, "80": 4}
    assert (found.masked, found.masked_share) == ({"kn95": 5, "cloth": 4}, 0.25)
    assert found.property == "11,12,10"
    assert found.records == 36 + 1 + 6
    from facekit.images import decode

    assert decode((tmp_path / "sheet.png").read_bytes()).shape[0] > 6 * 112


def test_the_command_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "pack", [0, 0, 1, 5])
    assert call("inspect", source, "--sheet", tmp_path / "a" / "s.png") == 0
    out = capsys.readouterr().out
    assert "4 images of 3 identities, num_classes 6" in out
    assert "3 labels have no image" in out
    assert "\u2588" * 40 + " 2" in out
    assert call("inspect", source, "--sheet", tmp_path / "a" / "s.png") == 2
    assert call("inspect", source, "--sample", "0") == 2
    capsys.readouterr()
    assert call("inspect", source, "--json") == 0
    assert json.loads(capsys.readouterr().out)["sizes"] == {"10 x 12": 4}
    assert call("inspect", tmp_path / "nowhere") == 2
    (source / "train.ledger.parquet").write_bytes(b"?")
    assert call("inspect", source) == 1
    assert "train.ledger.parquet cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("inspect",), ("unpack", "OUT")])
def test_a_folder_of_shards_is_sent_to_convert(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tars").mkdir()
    rest = [tmp_path / "out" for _ in words[1:]]
    assert call(words[0], tmp_path / "tars", *rest) == 2
    said = capsys.readouterr().err
    assert said == f"facekit: {tmp_path / 'tars'}: no .rec file lies in this folder: it is an empty folder\n"
    convert(ConvertConfig(str(write(tmp_path / "pack", [0, 1])), str(tmp_path / "tars"), "webdataset"))
    assert call(words[0], tmp_path / "tars", *rest) == 2
    assert "it is a folder of tar files: facekit convert makes a pack of them" in capsys.readouterr().err


def test_records_that_are_no_pictures_are_inspected_too(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec") as writer:
        for key in range(3):
            writer.write_bytes(key, pack_record(Header(0, 0.0, key, 0), b"\xff\xd8 no" if key else b"?"))
    found = inspect(InspectConfig(str(tmp_path / "x.rec"), sheet=str(tmp_path / "s.png")))
    assert (found.formats, found.sizes, found.property) == ({"jpg": 2, "none": 1}, {"unreadable": 3}, None)
    (tmp_path / "y.rec").touch()
    (tmp_path / "x.rec").unlink()
    assert inspect(InspectConfig(str(tmp_path / "y.rec"), sheet=str(tmp_path / "t.png"))).images == 0
    assert call("inspect", tmp_path / "y.rec") == 0


# --- bins -------------------------------------------------------------------------------------------------------------


def test_a_bin_of_pairs_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "pack", [0, 0, 1, 1])
    (tmp_path / "pairs.csv").write_text("key_a,key_b,same\n1,2,1\n4,1,0\n")
    assert call("bins", "make", tmp_path / "pairs.csv", source, tmp_path / "x.bin") == 0
    assert "2 pairs, 1 of one person and 1 of two\n3 different pictures" in capsys.readouterr().out
    found = read_bins(tmp_path / "x.bin")
    assert found.payloads == [picture(0), picture(1), picture(3), picture(0)]
    assert found.same.tolist() == [True, False]
    assert call("bins", "make", tmp_path / "pairs.csv", source, tmp_path / "x.bin") == 2
    shown = ("bins", "show", tmp_path / "x.bin", "--unpack", tmp_path / "out", "--sheet", tmp_path / "s.png")
    assert call(*shown) == 0
    assert call(*shown) == 2
    capsys.readouterr()
    assert call(*shown, "--overwrite", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sizes"] == {"10 x 12": 4}
    with open(tmp_path / "out" / "pairs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(tmp_path / "out" / row[f"picture_{side}"]).read_bytes() for row in rows for side in "ab"] == found.payloads
    assert [row["same"] for row in rows] == ["1", "0"]


def test_bins_refuse_what_they_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "pack", [0, 0])
    for text, problem in (
        ("key_a,key_b,same\n1,3,1\n", "no image with key 3"),
        ("key_a,key_b,same\n", "pairs.csv lists no pair"),
    ):
        (tmp_path / "pairs.csv").write_text(text)
        with pytest.raises(FacekitError, match=problem):
            make_bins(MakeConfig(str(tmp_path / "pairs.csv"), str(source), str(tmp_path / "x.bin")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack", "pairs.csv"]
    (tmp_path / "evil.bin").write_bytes(b"cposix\nsystem\n(S'touch CANARY'\ntR.")
    assert call("bins", "show", tmp_path / "evil.bin") == 1
    assert "names posix.system" in capsys.readouterr().err
    assert call("bins", "make", tmp_path / "none.csv", source, tmp_path / "x.bin") == 2
    write_bins(tmp_path / "odd.bin", [b"?", b"!"], [True])
    assert call("bins", "show", tmp_path / "odd.bin", "--sheet", tmp_path / "s.png") == 0
    assert "2 of unreadable" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.png.txt"])
def test_a_sheet_has_no_other_name_than_that_of_a_png(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "pack", [0])
    write_bins(tmp_path / "a.bin", [picture(0), picture(1)], [True])
    before = sorted(tmp_path.iterdir())
    sheet = tmp_path / name
    for words in (
        ("inspect", source, "--sheet", sheet),
        ("bins", "show", tmp_path / "a.bin", "--unpack", tmp_path / "out", "--sheet", sheet),
        ("textures", "preview", sheet, "kn95"),
    ):
        assert call(*words) == 2
        assert f"{sheet} cannot be the name of a PNG picture: choose" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
    assert call("inspect", source, "--sheet", tmp_path / "x.PNG") == 0
    assert (tmp_path / "x.PNG").read_bytes().startswith(b"\x89PNG")


def test_everything_on_a_pack_that_mxnet_wrote(tmp_path: Path, shared: Path) -> None:
    source = shared / "data" / "faces"
    summary = split(SplitConfig(str(source), str(tmp_path / "parts"), 0.1))
    assert summary.identities == {"train": 920, "test": 102}
    parts = tuple(str(tmp_path / "parts" / name) for name in ("train", "test"))
    assert merge(MergeConfig(parts, str(tmp_path / "whole"))).identities == 1022
    assert sorted(p for _, p in held(tmp_path / "whole")) == sorted(p for _, p in held(source))
    shutil.copy(source / "train.rec", tmp_path / "lost.rec")
    reindex(ReindexConfig(str(tmp_path / "lost.rec")))
    assert (tmp_path / "lost.idx").read_bytes() == (source / "train.idx").read_bytes()
    with pytest.raises(RecordError, match="no such pack"):
        reindex(ReindexConfig(str(tmp_path / "nowhere")))
