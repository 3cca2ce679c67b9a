"""Lists that are scored during training: what cannot be is said before the first step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clean_packs import draw
from train_packs import QUICK, pattern_pack

from facekit.errors import ConfigError, FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
from facekit.jobs.train.scores import check_lists, list_names
from facekit.records import open_pack
from facekit.records.bins import write_bins
from facekit.train import loop, measures
from facekit.train.checkpoint import latest_checkpoint

SIZE = (40, 36)


def bin_of(path: Path, pairs: int = 24, scale: int = 1, genuine: bool = True) -> Path:
    """Pairs of drawn pictures, by turns of one person and of two."""
    pictures = [draw(person, 0)[::scale, ::scale] for n in range(pairs) for person in (n, n + n % 2)]
    same = np.arange(pairs) % 2 == 0
    write_bins(path, [encode_jpeg(picture) for picture in pictures], same & genuine)
    return path


def csv_of(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["key_a,key_b,same", *rows]) + "\n")
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return pattern_pack(tmp_path / "pack")


def test_lists_that_can_be_scored_are_let_through(pack: Path, tmp_path: Path) -> None:
    keys = open_pack(pack).keys.tolist()
    rows = [f"{keys[n]},{keys[n + 1]},{n % 2}" for n in range(20)]
    lists = (str(bin_of(tmp_path / "good.bin")), str(csv_of(tmp_path / "rows.csv", rows)))
    check_lists(lists, str(pack), SIZE)
    assert list_names(lists) == {lists[0]: "good", lists[1]: "rows"}


def bad_lists(folder: Path, keys: list[int]) -> dict[str, tuple[Path, str]]:
    """Lists of every kind that cannot be scored, and what is to be said."""
    whole = bin_of(folder / "whole.bin").read_bytes()
    for name, content in (("empty", b""), ("cut", whole[: len(whole) // 2]), ("wrong", b"\x80\x04]\x94.")):
        (folder / f"{name}.bin").write_bytes(content)
    write_bins(folder / "torn.bin", [b"no picture"] * 48, np.arange(24) % 2 == 0)
    few = [f"{keys[n]},{keys[n + 1]},{n % 2}" for n in range(4)]
    (folder / "columns.csv").write_text("a,b\n1,2\n")
    return {
        "empty": (folder / "empty.bin", "empty.bin"),
        "cut": (folder / "cut.bin", "cut.bin"),
        "wrong": (folder / "wrong.bin", "not the two lists"),
        "torn": (folder / "torn.bin", "no genuine pair among 0"),
        "size": (bin_of(folder / "size.bin", scale=2), "picture 0: 20 x 18 pixels, and the network takes 40 x 36"),
        "few": (bin_of(folder / "few.bin", 6), "10 folds for 3 genuine and 3 impostor pairs"),
        "one kind": (bin_of(folder / "kind.bin", genuine=False), "no genuine pair among 24"),
        "few keys": (csv_of(folder / "few.csv", few), r"few\.csv cannot be scored: 10 folds"),
        "key": (csv_of(folder / "key.csv", ["7777,1,0"]), r"has no picture of key 7777 \(1 keys"),
        "no row": (csv_of(folder / "none.csv", []), "lists no pair"),
        "columns": (folder / "columns.csv", "has no column key_a"),
    }


KINDS = ("empty", "cut", "wrong", "torn", "size", "few", "one kind", "few keys", "key", "no row", "columns")


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_that_cannot_be_scored_stops_before_the_first_step(kind: str, pack: Path, tmp_path: Path) -> None:
    path, said = bad_lists(tmp_path, open_pack(pack).keys.tolist())[kind]
    out = tmp_path / "run"
    good = str(bin_of(tmp_path / "good.bin"))
    with pytest.raises(FacekitError, match=said) as caught:
        train(TrainConfig("bcl", str(pack), str(out), "bcl-small", QUICK, pairs=(good, str(path))))
    assert path.name in str(caught.value)
    assert not out.exists()


def test_two_lists_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(str(bin_of(tmp_path / folder / "lfw.bin")))
    with pytest.raises(ConfigError, match=rf"{paths[0]} and --eval {paths[1]}: .* called lfw"):
        list_names(tuple(paths))
    with pytest.raises(ConfigError, match="would be called lfw"):
        list_names((paths[0], str(paths[0])))


def test_an_evaluation_that_fails_costs_no_step(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise FacekitError("the disk of the lists has gone")

    monkeypatch.setattr(loop, "_evaluated", fail)
    pairs = (str(bin_of(tmp_path / "good.bin")),)
    with pytest.raises(FacekitError, match="has gone"):
        train(TrainConfig("bcl", str(pack), str(tmp_path / "run"), "bcl-small", (*QUICK, "max_steps=2"), pairs=pairs))
    saved = latest_checkpoint(tmp_path / "run")
    assert saved is not None
    assert int(saved.name) == 2


def test_the_speed_is_that_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(measures, "perf_counter", lambda: clock[0])
    window = measures.Window(10)
    for seconds, idle in ((2.0, 0.0), (2.0, 100.0), (1.0, 7.0)):
        clock[0] += seconds
        window.add({"loss": torch.tensor(1.0)})
        with window.paused():
            clock[0] += idle
    assert window.close()["images_per_second"] == pytest.approx(30 / 5)
    assert window.idle == 107
    clock[0] += 4
    window.add({"loss": torch.tensor(1.0)})
    assert window.close()["images_per_second"] == pytest.approx(10 / 4)


def test_pairs_of_the_pack_that_is_trained_on_are_warned_of(pack: Path, tmp_path: Path) -> None:
    rows = [f"{n},{n + 1},{n % 2}" for n in range(1, 25)]
    listed, other = csv_of(tmp_path / "own.csv", rows), bin_of(tmp_path / "other.bin")
    said: list[str] = []
    given = (*QUICK, "max_steps=1")
    train(
        TrainConfig("bcl", str(pack), str(tmp_path / "run"), "bcl-small", given, pairs=(str(listed), str(other))),
        warn=said.append,
    )
    (sentence,) = [one for one in said if "--eval" in one]
    assert sentence.startswith(f"--eval {listed}: its pictures are of {pack}, which is trained on")
