"""Inputs that lie where a command writes, and runs that meet: what was named to be read is there afterwards."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from writing_commands import assert_refused, call, changes, copy_material, do, make_material, named, snapshot

from facekit.errors import ConfigError
from facekit.jobs.clean.report import ReviewConfig, open_review


@pytest.fixture(scope="module")
def all_material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture
def material(all_material: Path, tmp_path: Path) -> Path:
    return copy_material(all_material, tmp_path / "m")


Words = Callable[[Path, Path], list[object]]


def put(content: str) -> Callable[[Path, Path], object]:
    return lambda material, path: path.write_text(content)


def bring(name: str) -> Callable[[Path, Path], object]:
    def copy(material: Path, path: Path) -> None:
        (shutil.copytree if (material / name).is_dir() else shutil.copy)(material / name, path)

    return copy


def with_suffix(folder: Path, suffix: str) -> Path:
    """The input, under the name that its kind must have."""
    (folder / "mine").rename(folder / f"mine{suffix}")
    return folder / f"mine{suffix}"


def resumed(material: Path, target: Path) -> list[object]:
    """The training, gone on with."""
    return [*named("train").words(material, target), "--resume"]


def in_mask(option: str) -> Words:
    return lambda m, dst: [*named("mask").words(m, dst), option, dst / "mine"]


INSIDE: dict[str, tuple[str, Callable[[Path, Path], object], Words]] = {
    "clean --overrides": ("clean", put('{"version": 1}'),
        lambda m, dst: [*named("clean").words(m, dst), "--overrides", dst / "mine"]),
    "clean --features": ("clean", bring("vectors.npy"),
        lambda m, dst: ["clean", m / "people", dst, "--features", dst / "mine"]),
    "clean --features, a folder": ("clean", bring("vectors"),
        lambda m, dst: ["clean", m / "people", dst, "--features", dst / "mine"]),
    "clean --exclude": ("clean", bring("vectors"),
        lambda m, dst: [*named("clean").words(m, dst), "--exclude", dst / "mine"]),
    "apply DST": ("clean", put(""), lambda m, dst: ["apply", m / "people", dst, dst]),
    "apply DST/decisions.parquet": ("clean", put(""),
        lambda m, dst: ["apply", m / "people", dst / "decisions.parquet", dst]),
    "apply --overrides": ("apply", put('{"version": 1}'),
        lambda m, dst: [*named("apply").words(m, dst), "--overrides", dst / "mine"]),
    "embed --model": ("embed", bring("model.onnx"),
        lambda m, dst: ["embed", m / "people", dst, "--model", dst / "mine"]),
    "mask --textures": ("mask", lambda m, path: (bring("masks.toml")(m, path), bring("mine.png")(m, path.parent)),
        in_mask("--textures")),
    "mask --mesh-cache": ("mask", put("a cache"), in_mask("--mesh-cache")),
    "convert --drop": ("convert", put("1\n"), lambda m, dst: ["convert", m / "people", dst, "--drop", dst / "mine"]),
    "merge --identities": ("merge", put("source,old_label,new_label\n"),
        lambda m, dst: [*named("merge").words(m, dst), "--identities", dst / "mine"]),
    "merge --identities, its own": ("merge", put(""),
        lambda m, dst: [*named("merge").words(m, dst), "--identities", dst / "identities.csv"]),
    "pack --root": ("pack", bring("pictures"), lambda m, dst: [*named("pack").words(m, dst), "--root", dst / "mine"]),
    "eval --groups": ("eval", put("key,group\n1,a\n"),
        lambda m, dst: [*named("eval").words(m, dst), "--groups", dst / "mine"]),
    "eval --pairs": ("eval", bring("pairs.csv"),
        lambda m, dst: ["eval", m / "vectors", "--pairs", dst / "mine", "--plots", dst]),
    "train --recipe": ("train", put("epochs = 2\n"),
        lambda m, dst: [*resumed(m, dst), "--recipe", with_suffix(dst, ".toml")]),
    "train --eval": ("train", put("key_a,key_b,same\n" + "1,2,1\n1,4,0\n" * 10),
        lambda m, dst: [*resumed(m, dst), "--eval", with_suffix(dst, ".csv")]),
    "selflearn --truth": ("train", put("key,identity\n" + "".join(f"{key},a\n" for key in range(1, 13))),
        lambda m, dst: ["selflearn", m / "people", dst, "--recipe", "bcl-small", *changes(), "--truth",
                        with_suffix(dst, ".csv")]),
}  # fmt: skip
"""What was written there before, what is put at DST/mine, and the command that names it."""


@pytest.mark.parametrize("name", list(INSIDE))
def test_an_input_inside_the_destination_is_refused_and_stays(name: str, material: Path) -> None:
    before, make, words = INSIDE[name]
    target = material / "out"
    do(named(before).words(material, target))
    make(material, target / "mine")
    command = words(material, target)
    was = snapshot(material)
    assert_refused(call(command if before == "train" else [*command, "--overwrite"]), "out")
    assert snapshot(material) == was


FILES: dict[str, Words] = {
    "bins make over its pairs": lambda m, _: ["bins", "make", m / "pairs.csv", m / "people", m / "pairs.csv"],
    "bins make over records": lambda m, _: ["bins", "make", m / "pairs.csv", m / "people", m / "more" / "train.rec"],
    "bins make over an index": lambda m, _: ["bins", "make", m / "pairs.csv", m / "people", m / "people" / "train.idx"],
    "a sheet over a pack's": lambda m, _: ["bins", "show", m / "pairs.bin", f"--sheet={m / 'drawn' / 'contact.png'}"],
    "a preview over a pack's": lambda m, _: ["textures", "preview", m / "drawn" / "contact.png", "kn95"],
    "a preview over its face": lambda m, _: ["textures", "preview", m / "mine.png", "kn95", "--face", m / "mine.png"],
    "plots over a pack": lambda m, _: ["eval", m / "vectors", "--pairs", m / "pairs.csv", "--plots", m / "people"],
    "a .bin over records": lambda m, _: ["mask", m / "drawn.bin", m / "people" / "train.bin", "--workers", 1],
    "unpack over an .lst of a user's": lambda m, _: ["unpack", m / "people", m / "mine"],
    "bins show over a table of a user's": lambda m, _: ["bins", "show", m / "pairs.bin", "--unpack", m / "mine"],
}  # fmt: skip


@pytest.mark.parametrize("name", list(FILES))
def test_a_file_of_another_kind_and_one_of_a_pack_stay(name: str, material: Path) -> None:
    (material / "mine").mkdir()
    for listed in ("unpacked.lst", "pairs.csv", "a.jpg"):
        (material / "mine" / listed).write_text("mine")
    was = snapshot(material)
    said = call([*FILES[name](material, material), "--overwrite"])
    assert_refused(said)
    assert snapshot(material) == was


def test_vectors_beside_a_cleaning_are_nobody_elses(material: Path) -> None:
    (material / "out.features").mkdir()
    (material / "out.features" / "mine").write_text("mine")
    was = snapshot(material)
    words = ["clean", material / "people", material / "out", "--model", material / "model.onnx"]
    for more in ([], ["--overwrite"]):
        said = call([*words, *more])
        assert said.code in (1, 2)
        assert "out.features" in said.err
        assert snapshot(material) == was


def test_a_mesh_cache_that_is_none_stays(material: Path) -> None:
    (material / "mine").write_text("mine")
    was = snapshot(material)
    for place in (material / "mine", material / "people" / "train.rec", material / "people"):
        said = call([*named("mask").words(material, material / "out"), "--mesh-cache", place])
        assert said.code in (1, 2)
        assert place.name in said.err
        assert snapshot(material, [material / "out.partial"]) == was


def test_selflearn_in_the_folder_of_a_training_is_refused(material: Path) -> None:
    do(named("train").words(material, material / "run"))
    was = snapshot(material)
    assert_refused(call(named("selflearn").words(material, material / "run")), "run")
    assert snapshot(material) == was


def start(words: list[object]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "facekit", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("names", [("convert", "convert (tar)"), ("merge", "split")])
def test_two_runs_at_once_never_mix(names: tuple[str, str], material: Path) -> None:
    alone = [material / f"alone-{number}" for number in range(2)]
    for name, target in zip(names, alone, strict=True):
        do(named(name).words(material, target))
    target = material / "out"
    runs = [start(named(name).words(material, target)) for name in names]
    said = [run.communicate() for run in runs]
    done = [place for run, place in zip(runs, alone, strict=True) if run.returncode == 0]
    assert len(done) == 1, said
    (one,) = done
    for path in one.rglob("*"):
        if path.is_file() and path.name != "run.json":
            assert (target / path.relative_to(one)).read_bytes() == path.read_bytes()
    assert not (material / "out.partial").exists()


def review(material: Path, **given: str) -> ReviewConfig:
    return ReviewConfig(str(material / "decided"), str(material / "people"), **given)


def post(port: int, body: bytes) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/overrides", body, {"X-Facekit": "review"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_a_review_saves_into_no_file_of_another_kind(material: Path) -> None:
    was = snapshot(material)
    for name in ("people/train.rec", "pairs.csv", "mine.png", "people"):
        with pytest.raises(ConfigError, match=r"choose|outside"):
            open_review(review(material, overrides=str(material / name)))
    assert snapshot(material) == was


def test_what_another_review_saved_meanwhile_stays(material: Path) -> None:
    saved = material / "decided" / "overrides.json"
    with open_review(review(material)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        port = server.server_address[1]
        assert post(port, b'{"drop": [1]}') == (200, "saved")
        assert post(port, b'{"drop": [2]}') == (200, "saved")
        mine = saved.read_bytes().replace(b"2", b"3")
        saved.write_bytes(mine)
        os.utime(saved, ns=(1, 1))
        status, said = post(port, b'{"drop": [4]}')
        assert status == 400
        assert "reload" in said
        assert saved.read_bytes() == mine
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert page.status == 200
        assert post(port, b'{"drop": [4]}') == (200, "saved")
        server.shutdown()
        thread.join()
