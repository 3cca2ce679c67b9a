"""Numbers that are none: a skipped step leaves no trace, a checkpoint holds none of them, and a run goes on."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from facekit_bcl import BalancedCurricularMargin, CurricularMargin
from facekit_bcl.plugin import PLUGIN
from test_train_resume import differing, tensors
from train_packs import QUICK, changes, facekit, pattern_pack

from facekit.errors import FacekitError
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
from facekit.train.checkpoint import latest_checkpoint
from facekit.train.measures import Window
from facekit.train.model import COMMON
from facekit.train.plugin import Batch, PackFacts, Step
from facekit.train.recipe import read_settings
from facekit.train.state import State

NAN, INF = float("nan"), float("inf")


def batch_of(seed: int, factor: float = 1.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(6, 3, 40, 36, generator=generator) * 2 - 1
    return Batch(image * factor, torch.arange(6) % 4, torch.zeros(6, dtype=torch.bool))


def state_of(*given: str) -> State:
    settings = read_settings(PLUGIN, "bcl-small", (*QUICK, *given))
    state = State("bcl", PLUGIN, settings, PackFacts(np.array([3, 5, 7, 9]), (40, 36)), torch.device("cpu"))
    state.wrap()
    return state


def everything(state: State) -> dict[str, torch.Tensor]:
    """Every number that a step may move but the loss scale."""
    found = {f"{kind}/{name}": value.clone()
             for kind, module in (("network", state.network), ("head", state.head), ("rows", state.classifier))
             for name, value in module.state_dict().items() if "num_batches" not in name}  # fmt: skip
    for number, kept in enumerate(state.optimizer.state.values()):
        found[f"momentum/{number}"] = kept["momentum_buffer"].clone()
    return found


@pytest.mark.parametrize("factor", [INF, NAN])
def test_a_step_that_the_scaler_skips_leaves_every_bit_as_it_was(factor: float) -> None:
    state = state_of("precision=fp16", "ema=.5")
    state.train_step(iter([batch_of(0)]), 0.1)
    before, scale = everything(state), state.scaler.get_scale()
    measures = state.train_step(iter([batch_of(1, factor)]), 0.1)
    assert not torch.isfinite(measures["loss"])
    assert not differing(before, everything(state))
    assert state.scaler.get_scale() == scale / 2
    assert state.nonfinite() == []
    assert torch.isfinite(state.train_step(iter([batch_of(2)]), 0.1)["loss"])
    assert differing(before, everything(state))


def spoil_parameter(state: State) -> str:
    name, parameter = next(iter(state.network.named_parameters()))
    parameter.data.view(-1)[3] = INF
    return f"network.{name}"


def spoil_buffer(state: State) -> str:
    name = next(name for name, _ in state.network.named_buffers() if name.endswith("running_var"))
    state.network.get_buffer(name)[0] = NAN
    return f"network.{name}"


def spoil_t(state: State) -> str:
    state.head.get_buffer("t").fill_(NAN)
    return "head.t"


def spoil_rows(state: State) -> str:
    state.classifier.weight.data[-1, -1] = -INF
    return "classifier.weight"


def spoil_average(state: State) -> str:
    assert state.ema is not None
    name = next(iter(state.ema.weights))
    state.ema.weights[name].view(-1)[0] = NAN
    return f"ema.{name}"


def spoil_momentum(state: State) -> str:
    next(iter(state.optimizer.state.values()))["momentum_buffer"].view(-1)[-1] = NAN
    return "momentum"


@pytest.mark.parametrize("spoil", [spoil_parameter, spoil_buffer, spoil_t, spoil_rows, spoil_average, spoil_momentum])
def test_every_kind_of_number_in_a_checkpoint_is_looked_at(spoil: Callable[[State], str]) -> None:
    state = state_of("ema=.5")
    state.train_step(iter([batch_of(0)]), 0.1)
    assert state.nonfinite() == []
    name = spoil(state)
    assert state.nonfinite() == [name]


@pytest.mark.parametrize("bad", [[1], [0, 2], [0, 1, 2]])
def test_t_is_the_average_of_the_rows_that_are_finite(bad: list[int]) -> None:
    cosines = torch.tensor([[0.9, 0.1], [0.2, 0.6], [0.3, -0.4]], dtype=torch.float64)
    labels, targets = torch.tensor([0, 1, 0]), np.array([0.9, 0.6, 0.3])
    for margin in (CurricularMargin(momentum=0.25), BalancedCurricularMargin([3, 4], momentum=0.25)):
        margin.t.fill_(0.5)
        margin(cosines.index_fill(0, torch.tensor(bad), NAN), labels)
        rest = np.delete(targets, bad)
        wanted = 0.25 * rest.mean() + 0.75 * 0.5 if len(rest) else 0.5
        assert margin.t.item() == pytest.approx(wanted, abs=1e-15)


def test_means_of_a_window_are_of_its_finite_steps() -> None:
    window = Window(8)
    for loss, t in ((2.0, 0.5), (NAN, 0.7), (INF, 0.9), (4.0, NAN)):
        window.add({"loss": torch.tensor(loss), "t": torch.tensor(t)})
    values = window.close()
    assert values["loss"] == 3
    assert values["t"] == pytest.approx(0.7)
    assert values["nonfinite_steps"] == 2
    window.add({"loss": torch.tensor(1.0), "t": torch.tensor(NAN)})
    values = window.close()
    assert "nonfinite_steps" not in values
    assert np.isnan(values["t"])


@contextmanager
def overflowing(steps: set[int]) -> Iterator[None]:
    """Pictures of infinite pixels at some steps, counted from 1."""
    original, calls = type(PLUGIN).training_step, iter(range(1, 1000))

    def training_step(self: Any, config: Any, network: Any, head: Any, classifier: Any, batch: Batch) -> Step:
        batch = batch._replace(image=batch.image * INF) if next(calls) in steps else batch
        return original(self, config, network, head, classifier, batch)

    with mock.patch.object(type(PLUGIN), "training_step", training_step):
        yield


def run(pack: Path, out: Path, *given: str, steps: int = 6) -> Any:
    settings = (*QUICK, "save_every=2", "keep=9", f"max_steps={steps}", *given)
    return train(TrainConfig("bcl", str(pack), str(out), "bcl-small", settings, resume=True))


def test_half_precision_goes_on_over_a_step_that_overflows(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    with overflowing({3}):
        done = run(pack, out, "precision=fp16", "ema=.9")
    assert done.steps == 6
    assert all(torch.isfinite(value).all() for value in tensors(out).values())
    with open(out / "log.csv", newline="") as file:
        rows = [
            (int(row["step"]), float(row["value"])) for row in csv.DictReader(file) if row["name"] == "nonfinite_steps"
        ]
    assert rows == [(3, 1.0)]


def test_half_precision_that_overflows_always_stops(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    with overflowing(set(range(1, 1000))), pytest.raises(
        FacekitError, match=r"step 17: half precision overflows .* take precision=bf16, or lower lr.*00000016 was"
    ):  # fmt: skip
        run(pack, out, "precision=fp16", "epochs=9", steps=40)


def test_a_run_that_died_of_an_overflow_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """In float32 the step was taken: what was saved before is whole, and the message says what is true of it."""
    pack = pattern_pack(tmp_path / "pack")
    run(pack, tmp_path / "whole")
    out = tmp_path / "died"
    with overflowing({5}), pytest.raises(
        FacekitError,
        match=r"step 5: the loss is not finite any more: lower lr.*00000004 was finite when it was written; with the "
        r"same settings --resume would take the same steps again, so start another run with other ones, from --init",
    ):  # fmt: skip
        run(pack, out)
    with overflowing({1}), pytest.raises(FacekitError, match="No checkpoint was written before"):
        run(pack, tmp_path / "at once")
    last = latest_checkpoint(out)
    assert last is not None
    assert last.name == "00000004"
    assert all(torch.isfinite(value).all() for value in tensors(out).values())
    assert run(pack, out).resumed_from == 4
    assert not differing(tensors(tmp_path / "whole"), tensors(out))


def test_an_overflow_between_two_reports_reaches_no_checkpoint(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    with (
        overflowing({3}),
        pytest.raises(FacekitError, match=r"step 4: .* is not finite any more \(\d+ tensors in all\)"),
    ):
        run(pack, out, "log_every=100")
    assert [folder.name for folder in (out / "checkpoints").iterdir()] == ["00000002"]


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = torch.load(folder / COMMON, weights_only=True)
    change(content)
    torch.save(content, folder / COMMON)


def test_checkpoints_of_an_earlier_version_that_are_not_finite_are_healed_or_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    run(pack, out, steps=6)
    folders = sorted((out / "checkpoints").iterdir())
    rewrite(folders[-1], lambda content: content["head"]["t"].fill_(NAN))
    with caplog.at_level(logging.WARNING):
        assert run(pack, out, steps=7).resumed_from == 6
    assert "00000006: t of the head is not finite and starts anew" in caplog.text
    for folder in sorted((out / "checkpoints").iterdir())[1:]:
        rewrite(folder, lambda content: content["network"]["network.bn2.running_mean"].fill_(NAN))
    assert run(pack, out, steps=8).resumed_from == 2
    assert "is left out: network.network.bn2.running_mean is not finite" in caplog.text
    for folder in (out / "checkpoints").iterdir():
        rewrite(
            folder,
            lambda content: content["momentum"].update(
                {"network.network.conv1.weight": torch.full((16, 3, 3, 3), NAN)}
            ),
        )
    with pytest.raises(FacekitError, match=r"no checkpoint in .* is finite: start another run"):
        run(pack, out, steps=9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content.pop("scaler"), "it has no scaler; remove"),
        (lambda content: content.update(step="soon"), "its step is no count"),
        (lambda content: content.update(images_a_step=0), "its images_a_step is no count"),
        (lambda content: content.update(network={"a": torch.zeros(1)}), "does not fit this network and head"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_named(
    change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    run(pack, out, steps=2)
    rewrite(out / "checkpoints" / "00000002", change)
    with pytest.raises(FacekitError, match=said):
        run(pack, out, steps=4)


@pytest.mark.parametrize("garbage", [b"\xff\xfe\x00\x01", b"7,soon,loss,1\n", b"7,1.0,loss,much\n", b"a\0b,1,c,2\n"])
def test_a_log_that_is_damaged_is_named_with_the_cure(garbage: bytes, tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    run(pack, out, steps=2)
    before = (out / "log.csv").read_bytes()
    (out / "log.csv").write_bytes(before + garbage)
    words = ["train", "bcl", str(pack), str(out), "--recipe", "bcl-small", "--resume"]
    done = facekit(*words, *changes(*QUICK, "save_every=2", "keep=9", "max_steps=3"))
    assert done.returncode == 1
    assert f"{out}/log.csv cannot be read as a log" in done.stderr
    assert "the same command with --resume goes on from the last checkpoint" in done.stderr
    assert (out / "log.csv").read_bytes() == before + garbage
    (out / "log.csv").write_bytes(before + b"3,0.5")  # what a killed run leaves
    assert run(pack, out, steps=3).resumed_from == 2
    assert (out / "log.csv").read_bytes().startswith(before)
