"""An exported file says how it is used, does what the network does, and goes into embed and eval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from train_packs import QUICK, pattern_pack, with_masks

from facekit.embeddings import open_features
from facekit.embeddings.onnx_engine import OnnxEngine
from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.export import ExportConfig, export
from facekit.jobs.train.job import train
from facekit.train.model import open_model


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
