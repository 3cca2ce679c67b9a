"""The names and shapes in public weight files, and what their networks do, written from the definitions of the layers.

Facts about arcface_torch (backbones/iresnet.py and vit.py), MagFace (models/iresnet.py), CurricularFace
(backbone/model_irse.py), AdaFace (net.py) and CVLface (models/iresnet/model.py); none of their code.
"""

from __future__ import annotations

import torch
from torch.nn import functional

State = dict[str, torch.Tensor]
COUNTS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
WIDTHS = (64, 128, 256, 512)


class Filler:
    """Weights of layers under their names: small random numbers, variances above 0."""

    def __init__(self, seed: int = 0) -> None:
        self.state: State = {}
        self.generator = torch.Generator().manual_seed(seed)

    def random(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.generator)

    def norm(self, name: str, channels: int, affine: bool = True) -> None:
        if affine:
            self.state[f"{name}.weight"] = 1 + 0.1 * self.random(channels)
            self.state[f"{name}.bias"] = 0.1 * self.random(channels)
        self.state[f"{name}.running_mean"] = 0.1 * self.random(channels)
        self.state[f"{name}.running_var"] = 0.5 + torch.rand(channels, generator=self.generator)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def conv(self, name: str, inside: int, outside: int, kernel: int = 3) -> None:
        self.state[f"{name}.weight"] = self.random(outside, inside, kernel, kernel) / (inside * kernel**2) ** 0.5

    def prelu(self, name: str, channels: int) -> None:
        self.state[f"{name}.weight"] = 0.25 + 0.05 * self.random(channels)

    def linear(self, name: str, inside: int, outside: int) -> None:
        self.state[f"{name}.weight"] = self.random(outside, inside) / inside**0.5
        self.state[f"{name}.bias"] = 0.1 * self.random(outside)


