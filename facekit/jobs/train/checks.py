"""What is looked at before the first step: faults of the pack, and recipes that contradict themselves."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import ConfigError, FacekitError, as_written
from facekit.jobs.packs.check import CheckConfig, check
from facekit.output.dry_run import in_earnest

if TYPE_CHECKING:
    from facekit.train.config import LoopConfig
    from facekit.train.plugin import PackFacts, Plugin
    from facekit.train.recipe import Settings

__all__ = ["config_warnings", "refuse_faults", "require", "resume_warnings"]

HARMLESS = {"label_gap", "property"}
"""Findings that training is warned of elsewhere, or does not meet."""


def require(what: str, *libraries: str) -> None:
    """Raise ConfigError where a library that something needs is not installed."""
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        raise ConfigError(f"{what} needs {' and '.join(missing)}: pip install '.[train]' in the checkout")


def refuse_faults(pack: str) -> None:
    """Stop where ``facekit check`` finds faults in the pack's structure.

    Raises
    ------
    FacekitError
        The first fault, and how many there are.
    """
    with in_earnest():
        summary = check(CheckConfig(pack))
    bad = [finding for finding in summary.findings if finding["kind"] not in HARMLESS]
    if bad:
        count = sum(number for kind, number in summary.counts.items() if kind not in HARMLESS)
        where = ", ".join(f"{name} {bad[0][name]}" for name in ("key", "offset") if bad[0].get(name) is not None)
        raise FacekitError(
            f"{pack}{', ' * bool(where)}{where}: {bad[0]['problem']} ({bad[0]['kind']}; {count} faults in all). "
            f"Nothing was trained; facekit check {pack} lists them and can repair a copy"
        )


def config_warnings(plugin: Plugin, settings: Settings, facts: PackFacts) -> list[str]:
    """Sentences about what does not go together, or is outside all that is usual.

    Raises
    ------
    ConfigError
        A crop that leaves nothing of the pictures.
    """
    from facekit.train.config import unusual_settings

    config, counts = settings.train, facts.class_counts
    found = [*plugin.config_warnings(settings.plugin, config, facts), *unusual_settings(config)]
    side = min(facts.image_size)
    if config.crop >= side:
        raise ConfigError(
            f"crop is {config.crop}, and the pictures have {side} pixels a side: nothing is left "
            f"(usual: 0 to {side // 8})"
        )
    if config.crop > side // 4:
        found.append(f"crop is {config.crop} of {side} pixels (usual: 0 to {side // 8})")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    step = config.batch * config.accumulate * world
    if config.recipe_batch and step != config.recipe_batch:
        found.append(
            f"lr {as_written(config.lr)} is meant for {config.recipe_batch} images a step, and this run takes {step}: "
            f"scale lr by {step / config.recipe_batch:.3g}, or accumulate"
        )
    empty = int((counts == 0).sum())
    if empty:
        found.append(f"{empty} of {len(counts)} classes have no image: facekit convert numbers the labels through")
    share = facts.masked_share or 0.0
    shown = share + (1 - share) * config.online_masks
    if config.masked_share >= 0 and abs(shown - config.masked_share) > 0.05:
        found.append(
            f"the recipe is meant for {config.masked_share:.0%} masked images, and {shown:.0%} will be shown: "
            "facekit mask the pack, or set online_masks"
        )
    if config.schedule == "step" and config.milestones and config.milestones[0] >= config.epochs:
        found.append(f"the rate never falls: the first milestone is {config.milestones[0]:g} of {config.epochs} epochs")
    return found


def resume_warnings(out: Path, config: LoopConfig) -> list[str]:
    """A sentence where the last checkpoint was written with another number of images a step."""
    from facekit.train.checkpoint import images_per_step, latest_checkpoint

    found = latest_checkpoint(out)
    now = config.batch * config.accumulate * int(os.environ.get("WORLD_SIZE", "1"))
    before = now if found is None else images_per_step(found)
    if before == now:
        return []
    sentence = (
        f"{found} was written by steps of {before} images, and this run takes {now}: it goes on at the same place of "
        "the epoch and with the same lr, but not to the same bits; start as many processes as before for those"
    )
    return [sentence]
