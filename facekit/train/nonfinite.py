"""A run stops where its numbers are none any more, and says what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facekit.errors import FacekitError
from facekit.train.checkpoint import latest_checkpoint
from facekit.train.state import State

__all__ = ["check_loss", "check_weights"]

_CURES = "lower lr, warm up longer, or clip"


def check_loss(state: State, values: Mapping[str, float], out: Path) -> None:
    """Stop a run that learns nothing any more; a step that the loss scaler skips harms nothing.

    The scaler halves its scale at each such step: below 1 it has skipped sixteen more than it ever took back.
    """
    if state.scaler.is_enabled():
        if state.scaler.get_scale() < 1:
            raise FacekitError(
                f"step {state.step}: half precision overflows at every step, and the loss scale fell below 1: take "
                f"precision=bf16, or {_CURES}. {_what_is_left(out)}"
            )
    elif "nonfinite_steps" in values:
        raise FacekitError(f"step {state.step}: the loss is not finite any more: {_CURES}. {_what_is_left(out)}")


def check_weights(state: State, out: Path) -> None:
    """Keep what is no number out of the checkpoints."""
    bad = state.nonfinite()
    if bad:
        raise FacekitError(
            f"step {state.step}: {bad[0]} is not finite any more ({len(bad)} tensors in all): {_CURES}. "
            f"{_what_is_left(out)}"
        )


def _what_is_left(out: Path) -> str:
    found = latest_checkpoint(out)
    if found is None:
        return "No checkpoint was written before"
    return (
        f"{found} was finite when it was written; with the same settings --resume would take the same steps again, so "
        f"start another run with other ones, from --init {found}"
    )
