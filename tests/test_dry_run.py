"""--dry-run tells what a command would read and write, and touches nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from clean_packs import make_pack
from small_models import save_model, save_pack

from facekit.cli import main
from facekit.records.bins import write_bins


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in (*words, "--dry-run", "--json")])
    said = capsys.readouterr()
    assert not caught.value.code, said.err
    return json.loads(said.out)


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            state = os.stat(os.path.join(place, name))
            found[os.path.join(place, name)] = state.st_size, state.st_mtime_ns
    return found


@pytest.mark.parametrize("command", ["mask", "convert", "clean", "embed", "pack", "mask .bin"])
def test_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    pack, out = make_pack(tmp_path), tmp_path / "out"
    save_model(tmp_path / "model.onnx")
    save_pack(tmp_path / "noise")
    (tmp_path / "people" / "a").mkdir(parents=True)
    (tmp_path / "people" / "a" / "1.jpg").write_bytes(b"\xff\xd8\xff")
    write_bins(tmp_path / "pairs.bin", [b"a", b"b"], [True])
    words = {
        "mask": ["mask", pack.folder, out],
        "mask .bin": ["mask", tmp_path / "pairs.bin", tmp_path / "out.bin"],
        "convert": ["convert", pack.folder, out],
        "clean": ["clean", pack.folder, out, "--features", pack.features],
        "embed": ["embed", tmp_path / "noise", out, "--model", tmp_path / "model.onnx"],
        "pack": ["pack", tmp_path / "people", out],
    }[command]
    before = tree(tmp_path)
    plan = told(capsys, *words)
    assert tree(tmp_path) == before
    assert not (tmp_path / "out").exists()
    assert (plan["command"], plan["destination"]) == (words[0], str(words[2]))
    assert plan["bytes_needed"] > 0
    assert plan["files"] >= 1
    assert str(words[1]) in plan["reads"]
    assert plan["unfinished"] is False


def test_what_would_be_refused_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = make_pack(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["convert", str(pack.folder), str(pack.folder / "inside"), "--dry-run"])
    assert caught.value.code == 2
    assert "would read" not in capsys.readouterr().out
