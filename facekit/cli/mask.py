"""``facekit mask``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo
from facekit.errors import ConfigError, FacekitError

if TYPE_CHECKING:
    from facekit.jobs.mask.bins import MaskBinsSummary
    from facekit.jobs.mask.config import MaskConfig
    from facekit.jobs.mask.summary import MaskSummary
    from facekit.jobs.photos.summary import PhotosSummary

__all__ = ["command"]


@click.command("mask", short_help="Put worn masks on the faces of a pack.")
@click.argument("source", metavar="SRC...", nargs=-1, required=True)
@click.argument("destination", metavar="DST")
@click.option("--photos", is_flag=True, help="SRC is a folder of photographs, not of aligned crops: find the faces.")
@click.option(
    "--ratio", type=float, default=0.15, show_default=True, help="Masked / all pictures of DST.  [with --photos: 1.0]"
)
@click.option(
    "--ratio-of",
    type=click.Choice(["face", "picture"]),
    default="face",
    show_default=True,
    help="With --photos: what --ratio is a share of.",
)
@click.option(
    "--faces",
    type=click.Choice(["all", "largest"]),
    default="all",
    show_default=True,
    help="With --photos: which faces of a picture.",
)
@click.option(
    "--upright", is_flag=True, help="With --photos: only faces that are turned by less than 45 degrees; faster."
)
@click.option(
    "--smallest",
    type=float,
    default=16.0,
    show_default=True,
    metavar="PIXELS",
    help="With --photos: eye distance from which a face is looked for; twice as large takes a quarter of the time.",
)
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
@dry_run_option
@engine_options()
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
@click.option("--prints", type=float, default=0.0, metavar="SHARE", help="Share of masks with lettering or a mark.")
@click.option("--rims", is_flag=True, help="Keep rims of glasses in front of the mask, where they can be told.")
@click.option(
    "--side", type=click.Choice(["both", "second"]), help="SRC is a .bin: pictures of a pair.  [default: both]"
)
@click.option("--mesh-cache", metavar="PATH", help="Keep the face meshes: masking this source again skips the model.")
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; discard an unfinished other run.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool, **given: Any) -> None:
    """Put worn masks on the faces of a pack.

    SRC is an InsightFace pack (a folder, a .rec file or their prefix) with aligned faces, or a folder of aligned
    pictures with one folder a person. DST is a folder that appears when everything is done. A run that was
    interrupted, in whatever way, goes on where it was when the same command is given again.

    SRC may also be a verification .bin; then every picture of the pairs, or the second of each, is masked, DST is a
    .bin too, and its ledger lies beside it. Of several .bin files DST is the folder, and each keeps its name.

    With --photos SRC is a folder of photographs, in folders or not. Every face that is found is masked, of any size and
    turned any way, and DST is the same tree with the same names; JPEG, PNG, WebP, AVIF and BMP stay what they are, with
    their quality, EXIF and colour profile. What needs no mask is copied byte for byte.

    Refused, and left bare, are faces on which no mask would sit: no_face (none is found), covered (already, by a mask
    or a hand), profile (turned too far), mesh (none that a face has), outside (of the picture) and small. The ledger
    says which.

    Types: surgical-blue, surgical-white, surgical-black, n95-cup, n95-valve, kn95, cloth-pattern, sponge-black.

    \b
    Examples, a preview of the first 200 pictures and all standard sets at once:
      facekit mask ms1m-retinaface masked-preview --limit 200
      facekit mask lfw.bin cfp_fp.bin agedb_30.bin masked-sets
    """
    from facekit.jobs.mask.job import mask

    sources = given.pop("source")
    given["source"] = sources[0]

    if len(sources) > 1:
        mask_several(context, given, sources, as_json)
        return
    if given["photos"]:
        mask_photographs(context, given, as_json)
        return
    refuse_given(context, FOR_PHOTOS, "is for photographs: give --photos too")
    if given["source"].endswith(".bin"):
        mask_pairs(context, given, as_json)
        return
    if given["side"] is not None:
        raise ConfigError("--side is for a verification .bin; SRC is none")
    summary = mask(config_of(context, given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))
    if summary.errors and not summary.masked:
        raise FacekitError(f"not one picture could be masked; {summary.ledger} says why for each")
    if summary.unaligned:
        raise FacekitError(
            f"these look unaligned: {sum(summary.refused.values()):,} of {summary.wanted:,} chosen faces were refused, "
            f"and {summary.unaligned} of those that were looked at are photographs. To mask them as they are, give "
            f"facekit mask {given['source']} DST --photos; to make a pack of aligned crops first, facekit pack --align"
        )


FOR_PHOTOS = ("ratio_of", "faces", "upright", "smallest")
NOT_FOR_PHOTOS = ("mode", "preset", "layout", "mesh_cache", "side", "partial_index")


def refuse_given(context: click.Context, names: tuple[str, ...], why: str) -> None:
    """Refuse options that were given although they mean nothing here.

    Raises
    ------
    ConfigError
        Names the first.
    """
    default = click.core.ParameterSource.DEFAULT
    for name in names:
        if context.get_parameter_source(name) != default:
            raise ConfigError(f"--{name.replace('_', '-')} {why}")


def mask_photographs(context: click.Context, given: dict[str, Any], as_json: bool) -> None:
    """The same for photographs."""
    from facekit.jobs.photos.config import PhotosConfig
    from facekit.jobs.photos.job import mask_photos

    refuse_given(context, NOT_FOR_PHOTOS, "is for packs; with --photos the same tree of pictures is written")
    if context.get_parameter_source("ratio") == click.core.ParameterSource.DEFAULT:
        given["ratio"] = 1.0
    for name in ("photos", *NOT_FOR_PHOTOS):
        given.pop(name)
    summary = mask_photos(PhotosConfig(**drawn_from(given)))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of_photos(summary))
    if summary.errors and not summary.faces:
        raise FacekitError(f"not one face could be masked; {summary.ledger} says why for each picture")


def text_of_photos(summary: PhotosSummary) -> str:
    """The summary for a person."""
    from facekit.jobs.inputs.picture_files import format_counts

    lines = [
        f"{summary.masked:,} of {summary.faces:,} faces are masked",
        f"{summary.changed:,} of {summary.pictures:,} photographs have one",
        *(f"  {name:16}{count:>10,}" for name, count in summary.by_type.items()),
    ]
    if summary.bare:
        lines.append(f"{summary.bare:,} were not chosen")
    if summary.refused:
        lines.append(f"{sum(summary.refused.values()):,} were refused and stay bare")
        lines += [f"  {name:16}{count:>10,}" for name, count in summary.refused.items()]
    if summary.without_face:
        lines.append(f"{summary.without_face:,} photographs show no face that was found")
    if summary.errors:
        lines.append(f"{sum(summary.errors.values()):,} could not be opened and were copied as they are")
        lines += [f"  {count:,} x {name}" for name, count in summary.errors.items()]
    if summary.others:
        count = sum(summary.others.values())
        lines.append(
            f"{count:,} other files are no pictures by their names and were left out: {format_counts(summary.others)}"
        )
    lines += [
        f"{summary.pictures_per_second:,.1f} photographs/s, {summary.seconds:,.1f} s",
        f"photos  {summary.destination}",
        f"ledger  {summary.ledger}",
        f"sheet   {summary.contact or 'none: nothing was masked'}",
    ]
    return "\n".join(lines)


NOT_FOR_PAIRS = ("ratio", "mode", "preset", "limit", "layout", "mesh_cache")


def mask_pairs(context: click.Context, given: dict[str, Any], as_json: bool) -> None:
    """The same for a verification .bin."""
    from facekit.jobs.mask.bins import mask_bins

    refuse_given(context, NOT_FOR_PAIRS, "is for packs; of a .bin every picture of --side is masked")
    if not given["destination"].endswith(".bin"):
        raise ConfigError(f"{given['source']} is a .bin, so DST must end in .bin too: choose such a name")
    side = given["side"] or "both"
    summary = mask_bins(config_of(context, given), side)
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of_pairs(summary))
    refuse_bare(summary)


def refuse_bare(summary: MaskBinsSummary) -> None:
    """Complain where nothing could be masked.

    Raises
    ------
    FacekitError
        Names the ledger.
    """
    if not summary.masked:
        raise FacekitError(f"not one picture could be masked; {summary.ledger} says why for each")


def mask_several(context: click.Context, given: dict[str, Any], sources: tuple[str, ...], as_json: bool) -> None:
    """The same for several verification .bin files, into a folder."""
    from facekit.jobs.mask.bins import mask_bin_files

    refuse_given(context, ("photos", *FOR_PHOTOS), "is for one folder of photographs; SRC are several")
    refuse_given(context, NOT_FOR_PAIRS, "is for packs; of a .bin every picture of --side is masked")
    side = given["side"] or "both"
    summaries = mask_bin_files(config_of(context, given), sources, side)
    if as_json:
        echo(json.dumps([asdict(summary) for summary in summaries], indent=2))
    else:
        echo("\n".join(text_of_pairs(summary) for summary in summaries))
    for summary in summaries:
        refuse_bare(summary)


def text_of_pairs(summary: MaskBinsSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.masked:,} of {summary.pictures:,} pictures of {summary.pairs:,} pairs are masked",
        *(f"  {name:16}{count:>10,}" for name, count in summary.by_type.items()),
    ]
    if summary.refused:
        lines.append(f"{sum(summary.refused.values()):,} of {summary.wanted:,} were refused and stay bare")
        lines += [f"  {name:16}{count:>10,}" for name, count in summary.refused.items()]
    if summary.errors:
        lines.append(f"{sum(summary.errors.values()):,} of {summary.wanted:,} could not be masked and stay bare")
        lines += [f"  {count:,} x {name}" for name, count in summary.errors.items()]
    lines += [
        f"{summary.images_per_second:,.0f} pictures/s, {summary.seconds:,.1f} s",
        f"pairs   {summary.destination}",
        f"ledger  {summary.ledger}",
    ]
    return "\n".join(lines)


def config_of(context: click.Context, given: dict[str, Any]) -> MaskConfig:
    """The frozen config that the options ask for."""
    from facekit.jobs.mask.config import PRESETS, MaskConfig

    for name in ("side", "photos", *FOR_PHOTOS):
        given.pop(name, None)
    preset = PRESETS.get(given.pop("preset") or "", {})
    default = click.core.ParameterSource.DEFAULT
    given.update({name: value for name, value in preset.items() if context.get_parameter_source(name) == default})
    return MaskConfig(**drawn_from(given))


def drawn_from(given: dict[str, Any]) -> dict[str, Any]:
    """What was given with types and ranges as a config has them."""
    from facekit.jobs.mask.config import known_types, parse_range, parse_types
    from facekit.masks import MaskOptions

    names = ("tilt", "shadow", "light")
    ranges: dict[str, Any] = {
        f"{name}_range": parse_range(name, text) for name in names if (text := given.pop(name)) is not None
    }
    shares = {name: given.pop(name) for name in ("nose_out", "under_chin", "prints", "rims")}
    types = parse_types(given["types"], known_types(given["textures"]))
    return {**given, "types": types, "options": MaskOptions(**ranges, **shares)}


ONE_IDENTITY = (
    "the pictures lie in one folder and became one identity; give every person a folder, or --photos for the same tree"
)


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
    if summary.one_identity:
        lines.append(f"note: {ONE_IDENTITY}")
    lines += [
        f"{summary.images_per_second:,.0f} pictures/s, {summary.seconds:,.1f} s, {summary.bytes / 1e6:,.1f} MB",
        f"pack    {summary.destination} ({summary.layout}, {summary.identities:,} identities)",
        f"ledger  {summary.ledger}",
        f"sheet   {summary.contact or 'none: nothing was masked'}",
    ]
    return "\n".join(lines)
