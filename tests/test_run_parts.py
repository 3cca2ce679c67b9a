"""``--part I/N``: any share by any number of processes, some of them killed, and the same bytes as from one run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed_runs import whole
from writing_commands import Command, call, copy_material, do, make_material, named

from facekit.clean.overrides import Overrides
from facekit.errors import ConfigError
from facekit.images import encode_jpeg
from facekit.jobs.clean import write
from facekit.jobs.outputs import copy_shards
from facekit.output import open_folder
from facekit.output.staging import staging_folder
from facekit.records import Header, PackWriter
from facekit.run import shards
from facekit.run.choice import Part, parse_part

SHARED = ("mask", "synth", "pack", "unpack", "embed", "convert", "convert (tar)", "convert (parquet)",
          "convert (from tar)", "merge", "split", "apply", "benchmark make")  # fmt: skip
"""Commands that do their work in shards."""

KILLED = """
import os, signal, sys
from facekit.cli import main
from facekit.jobs.outputs import copy_shards
from facekit.records import Header, PackWriter
from facekit.run import shards
from facekit.run.shard_file import ShardWriter

copy_shards.SHARD_RECORDS = 2
shards.SMALLEST, left, finish = 2, [int(sys.argv[1])], ShardWriter.finish

def die_before(writer, rows):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    finish(writer, rows)

