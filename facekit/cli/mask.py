"""``facekit mask``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.printing import echo
from facekit.errors import ConfigError, FacekitError

if TYPE_CHECKING:
    from facekit.jobs.mask.bins import MaskBinsSummary
    from facekit.jobs.mask.config import MaskConfig
    from facekit.jobs.mask.summary import MaskSummary

__all__ = ["command"]


@click.command("mask", short_help="Put worn masks on the faces of a pack.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--ratio", type=float, default=0.15, show_default=True, help="Masked / all pictures of DST.")
@click.option(
    "--mode",
    type=click.Choice(["add", "replace"]),
    default="add",
    show_default=True,
    help="Keep every original and add masked copies, or mask the chosen ones in place.",
)
@click.option(
    "--types",
    default="all",
    show_default=True,
    metavar="LIST",
    help="all (evenly), real (as often as people wear each), or types with commas; NAME:WEIGHT draws one more or less.",
)
@click.option("--textures", metavar="PATH", help="Table (TOML) of custom masks, to be named in --types.")
@click.option(
    "--preset",
    type=click.Choice(["bcl", "maskdul"]),
    help="Types, mode and ratio of a published recipe; what is given beside it counts.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides every random choice.")
@click.option("--limit", type=int, metavar="N", help="Take only the first N pictures: a preview.")
@click.option("--workers", type=int, default=None, metavar="N", help="Processes.  [default: one for each core]")
@click.option(
    "--layout",
    type=click.Choice(["same", "insightface", "flat"]),
    default="same",
    show_default=True,
    help="Layout of the output; flat has neither record 0 nor identity records, as DALI needs it.",
)
@click.option("--tilt", metavar="DEGREES", help="Angle of the masks: a number, or LOW:HIGH to draw from.")
@click.option("--shadow", metavar="0..1", help="Darkness of the shadow beside the masks, likewise.")
@click.option("--light", metavar="0..3", help="Strength of the light on the masks (1: as on the skin), likewise.")
@click.option("--nose-out", type=float, default=0.0, metavar="0..1", help="Share of masks worn below the nose.")
@click.option("--under-chin", type=float, default=0.0, metavar="0..1", help="Share of masks worn under the chin.")
@click.option(
    "--side", type=click.Choice(["both", "second"]), help="SRC is a .bin: pictures of a pair.  [default: both]"
)
@click.option("--mesh-cache", metavar="PATH", help="Keep the face meshes: masking this source again skips the model.")
@click.option("--ray", is_flag=True, help="Work on a Ray cluster instead of local processes.")
@click.option("--overwrite", is_flag=True, help="Replace DST, and discard an unfinished run with other settings.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool, **given: Any) -> None:
    """Put worn masks on the faces of a pack.

    SRC is an InsightFace pack (a folder, a .rec file or their prefix) with aligned faces, or a folder of aligned
    pictures with one folder a person. DST is a folder that appears when everything is done. A run that was
    interrupted, in whatever way, goes on where it was when the same command is given again.

    SRC may also be a verification .bin; then every picture of the pairs, or the second of each, is masked, DST is a
    .bin too, and its ledger lies beside it.

    Types: surgical-blue, surgical-white, surgical-black, n95-cup, n95-valve, kn95, cloth-pattern, sponge-black.

    \b
    Example, a preview of the first 200 pictures:
      facekit mask ms1m-retinaface masked-preview --limit 200
    """
    from facekit.jobs.mask.job import mask

    if given["source"].endswith(".bin"):
        mask_pairs(context, given, as_json)
        return
    if given["side"] is not None:
        raise ConfigError("--side is for a verification .bin; SRC is none")
    summary = mask(config_of(context, given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))
    if summary.errors and not summary.masked:
        raise FacekitError(f"not one picture could be masked; {summary.ledger} says why for each")


NOT_FOR_PAIRS = ("ratio", "mode", "preset", "limit", "layout", "mesh_cache")


def mask_pairs(context: click.Context, given: dict[str, Any], as_json: bool) -> None:
    """The same for a verification .bin."""
    from facekit.jobs.mask.bins import mask_bins

    default = click.core.ParameterSource.DEFAULT
    for name in NOT_FOR_PAIRS:
        if context.get_parameter_source(name) != default:
            raise ConfigError(f"--{name.replace('_', '-')} is for packs; of a .bin every picture of --side is masked")
    if not given["destination"].endswith(".bin"):
        raise ConfigError(f"{given['source']} is a .bin, so DST must end in .bin too")
    side = given["side"] or "both"
    summary = mask_bins(config_of(context, given), side)
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of_pairs(summary))
    if not summary.masked:
        raise FacekitError(f"not one picture could be masked; {summary.ledger} says why for each")


def text_of_pairs(summary: MaskBinsSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.masked:,} of {summary.pictures:,} pictures of {summary.pairs:,} pairs are masked",
        *(f"  {name:16}{count:>10,}" for name, count in summary.by_type.items()),
    ]
    for counts, words in ((summary.refused, "were refused"), (summary.errors, "could not be masked")):
        if counts:
            lines.append(f"{sum(counts.values()):,} of {summary.wanted:,} {words} and stay bare")
            lines += [f"  {count:,} x {name}" for name, count in counts.items()]
    lines += [
        f"{summary.images_per_second:,.0f} pictures/s, {summary.seconds:,.1f} s",
        f"pairs   {summary.destination}",
        f"ledger  {summary.ledger}",
    ]
    return "\n".join(lines)


def config_of(context: click.Context, given: dict[str, Any]) -> MaskConfig:
    """The frozen config that the options ask for."""
    from facekit.jobs.mask.config import PRESETS, MaskConfig, known_types, parse_range, parse_types
    from facekit.masks import MaskOptions

    given.pop("side", None)
    preset = PRESETS.get(given.pop("preset") or "", {})
    default = click.core.ParameterSource.DEFAULT
    given.update({name: value for name, value in preset.items() if context.get_parameter_source(name) == default})
    names = ("tilt", "shadow", "light")
    ranges: dict[str, Any] = {
        f"{name}_range": parse_range(name, text) for name in names if (text := given.pop(name)) is not None
    }
    given["types"] = parse_types(given["types"], known_types(given["textures"]))
    given["workers"] = given["workers"] if given["workers"] is not None else len(os.sched_getaffinity(0))
    wrongly = {name: given.pop(name) for name in ("nose_out", "under_chin")}
    return MaskConfig(**given, options=MaskOptions(**ranges, **wrongly))


def text_of(summary: MaskSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.masked:,} of {summary.images:,} pictures are masked ({summary.ratio:.1%})",
        *(f"  {name:16}{count:>10,}" for name, count in summary.by_type.items()),
    ]
    if summary.already_masked:
        lines.append(f"{summary.already_masked:,} of them were masked before and were left alone")
    if summary.refused:
        lines.append(f"{sum(summary.refused.values()):,} of {summary.wanted:,} chosen faces were refused")
        lines += [f"  {name:16}{count:>10,}" for name, count in summary.refused.items()]
    if summary.errors:
        lines.append(f"{sum(summary.errors.values()):,} could not be masked")
        lines += [f"  {count:,} x {name}" for name, count in summary.errors.items()]
    lines += [
        f"{summary.images_per_second:,.0f} pictures/s, {summary.seconds:,.1f} s, {summary.bytes / 1e6:,.1f} MB",
        f"pack    {summary.destination} ({summary.layout}, {summary.identities:,} identities)",
        f"ledger  {summary.ledger}",
        f"sheet   {summary.contact or 'none: nothing was masked'}",
    ]
    return "\n".join(lines)
