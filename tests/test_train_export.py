"""An exported file says how it is used, does what the network does, and goes into embed and eval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from train_packs import QUICK, pattern_pack, with_masks

from facekit.embeddings import open_features
from facekit.embeddings.onnx_engine import OnnxEngine
from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.export import ExportConfig, export
from facekit.jobs.train.job import train
from facekit.records import Header, PackWriter
from facekit.train.model import open_model
from facekit.train.plugin import load_plugin
from facekit.train.recipe import read_settings


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the model.pt of a short run holds."""
    folder = tmp_path_factory.mktemp("trained")
    pack = pattern_pack(folder / "pack")
    train(TrainConfig("bcl", str(pack), str(folder / "run"), "bcl-small", (*QUICK, "max_steps=1")))
    content: dict[str, Any] = torch.load(folder / "run" / "model.pt", weights_only=True)
    return content


@pytest.mark.parametrize(
    ("plugin", "recipe", "inputs", "outputs"),
    [
        ("bcl", "arcface-small", ("image",), ("embedding",)),
        ("maskdul", "maskdul-small", ("image", "mask_flag"), ("embedding", "uncertainty")),
        ("maskdul", "dul_cls-small", ("image",), ("embedding", "uncertainty")),
        ("maskdul", "magface-small", ("image",), ("embedding",)),
    ],
)
def test_the_file_does_what_the_network_does(
    plugin: str, recipe: str, inputs: tuple[str, ...], outputs: tuple[str, ...], tmp_path: Path
) -> None:
    pack, run, path = with_masks(pattern_pack(tmp_path / "pack")), tmp_path / "run", tmp_path / "model.onnx"
    train(TrainConfig(plugin, str(pack), str(run), recipe, (*QUICK, "max_steps=3", "ema=.5")), warn=str)
    done = export(ExportConfig(str(run), str(path)))
    assert (done.inputs, done.outputs, done.dimensions) == (inputs, outputs, 16)
    assert done.deviation < 1e-4
    engine, model = OnnxEngine(path), open_model(run)
    assert engine.preprocessing.size == (40, 36)
    planes = np.random.default_rng(0).uniform(-1, 1, (7, 3, 40, 36)).astype(np.float32)
    flags = np.arange(7) % 3 == 0
    found = engine.run(planes, flags)
    with torch.inference_mode():
        wanted = model.plugin.embed(
            model.settings.plugin, model.network, torch.from_numpy(planes), torch.from_numpy(flags)
        )
    np.testing.assert_allclose(found.embeddings, wanted.vector, atol=1e-4, rtol=1e-4)
    other = engine.run(planes, ~flags).embeddings
    assert np.allclose(other, found.embeddings, atol=1e-6) == ("mask_flag" not in inputs)
    embed(EmbedConfig(str(pack), str(tmp_path / "features"), ModelChoice(str(path))))
    features = open_features(tmp_path / "features")
    assert (features.count, features.dimensions) == (54, 16)
    assert (features.uncertainty is not None) == ("uncertainty" in outputs)
    with pytest.raises(DestinationExists, match="--overwrite"):
        export(ExportConfig(str(run), str(path)))