def iresnet(depth: int) -> State:
    """arcface_torch's and MagFace's names."""
    make = Filler()
    make.conv("conv1", 3, 64)
    make.norm("bn1", 64)
    make.prelu("prelu", 64)
    inside = 64
    for stage, (count, width) in enumerate(zip(COUNTS[depth], WIDTHS, strict=True), 1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            make.norm(f"{name}.bn1", inside)
            make.conv(f"{name}.conv1", inside, width)
            make.norm(f"{name}.bn2", width)
            make.prelu(f"{name}.prelu", width)
            make.conv(f"{name}.conv2", width, width)
            make.norm(f"{name}.bn3", width)
            if block == 0:
                make.conv(f"{name}.downsample.0", inside, width, 1)
                make.norm(f"{name}.downsample.1", width)
            inside = width
    make.norm("bn2", 512)
    make.linear("fc", 512 * 49, 512)
    make.norm("features", 512)
    return make.state


def run_iresnet(state: State, image: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """What an IResNet says of (B, 3, 112, 112)."""
    deep = prelu(state, "prelu", norm(state, "bn1", conv(state, "conv1", image), eps))
    for stage in range(1, 5):
        for block in range(
            sum(1 for name in state if name.startswith(f"layer{stage}.") and name.endswith("conv2.weight"))
        ):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 else 1
            inner = conv(state, f"{name}.conv1", norm(state, f"{name}.bn1", deep, eps))
            inner = prelu(state, f"{name}.prelu", norm(state, f"{name}.bn2", inner, eps))
            inner = norm(state, f"{name}.bn3", conv(state, f"{name}.conv2", inner, stride), eps)
            if block == 0:
                deep = norm(state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", deep, 2, 0), eps)
            deep = inner + deep
    flat = norm(state, "bn2", deep, eps).flatten(1)
    return norm(state, "features", functional.linear(flat, state["fc.weight"], state["fc.bias"]), eps)


def ir(depth: int, kind: str) -> State:
    """CurricularFace's names (``plain`` or ``se``), or AdaFace's and CVLface's (``middle``: a BN more)."""
    make = Filler()
    make.conv("input_layer.0", 3, 64)
    make.norm("input_layer.1", 64)
    make.prelu("input_layer.2", 64)
    inside, number = 64, 0
    for count, width in zip(COUNTS[depth], WIDTHS, strict=True):
        for _ in range(count):
            name, shift = f"body.{number}", kind == "middle"
            if inside != width:
                make.conv(f"{name}.shortcut_layer.0", inside, width, 1)
                make.norm(f"{name}.shortcut_layer.1", width)
            make.norm(f"{name}.res_layer.0", inside)
            make.conv(f"{name}.res_layer.1", inside, width)
            if shift:
                make.norm(f"{name}.res_layer.2", width)
            make.prelu(f"{name}.res_layer.{2 + shift}", width)
            make.conv(f"{name}.res_layer.{3 + shift}", width, width)
            make.norm(f"{name}.res_layer.{4 + shift}", width)
            if kind == "se":
                make.conv(f"{name}.res_layer.5.fc1", width, width // 16, 1)
                make.conv(f"{name}.res_layer.5.fc2", width // 16, width, 1)
            inside, number = width, number + 1
    make.norm("output_layer.0", 512)
    make.linear("output_layer.3", 512 * 49, 512)
    make.norm("output_layer.4", 512, affine=False)
    return make.state


def run_ir(state: State, image: torch.Tensor, kind: str) -> torch.Tensor:
    """What such a network says of (B, 3, 112, 112)."""
    deep = prelu(state, "input_layer.2", norm(state, "input_layer.1", conv(state, "input_layer.0", image)))
    number, shift = 0, kind == "middle"
    while f"body.{number}.res_layer.1.weight" in state:
        name = f"body.{number}"
        width = len(state[f"{name}.res_layer.1.weight"])
        stride = 2 if number == 0 or width != deep.shape[1] else 1
        inner = conv(state, f"{name}.res_layer.1", norm(state, f"{name}.res_layer.0", deep))
        if shift:
            inner = norm(state, f"{name}.res_layer.2", inner)
        inner = conv(
            state, f"{name}.res_layer.{3 + shift}", prelu(state, f"{name}.res_layer.{2 + shift}", inner), stride
        )
        inner = norm(state, f"{name}.res_layer.{4 + shift}", inner)
        if kind == "se":
            squeezed = conv(state, f"{name}.res_layer.5.fc1", inner.mean((2, 3), keepdim=True), 1, 0).relu()
            inner = inner * conv(state, f"{name}.res_layer.5.fc2", squeezed, 1, 0).sigmoid()
        if f"{name}.shortcut_layer.0.weight" in state:
            deep = norm(state, f"{name}.shortcut_layer.1", conv(state, f"{name}.shortcut_layer.0", deep, stride, 0))
        else:
            deep = deep[:, :, ::stride, ::stride]
        deep, number = inner + deep, number + 1
    flat = norm(state, "output_layer.0", deep).flatten(1)
    return norm(
        state, "output_layer.4", functional.linear(flat, state["output_layer.3.weight"], state["output_layer.3.bias"])
    )


def norm(state: State, name: str, x: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """BN in evaluation mode, by its definition."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scale = state.get(f"{name}.weight", torch.ones(1)) / (state[f"{name}.running_var"] + eps).sqrt()
    shift = state.get(f"{name}.bias", torch.zeros(1)) - state[f"{name}.running_mean"] * scale
    return x * scale.view(shape) + shift.view(shape)


def conv(state: State, name: str, x: torch.Tensor, stride: int = 1, padding: int = 1) -> torch.Tensor:
    return functional.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)


def prelu(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, x * state[f"{name}.weight"].view(1, -1, 1, 1))


def vit(width: int, depth: int, patches: int = 144, dimensions: int = 512) -> State:
    """The names of arcface_torch's ViTs for pictures of 112 x 112."""
    make = Filler()
    make.conv("patch_embed.proj", 3, width, 9)
    make.state["patch_embed.proj.bias"] = 0.1 * make.random(width)
    make.state["pos_embed"] = 0.1 * make.random(1, patches, width)
    make.state["mask_token"] = make.random(1, 1, width)
    layers = [f"blocks.{block}.norm{number}" for block in range(depth) for number in (1, 2)]
    for name in (*layers, "norm"):
        make.state[f"{name}.weight"] = 1 + 0.1 * make.random(width)
        make.state[f"{name}.bias"] = 0.1 * make.random(width)
    for block in range(depth):
        make.state[f"blocks.{block}.attn.qkv.weight"] = make.random(3 * width, width) / width**0.5
        make.linear(f"blocks.{block}.attn.proj", width, width)
        make.linear(f"blocks.{block}.mlp.fc1", width, 4 * width)
        make.linear(f"blocks.{block}.mlp.fc2", 4 * width, width)
    make.state["feature.0.weight"] = make.random(width, patches * width) / (patches * width) ** 0.5
    make.norm("feature.1", width)
    make.state["feature.2.weight"] = make.random(dimensions, width) / width**0.5
    make.norm("feature.3", dimensions)
    return make.state


def run_vit(state: State, image: torch.Tensor) -> torch.Tensor:
    """What arcface_torch's ViTs say of one picture, a patch and an attention head at a time, in double precision."""
    state = {name: value.double() for name, value in state.items()}
    kernel, bias = state["patch_embed.proj.weight"].flatten(1), state["patch_embed.proj.bias"]
    cut = [image[0, :, y : y + 9, x : x + 9].double().flatten() for y in range(0, 100, 9) for x in range(0, 100, 9)]
    tokens = torch.stack([kernel @ patch + bias for patch in cut]) + state["pos_embed"][0]
    width, heads = tokens.shape[1], 8
    own = width // heads

    def layer_norm(name: str, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0)

    for block in range(sum(name.endswith("attn.qkv.weight") for name in state)):
        mixed = linear(f"blocks.{block}.attn.qkv", layer_norm(f"blocks.{block}.norm1", tokens))
        answers = []
        for head in range(heads):
            query, key, value = (mixed[:, part * width + head * own :][:, :own] for part in range(3))
            answers.append(torch.softmax(query @ key.T / own**0.5, 1) @ value)
        tokens = tokens + linear(f"blocks.{block}.attn.proj", torch.cat(answers, 1))
        wide = linear(f"blocks.{block}.mlp.fc1", layer_norm(f"blocks.{block}.norm2", tokens)).clamp(0, 6)
        tokens = tokens + linear(f"blocks.{block}.mlp.fc2", wide)
    flat = state["feature.0.weight"] @ layer_norm("norm", tokens).flatten()
    last = state["feature.2.weight"] @ norm(state, "feature.1", flat[None, :, None, None], 2e-5).flatten()
    return norm(state, "feature.3", last[None, :, None, None], 2e-5).flatten()[None].float()
