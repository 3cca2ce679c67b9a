"""--dry-run of every command that writes: nothing is touched, and what the run would refuse is refused alike."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from writing_commands import ELSEWHERE, WRITING, Command, call, copy_material, make_material, named, snapshot

from facekit.cli import COMMANDS, program
from facekit.output.lock import release, take_lock
from facekit.output.record import RECORD
from facekit.output.staging import check_settings
from facekit.run.trial import DONE, SHARED

WITHOUT = {
    "review": "saves a decision at a time, when a person asks for it",
    "cost": "is itself the estimate, and writes below a temporary folder alone",
    "doctor": "compiles kernels into facekit's cache with --compile alone, and says first how long that takes",
}
"""Commands that write something and have no --dry-run, and why."""

READING = {
    "diff", "explain", "sweep", "plugins", "lists diff", "lists show", "textures list", "textures check",
    "benchmark score-cleaning",
}  # fmt: skip
"""Commands that read what other commands made, in seconds, and write nothing."""


@pytest.fixture(scope="module")
def all_material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture(autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without caches, which must have none afterwards."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    yield folder
    assert not list(folder.iterdir())


def is_json(command: Command) -> bool:
    return not command.name.startswith(("textures preview", "lists sign"))


def dry(command: Command, material: Path, target: Path) -> list[object]:
    return [*command.words(material, target), "--dry-run", *["--json"] * is_json(command)]


@pytest.mark.parametrize("command", WRITING, ids=lambda command: command.name)
def test_nothing_is_touched(all_material: Path, tmp_path: Path, command: Command) -> None:
    material = copy_material(all_material, tmp_path / "material", command)
    (tmp_path / "to").mkdir()
    target, before = command.destination(tmp_path / "to" / "made"), snapshot(tmp_path)
    said = call(dry(command, material, target))
    assert said.code == 0, said.err
    assert snapshot(tmp_path) == before
    if not is_json(command):
        assert "nothing is written" in said.out
        return
    plan = json.loads(said.out)
    written = material / command.fixed if command.fixed else target
    assert plan["destination"] == str(written)
    assert plan["bytes_needed"] > 0
    assert plan["bytes_free"] > 0
    assert plan["unfinished"] is False
    for name in command.reads:
        assert any(Path(read) == material / name or material / name in Path(read).parents for read in plan["reads"])
    text = call([word for word in dry(command, material, target) if word != "--json"])
    assert text.code == 0
    assert str(written) in text.out
    assert "nothing is written" in text.out


@pytest.mark.parametrize("command", WRITING, ids=lambda command: command.name)
def test_a_missing_input_is_the_same_error(all_material: Path, tmp_path: Path, command: Command) -> None:
    for name in command.reads:
        folder = tmp_path / name.replace("/", "-")
        material = copy_material(all_material, folder, command)
        gone = material / name
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        assert_same_error(command, material, command.destination(tmp_path / "out"))


@pytest.mark.parametrize("command", WRITING, ids=lambda command: command.name)
def test_a_destination_that_is_taken_is_the_same_error(all_material: Path, tmp_path: Path, command: Command) -> None:
    material = copy_material(all_material, tmp_path / "material", command)
    target = material / command.fixed if command.fixed else command.destination(tmp_path)
    if command.writes_folder:
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    else:
        target.write_text("mine")
    assert_same_error(command, material, target)


@pytest.mark.parametrize("command", [one for one in WRITING if not one.fixed], ids=lambda command: command.name)
def test_a_destination_below_a_file_is_the_same_error(all_material: Path, tmp_path: Path, command: Command) -> None:
    material = copy_material(all_material, tmp_path / "material", command)
    (tmp_path / "file").write_text("mine")
    assert_same_error(command, material, command.destination(tmp_path / "file"))


def assert_same_error(command: Command, material: Path, target: Path) -> None:
    """The plan is refused as the run is: the same code and the same words, and nothing is touched."""
    before = snapshot(material.parent)
    told = call(dry(command, material, target))
    assert snapshot(material.parent) == before
    done = call([*command.words(material, target), *["--json"] * is_json(command)])
    assert told.code == done.code != 0, (told, done)
    assert errors_of(told.err) == errors_of(done.err)


def errors_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("facekit: ")]


def test_every_command_that_writes_has_it() -> None:
    for name in COMMANDS:
        command = program.get_command(None, name)
        subs = getattr(command, "commands", {"": command})
        for sub, one in subs.items():
            whole = f"{name} {sub}".strip()
            has = any("--dry-run" in option.opts for option in one.params)
            assert has != (whole in WITHOUT or whole in READING), whole
    assert set(ELSEWHERE) <= set(WITHOUT)
    assert all(named(one.name) for one in WRITING)


@pytest.mark.parametrize("name", ["convert", "embed", "bins make", "train", "selflearn"])
def test_a_destination_at_which_another_run_is_at_work_is_the_same_error(
    all_material: Path, tmp_path: Path, name: str
) -> None:
    command = named(name)
    material, target = copy_material(all_material, tmp_path / "material", command), command.destination(tmp_path)
    lock = take_lock(target if command.keeps_folder else command.staging(tmp_path, target))
    assert lock is not None
    try:
        assert_same_error(command, material, target)
    finally:
        release(lock)


def test_an_unfinished_run_of_other_settings_is_the_same_error(all_material: Path, tmp_path: Path) -> None:
    command = named("embed")
    material, target = copy_material(all_material, tmp_path / "material", command), command.destination(tmp_path)
    staging = command.staging(tmp_path, target)
    staging.mkdir()
    check_settings(staging, {"flip": True}, overwrite=False)
    (staging / "shards-0").mkdir()
    (staging / "shards-0" / "00000000").write_bytes(b"done")
    assert_same_error(command, material, target)
    plan = json.loads(call([*dry(command, material, target), "--overwrite"]).out)
    assert plan["unfinished"]


TRIED = {
    "pack": ("packing", ("--workers", 1)),
    "unpack": ("unpacking", ()),
    "mask (photos)": ("masking", ()),
    "synth": ("drawing", ()),
    "benchmark make": ("drawing", ()),
    "check": ("checking", ()),
    "lists export": ("looking", ()),
}
"""Commands whose time comes from some records that are really done, and what the part that is spread is called."""


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves on by a second whenever it is read: whatever is timed takes one."""
    for module in ("run.trial", "jobs.packs.check_forecast", "jobs.lists.forecast", "jobs.pack.forecast"):
        ticks = itertools.count()
        monkeypatch.setattr(f"facekit.{module}.perf_counter", lambda ticks=ticks: float(next(ticks)))
    monkeypatch.setattr("facekit.run.trial.is_compiled", lambda kernel: True)


