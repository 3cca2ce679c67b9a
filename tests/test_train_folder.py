"""A training run's folder: one run at a time, one pack, and records that cannot be read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from train_packs import QUICK, changes, facekit, pattern_pack

from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.jobs.train.checks import resume_warnings
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
from facekit.output import open_run_folder
from facekit.output.lock import LOCK
from facekit.train.checkpoint import bytes_of_a_checkpoint
from facekit.train.plugin import load_plugin
from facekit.train.recipe import read_settings
from facekit.train.state import State


def test_a_second_run_in_one_folder_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    train(TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=1")))
    before = (out / "config.json").read_bytes()
    words = ["train", "bcl", str(pack), str(out), "--recipe", "bcl-small", "--resume"]
    with open_run_folder(out, "train"):
        done = facekit(*words, *changes(*QUICK, "max_steps=2", "batch=4"))
        assert done.returncode == 2
        assert f"another run works in {out}" in done.stderr
        with pytest.raises(ConfigError, match="another run works in"):
            train(TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=2"), resume=True))
    assert (out / "config.json").read_bytes() == before
    assert train(TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=2"), resume=True)).steps == 2


def test_only_the_first_process_holds_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    monkeypatch.setenv("RANK", "1")
    with open_run_folder(out, "train"):
        assert train(TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=1"))).steps == 1


HOLDER = """
import os, sys, time
from facekit.output import open_run_folder
with open_run_folder(sys.argv[1], "train"):
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    time.sleep(60)
"""


def test_a_worker_that_outlives_a_killed_run_does_not_hold_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    victim = subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    orphan = int(victim.stdout.readline())
    try:
        time.sleep(0.2)  # the child lets go after the fork
        with pytest.raises(ConfigError, match="another run"), open_run_folder(out, "train"):
            pass
        victim.kill()
        victim.stdout.close()  # the orphan holds the other end: nothing would come to an end there
        victim.wait()
        os.kill(orphan, 0)
        with open_run_folder(out, "train"):
            assert (out / LOCK).is_file()
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_file_in_place_of_the_folder_and_a_broken_record_are_refused(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DestinationExists, match="is a file"):
        train(TrainConfig("bcl", str(pack), str(tmp_path / "file"), "bcl-small", QUICK))
    with pytest.raises(FacekitError, match="is a file, and nothing can be written below it"):
        train(TrainConfig("bcl", str(pack), str(tmp_path / "file" / "run"), "bcl-small", QUICK))
    config = TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=1"), resume=True)
    train(config)
    for text, said in (
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "no record"),
        (json.dumps({"settings": 1}), "no record"),
    ):
        (out / "config.json").write_text(text)
        with pytest.raises(ConfigError, match=rf"config\.json .*{said}"):
            train(config)


def test_a_folder_of_another_command_is_left_as_it_is(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "loop"
    out.mkdir()
    (out / "config.json").write_text('{"config": {}, "training": {}}')
    with pytest.raises(DestinationExists, match="is not of facekit train"):
        train(TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=1"), resume=True))
    assert [entry.name for entry in out.iterdir()] == ["config.json"]
    assert (out / "config.json").read_text() == '{"config": {}, "training": {}}'


def test_another_pack_of_as_many_images_and_classes_is_not_gone_on_with(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    config = TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=1"), resume=True)
    train(config)
    train(config)
    shutil.rmtree(pack)
    pattern_pack(pack, seed=1)
    with pytest.raises(ConfigError, match="started with other settings: pack; choose another destination"):
        train(config)
    record = json.loads((out / "config.json").read_text())
    assert record["image_size"] == [40, 36]
    del record["pack"], record["image_size"]  # as an earlier facekit wrote it
    (out / "config.json").write_text(json.dumps(record))
    train(config)


def test_going_on_with_as_many_images_a_step_is_not_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    settings = (*QUICK, "max_steps=1")
    train(TrainConfig("bcl", str(pack), str(out), "bcl-small", settings))
    config = read_settings(load_plugin("bcl"), "bcl-small", settings).train
    assert resume_warnings(out, config) == resume_warnings(tmp_path / "absent", config) == []
    monkeypatch.setenv("WORLD_SIZE", "3")
    (said,) = resume_warnings(out, config)
    assert "steps of 8 images, and this run takes 24" in said


@pytest.mark.parametrize(("plugin", "recipe"), [("bcl", "bcl-small"), ("maskdul", "maskdul-small")])
def test_space_for_the_checkpoints_is_foreseen(
    plugin: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack, told = pattern_pack(tmp_path / "pack"), []
    quick = (*QUICK, "max_steps=1", "ema=.5")

    def measure(state: State) -> int:
        told.append(bytes_of_a_checkpoint(state))
        return told[-1]

    monkeypatch.setattr("facekit.train.loop.bytes_of_a_checkpoint", measure)
    train(TrainConfig(plugin, str(pack), str(tmp_path / "out"), recipe, quick))
    written = sum(path.stat().st_size for path in (tmp_path / "out" / "checkpoints" / "00000001").iterdir())
    assert told[0] < written < told[0] + 300_000  # names, shapes, and the state of the random numbers

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4 * told[0] - 1))
    with pytest.raises(FacekitError, match=r"full needs about .* free some space, or choose another destination"):
        train(TrainConfig(plugin, str(pack), str(tmp_path / "full"), recipe, quick))
    assert not list((tmp_path / "full").glob("checkpoints/*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4 * told[0]))
    train(TrainConfig(plugin, str(pack), str(tmp_path / "full"), recipe, quick))
