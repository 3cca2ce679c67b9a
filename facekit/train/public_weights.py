"""Weights of public backbones -> facekit's names: arcface_torch, CVLface, AdaFace, MagFace, CurricularFace.

What a file is, is told by its names. IResNet (arcface_torch, MagFace, CVLface's iresnet_insightface) has facekit's;
IR and IR-SE (CurricularFace, AdaFace, CVLface's iresnet) have input_layer, body and output_layer. arcface_torch's ViTs
have patch_embed, and facekit's names too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from facekit.train.iresnet import DEPTHS
from facekit.train.irse import IR_DEPTHS
from facekit.train.vit import VITS

__all__ = ["Translated", "translated", "unpacked"]

State = dict[str, torch.Tensor]
CONTAINERS = ("state_dict", "state_dict_backbone")
"""AdaFace and MagFace; arcface_torch's checkpoints."""
ANCHORS = ("layer1.0.conv1.weight", "input_layer.0.weight")
IRESNET = re.compile(r"(conv1|bn1|prelu|layer[1-4]|bn2|fc|features)\.")
IR = re.compile(r"(input_layer|body|output_layer)\.")
VIT = re.compile(r"(patch_embed|blocks|norm|feature)\.|(pos_embed|mask_token)$")
VIT_ANCHORS = ("patch_embed.proj.weight", "pos_embed", "feature.0.weight")
RENAMED = (
    (re.compile(r"^input_layer\.0\."), "stem.conv1."),
    (re.compile(r"^input_layer\.1\."), "stem.bn1."),
    (re.compile(r"^input_layer\.2\."), "stem.prelu."),
    (re.compile(r"^body\.(\d+)\.res_layer\.5\.fc1\."), r"blocks.\1.residual.5.squeeze."),
    (re.compile(r"^body\.(\d+)\.res_layer\.5\.fc2\."), r"blocks.\1.residual.5.excite."),
    (re.compile(r"^body\.(\d+)\.res_layer\."), r"blocks.\1.residual."),
    (re.compile(r"^body\.(\d+)\.shortcut_layer\."), r"blocks.\1.shortcut."),
    (re.compile(r"^output_layer\.0\."), "bn."),
    (re.compile(r"^output_layer\.3\."), "fc."),
    (re.compile(r"^output_layer\.4\."), "features."),
)
MAGFACE = ("features.module.", "features.")
MAGFACE_EPS, EPS = 2e-5, 1e-5
LISTED = 6
OWN = "network."  # of facekit's networks that halve the picture


@dataclass(frozen=True)
class Translated:
    """Weights by facekit's names.

    Attributes
    ----------
    state : dict from str to tensor
    backbone : str or None
        One of `facekit.train.backbones.BACKBONES`; None: not known.
    notes : tuple of str
        What was changed or assumed, a sentence each.
    left_over : tuple of str
        Names in the file that are no part of a backbone.
    """

    state: State
    backbone: str | None = None
    notes: tuple[str, ...] = ()
    left_over: tuple[str, ...] = field(default=())

    def sentences(self) -> list[str]:
        """Notes, and what was left over."""
        if not self.left_over:
            return list(self.notes)
        shown, more = ", ".join(self.left_over[:LISTED]), len(self.left_over) - LISTED
        return [*self.notes, f"left over: {shown}" + (f" and {more} more" if more > 0 else "")]


def unpacked(content: Any) -> Any:
    """The weights in what a training program saved: a state_dict, or what has one.

    Parameters
    ----------
    content : what `torch.load` gave
    """
    if isinstance(content, Mapping):
        for name in CONTAINERS:
            if isinstance(content.get(name), Mapping):
                return content[name]
    return content


