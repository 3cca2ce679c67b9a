"""``facekit split``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.packs.split import SplitSummary

__all__ = ["command"]


@click.command("split", short_help="Split a pack in two, with no identity in both.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--test", type=float, required=True, metavar="P", help="Share of the identities to test on.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which.")
@click.option(
    "--layout",
    type=click.Choice(["same", "insightface", "flat"]),
    default="same",
    show_default=True,
    help="Layout of both parts.",
)
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Split a pack in two, with no identity in both.

    DST is a folder that appears when everything is done, with two packs in it, train and test. Each has labels of its
    own from 0 on (labels.csv has the old ones), a ledger, and config.txt with the numbers that arcface_torch needs.

    \b
    Example:
      facekit split ms1m-cleaned ms1m-parts --test 0.02 --seed 1
    """
    from facekit.jobs.packs.split import SplitConfig, split

    summary = split(SplitConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: SplitSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{name:6}{images:>12,} images {summary.identities[name]:>10,} identities"
        for name, images in summary.images.items()
    ]
    lines += [f"  {count:,} dropped: {reason.replace('_', ' ')}" for reason, count in summary.dropped.items()]
    return "\n".join([*lines, f"packs {summary.destination}/train, {summary.destination}/test"])
