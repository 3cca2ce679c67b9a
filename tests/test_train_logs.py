"""What a run says of itself, read back by the libraries that show it; and which network was best."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from train_packs import QUICK, pattern_pack

from facekit.errors import ConfigError, FacekitError
from facekit.jobs.train import job
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.export import ExportConfig, export
from facekit.jobs.train.job import train
from facekit.train import logs
from facekit.train.best import read_best
from facekit.train.loop import Run

EVERY_STEP = (*QUICK, "max_steps=4", "eval_every=1", "save_every=1", "keep=9")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pattern_pack(tmp_path_factory.mktemp("pack") / "pack")


def scoring(values: list[float]) -> Callable[..., Any]:
    """A scorer that gives one value after another."""
    left: Iterator[float] = iter(values)
    return lambda *_: lambda _engine: {"p accuracy": next(left), "p TAR@0.1": 0.5}


def run(pack: Path, out: Path, **given: Any) -> Run:
    pairs = pack.parent / "p.bin"
    pairs.write_bytes(b"")
    given = {"changes": EVERY_STEP, "pairs": (str(pairs),), **given}
    return train(TrainConfig("bcl", str(pack), str(out), "bcl-small", **given), warn=str)


@pytest.fixture(autouse=True)
def _unlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "check_lists", lambda *_: None)


def weights(path: Path) -> Mapping[str, torch.Tensor]:
    found: Mapping[str, torch.Tensor] = torch.load(path, weights_only=True)["network"]
    return found


def same(left: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> bool:
    return set(left) == set(right) and all(torch.equal(left[name], right[name]) for name in left)


def test_the_best_network_is_the_one_of_the_highest_score(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal scores the first; it can be exported like any other."""
    monkeypatch.setattr(job, "scorer", scoring([0.3, 0.7, 0.7, 0.5]))
    done = run(pack, tmp_path / "run", best="p accuracy")
    assert done.best is not None
    assert (done.best.name, done.best.value, done.best.step) == ("p accuracy", 0.7, 2)
    best = weights(tmp_path / "run" / "best.pt")
    assert same(best, weights(tmp_path / "run" / "checkpoints" / "00000002" / "common.pt"))
    assert not same(best, weights(tmp_path / "run" / "model.pt"))
    assert export(ExportConfig(done.best.model, str(tmp_path / "best.onnx"))).deviation < 1e-4


@pytest.mark.parametrize(("after", "step"), [([0.9, 0.1], 3), ([0.1, 0.9], 4)])
def test_a_run_that_goes_on_forgets_what_will_come_again(
    after: list[float], step: int, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run to step 3, whose third checkpoint is lost: what it noted there (a score of 1) does not count."""
    monkeypatch.setattr(job, "scorer", scoring([0.3, 0.7, 1.0]))
    short = (*EVERY_STEP, "max_steps=3")
    run(pack, tmp_path / "run", best="p accuracy", changes=short)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "00000003")
    monkeypatch.setattr(job, "scorer", scoring(after))
    done = run(pack, tmp_path / "run", best="p accuracy", resume=True)
    best = done.best
    assert best is not None
    assert (best.step, best.value) == (step, 0.9)


def test_scores_that_are_not_there(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--best q accuracy: there is no such score; there are p \.\.\."):
        run(pack, tmp_path / "run", best="q accuracy")
    with pytest.raises(ConfigError, match="give lists with --eval"):
        run(pack, tmp_path / "run", best="loss", pairs=())
    monkeypatch.setattr(job, "scorer", scoring([0.3] * 4))
    with pytest.raises(ConfigError, match=r"there are p accuracy, p TAR@0\.1"):
        run(pack, tmp_path / "run", best="p recall")
    assert (tmp_path / "run" / "checkpoints" / "00000001").is_dir(), "the steps are not lost"
    (tmp_path / "run" / "best.pt").write_bytes(b"")
    (tmp_path / "run" / "best.json").write_text("[]")
    with pytest.raises(ConfigError, match="does not say which network is best"):
        read_best(tmp_path / "run", "p accuracy")


def rows(out: Path) -> dict[str, dict[int, float]]:
    """The CSV file: step and value of each name."""
    found: dict[str, dict[int, float]] = {}
    with open(out / "log.csv", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["name"], {})[int(row["step"])] = float(row["value"])
    return found


def test_speed_memory_and_the_first_step_are_logged(pack: Path, tmp_path: Path) -> None:
    run(pack, tmp_path / "run", pairs=())
    found = rows(tmp_path / "run")
    assert list(found["first_step_seconds"]) == [1]
    assert 0 < found["first_step_seconds"][1] < 600
    for name in ("memory_mib", "images_per_second"):
        assert list(found[name]) == [1, 2, 3, 4]
        assert all(value > 0 for value in found[name].values())
    assert list(found["memory_mib"].values()) == sorted(found["memory_mib"].values()), "the most so far"
    assert "device_memory_mib" not in found


def test_tensorboard_reads_what_the_csv_file_says(pack: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(pack, tmp_path / "run", pairs=(), logs=("tensorboard",))
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    board.Reload()
    found = rows(tmp_path / "run")
    assert set(board.Tags()["scalars"]) == set(found)
    for name, values in found.items():
        assert {event.step: event.value for event in board.Scalars(name)} == pytest.approx(values, rel=1e-6)
    run(pack, tmp_path / "plain", pairs=(), logs=("csv",))
    assert not (tmp_path / "plain" / "tensorboard").exists()
    assert set(rows(tmp_path / "plain")) == set(found)


def history(out: Path) -> tuple[dict[str, dict[int, float]], dict[str, Any]]:
    """What wandb wrote: values by name and step, and the settings."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    found: dict[str, dict[int, float]] = {}
    settings: dict[str, Any] = {}
    for path in sorted((out / "wandb").glob("offline-run-*/*.wandb")):
        store = DataStore()
        store.open_for_scan(str(path))
        while (data := store.scan_data()) is not None:
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for name in set(items) - {"_step", "_runtime", "_timestamp", "epoch"}:
                found.setdefault(name, {})[int(record.history.step.num)] = items[name]
            for item in [*record.run.config.update, *record.config.update]:
                settings[item.key or item.nested_key[0]] = json.loads(item.value_json)
        store.close()
    return found, settings


def test_wandb_gets_what_the_csv_file_says(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline: nothing leaves the machine."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    run(pack, tmp_path / "run", pairs=(), logs=("wandb",))
    found, settings = history(tmp_path / "run")
    wanted = rows(tmp_path / "run")
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        assert found[name] == pytest.approx(values)
    assert (settings["batch"], settings["loss"], settings["dimensions"]) == (8, "bcl", 16)
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_logs_that_cannot_be(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="log is 'paper'; it must be one of csv, tensorboard, wandb"):
        run(pack, tmp_path / "run", logs=("paper",))
    import wandb

    def refuse(**_: Any) -> None:
        raise wandb.errors.CommError("no network")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(FacekitError, match=r"wandb cannot log .*no network; WANDB_MODE=offline"):
        run(pack, tmp_path / "run", pairs=(), logs=("wandb",))
    monkeypatch.setattr(logs, "find_spec", lambda _: None)
    for name in ("wandb", "tensorboard"):
        with pytest.raises(ConfigError, match=f"--log {name} needs {name}: pip install {name}"):
            run(pack, tmp_path / "run", logs=(name,))
    run(pack, tmp_path / "other", pairs=(), logs=("csv",))
