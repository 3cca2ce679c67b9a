"""ONNX and PyTorch networks give what their matrices say; preprocessing, flips, branches, bad files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from small_models import DIMENSIONS, HEIGHT, WIDTH, directions, planes, save_model, weights

from facekit.embeddings import Preprocessing, embed_pictures
from facekit.embeddings.onnx_engine import OnnxEngine
from facekit.embeddings.onnx_header import first_operations, normalises_itself
from facekit.embeddings.preprocessing import METADATA_KEY
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.inputs.model import ModelChoice, open_engine, parse_columns
from facekit.train.iresnet import iresnet

torch.set_num_threads(1)
BARE = np.zeros(5, np.bool_)


def pictures(width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (5, HEIGHT, width, 3), np.uint8)


def opened(path: Path, **given: object) -> OnnxEngine:
    return OnnxEngine(path, threads=1, overrides=given)


@pytest.mark.parametrize("batch", ["n", 1, 2])
@pytest.mark.parametrize("last", [False, True])
def test_any_batch_and_order_of_axes(tmp_path: Path, batch: int | str, last: bool) -> None:
    engine = opened(save_model(tmp_path / "m.onnx", batch=batch, last=last))
    assert engine.preprocessing == Preprocessing((HEIGHT, WIDTH))
    done = embed_pictures(engine, pictures(), BARE)
    assert done.vectors.dtype == np.float32
    assert np.allclose(done.vectors, directions(pictures()), atol=1e-5)
    raw = planes(pictures()).reshape(5, -1) @ weights()
    assert np.allclose(done.norms, np.linalg.norm(raw, axis=1), rtol=1e-5)
    assert done.uncertainty is None
    assert not engine.takes_flag
    assert embed_pictures(engine, pictures()[:1], BARE[:1]).vectors.shape == (1, DIMENSIONS)


def test_columns_mean_std_and_channels(tmp_path: Path) -> None:
    engine = opened(save_model(tmp_path / "m.onnx"), columns=(2, 12), mean=100.0, std=50.0, channels="bgr")
    wide = pictures(16)
    expected = directions(wide[:, :, 2:12, ::-1], mean=100, std=50)
    assert np.allclose(embed_pictures(engine, wide, BARE).vectors, expected, atol=1e-5)
    engine.preprocessing.check(wide[0])
    with pytest.raises(ConfigError, match=r"14 x 10 pixels \(of which columns 2:12"):
        engine.preprocessing.check(pictures()[0])
    with pytest.raises(ConfigError, match="14 x 16 pixels for a network that takes 14 x 10"):
        opened(tmp_path / "m.onnx").preprocessing.check(wide[0])


def test_metadata_of_exported_files_counts_and_options_before_it(tmp_path: Path) -> None:
    written = Preprocessing((HEIGHT, WIDTH), (1, 11), 10.0, 20.0, "bgr")
    path = save_model(tmp_path / "m.onnx", metadata={METADATA_KEY: written.to_json()})
    assert opened(path).preprocessing == written == Preprocessing.from_json(written.to_json())
    assert opened(path, std=5.0).preprocessing.std == 5.0
    with pytest.raises(ConfigError, match="cannot be read"):
        opened(save_model(tmp_path / "n.onnx", metadata={METADATA_KEY: '{"sizes": 3}'}))


def test_a_graph_with_its_own_preprocessing_gets_plain_pixels(tmp_path: Path) -> None:
    path = save_model(tmp_path / "m.onnx", own_preprocessing=True)
    engine = opened(path)
    assert (engine.preprocessing.mean, engine.preprocessing.std) == (0, 1)
    expected = directions(pictures(), mean=127.5, std=128)
    assert np.allclose(embed_pictures(engine, pictures(), BARE).vectors, expected, atol=1e-5)
    assert first_operations(path, 2) == [("_minusscalar0", "Sub"), ("_mulscalar0", "Mul")]
    assert not normalises_itself(save_model(tmp_path / "plain.onnx"))
    for junk in (b"", b"\xff" * 50, b"\x3a\x05ab", b"hello"):
        (tmp_path / "junk").write_bytes(junk)
        assert first_operations(tmp_path / "junk", 3) == []


@pytest.mark.parametrize("flag", [1, 2])
def test_branches_and_uncertainty(tmp_path: Path, flag: int) -> None:
    engine = opened(save_model(tmp_path / "m.onnx", flag=flag))
    masked = np.array([0, 1, 1, 0, 1], np.bool_)
    bare, covered = directions(pictures(), 0), directions(pictures(), 1)
    done = embed_pictures(engine, pictures(), masked)
    assert engine.takes_flag
    assert np.allclose(done.vectors, np.where(masked[:, None], covered, bare), atol=1e-5)
    assert done.uncertainty.tolist() == (10 + masked).tolist()
    both = embed_pictures(engine, pictures(), masked, both=True)
    raw = planes(pictures()).reshape(5, -1) @ (weights(0) + weights(1)) / 2
    assert np.allclose(both.vectors * both.norms[:, None], raw, rtol=1e-4, atol=1e-3)
    assert both.uncertainty.tolist() == [10.5] * 5


def test_the_flip_test_is_the_sum(tmp_path: Path) -> None:
    engine = opened(save_model(tmp_path / "m.onnx"))
    raw = planes(pictures()).reshape(5, -1) @ weights() + planes(pictures()[:, :, ::-1]).reshape(5, -1) @ weights()
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.allclose(embed_pictures(engine, pictures(), BARE, flip=True).vectors, expected, atol=1e-5)


def test_no_direction_is_no_vector(tmp_path: Path) -> None:
    for scale in (0.0, np.inf, np.nan):
        engine = opened(save_model(tmp_path / "m.onnx", scale=scale))
        done = embed_pictures(engine, pictures(), BARE)
        assert not done.vectors.any()
        assert not (np.isfinite(done.norms) & (done.norms > 0)).any()


def test_weights_of_arcface_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = iresnet(18).eval()
    torch.save(network.state_dict(), tmp_path / "backbone.pt")
    engine = open_engine(ModelChoice(str(tmp_path / "backbone.pt"), arch="r18"))
    images = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(planes(images).astype(np.float32))).numpy()
    done = embed_pictures(engine, images, BARE[:2])
    assert np.allclose(done.vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, tmp_path / "ddp.pth")
    assert open_engine(ModelChoice(str(tmp_path / "ddp.pth"), arch="r18")).preprocessing == Preprocessing()
    with pytest.raises(ConfigError, match="does not fit the network r34"):
        open_engine(ModelChoice(str(tmp_path / "backbone.pt"), arch="r34"))
    torch.save({"format": 1, "plugin": "bcl", "settings": {}, "weights": {}}, tmp_path / "own.pt")
    for arch in (None, "r18"):
        with pytest.raises(ConfigError, match=r"facekit export .*own\.pt MODEL\.onnx"):
            open_engine(ModelChoice(str(tmp_path / "own.pt"), arch=arch))
    with pytest.raises(ConfigError, match="--arch r50"):
        open_engine(ModelChoice(str(tmp_path / "backbone.pt")))


def test_weights_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (Path(tmp_path / "ran"),)

    torch.save({"a": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(FacekitError, match="safely"):
        open_engine(ModelChoice(str(tmp_path / "evil.pt"), arch="r18"))
    assert not (tmp_path / "ran").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(FacekitError, match="dictionary of tensors"):
        open_engine(ModelChoice(str(tmp_path / "list.pt"), arch="r18"))


def test_bad_models_are_named(tmp_path: Path) -> None:
    good = save_model(tmp_path / "m.onnx")
    (tmp_path / "junk.onnx").write_bytes(b"not a network")
    (tmp_path / "other.h5").write_bytes(b"of another library")
    for choice, message in (
        (ModelChoice(str(tmp_path / "no.onnx")), "no such model"),
        (ModelChoice(str(tmp_path / "no.pt"), arch="r18"), "no such model"),
        (ModelChoice(str(tmp_path / "model.h5")), "no such model"),
        (ModelChoice(str(tmp_path / "other.h5")), "neither an .onnx file nor .pt"),
        (ModelChoice(str(good), branch="face"), "no input mask_flag"),
        (ModelChoice(str(good), device="cuda"), "CUDAExecutionProvider"),
        (ModelChoice(str(good), columns=(0, 3)), "3 wide; the network takes 10"),
        (ModelChoice(str(good), columns=(9, 3)), "columns are 9:3"),
        (ModelChoice(str(good), std=0.0), "std 0.0"),
        (ModelChoice(str(good), channels="hsv"), "'hsv'"),
    ):
        with pytest.raises(ConfigError, match=message):
            open_engine(choice)
    with pytest.raises(FacekitError, match="not a network that onnxruntime can run"):
        open_engine(ModelChoice(str(tmp_path / "junk.onnx")))
    for wrong in ({"branch": "left"}, {"batch": 0}, {"threads": -1}, {"arch": "vgg"}):
        with pytest.raises(ConfigError):
            ModelChoice("m.onnx", **wrong)
    with pytest.raises(ConfigError, match="such as 8:104"):
        parse_columns("8-104")


def save_graph(
    path: Path,
    shape: list[int | str],
    output: str = "vector",
    kind: int = TensorProto.FLOAT,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A network with an input of any shape and type, and an output of another kind than one vector a picture."""
    nodes = [helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT)]
    nodes += {
        "vector": [helper.make_node("Flatten", ["numbers"], ["out"])],
        "column": [helper.make_node("GlobalAveragePool", ["numbers"], ["out"])],
        "map": [helper.make_node("Identity", ["numbers"], ["out"])],
        "double": [helper.make_node("Concat", ["flat", "flat"], ["out"], axis=0)],
        "one row": [helper.make_node("ReduceMean", ["flat"], ["out"], axes=[0])],
        "scalar": [helper.make_node("ReduceMean", ["flat"], ["out"], keepdims=0)],
        "line": [helper.make_node("ReduceMean", ["flat"], ["out"], axes=[1], keepdims=0)],
    }[output]
    if output in ("double", "one row", "scalar", "line"):
        nodes.insert(1, helper.make_node("Flatten", ["numbers"], ["flat"]))
    image = helper.make_tensor_value_info("image", kind, shape)
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph(nodes, "odd", [image], [out]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    helper.set_model_props(model, metadata or {})
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("shape", "kind", "problem"),
    [
        (["n", 3, 14, 10], TensorProto.FLOAT16, r"float16.*float32"),
        (["n", 3, 14, 10], TensorProto.UINT8, r"uint8.*float32"),
        (["n", 1, 14, 10], TensorProto.FLOAT, "of 1 channels"),
        (["n", 14, 10, 1], TensorProto.FLOAT, "of 14 channels"),
        ([10**6, 3, 14, 10], TensorProto.FLOAT, r"1,000,000 pictures at once.*batch of 1"),
        (["n", 3], TensorProto.FLOAT, "not pictures"),
        ([], TensorProto.FLOAT, "not pictures"),
    ],
)
def test_a_network_that_takes_something_else_is_refused(
    tmp_path: Path, shape: list[int | str], kind: int, problem: str
) -> None:
    path = save_graph(tmp_path / "m.onnx", shape, "vector" if shape else "map", kind)
    with pytest.raises(FacekitError, match=problem) as caught:
        opened(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("output", ["map", "double", "one row", "scalar", "line"])
@pytest.mark.parametrize("batch", ["n", 2])
def test_what_is_not_one_vector_a_picture_is_refused(tmp_path: Path, output: str, batch: int | str) -> None:
    """Nothing is cut to fit, and no feature map is flattened to a vector."""
    engine = opened(save_graph(tmp_path / "m.onnx", [batch, 3, HEIGHT, WIDTH], output))
    with pytest.raises(FacekitError, match=r"m\.onnx gives .* numbers for \d pictures; its first output must be"):
        embed_pictures(engine, pictures(), BARE)


def test_a_vector_with_two_sides_of_one_is_a_vector(tmp_path: Path) -> None:
    engine = opened(save_graph(tmp_path / "m.onnx", ["n", 3, HEIGHT, WIDTH], "column"))
    expected = planes(pictures()).mean(axis=(2, 3))
    assert np.allclose(embed_pictures(engine, pictures(), BARE).norms, np.linalg.norm(expected, axis=1), atol=1e-5)


def test_a_size_that_the_network_does_not_take_is_an_error_that_names_it(tmp_path: Path) -> None:
    engine = opened(save_model(tmp_path / "m.onnx"), size=(HEIGHT + 1, WIDTH))
    wrong = np.zeros((5, HEIGHT + 1, WIDTH, 3), np.uint8)
    with pytest.raises(FacekitError, match=r"m\.onnx cannot embed pictures \(5, 3, 15, 10\)"):
        embed_pictures(engine, wrong, BARE)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "3", "[]", "{", '{"size": [14]}', '{"size": [14.5, 10]}', '{"size": "ab"}', '{"size": [1e999, 1]}',
     '{"columns": [0, "x"]}', '{"mean": "x"}', '{"mean": NaN}', '{"std": Infinity}', '{"std": null}', '{"channels": 3}',
     '{"size": {"a": 1, "b": 2}}', "\x00"],
)  # fmt: skip
def test_metadata_of_any_kind_is_an_error_that_says_so(tmp_path: Path, text: str) -> None:
    path = save_graph(tmp_path / "m.onnx", ["n", 3, HEIGHT, WIDTH], metadata={METADATA_KEY: text})
    with pytest.raises(ConfigError, match=r"m\.onnx: .*(must be|cannot be read)"):
        opened(path)