def test_the_batch_is_free_and_the_metadata_names_the_plugin(tmp_path: Path) -> None:
    pack, run = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    train(TrainConfig("bcl", str(pack), str(run), "bcl-small", (*QUICK, "max_steps=1")))
    for checkpoint in (run, run / "model.pt", next((run / "checkpoints").iterdir())):
        export(ExportConfig(str(checkpoint), str(tmp_path / "model.onnx"), overwrite=True))
        session = ort.InferenceSession(str(tmp_path / "model.onnx"))
        assert session.get_inputs()[0].shape == ["batch", 3, 40, 36]
        assert session.get_modelmeta().custom_metadata_map["facekit.plugin"] == "bcl"


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plugin": None}, "plugin is None; it must be the name of a plugin"),
        ({"plugin": "nope"}, "there is no plugin 'nope'"),
        ({"classes": 10**12}, "classes is 1000000000000; it must be a whole number from 1"),
        ({"classes": -1}, "classes is -1"),
        ({"classes": "many"}, "classes is 'many'"),
        ({"settings": "no json"}, "settings is 'no json'; it must be a JSON object"),
        ({"settings": "[1, 2]"}, "settings is .* it must be a JSON object"),
        ({"settings": [1]}, r"settings is \[1\]; it must be a JSON object"),
        ({"settings": DEEP}, r"settings is '\[+\.\.\.; it must be a JSON object"),
        ({"image_size": [40, 36, 3]}, r"image_size is \[40, 36, 3\]; it must be height and width"),
        ({"image_size": [10**6, 36]}, r"image_size is \[1000000, 36\]; it must be from 1 to 4096"),
        ({"image_size": [4096, 4096]}, "does not fit the network of plugin bcl.*size mismatch"),
        ({"network": 3}, r"model\.pt holds no weights by name"),
        ({"network": {"a": 1}}, "holds no weights by name"),
        ({"average": [1]}, None),
    ],
)
def test_a_model_that_says_something_else_is_named_before_memory_is_taken(
    change: dict[str, Any], said: str | None, trained: dict[str, Any], tmp_path: Path
) -> None:
    torch.save(trained | change, tmp_path / "model.pt")
    if said is None:
        open_model(tmp_path / "model.pt")
        return
    with pytest.raises(FacekitError, match=said) as caught:
        export(ExportConfig(str(tmp_path / "model.pt"), str(tmp_path / "m.onnx")))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("dimensions", "said"),
    [(10**9, "dimensions is 1000000000; it must be at least 1 and at most 65536"), (65536, "size mismatch")],
)
def test_dimensions_that_no_machine_holds_are_refused(
    dimensions: int, said: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    settings = json.loads(trained["settings"]) | {"dimensions": dimensions}
    torch.save(trained | {"settings": json.dumps(settings)}, tmp_path / "model.pt")
    with pytest.raises(FacekitError, match=said):
        open_model(tmp_path / "model.pt")
    (tmp_path / "own.toml").write_text("dimensions = 1000000000")
    with pytest.raises(ConfigError, match="dimensions is 1000000000"):
        read_settings(load_plugin("bcl"), str(tmp_path / "own.toml"))


def test_a_model_of_a_setting_that_has_another_name_now_is_read(tmp_path: Path) -> None:
    pack, run = with_masks(pattern_pack(tmp_path / "pack")), tmp_path / "run"
    train(TrainConfig("maskdul", str(pack), str(run), "maskdul-small", (*QUICK, "max_steps=1")), warn=str)
    content = torch.load(run / "model.pt", weights_only=True)
    settings = json.loads(content["settings"])
    content["settings"] = json.dumps({n.replace("shared_init", "alike"): value for n, value in settings.items()})
    torch.save(content, tmp_path / "former.pt")
    assert open_model(tmp_path / "former.pt").settings.plugin.shared_init is True


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.onnx"):
        ExportConfig("run", "model.pt")
    with pytest.raises(ConfigError, match=r"no model\.pt and no checkpoint"):
        export(ExportConfig(str(tmp_path), str(tmp_path / "m.onnx")))
    (tmp_path / "model.pt").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(FacekitError, match="cannot be read as weights"):
        export(ExportConfig(str(tmp_path / "model.pt"), str(tmp_path / "m.onnx")))
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(ConfigError, match="no model of facekit's"):
        export(ExportConfig(str(tmp_path / "model.pt"), str(tmp_path / "m.onnx")))
    assert not (tmp_path / "m.onnx").exists()


@pytest.fixture(scope="module")
def two_streams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of one network of 112 x 112 pictures with two branches: as it is, and with one input."""
    folder = tmp_path_factory.mktemp("streams")
    pack = folder / "pack"
    with PackWriter(pack) as writer:
        for number in range(10):
            pixels = np.random.default_rng(number).integers(0, 256, (112, 112, 3), np.uint8)
            writer.write(Header(0, float(number // 4), 0, 0), encode_jpeg(pixels))
    with_masks(pack)
    changes = ("batch=4", "threads=1", "epochs=1", "max_steps=2", "warmup=0", "dimensions=16", "shared_init=false")
    train(TrainConfig("maskdul", str(pack), str(folder / "run"), "maskdul-small", changes), warn=str)
    paths = {name: folder / f"{name}.onnx" for name in ("whole", "face", "masked", "both")}
    for name, path in paths.items():
        done = export(ExportConfig(str(folder / "run"), str(path), branch=None if name == "whole" else name))
        assert done.path == str(path)
    return paths


@pytest.mark.parametrize("branch", ["face", "masked", "both"])
def test_a_file_of_one_branch_is_that_branch(two_streams: dict[str, Path], branch: str) -> None:
    planes = np.random.default_rng(1).uniform(-1, 1, (5, 3, 112, 112)).astype(np.float32)
    whole = ort.InferenceSession(str(two_streams["whole"]))
    face, masked = (
        whole.run(["embedding"], {"image": planes, "mask_flag": np.full(5, flag)})[0] for flag in (False, True)
    )
    wanted = {"face": face, "masked": masked, "both": (face + masked) / 2}[branch]
    assert not np.allclose(face, masked, atol=1e-2), "the two branches differ"
    session = ort.InferenceSession(str(two_streams[branch]))
    assert [one.name for one in session.get_inputs()] == ["image"]
    assert [one.name for one in session.get_outputs()] == ["embedding"]
    np.testing.assert_allclose(session.run(None, {"image": planes})[0], wanted, atol=1e-3, rtol=1e-4)
    assert OnnxEngine(two_streams[branch]).takes_flag is False


def test_it_works_where_insightface_expects_its_own(two_streams: dict[str, Path]) -> None:
    """What its router and its recognition class ask of a file, and its preprocessing of a BGR picture."""
    import cv2
    import onnx

    path = two_streams["face"]
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (out,) = session.get_inputs(), session.get_outputs()
    assert tuple(given.shape[2:4]) == (112, 112)
    assert out.shape[1] == 16
    names = [node.name for node in onnx.load(str(path)).graph.node[:8]]
    assert not any(name.startswith(("Sub", "_minus", "Mul", "_mul")) for name in names), "it would not normalise"
    rgb = np.random.default_rng(3).integers(0, 256, (112, 112, 3), np.uint8)
    blob = cv2.dnn.blobFromImages([rgb[:, :, ::-1].copy()], 1 / 127.5, (112, 112), (127.5,) * 3, swapRB=True)
    theirs = session.run([out.name], {given.name: blob})[0]
    engine = OnnxEngine(path)
    ours = engine.run(engine.preprocessing(rgb[None]), np.zeros(1, bool)).embeddings
    np.testing.assert_allclose(theirs, ours, atol=1e-3, rtol=1e-4)


def test_the_metadata_says_where_a_file_comes_from(two_streams: dict[str, Path], tmp_path: Path) -> None:
    import facekit

    said = ort.InferenceSession(str(two_streams["both"])).get_modelmeta().custom_metadata_map
    assert said["facekit.version"] == facekit.__version__
    assert said["facekit.branch"] == "both"
    assert (said["facekit.classes"], json.loads(said["facekit.class_counts"])) == ("3", [4, 4, 2])
    assert json.loads(said["facekit.preprocessing"])["size"] == [112, 112]
    assert json.loads(said["facekit.settings"])["dimensions"] == 16
    whole = ort.InferenceSession(str(two_streams["whole"])).get_modelmeta().custom_metadata_map
    assert "facekit.branch" not in whole
    run = two_streams["whole"].parent / "run"
    content = torch.load(run / "model.pt", weights_only=True)
    del content["class_counts"]
    torch.save(content, tmp_path / "earlier.pt")
    export(ExportConfig(str(tmp_path / "earlier.pt"), str(tmp_path / "e.onnx")))
    assert "facekit.classes" not in ort.InferenceSession(str(tmp_path / "e.onnx")).get_modelmeta().custom_metadata_map


def test_branches_that_are_not_there(trained: dict[str, Any], tmp_path: Path) -> None:
    torch.save(trained, tmp_path / "model.pt")
    with pytest.raises(ConfigError, match="no branch for masked faces"):
        export(ExportConfig(str(tmp_path / "model.pt"), str(tmp_path / "m.onnx"), branch="masked"))
    assert export(ExportConfig(str(tmp_path / "model.pt"), str(tmp_path / "m.onnx"), branch="face")).inputs == (
        "image",
    )
    with pytest.raises(ConfigError, match="branch is 'left'"):
        ExportConfig("a", "b.onnx", branch="left")
