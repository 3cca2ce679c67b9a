"""``facekit merge``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.packs.merge import MergeSummary

__all__ = ["command"]

WORDS = {"not_wanted": "the table has no new label for them", "label_not_whole": "label not whole"}


@click.command("merge", short_help="Merge packs into one, with a table of identities.")
@click.argument("sources", metavar="SRC SRC...", nargs=-1, required=True)
@click.argument("destination", metavar="DST")
@click.option(
    "--identities", metavar="FILE", help="A .csv with source, old_label, new_label: what becomes one identity."
)
@click.option(
    "--layout",
    type=click.Choice(["insightface", "flat"]),
    default="insightface",
    show_default=True,
    help="Layout of the output; flat has images only, as DALI needs it.",
)
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Merge packs into one, with a table of identities.

    Every label of every SRC is a person of its own, unless --identities says otherwise; labels that are not in that
    table, or have no new label there, are left out. DST is a folder that appears when everything is done; its
    identities.csv says which label became which, and can be edited and given as --identities.

    \b
    Examples:
      facekit merge ms1m asian-celeb both
      facekit merge ms1m asian-celeb both-again --identities both/identities.csv
    """
    from facekit.jobs.packs.merge import MergeConfig, merge

    summary = merge(MergeConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: MergeSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.images:,} pictures, {summary.identities:,} identities, {summary.seconds:,.1f} s",
        *(f"  {count:,} dropped: {WORDS.get(reason, reason)}" for reason, count in summary.dropped.items()),
        *[f"  {summary.shared:,} identities have pictures of several packs"] * bool(summary.shared),
        f"pack        {summary.destination} ({summary.layout})",
        f"identities  {summary.table}",
        summary.snippet.rstrip(),
    ]
    return "\n".join(lines)