ShardWriter.finish = die_before
main(sys.argv[2:])
"""
"""A run of facekit that kills itself, in the middle of the shard of this number among its own; 0: never."""


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_material(tmp_path_factory.mktemp("parts") / "material")
    do(["synth", folder / "crowd", "--identities", 4, "--images", 2, "--workers", 1])
    (folder / "mine.json").write_text(Overrides(drop=(2,), move={4: 0}).to_json())
    return folder


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SMALLEST", 2)
    monkeypatch.setattr(copy_shards, "SHARD_RECORDS", 2)
    monkeypatch.setattr(write, "BLOCK", 2)


def words_of(command: Command, material: Path, target: Path) -> list[object]:
    """The arguments of a command, on material of several shards."""
    words = command.words(material, target)
    if command.name == "mask":
        return [material / "crowd" if word == material / "drawn" else word for word in words]
    more = {"synth": ["--identities", 3], "apply": ["--overrides", material / "mine.json"]}
    return [*words, *more.get(command.name, [])]


@pytest.mark.parametrize("name", SHARED)
def test_parts_and_the_rest_give_the_bytes_of_one_run(name: str, material: Path, tmp_path: Path) -> None:
    command, alone, target = named(name), tmp_path / "alone" / "out", tmp_path / "parts" / "out"
    alone.parent.mkdir()
    target.parent.mkdir()
    do(words_of(command, material, alone))
    words = words_of(command, material, target)
    said = call([*words, "--part", "3/3", "--json"])
    assert said.code == 0, said.err
    done = json.loads(said.out)
    assert (done["part"], done["finished"]) == ({"number": 3, "of": 3}, done["shards"])
    assert 0 < done["shards"] < done["total"]
    assert os.listdir(target.parent) == ["out.partial"]
    do([*words, "--part", "1/3"])
    again = json.loads(call([*words, "--part", "1/3", "--json"]).out)
    assert (again["shards"], again["records"]) == (0, 0)
    assert done["finished"] < again["finished"] < again["total"]
    do(words)
    assert os.listdir(target.parent) == ["out"]
    assert without_place(whole(target), target) == without_place(whole(alone), alone)


def without_place(content: dict[str, object], place: Path) -> dict[str, object]:
    """What a folder holds, with its own path taken out of its record."""
    record = content["run.json"]
    assert isinstance(record, bytes)
    return content | {"run.json": record.replace(os.fsencode(place), b"out")}


def test_four_processes_of_which_one_is_killed(material: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED]
    (tmp_path / "alone").mkdir()
    (tmp_path / "parts").mkdir()

    def start(target: Path, dies_at: int, *more: str) -> subprocess.Popen[str]:
        words = ["unpack", str(material / "people"), str(target), *more]
        return subprocess.Popen([*command, str(dies_at), *words], stderr=subprocess.PIPE, text=True)

    alone, target = tmp_path / "alone" / "out", tmp_path / "parts" / "out"
    runs = [start(alone, 0), *(start(target, 2 if part == 1 else 0, "--part", f"{part}/4") for part in range(1, 5))]
    said = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, -signal.SIGKILL, 0, 0, 0], said
    last = start(target, 0)
    assert (last.communicate()[1], last.returncode) == ("", 0)
    assert without_place(whole(target), target) == without_place(whole(alone), alone)


def test_a_part_with_other_settings_is_refused_and_discards_nothing(material: Path, tmp_path: Path) -> None:
    words = ["unpack", material / "people", tmp_path / "out"]
    do([*words, "--part", "1/2"])
    before = whole(staging_folder(tmp_path / "out"))
    for more in (["--part", "2/2"], ["--part", "2/2", "--overwrite"], []):
        said = call([*words, "--limit", 5, *more])
        assert said.code == 2
        assert "limit was None, is 5" in said.err
        assert "--overwrite" in said.err
        assert whole(staging_folder(tmp_path / "out")) == before


def test_a_source_that_changed_between_two_parts_is_refused(material: Path, tmp_path: Path) -> None:
    copy = copy_material(material, tmp_path / "material", named("unpack"))
    words = ["unpack", copy / "people", tmp_path / "out"]
    do([*words, "--part", "1/2"])
    os.utime(copy / "people" / "train.rec", ns=(1, 1))
    said = call([*words, "--part", "2/2"])
    assert said.code == 2
    assert "input.changed was" in said.err


def test_parts_work_beside_each_other_and_nobody_publishes_meanwhile(tmp_path: Path) -> None:
    with (
        open_folder(tmp_path / "out", "test", shared=True),
        open_folder(tmp_path / "out", "test", shared=True),
        pytest.raises(ConfigError, match="parts of a job are writing"),
    ):
        open_folder(tmp_path / "out", "test")
    with open_folder(tmp_path / "out", "test") as output:
        with pytest.raises(ConfigError, match="another run is writing"):
            open_folder(tmp_path / "out", "test", shared=True)
        output.new_folder()
        output.publish()
    assert os.listdir(tmp_path) == ["out"]


def test_a_part_leaves_what_another_is_writing(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", "test", shared=True) as first:
        (first.shards / ".00000001.half").touch()
        with open_folder(tmp_path / "out", "test", shared=True) as second:
            assert second.shards == first.shards
        assert (first.shards / ".00000001.half").exists()


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_every_shard_is_one_part_s(of: int) -> None:
    parts = [Part(number, of) for number in range(1, of + 1)]
    assert all(sum(part.takes(shard) for part in parts) == 1 for shard in range(20))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "1/", "/4", "a/b", "-1/4", "1.5/4", "1/4/4"])
def test_what_is_no_part_is_bad_usage(text: str, material: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="such as 1/4"):
        parse_part(text)
    assert call(["unpack", material / "people", tmp_path / "out", "--part", text]).code == 2


def test_pairs_of_a_bin_are_not_shared(material: Path, tmp_path: Path) -> None:
    said = call([*named("mask (bin)").words(material, tmp_path / "out.bin"), "--part", "1/2"])
    assert said.code == 2
    assert "leave out --part" in said.err


@pytest.fixture(scope="module")
def few(material: Path) -> Path:
    """The same pictures in compressed tars and in parquet, several of each."""
    for layout in ("webdataset", "parquet"):
        do(["convert", material / "people", material / "few" / layout, "--layout", layout, "--shard-records", 3])
    for tar in (material / "few" / "webdataset").glob("*.tar"):
        subprocess.run(["gzip", tar], check=True)
    return material / "few"


@pytest.mark.parametrize(
    ("source", "layout", "dies"),
    [
        ("few/webdataset", "flat", 2),
        ("few/parquet", "webdataset", 2),
        ("few/parquet", "insightface", 1),
        ("shards", "flat", 2),
        ("shards", "parquet", 1),
        ("people", "webdataset", 2),
    ],
)
def test_parts_from_and_to_shards_of_which_one_is_killed(
    source: str, layout: str, dies: int, few: Path, tmp_path: Path
) -> None:
    alone, target = tmp_path / "alone" / "out", tmp_path / "parts" / "out"
    words = ["convert", str(few.parent / source), "--layout", layout, "--min-images", "2", "--shard-records", "4"]
    for folder in (alone.parent, target.parent):
        folder.mkdir()
    do([*words, alone])
    killed = [sys.executable, "-c", KILLED, str(dies), *words, str(target), "--part", "1/3"]
    assert subprocess.run(killed, capture_output=True).returncode == -signal.SIGKILL
    for part in (2, 3):
        do([*words, target, "--part", f"{part}/3"])
    done = json.loads(call([*words, target, "--part", "3/3", "--json"]).out)
    assert done["shards"] == 0 < done["finished"] < done["total"]
    assert os.listdir(target.parent) == ["out.partial"]
    do([*words, target])
    assert without_place(whole(target), target) == without_place(whole(alone), alone)


def test_a_part_of_what_is_copied_whole_has_nothing_to_do(material: Path, tmp_path: Path) -> None:
    words = ["apply", material / "people", material / "decided", tmp_path / "out", "--revert", "all"]
    assert json.loads(call([*words, "--part", "1/2", "--json"]).out)["total"] == 0
    do(words)
    assert (tmp_path / "out" / "train.rec").read_bytes() == (material / "people" / "train.rec").read_bytes()


@pytest.mark.parametrize("name", ["convert", "convert (tar)", "convert (parquet)", "convert (from tar)",
                                  "merge", "split", "apply", "unpack"])  # fmt: skip
def test_workers_change_nothing(name: str, material: Path, tmp_path: Path) -> None:
    command, found = named(name), []
    for workers in (1, 2):
        target = tmp_path / str(workers) / "out"
        target.parent.mkdir()
        do([*words_of(command, material, target), "--workers", workers])
        found.append(without_place(whole(target), target))
    assert found[0] == found[1]


def test_a_deep_check_by_parts_finds_what_one_process_finds(tmp_path: Path) -> None:
    source = Path(copy_broken(tmp_path))
    alone = call(["check", source, "--deep", "--json"])
    words = ["check", source, "--deep", "--json", "--journal", tmp_path / "journal"]
    done = json.loads(call([*words, "--part", "2/3"]).out)
    assert 0 < done["shards"] < done["total"]
    together = call([*words, "--workers", 2])
    assert (alone.code, together.code) == (1, 1)
    found, expected = json.loads(together.out), json.loads(alone.out)
    assert found | {"seconds": 0} == expected | {"seconds": 0}
    assert {"undecodable", "odd_size"} <= set(found["counts"])
    assert os.listdir(tmp_path) == ["broken"]


def copy_broken(folder: Path) -> str:
    """A pack of which some pictures do not decode, and some are of another size."""
    rng = np.random.default_rng(0)
    with PackWriter(folder / "broken") as writer:
        for key in range(1, 14):
            size = 20 if key == 5 else 16
            payload = encode_jpeg(rng.integers(0, 256, (size, 16, 3), np.uint8))
            writer.write(Header(0, float(key // 3), key, 0), payload[: 60 if key == 9 else None])
    return str(folder / "broken")


@pytest.mark.parametrize("more", [["--part", "1/2"], ["--part", "1/2", "--deep"], ["--workers", 2], ["--ray"]])
def test_a_check_that_cannot_be_shared_says_what_can(more: list[object], material: Path) -> None:
    said = call(["check", material / "people", *more, *(["--workers", 1] if more == ["--ray"] else [])])
    assert said.code == 2
    assert "give --deep, and --journal DIR" in said.err


@pytest.mark.parametrize("more", [[], ["--pairs", "pairs.csv", "--folds", 2]])
def test_eval_in_parts_scores_what_one_process_scores(more: list[object], material: Path, tmp_path: Path) -> None:
    pack, model = material / "people", material / "model.onnx"
    more = [material / word if word == "pairs.csv" else word for word in more]
    words = ["eval", model, "--pack", pack, *more, "--json"]
    alone = json.loads(call(words).out)
    shared = [*words, "--features", tmp_path / "vectors"]
    done = json.loads(call([*shared, "--part", "2/3"]).out)
    assert 0 < done["finished"] < done["total"]
    assert not (tmp_path / "vectors").exists()
    together = json.loads(call([*shared, "--workers", 2]).out)
    own = {"milliseconds_per_image": 0, "pictures": 0}  # without a folder, only what is in pairs is embedded
    assert together | own == alone | own
    do(["embed", pack, tmp_path / "embedded", "--model", model])
    vectors = [(tmp_path / name / "vectors" / "00000000.npy").read_bytes() for name in ("vectors", "embedded")]
    assert vectors[0] == vectors[1]
    assert json.loads(call(shared).out) == together  # what is there is taken as it is


def test_eval_takes_no_vectors_of_another_pack_or_model(material: Path, tmp_path: Path) -> None:
    kept = tmp_path / "vectors"
    words = ["eval", material / "model.onnx", "--pack", material / "people", "--features", kept]
    do(["split", material / "people", tmp_path / "half", "--test", 0.5])
    do(["embed", tmp_path / "half" / "train", kept, "--model", material / "model.onnx"])
    before = whole(kept)
    for more, wanted in (([], "was made from another pack than"), (["--flip"], "flip is True, was False")):
        said = call([*words, *more])
        assert said.code == 2
        assert wanted in said.err
        assert "name another folder with --features" in said.err
        assert whole(kept) == before


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--pack", "people", "--part", "1/2"], "give --features DIR with --pack"),
        (["--pack", "people", "--workers", "2"], "give --features DIR with --pack"),
        (["--pack", "people", "--ray", "--workers", "1"], "give --features DIR with --pack"),
        (["--pairs", "pairs.bin", "--features", "new"], "give a pack, or leave it out"),
        (["--pack", "people", "--features", "new", "--blur", "2"], "leave it out"),
        (["--pack", "people", "--features", "material/people"], "material/people"),
    ],
)
def test_an_evaluation_that_cannot_be_shared_says_what_can(words: list[str], wanted: str, material: Path) -> None:
    places = {name: material / name for name in ("people", "pairs.bin", "new")}
    places |= {"material/people": material / "people"}
    said = call(["eval", material / "model.onnx", *(places.get(word, word) for word in words)])
    assert said.code == 2
    assert wanted in said.err
    assert not (material / "new").exists()


def test_vectors_are_not_embedded(material: Path, tmp_path: Path) -> None:
    words = ["eval", material / "vectors", "--pack", material / "people", "--features", tmp_path / "new"]
    said = call(words)
    assert said.code == 2
    assert "is a folder of vectors, of which --features would make another" in said.err