@pytest.mark.parametrize("name", TRIED)
def test_a_trial_tells_a_time(all_material: Path, tmp_path: Path, ticking: None, name: str) -> None:
    command, (part, more) = named(name), TRIED[name]
    material = copy_material(all_material, tmp_path / "material", command)
    told = call([*dry(command, material, command.destination(tmp_path)), *more])
    assert told.code == 0, told.err
    plan = json.loads(told.out)
    assert plan["times"][part] > 0
    assert plan["seconds"] == pytest.approx(sum(plan["times"].values()))
    assert plan["timed"].startswith("timed on ")


@pytest.mark.parametrize("name", [name for name in TRIED if name != "check"])
def test_what_others_share_has_no_time(all_material: Path, tmp_path: Path, ticking: None, name: str) -> None:
    command = named(name)
    material = copy_material(all_material, tmp_path / "material", command)
    told = call([*dry(command, material, command.destination(tmp_path)), "--part", "1/2"])
    assert told.code == 0, told.err
    plan = json.loads(told.out)
    assert (plan["seconds"], plan["times"]) == (None, {})
    assert plan["timed"] == SHARED


def test_a_run_that_has_only_to_be_put_together_says_so(all_material: Path, tmp_path: Path, ticking: None) -> None:
    """All parts have done their share, and nobody has published."""
    command = named("unpack")
    material, target = copy_material(all_material, tmp_path / "material", command), command.destination(tmp_path)
    assert call([*command.words(material, target), "--part", "1/1"]).code == 0
    before = snapshot(tmp_path)
    plan = json.loads(call(dry(command, material, target)).out)
    assert (plan["timed"], plan["seconds"], plan["unfinished"]) == (DONE, None, True)
    assert plan["counts"] == {"done before": plan["pictures"]}
    assert "time: seconds: every shard is done" in call(dry(command, material, target)[:-1]).out
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("files", ["shards", "parquet"])
def test_samples_in_files_are_tried_too(all_material: Path, tmp_path: Path, ticking: None, files: str) -> None:
    """How many there are nobody counts: time follows from their bytes."""
    command = named("convert")
    material = copy_material(all_material, tmp_path / "material", command)
    words = ["convert", material / "people", tmp_path / files, "--layout", "webdataset" if files == "shards" else files]
    assert call(words).code == 0
    told = call(["pack", tmp_path / files, tmp_path / "out", "--size", "any", "--dry-run", "--json"])
    assert told.code == 0, told.err
    plan = json.loads(told.out)
    assert plan["pictures"] is None
    assert plan["counts"]["files"] >= 1
    assert plan["times"]["packing"] > 0
    assert plan["timed"].startswith("timed on ")


@pytest.mark.parametrize("name", ["pack", "synth", "mask (photos)", "unpack"])
def test_a_plan_changes_no_byte_of_the_run(all_material: Path, tmp_path: Path, name: str) -> None:
    command = named(name)
    material = copy_material(all_material, tmp_path / "material", command)
    numpy, python = np.random.get_state()[1].copy(), random.getstate()
    first, second = (command.destination(tmp_path, each) for each in ("first", "second"))
    assert call(command.words(material, first)).code == 0
    assert call(dry(command, material, second)).code == 0
    assert call(command.words(material, second)).code == 0
    assert (np.random.get_state()[1] == numpy).all()
    assert random.getstate() == python
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file() and path.name != RECORD]
    assert files
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file
