"""Networks of one matrix, as ONNX files, and packs of noise: everything that they say can be computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facekit.images import encode_like
from facekit.records import Header, PackWriter
from facekit.run.ledger import LedgerRow, LedgerWriter, payload_hash, table

HEIGHT, WIDTH, DIMENSIONS = 14, 10, 6
PNG = b"\x89PNG\r\n\x1a\n" + bytes(17) + b"\x02"  # what encode_like looks at: a PNG in colour


def weights(seed: int = 0, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3 * HEIGHT * width, DIMENSIONS)).astype(np.float32)


def save_model(
    path: Path,
    *,
    width: int = WIDTH,
    batch: int | str = "n",
    flag: int | None = None,
    last: bool = False,
    metadata: dict[str, str] | None = None,
    own_preprocessing: bool = False,
    scale: float = 1.0,
) -> Path:
    """Flatten, multiply; with a flag (1: of one dimension, 2: of two) another matrix for masked faces, and |sigma|."""
    nodes, inputs, start = [], [], "image"
    shape = [batch, HEIGHT, width, 3] if last else [batch, 3, HEIGHT, width]
    inputs.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
    constants = {"w0": scale * weights(0, width), "w1": weights(1, width)}
    if last:
        nodes.append(helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2]))
        start = "first"
    if own_preprocessing:
        constants |= {"mean": np.float32([127.5]), "scale": np.float32([1 / 128])}
        nodes.append(helper.make_node("Sub", [start, "mean"], ["less"], name="_minusscalar0"))
        nodes.append(helper.make_node("Mul", ["less", "scale"], ["ready"], name="_mulscalar0"))
        start = "ready"
    nodes.append(helper.make_node("Flatten", [start], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", "w0"], ["bare" if flag else "embedding"]))
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, DIMENSIONS])]
    if flag:
        inputs.append(helper.make_tensor_value_info("mask_flag", TensorProto.BOOL, [batch, 1][:flag]))
        outputs.append(helper.make_tensor_value_info("uncertainty", TensorProto.FLOAT, [batch]))
        constants |= {
            "one": np.array([1], np.int64),
            "column": np.array([-1, 1], np.int64),
            "row": np.array([-1], np.int64),
        }
        constants |= {"ten": np.float32([10])}
        nodes += [
            helper.make_node("MatMul", ["flat", "w1"], ["masked"]),
            helper.make_node("Reshape", ["mask_flag", "column"], ["flags"]),
            helper.make_node("Where", ["flags", "masked", "bare"], ["embedding"]),
            helper.make_node("Reshape", ["mask_flag", "row"], ["line"]),
            helper.make_node("Cast", ["line"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["number", "ten"], ["uncertainty"]),
        ]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "small", inputs, outputs, tensors), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    helper.set_model_props(model, metadata or {})
    onnx.save(model, str(path))
    return path


def planes(pictures: np.ndarray, mean: float = 127.5, std: float = 127.5) -> np.ndarray:
    return (pictures.transpose(0, 3, 1, 2).astype(np.float64) - mean) / std


def directions(pictures: np.ndarray, seed: int = 0, **given: float) -> np.ndarray:
    """What a small model says, normalised."""
    raw = planes(pictures, **given).reshape(len(pictures), -1) @ weights(seed, pictures.shape[2]).astype(np.float64)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


class NoisePack(NamedTuple):
    """A pack of noise with people in it, and what is in it."""

    path: Path
    pictures: np.ndarray
    labels: np.ndarray
    masked: np.ndarray
    sources: np.ndarray


def save_pooling_model(path: Path) -> Path:
    """Means of 16 x 16 pixels of a picture of 112 x 112, as its vector."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 112, 112])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 147])
    nodes = [helper.make_node("AveragePool", ["image"], ["means"], kernel_shape=[16, 16], strides=[16, 16]),
             helper.make_node("Flatten", ["means"], ["embedding"])]  # fmt: skip
    graph = helper.make_graph(nodes, "pool", [image], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def save_pack(path: Path, people: int = 6, each: int = 4, ledger: bool = True, seed: int = 0) -> NoisePack:
    """People are noise, their pictures the noise with more of it; the last picture of each is a copy "with a mask"."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (people, 1, HEIGHT, WIDTH, 3))
    pictures = np.clip(base + rng.normal(0, 70, (people, each, HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)
    pictures[:, -1] = np.clip(pictures[:, 0] + rng.normal(0, 40, pictures[:, 0].shape), 0, 255)
    flat, labels = pictures.reshape(-1, HEIGHT, WIDTH, 3), np.repeat(np.arange(people), each)
    masked = np.tile(np.arange(each) == each - 1, people)
    sources = np.arange(1, len(flat) + 1).reshape(people, each)
    sources[:, -1] = sources[:, 0]
    rows = []
    with PackWriter(path) as writer:
        for index, picture in enumerate(flat):
            payload = encode_like(picture, PNG)
            writer.write(Header(0, float(labels[index]), 0, 0), payload)
            action = "mask" if masked[index] else "copy"
            rows.append(LedgerRow(index + 1, int(sources.ravel()[index]), payload_hash(payload), action))
    rows.append(LedgerRow(None, 1, payload_hash(b""), "refused"))
    if ledger:
        with LedgerWriter(path / "train.ledger.parquet") as file:
            file.append(table(rows))
    return NoisePack(path, flat, labels, masked, sources.ravel())
