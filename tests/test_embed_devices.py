"""``--device cuda:0,cuda:1``: a process a device, the same bytes as with one; the networks are stand-ins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killed_runs import whole
from small_models import HEIGHT, WIDTH, save_model, save_pack
from writing_commands import call

from facekit.embeddings import Preprocessing
from facekit.embeddings.devices import parse_devices
from facekit.embeddings.engine import NetworkOutput
from facekit.errors import ConfigError
from facekit.jobs.embed.job import EmbedConfig, embed, share_devices
from facekit.jobs.inputs.model import ModelChoice
from facekit.run import shards
from facekit.run.choice import ExecutorChoice


class Card:
    """A network that notes on which device, in which process and with how many pictures it is asked."""

    preprocessing, takes_flag, model_hash = Preprocessing(size=(HEIGHT, WIDTH)), False, "0" * 32

    def __init__(self, choice: ModelChoice) -> None:
        self._notes = Path(os.environ["CARD_NOTES"]) / f"{choice.device} {os.getpid()}"

    def run(self, planes: np.ndarray, _: np.ndarray) -> NetworkOutput:
        with open(self._notes, "a") as notes:
            notes.write(f"{len(planes)}\n")
        return NetworkOutput(planes.reshape(len(planes), -1)[:, :6].copy(), None)


def run(folder: Path, pack: Path, device: str, monkeypatch: pytest.MonkeyPatch, **given: Any) -> list[tuple[str, int]]:
    """Embed on devices; which of them, by process, were asked for how many pictures."""
    folder.mkdir()
    (folder / "notes").mkdir()
    monkeypatch.setenv("CARD_NOTES", str(folder / "notes"))
    monkeypatch.setattr(shards, "SMALLEST", 5)
    choice = ModelChoice(str(pack.parent / "model.onnx"), device=device, batch=3)
    embed(EmbedConfig(str(pack), str(folder / "out"), choice, **given), Card)
    found = (
        (notes.name.split()[0], sum(map(int, notes.read_text().split()))) for notes in (folder / "notes").iterdir()
    )
    return sorted(found)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    save_model(folder / "model.onnx")
    return save_pack(folder / "pack", people=30).path


def test_every_device_has_a_process_and_the_bytes_are_those_of_one(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run(tmp_path / "one", pack, "cuda:0", monkeypatch)
    shared = run(tmp_path / "two", pack, "cuda:1,cuda:5", monkeypatch)
    assert alone == [("cuda:0", 120)]
    assert [device for device, _ in shared] == ["cuda:1", "cuda:5"]
    assert sum(count for _, count in shared) == 120
    one, two = (whole(tmp_path / name / "out") for name in ("one", "two"))
    assert one == two


def test_several_processes_a_device_take_them_by_turns(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = run(tmp_path / "four", pack, "cuda:0,cuda:1", monkeypatch, workers=2)
    assert {device for device, _ in shared} == {"cuda:0", "cuda:1"}
    assert sum(count for _, count in shared) == 120


def test_cuda_is_every_card_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    assert parse_devices("cuda") == ("cuda:0", "cuda:1", "cuda:2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert parse_devices("cuda") == ("cuda",)


def test_cores_are_shared_between_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(24)))
    choice = ModelChoice("model.onnx", device="cuda:0,cuda:1,cuda:2,cuda:3")
    worker, workers, _ = share_devices(EmbedConfig("a", "b", choice))
    assert (workers, worker.threads) == (4, 6)
    worker, workers, _ = share_devices(EmbedConfig("a", "b", choice, workers=2))
    assert (workers, worker.threads) == (8, 3)
    worker, workers, cards = share_devices(EmbedConfig("a", "b", choice, 3, executor=ExecutorChoice("ray")))
    assert (worker.devices, workers, cards) == (("cuda",), 3, 1)


@pytest.mark.parametrize(
    "device", ["gpu", "cuda:", "cuda:0,", "cuda:0,cuda:0", "cpu,cuda:0", "cuda:-1", "cuda:0;cuda:1"]
)
def test_what_is_no_device_is_bad_usage(device: str, pack: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="device is"):
        parse_devices(device)
    words = ["embed", pack, tmp_path / "out", "--model", pack.parent / "model.onnx", "--device", device]
    assert call(words).code == 2


def test_a_command_for_one_network_takes_one_device(pack: Path) -> None:
    said = call(["eval", pack.parent / "model.onnx", "--pack", pack, "--device", "cuda:0,cuda:1"])
    assert said.code == 2
    assert "name one here" in said.err
