"""N steps, kill -9, N more are 2N steps, to the bit; with one process and with two, and from two to one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dying_runs import die_after
from train_packs import QUICK, changes, facekit, pattern_pack, third_party, with_masks

from facekit.errors import ConfigError, DestinationExists
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
from facekit.train.checkpoint import latest_checkpoint
from facekit.train.classifier import initial_rows

TIMED = ("images_per_second", "first_step_seconds", "memory_mib")
HARD = (
    *QUICK, "epochs=40", "save_every=2", "keep=3", "ema=0.9", "clip=5", "accumulate=2", "batch=6", "label_smoothing=.1",
    "cutout=.5", "brightness=.2", "contrast=.2", "saturation=.2", "crop=3", "dropout=.4", "sample_rate=.5",
    "schedule=poly", "workers=0",
)  # fmt: skip


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Everything in the last checkpoint, flattened."""
    found: dict[str, torch.Tensor] = {}
    step = latest_checkpoint(folder)
    assert step is not None
    for path in sorted(step.glob("*.pt")):
        flatten(found, path.name, torch.load(path, weights_only=True))
    return found


def flatten(found: dict[str, torch.Tensor], prefix: str, value: object) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            flatten(found, f"{prefix}/{name}", inner)
    elif isinstance(value, (int, float, torch.Tensor)) and not isinstance(value, bool):
        found[prefix] = torch.as_tensor(value)


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


@pytest.mark.parametrize(("plugin", "recipe"), [("bcl", "bcl-small"), ("maskdul", "maskdul-small")])
def test_a_killed_run_goes_on_to_the_same_bits(plugin: str, recipe: str, tmp_path: Path) -> None:
    pack = with_masks(pattern_pack(tmp_path / "pack"))
    settings = (*HARD, "max_steps=14")
    train(TrainConfig(plugin, str(pack), str(tmp_path / "whole"), recipe, settings), warn=str)
    arguments = ["train", plugin, str(pack), str(tmp_path / "killed"), "--recipe", recipe, *changes(*settings)]
    die_after("facekit.train.loop:save_checkpoint", arguments)
    at = latest_checkpoint(tmp_path / "killed")
    assert at is not None
    assert int(at.name) < 14
    done = train(TrainConfig(plugin, str(pack), str(tmp_path / "killed"), recipe, settings, resume=True), warn=str)
    assert 0 < done.resumed_from < 14
    assert not differing(tensors(tmp_path / "whole"), tensors(tmp_path / "killed"))
    losses = [
        [line for line in (tmp_path / name / "log.csv").read_text().splitlines() if line.split(",")[2] not in TIMED]
        for name in ("whole", "killed")
    ]
    assert losses[0] == losses[1]


def test_workers_do_not_change_a_bit(tmp_path: Path) -> None:
    pack = pattern_pack(tmp_path / "pack")
    for workers in (0, 2):
        given = (*QUICK, "max_steps=14", "crop=2", "cutout=.5", f"workers={workers}")
        train(TrainConfig("bcl", str(pack), str(tmp_path / str(workers)), "bcl-small", given))
    assert not differing(tensors(tmp_path / "0"), tensors(tmp_path / "2"))


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    pack = pattern_pack(tmp_path / "pack")
    for seed in (0, 1):
        given = (*QUICK, "max_steps=2", f"seed={seed}")
        train(TrainConfig("bcl", str(pack), str(tmp_path / str(seed)), "bcl-small", given))
    assert differing(tensors(tmp_path / "0"), tensors(tmp_path / "1"))


def test_a_folder_in_use_is_refused_and_other_settings_too(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    config = TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=1"))
    train(config)
    with pytest.raises(DestinationExists, match="--resume"):
        train(config)
    with pytest.raises(ConfigError, match=r"lr \(0.1 before, now 0.2\)"):
        train(TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "lr=.2"), resume=True))
    longer = TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "max_steps=3"), resume=True)
    assert train(longer).steps == 3
    with pytest.raises(ConfigError, match=r"epochs \(4 before, now 9\)"):  # bcl-small has a cosine
        train(TrainConfig("bcl", str(pack), str(out), "bcl-small", (*QUICK, "epochs=9"), resume=True))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("mine")
    with pytest.raises(DestinationExists, match="not of facekit train"):
        train(TrainConfig("bcl", str(pack), str(tmp_path / "other"), resume=True))


