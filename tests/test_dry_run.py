"""--dry-run tells what a command would read and write, and touches nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clean_packs import make_pack
from small_models import save_model, save_pack

from facekit.cli import main
from facekit.jobs.cost.kept_rates import keep_rates, kept_seconds, rates_path
from facekit.records.bins import write_bins
from facekit.run.progress import duration


def told(capsys: pytest.CaptureFixture[str], *words: object, dry: bool = True) -> Any:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in (*words, *["--dry-run"] * dry, "--json")])
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


@pytest.fixture(autouse=True)
def no_rates(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``facekit cost`` kept on this machine is no matter of the tests'."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))


@pytest.mark.parametrize("command", [
    "mask", "convert", "clean", "embed", "pack", "mask .bin", "apply", "merge", "split", "unpack", "synth",
])  # fmt: skip
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
        "apply": ["apply", pack.folder, tmp_path / "decided", out],
        "merge": ["merge", pack.folder, tmp_path / "noise", out],
        "split": ["split", pack.folder, out, "--test", "0.4"],
        "unpack": ["unpack", pack.folder, out],
        "synth": ["synth", out],
    }[command]
    if command == "apply":
        decide = ["clean", pack.folder, tmp_path / "decided", "--features", pack.features, "--decisions-only"]
        told(capsys, *decide, dry=False)
    before = tree(tmp_path)
    plan = told(capsys, *words)
    assert tree(tmp_path) == before
    assert not (tmp_path / "out").exists()
    assert (plan["command"], plan["destination"]) == (words[0], str(out) + ".bin" * (command == "mask .bin"))
    assert plan["bytes_needed"] > 0
    if command == "synth":
        assert (plan["files"], plan["reads"]) == (0, [])
    else:
        assert plan["files"] >= 1
        assert str(words[1]) in plan["reads"]
    assert plan["unfinished"] is False
    assert plan["pictures"] == {
        "pack": 1, "mask .bin": 2, "embed": 24, "synth": 0, "merge": len(pack.labels) + 24,
    }.get(command, len(pack.labels))  # fmt: skip
    measured = command in ("embed", "pack", "unpack", "synth")  # there and then
    assert (plan["seconds"] is not None) == measured


def test_the_time_is_told_where_facekit_cost_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    pack = make_pack(tmp_path)
    mask = ("mask", pack.folder, tmp_path / "out", "--ratio", "0.5")
    assert told(capsys, *mask)["seconds"] is None
    rates = {name: {"cpu": 2.0, "wall": 3.0, "start_wall": 10.0} for name in ("mask", "convert", "clean", "embed")}
    assert keep_rates(SimpleNamespace(rates=rates, pair_seconds=0.5)) == tmp_path / "caches" / "facekit" / "rates.json"
    plan, count = told(capsys, *mask, "--workers", "4"), len(pack.labels)
    assert plan["steps"] == {"mask": count, "convert": count}  # --mode add: as many again are half of all
    assert plan["seconds"] == pytest.approx(10 + count * 2 / 4 + 10 + count * 3)
    clean = told(capsys, "clean", pack.folder, tmp_path / "out", "--features", pack.features)
    people = len(set(pack.labels.tolist()))
    assert clean["seconds"] == pytest.approx(10 + count * 3 + people * (people - 1) / 2 * 0.5)
    assert told(capsys, *mask, "--part", "1/2")["seconds"] is None
    with pytest.raises(SystemExit):
        main([*map(str, mask), "--workers", "4", "--dry-run"])
    assert f"time: about {duration(plan['seconds'])}" in capsys.readouterr().out
    monkeypatch.setattr("facekit.__version__", "0.0.0")
    assert told(capsys, *mask)["seconds"] is None  # another version's


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rates": {"mask": [1]}}', '{"rates": 1}'])
def test_kept_rates_that_are_none_tell_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rates_path().parent.mkdir()
    rates_path().write_text(content)
    assert kept_seconds({"mask": 1}, 1) is None


def test_what_would_be_refused_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = make_pack(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["convert", str(pack.folder), str(pack.folder / "inside"), "--dry-run"])
    assert caught.value.code == 2
    assert "would read" not in capsys.readouterr().out
