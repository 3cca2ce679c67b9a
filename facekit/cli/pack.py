"""``facekit pack``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.pack.job import PackSummary

__all__ = ["command"]


@click.command("pack", short_help="Make a pack of a folder of people or a list of pictures.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--align", is_flag=True, help="Find the faces and warp them to the ArcFace template.")
@click.option(
    "--detector",
    metavar="NAME",
    help="What finds them for --align: blazeface, blazeface-upright (faster; no face may be turned by 45 degrees), or "
    "MODULE:NAME, which makes your own.  [default: blazeface]",
)
@click.option("--min-images", type=int, default=1, show_default=True, metavar="N", help="Leave out people with fewer.")
@click.option(
    "--layout",
    type=click.Choice(["insightface", "flat"]),
    default="insightface",
    show_default=True,
    help="Layout of the output; flat has neither record 0 nor identity records, as DALI needs it.",
)
@click.option(
    "--size",
    default="112x112",
    show_default=True,
    metavar="HxW",
    help="Size of a picture that is stored as it is; any takes all sizes.",
)
@click.option(
    "--quality", type=int, default=95, show_default=True, help="JPEG quality of what is not stored byte for byte."
)
@click.option("--root", metavar="DIR", help="What the paths in a .lst are relative to.  [default: its folder]")
@dry_run_option
@engine_options()
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; discard an unfinished other run.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Make a pack of a folder of people or a list of pictures.

    SRC is a folder with one folder a person, or a .lst of either kind: index, label, path (im2rec), or aligned, path,
    label and perhaps box and five points (InsightFace). In a folder, names that begin with a dot are passed over, and
    files without the suffix of a picture are counted. JPEG and PNG files are stored byte for byte. With --align the
    largest face of every other picture is found and warped to 112x112, or where a .lst gives a box the face that
    overlaps it best (intersection over union at least 0.3); aligned crops are left as they are. What is not packed
    stands in train.ledger.parquet with the reason. A run that was interrupted goes on when the same command is given
    again.

    SRC may also be tar shards (WebDataset, plain, gzip or zstd) or parquet with pictures and labels: a file, a folder
    of them, an address (https, s3, hf), with * or {0000..0099} for several. Each file is a step of its own that is not
    done twice.

    \b
    Examples:
      facekit pack photographs my-pack --align --min-images 5
      facekit pack 'hf://datasets/OWNER/NAME/*.tar.gz' my-pack --size any
    """
    from facekit.jobs.pack.config import PackConfig, parse_size
    from facekit.jobs.pack.job import pack

    given["size"] = parse_size(given["size"])
    summary = pack(PackConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


ONE_IDENTITY = "the pictures lie in one folder and became one person; give every person a folder, or a .lst with labels"


def text_of(summary: PackSummary) -> str:
    """The summary for a person."""
    from facekit.jobs.inputs.picture_files import format_counts
    from facekit.jobs.pack.finish import OTHER_SIZES

    lines = [f"{summary.images:,} of {summary.pictures:,} pictures, {summary.identities:,} people"]
    lines += [f"  {name:16}{count:>10,}" for name, count in summary.by_action.items()]
    if summary.skipped:
        lines.append(f"{sum(summary.skipped.values()):,} were skipped")
        lines += [f"  {count:,} x {reason}" for reason, count in summary.skipped.items()]
        lines += [f"  ({OTHER_SIZES})"] if any(reason.startswith("size ") for reason in summary.skipped) else []
    if summary.others:
        count = sum(summary.others.values())
        lines.append(f"{count:,} other files are no pictures by their names: {format_counts(summary.others)}")
    if summary.one_identity:
        lines.append(f"note: {ONE_IDENTITY}")
    lines += [
        f"{summary.images_per_second:,.0f} pictures/s, {summary.seconds:,.1f} s, {summary.bytes / 1e6:,.1f} MB",
        f"pack    {summary.destination} ({summary.layout})",
        f"ledger  {summary.ledger}",
        summary.config.rstrip(),
    ]
    return "\n".join(lines)
