"""What is named to be read and is not there, or is something else: one exit code, and a message that helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from writing_commands import WRITING, Command, call, copy_material, do, make_material

from facekit.embeddings.store import DESCRIPTION
from facekit.errors import ConfigError, MissingInput, RecordError
from facekit.jobs.benchmark.finish import MANIFEST
from facekit.jobs.clean.tables import DECISIONS
from facekit.jobs.packs.unpack import LIST
from facekit.jobs.train.folder import CONFIG
from facekit.records.named_inputs import MARKS, describe_path, require_there

CASES = [(command, name) for command in WRITING for name in command.needs]


@pytest.fixture(scope="module")
def all_material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture
def material(all_material: Path, tmp_path: Path) -> Path:
    return copy_material(all_material, tmp_path / "m")


@pytest.mark.parametrize(("command", "name"), CASES, ids=lambda one: getattr(one, "name", one))
def test_an_input_that_is_not_there_is_the_same_mistake_everywhere(
    command: Command, name: str, all_material: Path, tmp_path: Path
) -> None:
    there, missing = str(all_material / name), str(all_material / f"{name[:-1]}x{name[-1]}")
    words = [str(word) for word in command.words(all_material, command.destination(tmp_path))]
    if there not in words:
        pytest.fail(f"{name} is not among the words of {command.name}: take it out of its inputs")
    said = call([missing if word == there else word for word in words])
    assert said.code == 2, said
    assert missing in said.err
    assert "no such" in said.err


def test_a_name_that_lies_near_is_offered(tmp_path: Path) -> None:
    (tmp_path / "ms1m-retinaface").mkdir()
    with pytest.raises(MissingInput, match=r"did you mean .*/ms1m-retinaface\?") as caught:
        require_there(tmp_path / "ms1m-retinafaec", "pack")
    assert isinstance(caught.value, RecordError)
    assert isinstance(caught.value, ConfigError)
    with pytest.raises(MissingInput, match=r"did you mean .*/ms1m-retinaface\?"):
        require_there(tmp_path / "ms1m-retinafce" / "train.rec", "pack")
    with pytest.raises(MissingInput, match=r"there is no such pack$"):
        require_there(tmp_path / "glint", "pack")
    require_there(tmp_path)


def test_a_command_that_lies_near_is_offered() -> None:
    said = call(["clena", "x"])
    assert said.code == 2
    assert "Did you mean 'clean'?" in said.err
    assert "No such command 'zzz'" in call(["zzz"]).err


def test_what_is_given_for_something_else_is_recognised(material: Path) -> None:
    m = material
    do(["embed", m / "people", m / "feats", "--model", m / "model.onnx"])
    (m / "README.md").write_text("hello")
    (m / "empty").mkdir()
    (m / "run").mkdir()
    (m / "run" / CONFIG).write_text("{}")
    for words, found in (
        (["inspect", m / "README.md"], "is a text file, no pack"),
        (["inspect", m / "feats"], "it is vectors that facekit embed wrote"),
        (["inspect", m / "vectors.npy"], "it is an array, no pack"),
        (["inspect", m / "empty"], "it is an empty folder"),
        (["inspect", m / "pictures"], "it is a pack's pictures, by facekit unpack"),
        (["apply", m / "people", m / "feats", m / "out"], "is vectors that facekit embed wrote, not decisions"),
        (["apply", m / "people", m / "people", m / "out"], "is a pack, not decisions"),
        (["diff", m / "decided", m / "vectors.npy"], "it is an array, not decisions: name what facekit clean wrote"),
        (["clean", m / "people", m / "out", "--features", m / "decided"], "is the output of facekit clean, not vec"),
        (["clean", m / "people", m / "out", "--features", m / "model.onnx"], "is an ONNX model, not vectors"),
        (["eval", m / "people", "--pairs", m / "pairs.bin"], "is a pack, neither vectors nor a model"),
        (["eval", m / "run", "--pairs", m / "pairs.bin"], "is a run of facekit train, neither vectors nor a model: f"),
        (["mask", m / "model.onnx", m / "out"], "it is an ONNX model, no pack"),
        (["mask", m / "decided", m / "out"], "is the output of facekit clean, neither a pack nor pictures"),
        (["embed", m / "feats", m / "out", "--model", m / "model.onnx"], "is vectors that facekit embed wrote, nei"),
        (["bins", "show", m / "people"], "is a pack, not a verification .bin"),
        (["eval", m / "feats", "--pairs", m / "people"], "is a pack, not a table"),
    ):
        said = call(words)
        assert said.code == 2, said
        assert found in said.err, said.err
        assert not (m / "out").exists()


def test_marks_are_the_names_that_commands_give() -> None:
    assert {DECISIONS, DESCRIPTION, CONFIG, LIST, "train.rec", "rounds.json", MANIFEST} == set(MARKS)


def test_anything_can_be_described(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "a.JPG").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "b.bmp").write_bytes(b"BM\0")
    (tmp_path / "c.onnx").write_text("<html>not found</html>")
    (tmp_path / "d.txt").write_text("a" * 511 + "ü")
    (tmp_path / "e.csv").write_bytes("\ufeffkey\r\n".encode())
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "a.tar").write_bytes(b"")
    assert describe_path(tmp_path / "link") == "no file and no folder"
    assert describe_path(tmp_path / "nothing") == "nothing that is there"
    assert describe_path(tmp_path / "a.JPG") == "a picture"
    assert [describe_path(tmp_path / name) for name in ("b.bmp", "c.onnx", "d.txt", "e.csv")] == [
        "a picture",
        "a text file",
        "a text file",
        "a table",
    ]
    assert describe_path(tmp_path / "shards") == "a folder of tar files"
    assert describe_path(tmp_path) == "a folder of pictures"