def translated(state: Mapping[str, torch.Tensor]) -> Translated:
    """Weights by facekit's names; names of no known public backbone stay as they are.

    Parameters
    ----------
    state : mapping from str to tensor
        Without ``module.`` at the front.
    """
    if all(name in state for name in VIT_ANCHORS):
        return _vit(state)
    found = next(((name, anchor) for anchor in ANCHORS for name in state if name.endswith(anchor)), None)
    if found is None:
        return Translated(dict(state))
    name, anchor = found
    prefix, pattern = name[: -len(anchor)], IRESNET if anchor == ANCHORS[0] else IR
    if prefix == OWN or (pattern is IRESNET and f"{prefix}fc.weight" not in state):
        return Translated(dict(state))
    inside = {one.removeprefix(prefix): one for one in state if one.startswith(prefix)}
    kept = {short: state[one] for short, one in inside.items() if pattern.match(short)}
    left_over = tuple(one for one in state if not (one.startswith(prefix) and one.removeprefix(prefix) in kept))
    if pattern is IRESNET:
        return _iresnet(_counted(kept), prefix, left_over)
    return _ir(_counted({_renamed(short): value for short, value in kept.items()}), prefix, left_over)


def _iresnet(state: State, prefix: str, left_over: tuple[str, ...]) -> Translated:
    blocks = [len({name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")}) for stage in range(1, 5)]
    depth = next((depth for depth, counts in DEPTHS.items() if list(counts) == blocks), None)
    backbone = None if depth is None else f"iresnet{depth}"
    if prefix not in MAGFACE:
        return Translated(state, backbone, (), left_over)
    note = (
        "MagFace takes BGR from 0 to 1 and facekit RGB from -1 to 1: the first convolution and its BN were changed "
        "accordingly (to the same embedding but for the border of one pixel), and the BNs' epsilon"
    )
    return Translated(_of_magface(state), backbone, (note,), left_over)


def _ir(state: State, prefix: str, left_over: tuple[str, ...]) -> Translated:
    kind = "curricular"
    if "blocks.0.residual.5.squeeze.weight" in state:
        kind = "se"
    elif "blocks.0.residual.5.weight" in state:
        kind = "adaface"
    width = state["features.running_mean"] if "features.running_mean" in state else state["fc.bias"]
    # Without a learned scale and shift in the files: these are the identity.
    state = {"features.weight": torch.ones_like(width), "features.bias": torch.zeros_like(width)} | state
    blocks = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    depth = next((depth for depth, counts in IR_DEPTHS.items() if sum(counts) == blocks), None)
    backbone = None if depth is None else f"irse{depth}" if kind == "se" else f"ir{depth}_{kind}"
    notes: tuple[str, ...] = ()
    if kind == "adaface" and prefix == "model.":
        state["stem.conv1.weight"] = state["stem.conv1.weight"][:, [2, 1, 0]].clone()
        notes = ("AdaFace takes BGR and facekit RGB: the channels of the first convolution were turned round",)
    elif kind == "adaface" and prefix == "net.":
        notes = ("the channels are taken as RGB; where model.yaml beside a file of CVLface says BGR, they are not",)
    return Translated(state, backbone, notes, left_over)


def _vit(state: Mapping[str, torch.Tensor]) -> Translated:
    width = state["pos_embed"].shape[-1]
    depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    backbone = next((name for name, shape in VITS.items() if shape[:2] == (width, depth)), None)
    kept = {name: value for name, value in state.items() if VIT.match(name)}
    return Translated(kept, backbone, (), tuple(name for name in state if name not in kept))


def _renamed(name: str) -> str:
    for pattern, to in RENAMED:
        if pattern.match(name):
            return pattern.sub(to, name)
    return name


def _counted(state: State) -> State:
    """With the count of batches of each BatchNorm, which files of before torch 0.4.1 lack."""
    means = [name for name in state if name.endswith("running_mean")]
    counts = {name.replace("running_mean", "num_batches_tracked"): torch.zeros((), dtype=torch.int64) for name in means}
    return counts | state


def _of_magface(state: State) -> State:
    """For RGB in [-1, 1] and an epsilon of 1e-5.

    With u = (v + 1) / 2 a convolution W of u is W / 2 of v plus sum(W) / 2, which the mean of the BN after it takes up.
    """
    turned = dict(state)
    weight = state["conv1.weight"][:, [2, 1, 0]]
    turned["conv1.weight"] = weight / 2
    turned["bn1.running_mean"] = state["bn1.running_mean"] - weight.sum((1, 2, 3)) / 2
    for name, value in state.items():
        if name.endswith("running_var"):
            turned[name] = value + (MAGFACE_EPS - EPS)
    return turned
