"""Checkpoints: written aside and renamed, and loaded with any number of processes.

checkpoints/00000120/
    common.pt             network, head, their momentum (of AdamW its squares and counts too), average, scaler, step,
                          place in the data, settings
    rows-00000-of-00002.pt    a process's rows of the classifier, their momentum, its random numbers
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facekit.errors import FacekitError
from facekit.train.model import CHECKPOINTS, COMMON, load_file, save_file
from facekit.train.optimizer import moments_of, set_moments
from facekit.train.processes import rank_of, wait_for_all
from facekit.train.sharded import world_size

if TYPE_CHECKING:
    from facekit.train.state import State

__all__ = [
    "bytes_of_a_checkpoint",
    "images_per_step",
    "latest_checkpoint",
    "load_checkpoint",
    "load_last_finite",
    "save_checkpoint",
]

_log = logging.getLogger(__name__)
ROW_MOMENTS = ("momentum", "squares")
MOMENTS = (*ROW_MOMENTS, "updates")
"""As `facekit.train.optimizer.moments_of` names them."""
_KEPT = (
    "network", "head", "momentum", "scaler", "step", "position", "images_a_step", "average", "average_count",
)  # fmt: skip


def latest_checkpoint(out: Path) -> Path | None:
    """The last whole checkpoint of a run.

    Parameters
    ----------
    out : Path
        The run's folder.

    Returns
    -------
    folder : Path or None
        None where there is none.
    """
    found = _checkpoints(out)
    return found[-1] if found else None


def _checkpoints(out: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    return sorted((out / CHECKPOINTS).glob("[0-9]*"))


def bytes_of_a_checkpoint(state: State) -> int:
    """Bytes that a checkpoint's numbers take on disk, those of all processes together, once momentum is there.

    Parameters
    ----------
    state : State
    """
    modules = (state.network, state.head)
    kept = sum(one.numel() * one.element_size() for module in modules for one in module.state_dict().values())
    moved = sum(one.numel() * one.element_size() for module in modules for one in module.parameters())
    average = sum(one.numel() * one.element_size() for one in state.ema.weights.values()) if state.ema else 0
    weight = state.classifier.weight
    rows = weight.numel() * weight.element_size() * (world_size() if state.classifier.sharded else 1)
    moments = 2 if state.settings.train.optimizer == "adamw" else 1
    return kept + average + rows + moments * (moved + rows)


def images_per_step(folder: Path) -> int:
    """Images, over all processes, of the steps that led to a checkpoint.

    Raises
    ------
    FacekitError
        It cannot be read, or is not whole.
    """
    return int(_read_common(folder)["images_a_step"])


def place_of(folder: Path, images: int) -> tuple[int, int]:
    """Step and position of a checkpoint, for a run whose steps take so many images: see `State`.

    Raises
    ------
    FacekitError
        It cannot be read, or is not whole.
    """
    common = _read_common(folder)
    return int(common["step"]), round(common["position"] * common["images_a_step"] / images)


def _read_common(folder: Path) -> dict[str, Any]:
    path = folder / COMMON
    common = load_file(path)
    missing = [name for name in _KEPT if name not in common] if isinstance(common, dict) else list(_KEPT)
    if missing:
        raise FacekitError(f"{path} is no checkpoint of facekit train: it has no {missing[0]}; remove {folder}")
    wrong = [name for name in ("step", "position", "images_a_step") if not isinstance(common[name], int)]
    if wrong or common["images_a_step"] < 1:
        raise FacekitError(
            f"{path} is no checkpoint: its {(wrong or ['images_a_step'])[0]} is no count; remove {folder}"
        )
    return common


def save_checkpoint(state: State, out: Path, keep: int) -> Path:
    """Write a checkpoint with all processes, and remove the oldest.

    Parameters
    ----------
    state : State
    out : Path
        The run's folder.
    keep : int
        How many checkpoints stay.

    Returns
    -------
    folder : Path
        It appears whole, by a rename.
    """
    final = out / CHECKPOINTS / f"{state.step:08d}"
    aside = final.with_name(f".{final.name}")
    if rank_of() == 0:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    wait_for_all()
    if rank_of() == 0:
        save_file(_common(state), aside / COMMON)
    if state.classifier.sharded or rank_of() == 0:
        save_file(_rows(state), aside / _rows_name(rank_of(), world_size()))
    else:
        save_file({"random": _random(), "count": 0, "start": 0}, aside / _rows_name(rank_of(), world_size()))
    wait_for_all()
    if rank_of() == 0:
        shutil.rmtree(final, ignore_errors=True)
        os.replace(aside, final)
        for former in sorted(final.parent.glob("[0-9]*"))[:-keep]:
            shutil.rmtree(former)
    wait_for_all()
    return final


def load_last_finite(state: State, out: Path) -> Path:
    """Bring a state to the last checkpoint of a run whose numbers are all finite: its folder.

    Where nothing but buffers of the head is spoiled (the moving average t of a curricular margin, which recovers within
    some hundred steps), they start anew.

    Raises
    ------
    FacekitError
        No checkpoint is finite, or one cannot be read.
    """
    fresh = {name: value.clone() for name, value in state.head.named_buffers()}
    for folder in _checkpoints(out)[::-1]:
        state.optimizer.state.clear()
        load_checkpoint(state, folder)
        bad = state.nonfinite()
        spoiled = [name for name in fresh if f"head.{name}" in bad]
        if len(spoiled) == len(bad):
            for name in spoiled:
                state.head.get_buffer(name).copy_(fresh[name])
                _log.warning("%s: %s of the head is not finite and starts anew", folder, name)
            return folder
        _log.warning("%s is left out: %s is not finite", folder, bad[0])
    raise FacekitError(
        f"no checkpoint in {out / CHECKPOINTS} is finite: start another run with a lower lr, a longer warmup, or clip"
    )


def load_checkpoint(state: State, folder: Path) -> None:
    """Bring a state to what a checkpoint says, with as many processes as there are now.

    With another number of processes than it was written with, random numbers (of dropout, of sampled classes) begin
    anew from seed and step, and a step takes other images than before: the run goes on at the same place of the epoch,
    to the nearest step.

    Raises
    ------
    FacekitError
        It cannot be read, is not whole, or of another network.
    """
    common = _read_common(folder)
    try:
        state.network.load_state_dict(common["network"])
        state.head.load_state_dict(common["head"])
        state.scaler.load_state_dict(common["scaler"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise FacekitError(f"{folder / COMMON} does not fit this network and head: {error}") from error
    state.step = int(common["step"])
    state.position = round(common["position"] * common["images_a_step"] / state.images_per_step)
    if state.ema is not None:
        state.ema.count = int(common["average_count"])
        for name, value in common["average"].items():
            state.ema.weights[name].copy_(value)
    for kind, module in (("network", state.network), ("head", state.head)):
        for name, parameter in module.named_parameters():
            key = f"{kind}.{name}"
            known = [moment for moment in MOMENTS if key in common.get(moment, {})]
            set_moments(state.optimizer, parameter, {moment: common[moment][key] for moment in known})
    _load_rows(state, folder)
    own = folder / _rows_name(rank_of(), world_size())
    if own.exists():
        _set_random(load_file(own)["random"])
    else:
        torch.manual_seed(state.seed + 7919 * rank_of() + state.step)


def _common(state: State) -> dict[str, Any]:
    modules = (("network", state.network), ("head", state.head))
    kept = {
        f"{kind}.{name}": moments_of(state.optimizer, parameter)
        for kind, module in modules
        for name, parameter in module.named_parameters()
    }
    moments = {moment: {key: one[moment] for key, one in kept.items() if moment in one} for moment in MOMENTS}
    return state.description | {
        "network": state.network.state_dict(),
        "head": state.head.state_dict(),
        "momentum": moments["momentum"],
        "scaler": state.scaler.state_dict(),
        "step": state.step,
        "position": state.position,
        "images_a_step": state.images_per_step,
        "average": state.ema.weights if state.ema else {},
        "average_count": state.ema.count if state.ema else 0,
        **{moment: found for moment, found in moments.items() if found},
    }


def _rows_name(rank: int, world: int) -> str:
    return f"rows-{rank:05d}-of-{world:05d}.pt"


def _rows(state: State) -> dict[str, Any]:
    weight = state.classifier.weight
    rows = {"random": _random(), "start": state.classifier.class_start, "count": len(weight), "weight": weight.detach()}
    return rows | moments_of(state.optimizer, weight)


@torch.no_grad()
def _load_rows(state: State, folder: Path) -> None:
    """Take the rows of this process's classes from whichever files have them."""
    weight, first = state.classifier.weight, state.classifier.class_start
    moments: dict[str, torch.Tensor] = {}
    found = 0
    for path in sorted(folder.glob("rows-*.pt")):
        part = load_file(path)
        low, high = max(first, part["start"]), min(first + len(weight), part["start"] + part["count"])
        if low >= high:
            continue
        here, there = slice(low - first, high - first), slice(low - part["start"], high - part["start"])
        weight[here] = part["weight"][there].to(weight)
        for moment in ROW_MOMENTS:
            if moment in part:
                whole = moments.setdefault(moment, torch.zeros_like(weight))
                whole[here] = part[moment][there].to(weight)
        if "updates" in part:
            moments["updates"] = part["updates"]
        found += high - low
    if found != len(weight):
        raise FacekitError(
            f"{folder} has rows for {found} of {len(weight)} classes: it is of another pack, or not whole"
        )
    set_moments(state.optimizer, weight, moments)


def _random() -> dict[str, torch.Tensor]:
    own = {"cpu": torch.get_rng_state()}
    return own | {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else own


def _set_random(random: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(random["cpu"].clone())
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"].clone())
