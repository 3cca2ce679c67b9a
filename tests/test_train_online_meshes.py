"""Online masks while training, with the meshes that `facekit mask` kept: the same pictures without the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import photo
import pytest
import torch
from click.testing import CliRunner
from train_packs import QUICK, pattern_pack

from facekit.cli import program
from facekit.errors import ConfigError, RecordError
from facekit.faces.mesh import LiteRTMesh
from facekit.images import encode_jpeg
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import open_task
from facekit.records import Header, PackWriter
from facekit.train.plugin import load_plugin
from facekit.train.recipe import read_settings

torch.set_num_threads(1)
ONLINE = ("online_masks=1", "mask_types=kn95", "crop=0", "flip=0", "brightness=0", "contrast=0")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pack of six faces, and their meshes."""
    folder = tmp_path_factory.mktemp("meshes")
    with PackWriter(folder / "pack") as writer:
        for number in range(6):
            payload = encode_jpeg(photo.face(number))
            writer.write(Header(0, float(number // 2), writer.next_key, 0), payload)
    given = {"ratio": 1.0, "mode": "replace", "workers": 1, "mesh_cache": str(folder / "meshes")}
    mask(MaskConfig(str(folder / "pack"), str(folder / "masked"), **given))
    return folder / "pack", folder / "meshes"


def test_known_meshes_give_the_same_pictures_without_the_model(
    faces: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack, meshes = faces
    config = TrainConfig("bcl", str(pack), str(tmp_path / "run"), "bcl-small", ONLINE)
    settings = read_settings(load_plugin("bcl"), config.recipe, config.changes)
    found = open_task(config, settings).samples

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("the model was asked")

    shown = [[found[place] for place in range(6)]]
    monkeypatch.setattr(LiteRTMesh, "__call__", refuse)
    known = open_task(replace(config, mesh_cache=str(meshes)), settings).samples
    shown.append([known[place] for place in range(6)])
    assert all(masked for _, _, masked in shown[1])
    for one, other in zip(*shown, strict=True):
        assert torch.equal(one[0], other[0])
        assert one[1:] == other[1:]


def test_meshes_that_are_of_no_use_or_of_another_pack_are_refused(faces: tuple[Path, Path], tmp_path: Path) -> None:
    pack, meshes = faces
    arguments = ["train", "bcl", str(pack), str(tmp_path / "run"), "--recipe", "bcl-small", "--mesh-cache", str(meshes)]
    given = [word for change in QUICK for word in ("--set", change)]
    result = CliRunner().invoke(program, [*arguments, *given])
    assert isinstance(result.exception, ConfigError)
    assert "is of no use without online masks: --set online_masks=0.5" in str(result.exception)
    other = TrainConfig("bcl", str(pattern_pack(tmp_path / "other")), str(tmp_path / "run"), "bcl-small", ONLINE)
    settings = read_settings(load_plugin("bcl"), other.recipe, other.changes)
    for path, said in ((meshes, "another pack"), (tmp_path / "none", "none")):
        with pytest.raises(RecordError, match=said):
            open_task(replace(other, mesh_cache=str(path)), settings)
