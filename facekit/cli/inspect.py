"""``facekit inspect``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.packs.inspect import InspectSummary

__all__ = ["command"]


@click.command("inspect", short_help="Show what is in a pack.")
@click.argument("source", metavar="SRC")
@click.option("--sheet", metavar="FILE", help="Write a PNG with pictures of some identities.")
@click.option(
    "--sample", type=int, default=2000, show_default=True, metavar="N", help="Pictures to read sizes and qualities of."
)
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace the sheet.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Show what is in a pack.

    Layout, images and identities, how many images identities have, picture sizes and JPEG qualities, and the share of
    masked pictures where a ledger lies beside the pack.

    \b
    Example:
      facekit inspect ms1m-retinaface --sheet faces.png
    """
    from facekit.jobs.packs.inspect import InspectConfig, inspect

    summary = inspect(InspectConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: InspectSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.source}: layout {summary.layout}, {summary.records:,} records, {summary.bytes / 1e6:,.1f} MB",
        f"{summary.images:,} images of {summary.identities:,} identities, num_classes {summary.num_classes:,}",
        *[f"  {summary.unused_labels:,} labels have no image"] * bool(summary.unused_labels),
        *[
            f"  {count:,} images have a label of {width} numbers"
            for width, count in summary.label_width.items()
            if width
        ],
    ]
    if summary.images_each:
        words = ", ".join(f"{name} {value:,.4g}" for name, value in summary.images_each.items())
        lines += [f"images of an identity: {words}", *bars(summary.histogram)]
    lines.append(f"of {summary.sampled:,} pictures:")
    for name in ("formats", "sizes", "qualities", "subsamplings"):
        counts = list(getattr(summary, name).items())
        shown = ", ".join(f"{what} ({count:,})" for what, count in counts[:6]) + ", ..." * (len(counts) > 6)
        lines += [f"  {name:14}{shown}"] * bool(counts)
    if summary.masked:
        lines.append(f"masked: {summary.masked_share:.1%}")
        lines += [f"  {name:16}{count:>10,}" for name, count in summary.masked.items()]
    return "\n".join(lines + [f"sheet   {summary.sheet}"] * (summary.sheet is not None))


def bars(histogram: dict[str, int]) -> list[str]:
    """A histogram in the terminal."""
    longest, width = max(histogram.values()), max(map(len, histogram))
    return [
        f"  {name:>{width}} {chr(0x2588) * -(-40 * count // longest):40} {count:,}" for name, count in histogram.items()
    ]
