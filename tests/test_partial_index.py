"""An index that was cut: who only reads is told, who writes is asked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import save_model, save_pack
from small_packs import write
from train_packs import facekit
from writing_commands import call

from facekit.records import RecordReader, open_pack
from facekit.records.framing import MAGIC_BYTES, frame
from facekit.records.index import RecordIndex

WRITING = {
    "convert": lambda m, dst: ["convert", m / "pack", dst],
    "convert (tar)": lambda m, dst: ["convert", m / "pack", dst, "--layout", "webdataset"],
    "mask": lambda m, dst: ["mask", m / "pack", dst, "--workers", 1, "--ratio", 0],
    "unpack": lambda m, dst: ["unpack", m / "pack", dst],
    "merge": lambda m, dst: ["merge", m / "more", m / "pack", dst],
    "split": lambda m, dst: ["split", m / "pack", dst, "--test", ".5"],
    "clean": lambda m, dst: ["clean", m / "pack", dst, "--features", m / "vectors.npy", "--allow-loss", 1],
    "clean --model": lambda m, dst: ["clean", m / "pack", dst, "--model", m / "model.onnx", "--allow-loss", 1],
    "apply": lambda m, dst: ["apply", m / "pack", m / "decided", dst, "--unmatched", "drop", "--match", "hash"],
    "embed": lambda m, dst: ["embed", m / "pack", dst, "--model", m / "model.onnx"],
}


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """A flat pack of which the index names the first eight of twelve pictures, and what goes with it."""
    people = save_pack(tmp_path / "whole", people=4, each=3, ledger=False)
    save_pack(tmp_path / "more", people=2, each=2, seed=1)
    assert call(["convert", tmp_path / "whole", tmp_path / "pack", "--layout", "flat"]).code == 0
    vectors = np.eye(8, dtype=np.float32)[people.labels]
    np.save(tmp_path / "vectors.npy", vectors)
    decided = ["clean", tmp_path / "pack", tmp_path / "decided", "--features", tmp_path / "vectors.npy"]
    assert call(decided).code == 0
    np.save(tmp_path / "vectors.npy", vectors[:8])
    save_model(tmp_path / "model.onnx")
    cut(tmp_path / "pack" / "train.idx", 8)
    return tmp_path


def cut(idx: Path, lines: int) -> None:
    idx.write_text("".join(idx.read_text().splitlines(keepends=True)[:lines]))


def assert_named(said: str) -> None:
    for word in ("the index ", "facekit check", "facekit reindex"):
        assert word in said, said


@pytest.mark.parametrize("name", list(WRITING))
def test_commands_that_write_refuse_it_until_they_are_told(name: str, material: Path) -> None:
    words = WRITING[name](material, material / "out")
    said = call(words)
    assert said.code == 1
    assert_named(said.err)
    assert "--partial-index" in said.err
    assert not list(material.glob("out*"))
    taken = call([*words, "--partial-index"])
    assert taken.code == 0, taken.err
    assert (material / "out").is_dir()


@pytest.mark.parametrize("lines", [0, 6])
def test_one_that_is_empty_or_half_is_refused_in_the_layout_of_insightface_too(lines: int, tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", [0, 0, 1, 1, 2, 2])
    cut(pack / "train.idx", lines)
    for words in (["convert", pack, tmp_path / "out"], ["unpack", pack, tmp_path / "out"]):
        said = call(words)
        assert said.code == 1
        assert_named(said.err)
    assert call(["reindex", pack, "--overwrite"]).code == 0
    assert call(["convert", pack, tmp_path / "out"]).code == 0


@pytest.mark.parametrize("words", [
    lambda m: ["inspect", m / "pack"],
    lambda m: ["eval", m / "model.onnx", "--gallery", m / "pack", "--probe", m / "pack"],
    lambda m: ["bins", "make", m / "pairs.csv", m / "pack", m / "pairs.bin"],
])  # fmt: skip
def test_who_only_reads_it_is_told(
    words: Callable[[Path], list[object]], material: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (material / "pairs.csv").write_text("key_a,key_b,same\n0,1,1\n")
    with caplog.at_level(logging.WARNING):
        said = call(words(material))
    assert said.code == 0, said.err
    assert_named(caplog.text)


def test_the_warning_reaches_stderr(material: Path) -> None:
    done = facekit("inspect", str(material / "pack"))
    assert done.returncode == 0
    assert_named(done.stderr)
    assert_named(facekit("convert", str(material / "pack"), str(material / "out")).stderr)


def test_a_whole_pack_is_not_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for layout in ("insightface", "flat"):
        with open_pack(write(tmp_path / layout, [0, 0, 1], layout=layout), partial_index="refuse") as pack:
            assert pack.num_images == 3
    assert not caplog.records


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.randoms(use_true_random=False), st.data())
def test_what_the_index_lacks_are_the_records_after_the_furthest(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], random: Random, data: st.DataObject
) -> None:
    rec, offsets = tmp_path_factory.mktemp("pack") / "train.rec", list[int]()
    with open(rec, "wb") as file:
        for size in sizes:
            offsets.append(file.tell())
            file.write(frame(MAGIC_BYTES * size))  # cut into parts wherever the magic word stands
    ends, keys = [*offsets[1:], rec.stat().st_size], list(range(len(sizes)))
    random.shuffle(keys)
    named = data.draw(st.lists(st.sampled_from(keys), unique=True))
    places = np.array([offsets[key] for key in named], np.int64)
    with RecordReader(rec, index=RecordIndex.from_lines(np.array(named, np.int64), places)) as reader:
        behind = rec.stat().st_size - max((ends[key] for key in named), default=0)
        problem = reader.index_problem()
        assert (problem is None) == (behind == 0)
        assert problem is None or f" {behind:,} bytes" in problem
