"""``facekit unpack``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.packs.unpack import UnpackSummary

__all__ = ["command"]


@click.command("unpack", short_help="Write the pictures of a pack as files.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DIR")
@click.option("--limit", type=int, metavar="N", help="Take only the first N pictures.")
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace DIR, if it was unpacked before.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Write the pictures of a pack as files.

    DIR is a folder that appears when everything is done: one folder a label, in it KEY.jpg, the payload byte for byte.
    Pictures that facekit packed from files get their names and folders back, as far as the ledger and the source.lst
    beside the pack tell them; a masked copy has the mask type behind its name. unpacked.lst lists all, as im2rec does:
    key, label, path.

    \b
    Example:
      facekit unpack ms1m-retinaface pictures --limit 1000
    """
    from facekit.jobs.packs.unpack import UnpackConfig, unpack

    summary = unpack(UnpackConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: UnpackSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.pictures:,} pictures of {summary.identities:,} identities, {summary.seconds:,.1f} s",
        *[f"  {summary.strange:,} are no picture by their first bytes: .bin"] * bool(summary.strange),
        *(f"  {count:,} dropped: {reason.replace('_', ' ')}" for reason, count in summary.dropped.items()),
        f"folder  {summary.destination}",
        f"list    {summary.list}",
    ]
    return "\n".join(lines)
