"""``facekit reindex``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.packs.reindex import ReindexSummary

__all__ = ["command"]


@click.command("reindex", short_help="Make the index of a pack anew from its records.")
@click.argument("source", metavar="SRC")
@click.option("--sidecar", is_flag=True, help="Write the binary form too, which opens in milliseconds, and the labels.")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace the index that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Make the index of a pack anew from its records.

    SRC is a pack whose .idx is lost or wrong. Keys come from record 0 where its numbers agree with the file, else from
    the ids in the headers where no two are the same, else they count from 0. A damaged file is refused, with the
    offset; facekit check --repair saves what is whole.

    \b
    Example:
      facekit reindex webface/train.rec --sidecar
    """
    from facekit.jobs.packs.reindex import ReindexConfig, reindex

    summary = reindex(ReindexConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: ReindexSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.records:,} records, {summary.images:,} images, layout {summary.layout}, {summary.seconds:,.1f} s",
        f"index    {summary.index}",
    ]
    return "\n".join(lines + [f"sidecar  {summary.sidecar}"] * (summary.sidecar is not None))
