"""The masked version of verification pairs: every picture masked or left as it was, with its reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from mask_stand_ins import painter, stored_mesh
from photo import face

from facekit.cli import main
from facekit.errors import ConfigError, DestinationExists, RecordError
from facekit.images import decode, encode_jpeg, jpeg_coding
from facekit.jobs.mask.bins import mask_bin_files, mask_bins
from facekit.jobs.mask.config import MaskConfig, parse_types
from facekit.masks import MaskOptions
from facekit.records.bins import read_bins, write_bins

FLAT = encode_jpeg(np.full((112, 112, 3), 90, np.uint8), 95)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Four pairs; one holds no face, one no picture."""
    payloads = [encode_jpeg(face(seed), 80 + seed) for seed in range(5)] + [
        FLAT,
        encode_jpeg(face(9), 70),
        b"no picture",
    ]
    write_bins(tmp_path / "pairs.bin", payloads, [True, False, True, False])
    return tmp_path / "pairs.bin"


def run(source: Path, destination: Path, side: str = "both", **given: Any) -> Any:
    return mask_bins(MaskConfig(str(source), str(destination), **given), side, stored_mesh, painter)


@pytest.mark.parametrize("side", ["both", "second"])
def test_the_side_is_masked_and_the_rest_is_left_byte_for_byte(pairs: Path, tmp_path: Path, side: str) -> None:
    summary = run(pairs, tmp_path / "out" / "masked.bin", side)
    before, after = read_bins(pairs), read_bins(tmp_path / "out" / "masked.bin")
    assert (before.same == after.same).all()
    wanted = set(range(8)) if side == "both" else {1, 3, 5, 7}
    for position in range(8):
        changed = before.payloads[position] != after.payloads[position]
        assert changed == (position in wanted - {5, 7})
        if changed:
            was, now = decode(before.payloads[position]), decode(after.payloads[position])
            assert np.abs(was[:40].astype(int) - now[:40]).max() < 12
            assert jpeg_coding(before.payloads[position]) == jpeg_coding(after.payloads[position])
    assert (summary.pairs, summary.pictures, summary.wanted) == (4, 8, len(wanted))
    assert summary.masked + sum(summary.refused.values()) + sum(summary.errors.values()) == summary.wanted
    assert list(summary.refused) == ["no_face"]
    rows = pq.read_table(tmp_path / "out" / "masked.ledger.parquet").to_pylist()
    assert [row["key"] for row in rows] == list(range(8))
    assert [row["action"] == "mask" for row in rows] == [position in wanted - {5, 7} for position in range(8)]
    assert rows[7]["reason"].startswith("PictureError")


def test_the_bytes_do_not_depend_on_the_workers_but_on_the_seed(pairs: Path, tmp_path: Path) -> None:
    for name, given in (("a", {}), ("b", {"workers": 2}), ("c", {"seed": 1})):
        run(pairs, tmp_path / f"{name}.bin", **given)
    a, b, c = ((tmp_path / f"{name}.bin").read_bytes() for name in "abc")
    assert a == b != c


def test_real_masks_and_the_loader_of_arcface_torch(pairs: Path, tmp_path: Path) -> None:
    options = MaskOptions(tilt_range=(2, 2))
    mask_bins(MaskConfig(str(pairs), str(tmp_path / "m.bin"), types=parse_types("kn95"), options=options))
    with open(tmp_path / "m.bin", "rb") as file:
        payloads, same = pickle.load(file)
    assert (len(payloads), same) == (8, [True, False, True, False])
    row = pq.read_table(tmp_path / "m.ledger.parquet").to_pylist()[0]
    assert (row["type"], json.loads(row["params"])["tilt"]) == ("kn95", 2.0)


def test_wrong_files_and_options_are_refused(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="side is 'first'"):
        run(pairs, tmp_path / "m.bin", "first")
    with pytest.raises(ConfigError, match=r"pairs\.bin itself"):
        run(pairs, pairs)
    (tmp_path / "m.bin").touch()
    with pytest.raises(DestinationExists, match="--overwrite"):
        run(pairs, tmp_path / "m.bin")
    run(pairs, tmp_path / "m.bin", overwrite=True)
    (tmp_path / "bad.bin").write_bytes(pickle.dumps(print))
    with pytest.raises(RecordError, match=r"bad\.bin"):
        run(tmp_path / "bad.bin", tmp_path / "n.bin")
    for arguments, message in (
        ([str(pairs), "m.bin", "--ratio", "0.2"], "--ratio is for packs"),
        ([str(pairs), "m.bin", "--mesh-cache", "x"], "--mesh-cache is for packs"),
        ([str(pairs), "m"], "must end in .bin"),
        (["pack", "out", "--side", "both"], "--side is for a verification .bin"),
    ):
        with pytest.raises(SystemExit) as done:
            main(["mask", *arguments])
        assert done.value.code == 2
        assert message in capsys.readouterr().err


def test_the_command(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["mask", str(pairs), str(tmp_path / "m.bin"), "--side", "second", "--workers", "1", "--types", "kn95"])
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert "2 of 8 pictures of 4 pairs are masked" in said
    assert "1 of 4 were refused and stay bare" in said


def test_several_files_are_masked_into_a_folder(pairs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(pairs.read_bytes())
    out = tmp_path / "sets"
    summaries = mask_bin_files(MaskConfig("", str(out)), [str(pairs), str(other)], "both", stored_mesh, painter)
    assert [summary.destination for summary in summaries] == [str(out / "pairs.bin"), str(out / "other.bin")]
    run(pairs, tmp_path / "alone.bin")
    alone = (tmp_path / "alone.bin").read_bytes()
    assert [(out / name).read_bytes() for name in ("pairs.bin", "other.bin")] == [alone, alone]
    with pytest.raises(DestinationExists, match=r"pairs\.bin exists"):
        mask_bin_files(MaskConfig("", str(out)), [str(pairs)], "both", stored_mesh, painter)


@pytest.mark.parametrize(
    ("names", "destination", "message"),
    [
        (["pairs.bin", "people"], "out", "people: there is no such file or folder"),
        (["pairs.bin", "pairs.bin"], "out", "two sources are called pairs.bin"),
        (["pairs.bin", "other.bin"], "out.bin", "name a folder for the 2"),
        (["pairs.bin", "text.bin"], "out", "not a verification .bin"),
    ],
)
def test_several_files_are_refused_before_the_first(
    pairs: Path, tmp_path: Path, names: list[str], destination: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.bin").write_text("hello\n")
    with pytest.raises(SystemExit) as caught:
        main(["mask", *(str(tmp_path / name) for name in names), str(tmp_path / destination)])
    assert caught.value.code in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / destination).exists()
