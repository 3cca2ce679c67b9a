"""Pairs of a pack that facekit masked: the .bin knows which of its pictures wear a mask."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from mask_stand_ins import painter, stored_mesh, write_pack

from facekit.errors import DestinationExists
from facekit.jobs.inputs.ledger import read_bins_flags, read_flags
from facekit.jobs.inputs.source import open_source
from facekit.jobs.mask.bins import mask_bins
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask
from facekit.jobs.packs.bins import DrawConfig, MakeConfig, draw_bins, make_bins
from facekit.output.files import FilesOutput
from facekit.output.lock import release
from facekit.records import read_bins
from facekit.run.ledger import ledger_path


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare pack, and one with masks on half of its pictures."""
    folder = tmp_path_factory.mktemp("packs")
    bare = write_pack(folder / "bare", people=4, pictures=4)
    mask(MaskConfig(str(bare), str(folder / "masked"), ratio=0.5), stored_mesh, painter)
    return folder


def test_drawn_pairs_know_their_masks_and_what_they_are_of(packs: Path, tmp_path: Path) -> None:
    draw_bins(DrawConfig(str(packs / "masked"), str(tmp_path / "pairs.bin"), pairs=8, folds=1))
    bins, source = read_bins(tmp_path / "pairs.bin"), open_source(str(packs / "masked"))[0]
    flags = read_bins_flags(tmp_path / "pairs.bin", bins)
    known = read_flags(source)
    rows = pq.read_table(ledger_path(tmp_path / "pairs.bin")).to_pylist()
    pack = {row["key"]: row for row in pq.read_table(ledger_path(Path(source.path))).to_pylist()}
    wears = dict(zip(source.keys.tolist(), known.masked.tolist(), strict=True))
    place = {row["payload_hash"]: key for key, row in pack.items() if key in wears}
    assert 0 < flags.sum() < len(flags)
    for number, (row, masked) in enumerate(zip(rows, flags.tolist(), strict=True)):
        key = place[row["payload_hash"]]
        assert (row["key"], masked) == (number, wears[key])
        assert [row[name] for name in ("type", "params", "score")] == [
            pack[key][name] for name in ("type", "params", "score")
        ]


def test_a_bare_pack_and_bare_pairs_leave_no_ledger(packs: Path, tmp_path: Path) -> None:
    draw_bins(DrawConfig(str(packs / "bare"), str(tmp_path / "bare.bin"), pairs=4, folds=1))
    source = open_source(str(packs / "masked"))[0]
    bare = source.keys[~read_flags(source).masked][:2]
    (tmp_path / "pairs.csv").write_text(f"key_a,key_b,same\n{bare[0]},{bare[1]},0\n")
    make_bins(MakeConfig(str(tmp_path / "pairs.csv"), str(packs / "masked"), str(tmp_path / "some.bin")))
    assert not list(tmp_path.glob("*.ledger.parquet"))
    for name in ("bare.bin", "some.bin"):
        assert not read_bins_flags(tmp_path / name, read_bins(tmp_path / name)).any()


def test_a_ledger_of_other_pictures_is_replaced_with_them_or_refused(packs: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "pairs.bin")
    draw_bins(DrawConfig(str(packs / "masked"), out, pairs=8, folds=1))
    before = [Path(out).read_bytes(), ledger_path(Path(out)).read_bytes()]
    with pytest.raises(DestinationExists):
        draw_bins(DrawConfig(str(packs / "bare"), out, pairs=8, folds=1))
    assert [Path(out).read_bytes(), ledger_path(Path(out)).read_bytes()] == before
    draw_bins(DrawConfig(str(packs / "bare"), out, pairs=8, folds=1, overwrite=True))
    flags = read_bins_flags(Path(out), read_bins(Path(out)))
    assert (len(flags), np.count_nonzero(flags)) == (16, 0)


@pytest.mark.parametrize("beside", ["a table of the user's", "text", "a pack's"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_ledger_that_is_somebody_else_s_stays(packs: Path, tmp_path: Path, beside: str, overwrite: bool) -> None:
    ledger, out = ledger_path(tmp_path / "pairs.bin"), tmp_path / "pairs.bin"
    if beside == "text":
        ledger.write_bytes(b"of a pack that lay here")
    else:
        shutil.copy(ledger_path(packs / "masked" / "train.rec"), ledger)
    if beside == "a pack's":
        shutil.copy(packs / "masked" / "train.rec", out.with_suffix(".rec"))
    before = ledger.read_bytes()
    given = DrawConfig(str(packs / "masked"), str(out), pairs=8, folds=1, overwrite=overwrite)
    with pytest.raises(DestinationExists, match="choose another name"):
        draw_bins(given)
    with pytest.raises(DestinationExists, match="choose another name"):
        mask_bins(
            MaskConfig(str(bare_bin(packs, tmp_path)), str(out), overwrite=overwrite), "both", stored_mesh, painter
        )
    assert (ledger.read_bytes(), out.exists()) == (before, False)
    # Pairs without masks need no ledger: that one is not theirs, and is left alone.
    draw_bins(DrawConfig(str(packs / "bare"), str(out), pairs=8, folds=1, overwrite=overwrite))
    assert (ledger.read_bytes(), out.exists()) == (before, True)


def bare_bin(packs: Path, folder: Path) -> Path:
    draw_bins(DrawConfig(str(packs / "bare"), str(folder / "source.bin"), pairs=4, folds=1))
    return folder / "source.bin"


@pytest.mark.parametrize("replaces", [False, True])
def test_killed_between_ledger_and_bin_the_same_command_goes_on(
    packs: Path, tmp_path: Path, replaces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "pairs.bin"
    given = DrawConfig(str(packs / "masked"), str(out), pairs=8, folds=1, overwrite=replaces)
    draw_bins(given)
    straight = [out.read_bytes(), ledger_path(out).read_bytes()]
    if replaces:
        draw_bins(DrawConfig(str(packs / "masked"), str(out), pairs=4, folds=1, overwrite=True))
    else:
        out.unlink()
        ledger_path(out).unlink()

    def killed(self: FilesOutput) -> None:
        move(self.paths[0], next(iter(self._kinds)))
        raise KeyboardInterrupt

    move = shutil.move
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(FilesOutput, "_move", killed)
        patched.setattr(FilesOutput, "_end", lambda self: release(self._lock))  # nothing is cleared up
        draw_bins(given)
    assert out.exists() == replaces
    draw_bins(given)
    assert [out.read_bytes(), ledger_path(out).read_bytes()] == straight
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.bin", "pairs.ledger.parquet"]