RANK_SCRIPT = """
import json, sys
import torch
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
rank, sync, pack, out, *given = sys.argv[1:]
torch.distributed.init_process_group("gloo", init_method=f"file://{sync}", rank=int(rank), world_size=2)
for kind in ("sharded", "full"):
    for name, steps in (("whole", 6), ("parts", 3), ("parts", 6)):
        settings = (*given, f"max_steps={steps}", f"classifier={kind}")
        train(TrainConfig("bcl", pack, f"{out}/{kind}-{name}", "bcl-small", settings, resume=True), warn=str)
"""


def run_two(*arguments: str, script: str = RANK_SCRIPT) -> None:
    """The script in two processes, as torchrun would start them."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(rank), *arguments],
            env=env | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    try:
        for process in ranks:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors[-4000:]
    finally:
        for process in ranks:  # the other one of a pair that failed waits for ever
            process.kill()
            process.communicate()


def test_two_processes_train_resume_and_hand_over_to_one(tmp_path: Path) -> None:
    """Sampled, and sharded four and three classes each; the checkpoint of two is whole for one."""
    pack = pattern_pack(tmp_path / "pack", (9, 3, 7, 5, 12, 4, 8))
    given = (*QUICK, "sample_rate=.8", "dropout=.2", "batch=4", "clip=5")
    run_two(str(tmp_path / "sync"), str(pack), str(tmp_path), *given)
    for kind, counts in (("sharded", [4, 3]), ("full", [7, 0])):
        whole, parts = tensors(tmp_path / f"{kind}-whole"), tmp_path / f"{kind}-parts"
        assert not differing(whole, tensors(parts))
        rows = [len(whole.get(f"rows-0000{rank}-of-00002.pt/weight", ())) for rank in (0, 1)]
        assert rows == counts
        assert whole["common.pt/head/t"] != 0
        longer = (*given, f"classifier={kind}", "max_steps=7")
        said: list[str] = []
        done = train(TrainConfig("bcl", str(pack), str(parts), "bcl-small", longer, resume=True), warn=said.append)
        assert any("was written by steps of 8 images, and this run takes 4" in sentence for sentence in said)
        assert (done.resumed_from, done.steps) == (6, 7)
        # Six steps of two processes are the 48 pictures of an epoch, for which one process takes twelve.
        assert (parts / "log.csv").read_text().splitlines()[-1].startswith(f"7,{13 / 12:.4f},")
        alone = tensors(parts)
        assert alone["rows-00000-of-00001.pt/weight"].shape == (7, 16)
        kept = torch.cat([value for name, value in sorted(whole.items()) if name.endswith("pt/weight")])
        assert torch.cosine_similarity(alone["rows-00000-of-00001.pt/weight"], kept).min() > 0.95


EQUAL_SCRIPT = """
import sys
import torch
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
rank, sync, pack, out, *given = sys.argv[1:]
torch.distributed.init_process_group("gloo", init_method=f"file://{sync}", rank=int(rank), world_size=2)
for kind in ("full", "sharded"):
    settings = (*given, "batch=8", f"classifier={kind}")
    train(TrainConfig("plain", pack, f"{out}/{kind}", "plain", settings), warn=str)
"""


ATOL, RTOL = 3e-5, 1e-3
"""Some steps at a rate of .5 make 1e-4 of the last bits; a weight decay that is done twice makes 5e-2."""


def test_two_processes_learn_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of the plugin has no BatchNorm: half the batch in each of two processes is the batch in one."""
    site = third_party(tmp_path)
    pack = pattern_pack(tmp_path / "pack", (9, 3, 7, 5, 12, 4, 8))
    given = ("threads=1", "epochs=3", "lr=.5", "flip=0", "log_every=1", "label_smoothing=.1", "weight_decay=1e-3")
    one = facekit("train", "plain", str(pack), str(tmp_path / "one"), *changes(*given, "batch=16"), PYTHONPATH=site)
    assert one.returncode == 0, one.stderr
    monkeypatch.setenv("PYTHONPATH", site)
    run_two(str(tmp_path / "sync"), str(pack), str(tmp_path), *given, script=EQUAL_SCRIPT)
    wanted = tensors(tmp_path / "one")
    started = initial_rows(0, 7, 8)
    for kind in ("full", "sharded"):
        found = tensors(tmp_path / kind)
        for name in ("common.pt/network/2.weight", "common.pt/network/2.bias", "common.pt/momentum/network.2.weight"):
            torch.testing.assert_close(found[name], wanted[name], atol=ATOL, rtol=RTOL)
        rows = [value for name, value in sorted(found.items()) if name.endswith("pt/weight")]
        torch.testing.assert_close(torch.cat(rows), wanted["rows-00000-of-00001.pt/weight"], atol=ATOL, rtol=RTOL)
        assert not torch.allclose(torch.cat(rows), started, atol=1e-3)
