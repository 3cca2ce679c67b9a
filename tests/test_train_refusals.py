"""Settings and weights that nothing can be trained with: one sentence of ours, not a traceback of torch's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from train_packs import QUICK, pattern_pack

from facekit.errors import ConfigError, FacekitError
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
from facekit.train.iresnet import IResNet
from facekit.train.model import load_initial_weights
from facekit.train.plugin import load_plugin
from facekit.train.recipe import read_settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("dimensions=0", "dimensions is 0; it must be at least 1"),
        ("dimensions=-4", "dimensions is -4; it must be at least 1"),
        ("dropout=2", "dropout is 2.0; it must be from 0 to below 1"),
        ("dropout=1", "dropout is 1.0; it must be from 0 to below 1"),
        ("dropout=nan", "dropout is nan; it must be from 0 to below 1"),
        ("cutout_size=2", "cutout_size is 2.0; it must be from 0 to 1"),
        ("cutout_size=0", "cutout_size is 0.0; it must be above 0"),
        ("blur=2", "blur is 2.0; it must be from 0 to 1"),
        ("blur_size=0", "blur_size is 0.0; it must be above 0"),
        ("blur_size=200", r"blur_size is 200; it must be at most 50 \(usual: 0 to 5\)"),
        ("gamma=-1", "gamma is -1.0; it must be from 0 to 1"),
        ("gamma=0", "gamma is 0.0; it must be above 0"),
        ("power=-1", "power is -1.0; it must be above 0"),
        ("power=inf", "power is inf; it must be a finite number"),
        ("lr=0", "lr is 0.0; it must be above 0"),
        ("clip=inf", "clip is inf; it must be a finite number"),
        ("weight_decay=nan", "weight_decay is nan; it must be a finite number"),
        ("milestones=-1,3", r"milestones are \(-1.0, 3.0\); write epochs in order, none negative"),
        ("milestones=nan", "milestones are"),
        ("lr=1000", r"lr is 1000; it must be at most 10 \(usual: 0.0001 to 1\)"),
        ("momentum=1.5", r"momentum is 1.5; it must be at most 0.9999 \(usual: 0 to 0.99\)"),
        ("weight_decay=10", r"weight_decay is 10; it must be at most 1 \(usual"),
        ("brightness=5", "brightness is 5; it must be at most 1 "),
        ("label_smoothing=.99", "label_smoothing is 0.99; it must be at most 0.9 "),
        ("scale=1e-6", "scale is 1e-6; it must be from 0.1 to 1024"),
    ],
)
@pytest.mark.parametrize("plugin", ["bcl", "maskdul"])
def test_a_setting_out_of_range_is_refused(plugin: str, given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_settings(load_plugin(plugin), None, [given])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("milestones = 5", r"milestones is 5; it must be a list: \[5\]"),
        ("milestones = true", "must be a list"),
        ("epochs = 2.7", "epochs is 2.7; it must be of type int"),
        ("epochs = true", "epochs is True; it must be of type int"),
        ("epochs = inf", "epochs is inf; it must be of type int"),
        ("lr = true", "lr is True; it must be of type float"),
        ("channels_last = 1", "channels_last is 1; it must be of type bool"),
        ("mask_types = ['surgical']", "must be of type str"),
    ],
)
def test_a_recipe_file_with_a_value_of_another_kind_is_refused(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(line)
    with pytest.raises(ConfigError, match=said):
        read_settings(load_plugin("bcl"), str(tmp_path / "own.toml"))


def test_a_recipe_file_of_deep_brackets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("milestones = " + "[" * 100_000)
    with pytest.raises(ConfigError, match=r"recipe .*own\.toml is no TOML that can be read"):
        read_settings(load_plugin("bcl"), str(tmp_path / "own.toml"))


def test_a_recipe_file_with_whole_numbers_as_floats_and_the_reverse_is_read(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("epochs = 3.0\nlr = 1\nmilestones = [1, 2.5]\nchannels_last = true\n")
    config = read_settings(load_plugin("bcl"), str(tmp_path / "own.toml")).train
    assert (config.epochs, config.lr, config.milestones, config.channels_last) == (3, 1.0, (1.0, 2.5), True)


def test_a_crop_that_leaves_nothing_and_t_without_a_past_are_refused(tmp_path: Path) -> None:
    pack = pattern_pack(tmp_path / "pack")
    with pytest.raises(ConfigError, match="crop is 36, and the pictures have 36 pixels a side: nothing is left"):
        train(TrainConfig("bcl", str(pack), str(tmp_path / "run"), "bcl-small", (*QUICK, "crop=36")))
    with pytest.raises(ConfigError, match="t_momentum is 1; it must be from 0 to below 1"):
        read_settings(load_plugin("bcl"), None, ["t_momentum=1"])


def test_one_image_a_step_is_refused_where_the_network_cannot_be_trained_so(tmp_path: Path) -> None:
    pack = pattern_pack(tmp_path / "pack")
    with pytest.raises(ConfigError, match="batch is 1, and this network's BatchNorm needs 2 images"):
        train(TrainConfig("bcl", str(pack), str(tmp_path / "run"), "bcl-small", (*QUICK, "batch=1")))


def network() -> IResNet:
    return IResNet((1, 1, 1, 1), 16, 0.0, (40, 36), (16, 32, 64, 128))


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3, "weights": {"a": torch.zeros(1)}}, torch.zeros(3)])
def test_a_file_without_weights_by_name_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ConfigError, match=r"other\.pt holds no weights by name: give OUT of a run"):
        load_initial_weights(network(), str(tmp_path / "other.pt"))


def test_a_pickle_of_other_things_is_not_run_and_gets_no_advice_to(tmp_path: Path) -> None:
    torch.save({"path": tmp_path}, tmp_path / "other.pt")
    with pytest.raises(FacekitError, match="save its state_dict alone") as caught:
        load_initial_weights(network(), str(tmp_path / "other.pt"))
    assert "weights_only" not in str(caught.value)


def test_weights_of_another_network_are_named_in_short(tmp_path: Path) -> None:
    deeper = IResNet((3, 4, 6, 3), 16, 0.0, (40, 36), (16, 32, 64, 128))
    torch.save({f"backbone.{name}": value for name, value in deeper.state_dict().items()}, tmp_path / "other.pt")
    with pytest.raises(
        ConfigError, match=r"these are weights of iresnet34: --set backbone=iresnet34: Unexpected .* and \d+ more"
    ) as caught:
        load_initial_weights(network(), str(tmp_path / "other.pt"))
    assert len(str(caught.value)) < 500
