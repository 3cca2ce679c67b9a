"""Something else than what is wanted, at every door: the message names the path and what lies there; exit code 2."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from writing_commands import call, changes, make_material

from facekit.records.named_inputs import describe_path

KINDS = {
    "nowhere": "there is no such",
    "notes.md": "a text file",
    "nothing": "an empty file",
    "people": "a pack",
    "pictures": "a pack's pictures",
    "shards": "a folder of tar files",
    "parquet": "a folder of parquet tables",
    "bench": "a benchmark",
    "empty": "an empty folder",
    "vectors": "vectors that facekit embed wrote",
    "vectors.npy": "an array",
    "decided": "the output of facekit clean",
    "decided.list": "a list of decisions",
    "pairs.bin": "a verification .bin",
    "pairs.csv": "a table",
    "model.onnx": "an ONNX model",
    "trained": "a run of facekit train",
    "masks.toml": "TOML",
}
"""What lies in the material under each name, in the words of a message."""

PACKS = {"people", "bench"}
SOURCES = PACKS | {"pictures"}
TEXTS = {"notes.md", "nothing", "pairs.csv", "masks.toml"}


class Door(NamedTuple):
    """An argument or option that names something to be read.

    Attributes
    ----------
    words : callable
        Makes the command from what is given there, the folder of the material, and a destination.
    takes : set of str
        Kinds that belong there, or that get past the door for reasons of their own.
    """

    words: Callable[[Path, Path, Path], list[object]]
    takes: set[str]


PAIRS = ["--folds", 2]
BCL = ["--recipe", "bcl-small", *changes()]
DOORS = {
    "mask": Door(lambda x, m, to: ["mask", x, to, "--workers", 1], SOURCES | {"pairs.bin"}),
    "mask --photos": Door(lambda x, m, to: ["mask", x, to, "--photos", "--workers", 1], {"pictures", "bench"}),
    "mask, several": Door(lambda x, m, to: ["mask", m / "pairs.bin", x, to], {"pairs.bin"}),
    "mask --textures": Door(lambda x, m, to: ["mask", m / "people", to, "--textures", x], {"masks.toml", "nothing"}),
    "pack": Door(lambda x, m, to: ["pack", x, to], {"pictures", "shards", "parquet", "people", "bench"} | TEXTS),
    "unpack": Door(lambda x, m, to: ["unpack", x, to], PACKS),
    "convert": Door(lambda x, m, to: ["convert", x, to], PACKS | {"shards", "parquet"}),
    "convert --drop": Door(lambda x, m, to: ["convert", m / "people", to, "--drop", x], TEXTS),
    "merge": Door(lambda x, m, to: ["merge", m / "more", x, to], PACKS),
    "split": Door(lambda x, m, to: ["split", x, to, "--test", ".5"], PACKS),
    "reindex": Door(lambda x, m, to: ["reindex", x], PACKS),
    "check": Door(lambda x, m, to: ["check", x], PACKS),
    "inspect": Door(lambda x, m, to: ["inspect", x], PACKS),
    "bins make PAIRS": Door(lambda x, m, to: ["bins", "make", x, m / "pictures", f"{to}.bin"], TEXTS),
    "bins make SRC": Door(lambda x, m, to: ["bins", "make", m / "pairs.csv", x, f"{to}.bin"], SOURCES),
    "bins draw": Door(lambda x, m, to: ["bins", "draw", x, f"{to}.bin", "--pairs", 4, "--folds", 2], SOURCES),
    "bins show": Door(lambda x, m, to: ["bins", "show", x], {"pairs.bin"}),
    "embed": Door(lambda x, m, to: ["embed", x, to, "--model", m / "model.onnx"], SOURCES),
    "embed --model": Door(lambda x, m, to: ["embed", m / "people", to, "--model", x], {"model.onnx"}),
    "clean": Door(lambda x, m, to: ["clean", x, to, "--features", m / "vectors"], SOURCES),
    "clean --features": Door(lambda x, m, to: ["clean", m / "people", to, "--features", x], {"vectors", "vectors.npy"}),
    "clean --model": Door(lambda x, m, to: ["clean", m / "people", to, "--model", x], {"model.onnx"}),
    "clean --exclude": Door(
        lambda x, m, to: ["clean", m / "people", to, "--features", m / "vectors", "--exclude", x],
        SOURCES | {"pairs.bin", "vectors"},
    ),
    "clean --overrides": Door(
        lambda x, m, to: ["clean", m / "people", to, "--features", m / "vectors", "--overrides", x], set()
    ),
    "apply SRC": Door(lambda x, m, to: ["apply", x, m / "decided", to], SOURCES),
    "apply DECISIONS": Door(lambda x, m, to: ["apply", m / "people", x, to], {"decided", "decided.list"}),
    "apply --match auto": Door(lambda x, m, to: ["apply", m / "people", x, to, "--match", "auto"], {"decided.list"}),
    "lists export": Door(lambda x, m, to: ["lists", "export", x, f"{to}.list"], {"decided"}),
    "lists export --source": Door(
        lambda x, m, to: ["lists", "export", m / "decided", f"{to}.list", "--source", x], SOURCES
    ),
    "lists merge": Door(lambda x, m, to: ["lists", "merge", m / "other.list", x, f"{to}.list"], {"decided.list"}),
    "lists show": Door(lambda x, m, to: ["lists", "show", x], {"decided.list"}),
    "lists diff": Door(lambda x, m, to: ["lists", "diff", m / "decided.list", x], {"decided.list"}),
    "lists sign": Door(lambda x, m, to: ["lists", "sign", x, "--key", m / "key"], {"decided.list"}),
    "lists sign --key": Door(lambda x, m, to: ["lists", "sign", m / "other.list", "--key", x], TEXTS),
    "diff": Door(lambda x, m, to: ["diff", m / "decided", x], {"decided"}),
    "explain": Door(lambda x, m, to: ["explain", x, 1], {"decided"}),
    "sweep SRC": Door(lambda x, m, to: ["sweep", x, m / "vectors"], SOURCES),
    "sweep FEATURES": Door(lambda x, m, to: ["sweep", m / "people", x], {"vectors", "vectors.npy"}),
    "sweep --truth": Door(lambda x, m, to: ["sweep", m / "people", m / "vectors", "--truth", x], set()),
    "review": Door(lambda x, m, to: ["review", x, "--no-browse"], {"decided"}),
    "eval": Door(lambda x, m, to: ["eval", x, "--pairs", m / "pairs.csv", *PAIRS], {"vectors", "model.onnx"}),
    "eval --pairs": Door(lambda x, m, to: ["eval", m / "vectors", "--pairs", x, *PAIRS], {"pairs.csv", "pairs.bin"}),
    "eval --gallery": Door(
        lambda x, m, to: ["eval", m / "model.onnx", "--gallery", x, "--probe", m / "people"], SOURCES | {"vectors"}
    ),
    "eval --pack": Door(lambda x, m, to: ["eval", m / "model.onnx", "--pack", x], SOURCES),
    "eval --groups": Door(
        lambda x, m, to: ["eval", m / "vectors", "--pairs", m / "pairs.csv", *PAIRS, "--groups", x], {"pairs.csv"}
    ),
    "eval --templates": Door(
        lambda x, m, to: ["eval", m / "vectors", "--pairs", m / "pairs.csv", *PAIRS, "--templates", x], TEXTS
    ),
    "passport": Door(lambda x, m, to: ["passport", x, f"{to}.json"], PACKS | {"pictures"}),
    "overlap": Door(
        lambda x, m, to: ["overlap", m / "people", x, to], SOURCES | {"vectors", "decided.list", "pairs.bin"}
    ),
    "benchmark run BENCH": Door(lambda x, m, to: ["benchmark", "run", x, m / "pool.onnx"], {"bench"}),
    "benchmark run MODEL": Door(lambda x, m, to: ["benchmark", "run", m / "bench", x], {"vectors", "model.onnx"}),
    "benchmark score-cleaning": Door(
        lambda x, m, to: ["benchmark", "score-cleaning", m / "bench", x, "--task", "drawn"], {"pairs.csv"}
    ),
    "train": Door(lambda x, m, to: ["train", "bcl", x, to, *BCL], PACKS),
    "train --eval": Door(lambda x, m, to: ["train", "bcl", m / "patterns", to, *BCL, "--eval", x],
                         SOURCES | {"pairs.csv", "pairs.bin"}),
    "train --recipe": Door(
        lambda x, m, to: ["train", "bcl", m / "patterns", to, "--recipe", x], {"nowhere", "masks.toml"}
    ),
    "export": Door(lambda x, m, to: ["export", x, f"{to}.onnx"], {"trained"}),
    "selflearn": Door(lambda x, m, to: ["selflearn", x, to, "--init", m / "model.onnx", *BCL], SOURCES),
    "selflearn --init": Door(
        lambda x, m, to: ["selflearn", m / "people", to, "--init", x, *BCL], {"model.onnx", "trained"}
    ),
    "textures check": Door(lambda x, m, to: ["textures", "check", x], TEXTS),
    "textures preview --face": Door(
        lambda x, m, to: ["textures", "preview", f"{to}.png", "kn95", "--face", x], set()
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_material(tmp_path_factory.mktemp("material"))
    (folder / "notes.md").write_text("# Notes\n\nThis tells what was done, and why.\n")
    (folder / "nothing").write_bytes(b"")
    (folder / "empty").mkdir()
    shutil.copy(folder / "trained" / "model.pt", folder / "model.pt")
    return folder


def test_what_lies_there_is_recognised(material: Path) -> None:
    assert {name: describe_path(material / name) for name in KINDS if name not in ("nowhere", "pictures")} == {
        name: words for name, words in KINDS.items() if name not in ("nowhere", "pictures")
    }
    assert describe_path(material / "decided" / "decisions.parquet") == "a table of decisions"
    assert describe_path(material / "people" / "train.rec") == "a record file"
    assert describe_path(material / "pictures" / "unpacked.lst") == "a list of pictures"
    assert describe_path(material / "model.pt") == "weights of torch"


@pytest.mark.parametrize("name", DOORS)
def test_something_else_is_refused_by_its_kind(name: str, material: Path, tmp_path: Path) -> None:
    door, wrong = DOORS[name], []
    for kind, words in KINDS.items():
        if kind in door.takes:
            continue
        said = call(door.words(material / kind, material, tmp_path / "out"))
        lines = [line for line in said.err.splitlines() if line.startswith("facekit: ")]
        if said.code != 2 or len(lines) != 1 or kind not in lines[0] or (kind not in TEXTS and words not in lines[0]):
            wrong.append(f"{kind}: {said.code} {said.err[:200]}")
        if list(tmp_path.iterdir()):
            wrong.append(f"{kind} left {list(tmp_path.iterdir())}")
    assert not wrong, "\n".join(wrong)
